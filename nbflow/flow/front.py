"""Flow: the front door. Builds a graph, plans it, runs it, draws it."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from nbflow.draw import mime_bundle
from nbflow.engine.hooks import Hooks, StateChange
from nbflow.engine.keeping import Keeper
from nbflow.engine.run import Shell, session_id
from nbflow.errors import GraphError, NbflowWarning, UnknownName, nearest
from nbflow.executors.threads import SyncExecutor, ThreadExecutor
from nbflow.flow.accept import Accepted, accept
from nbflow.flow.compare import compare_runs
from nbflow.flow.drawing import Drawing
from nbflow.flow.explain import explain
from nbflow.flow.finished import Run
from nbflow.flow.past import history_frame
from nbflow.flow.picture import flow_picture, run_picture
from nbflow.flow.plans import Plan, Status
from nbflow.flow.status import status_of
from nbflow.flow.whys import Why, why_planned
from nbflow.flow.workshop import Workshop, check_parameters, open_workshop, store_at
from nbflow.model.control import chain
from nbflow.model.graph import Graph
from nbflow.model.inline import Inlined, building_graph, inline
from nbflow.model.node import BUILDING, FLOW_FACTORY, Builder, Node, ancestors
from nbflow.model.state import State
from nbflow.signals import LOOP

if TYPE_CHECKING:
    from contextvars import Token

    import pandas as pd

    from nbflow.engine.resolve import Forced
    from nbflow.executors.base import Executor
    from nbflow.results.comparison import Comparison
    from nbflow.store import Store

Targets = Node | str | Iterable[Node | str] | None


class Flow:
    """A named graph of nodes and parameters.

    >>> from nbflow import task
    >>> @task
    ... def double(x):
    ...     return 2 * x
    >>> with Flow("doubling") as flow:
    ...     result = double(21)
    >>> flow.run()["double"]
    42

    store: the folder that keeps results; by default `.nbflow` in the project's folder (design section 8).
    executor: "threads" (default) or "sync". reference: the nodes whose success decides `run.ok`; by default all.
    on_state: called with a StateChange when a run begins and ends.
    """

    def __init__(
        self,
        name: str = "flow",
        *,
        store: str | Path | None = None,
        executor: str = "threads",
        reference: Iterable[Node] | None = None,
        on_state: Callable[[StateChange], Any] | None = None,
    ) -> None:
        if executor not in {"threads", "sync"}:
            raise GraphError(f"Flow(executor={executor!r})" + nearest(executor, ["threads", "sync"]))
        self.name = name
        self.executor = executor
        self.on_state = on_state
        self.reference = None if reference is None else list(reference)
        self.graph: Graph = Graph(name, self)
        self.last_run: Run | None = None
        # What users should know goes here: a warning, or a line in a notebook.
        self.tell: Callable[[str], None] = warn_user
        self._place = store
        self._tokens: list[Token[Builder | None]] = []

    def __enter__(self) -> Self:
        outer = building_graph()
        if outer is not None:
            self.graph.nest(outer)
        self._tokens.append(BUILDING.set(self.graph))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        BUILDING.reset(self._tokens.pop())
        # A function that builds nodes may end the block so; the nodes made so far stay.
        return isinstance(error, LOOP)

    def __call__(self, **parameters: Any) -> Inlined:
        """Makes this flow a part of the one that is being built, with its parameters bound to values or nodes.

        Gives its nodes by name: `part = inner(n=3)`, then `part["report"]`. Raises ParameterError.
        """
        into = building_graph()
        if into is None:
            raise GraphError(
                f"flow {self.name!r} is called inside another flow, to be a part of it; to run it: flow.run(...)"
            )
        return inline(self.graph, into, parameters)

    def chain(self, *steps: Node | Iterable[Node]) -> None:
        """Orders nodes one after the other; a list in between fans out and joins: `flow.chain(a, [b, c], d)`."""
        chain(*steps)

    @property
    def store(self) -> Store:
        """The store that keeps this flow's results. Raises StoreRefused."""
        return store_at(self._place)

    def __getitem__(self, name: str) -> Node:
        return self.graph[name]

    def __iter__(self) -> Any:
        return iter(self.graph.nodes.values())

    def __len__(self) -> int:
        return len(self.graph.nodes)

    def run(
        self,
        *,
        targets: Targets = None,
        force: Targets | Mapping[Node | str, Iterable[int]] = None,
        approve: Targets = None,
        check: bool = False,
        dry: bool = False,
        **parameters: Any,
    ) -> Run:
        """Runs what is not fresh and gives the Run, also when something failed.

        targets: nodes or names; only they and what they need (default: everything). force: nodes that run
        although their results are known; as a dict, only those of their elements: `{"daily": [3, 5]}`. approve:
        nodes with trigger=manual_only, or that raised PAUSE, that may go on. check: raise RunFailed when something
        failed. dry: run nothing, show only what would. The rest are the flow's parameters by name; ParameterError
        for an unknown one.
        """
        check_parameters(self.graph.parameters, parameters, self.name)
        forced = self._forced(force)
        workshop = self._workshop(targets, parameters, forced, approve)
        if dry:
            return Run.planned(self, workshop, explain(workshop, self.name).visible())
        run = Run(self, workshop, parameters)
        run.targets = None if targets is None else [node.name for node in self._chosen(targets)]
        run.approved = [node.name for node in self._chosen(approve)]
        self.last_run = run
        self._tell_state(workshop, State.PENDING, State.RUNNING)
        try:
            run.stale = self._work(workshop, forced)
        except KeyboardInterrupt:
            ran, _, failed = run.counts()
            self.tell(
                f"{self.name}: interrupted; {ran - failed} finished results are kept, the next run goes on from there"
            )
            raise
        finally:
            run.finish(forced)
            self._tell_state(workshop, State.RUNNING, run.overall)
        if check:
            run.check()
        return run

    def plan(self, targets: Targets = None, **parameters: Any) -> Plan:
        """What would run and why, with no task run. Displays as a table."""
        check_parameters(self.graph.parameters, parameters, self.name)
        workshop = self._workshop(targets, parameters)
        return Plan(self, explain(workshop, self.name).visible())

    def why(self, name: Node | str, /, element: Any = None, **parameters: Any) -> Why:
        """Why a node would run now, with the evidence: code as a diff, values before and after; runs nothing.

        Of a node that would be reused: when its result was made, how long that took, by which code, in which run.
        element: one element of a mapped node: its number, its label, or what it is mapped over. `.full` of the text
        has diffs at full length. Raises UnknownName.

        >>> from nbflow import task
        >>> with Flow("why it would run") as flow:
        ...     node = task(lambda: 1)(name="one")
        >>> flow.why("one")
        one is new:
          it has not run before
        """
        node = self._node(name)
        check_parameters(self.graph.parameters, parameters, self.name)
        explained = explain(self._workshop([node], parameters), self.name)
        if node not in explained.rows:
            names = [row.name for row in explained.visible()]
            raise UnknownName(f"{node.name!r} is no task; `why` tells of tasks" + nearest(node.name, names))
        return why_planned(explained, node, element, self.last_run)

    def status(self, **parameters: Any) -> Status:
        """One line a node: fresh, stale, new or unknown. Runs nothing, and hashes nothing large.

        What depends on a value or a changed file that is large is unknown; `flow.plan()` looks at that, too.

        >>> from nbflow import task
        >>> with Flow("how it stands") as flow:
        ...     node = task(lambda: 1)(name="one")
        >>> flow.status()
        ○ one: new
        """
        check_parameters(self.graph.parameters, parameters, self.name)
        return status_of(self, parameters)

    def accept(self, *names: Node | str, **parameters: Any) -> Accepted:
        """Adopts the results that nodes had before an edit which is known to change none of them.

        Only elements whose inputs are the same take their old results; the others run with the next run. What
        depends on the node stays fresh. Tells how many were adopted (`.counts`, by name), and is kept for `why` and
        `history`. Raises NotAccepted, with the reason, when there is nothing to adopt.

        >>> import tempfile
        >>> from nbflow import task
        >>> store = tempfile.mkdtemp()
        >>> def flow_of(version):
        ...     with Flow("accepted", store=store) as flow:
        ...         task(version=version)(lambda: 1)(name="one")
        ...     return flow
        >>> run = flow_of("a").run()
        >>> flow_of("b").accept("one")
        one: 1 result adopted from before the edit (option version=: 'a' → 'b')
        """
        check_parameters(self.graph.parameters, parameters, self.name)
        return accept(self, [self._node(name) for name in names], parameters)

    def history(self, name: Node | str | None = None, *, all: bool = False) -> pd.DataFrame:  # noqa: A002 (as it reads)
        """The runs of this flow in which something ran, failed or was accepted, and the last one, the oldest first.

        The index is the run's number; the newest 200 are kept. Columns: started, ran, reused, failed (elements),
        state, seconds (wall time), parameters (without secrets), ok. name: of one node, with its state, why it ran,
        seconds of work, and whether its output changed. all: also the runs in which everything was reused. Raises
        UnknownName.

        >>> from nbflow import task
        >>> with Flow("kept runs") as flow:
        ...     node = task(cache=False)(lambda: 1)(name="one")
        >>> run = flow.run()
        >>> flow.history().ran.iloc[-1], flow.history("one").why.iloc[-1]
        (np.int64(1), 'its results are not stored (cache=False)')
        """
        return history_frame(self, None if name is None else self._name(name), every=all)

    def compare(self, run_a: Run | int | None = None, run_b: Run | int | None = None) -> Comparison:
        """What two runs gave differently: nodes, states, outputs; of DataFrames the rows, columns and cells.

        run_a, run_b: Run objects or numbers from `history()`; by default the last run, and the last before it that left
        other outputs. Values come from the store, as long as it keeps them. Raises UnknownName.

        >>> from nbflow import Parameter, task
        >>> with Flow("compared") as flow:
        ...     node = task(lambda n: 2 * n)(Parameter("n"), name="double")
        >>> flow.compare(flow.run(n=1), flow.run(n=2))["double"].lines
        ('2 → 4',)
        """
        return compare_runs(self, run_a, run_b)

    def visualize(self, run: Run | None = None, filename: str | Path | None = None, format: str = "svg") -> Drawing:  # noqa: A002 (as graphviz calls it)
        """The picture of the flow, with the states of a run if one is given; shows itself in a notebook.

        filename: also saved there, in the format given ("svg", "png", "pdf", "dot" …). `.source` is the DOT.

        >>> Flow("empty").visualize().source.splitlines()[0]
        'digraph {'
        """
        drawing = Drawing(flow_picture(self.graph) if run is None else run_picture(run), format)
        if filename is not None:
            drawing.save(filename)
        return drawing

    def _tell_state(self, workshop: Workshop, old: State, new: State) -> None:
        if self.on_state is not None:
            Hooks(workshop.ledger, self.tell).call_one(self.on_state, StateChange(self.name, None, old, new))

    def _work(self, workshop: Workshop, force: Forced) -> dict[Node, dict[int, str]]:
        keeper = Keeper(
            workshop.ledger,
            workshop.resolver,
            workshop.store,
            session=session_id(),
            replace=frozenset(force),
            tell=self.tell,
        )
        executors: dict[str, Executor] = {"sync": SyncExecutor(workshop.memo), "threads": ThreadExecutor(workshop.memo)}
        shell = Shell(
            workshop.machine,
            workshop.ledger,
            workshop.resolver,
            executors,
            keeper,
            default_executor=self.executor,
            tell=self.tell,
        )
        try:
            shell.run()
        finally:
            for executor in executors.values():
                executor.close()
        return shell.stale

    def _workshop(
        self, targets: Targets, parameters: dict[str, Any], force: Forced | None = None, approve: Targets = None
    ) -> Workshop:
        chosen = self._chosen(targets) if targets is not None else list(self.graph.nodes.values())
        return open_workshop(
            ancestors(chosen),
            self.store,
            parameters,
            force=force or {},
            targets=None if targets is None else chosen,
            approved=frozenset(self._chosen(approve)),
        )

    def _chosen(self, targets: Targets) -> list[Node]:
        if targets is None:
            return []
        if isinstance(targets, (str, Node)):
            targets = [targets]
        return [self._node(target) for target in targets]

    def _forced(self, force: Targets | Mapping[Node | str, Iterable[int]]) -> Forced:
        if isinstance(force, Mapping):
            return {self._node(name): frozenset(elements) for name, elements in force.items()}
        return dict.fromkeys(self._chosen(force))

    def _node(self, target: Node | str) -> Node:
        return target if isinstance(target, Node) else self.graph[target]

    def _name(self, name: Node | str) -> str:
        """The name of a node; also of one that is in the flow no more."""
        if isinstance(name, Node):
            return name.name
        return self.graph[name].name if name in self.graph.nodes else name

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return mime_bundle(flow_picture(self.graph, self.last_run))

    def __repr__(self) -> str:
        return f"<Flow {self.name!r} with {len(self.graph.nodes)} nodes>"


def implicit_flow(targets: list[Node]) -> Flow:
    """The flow of nodes that were made outside any: they, and all that they need."""
    owners = {node.owner for node in targets if node.owner is not None}
    if owners:
        owner = owners.pop()
        assert isinstance(owner, Flow)
        return owner
    flow = Flow("nodes")
    graph = Graph("nodes")
    for node in ancestors(targets):
        graph.add(node)
    flow.graph = graph
    return flow


def warn_user(message: str) -> None:
    """A warning at the line of the user's that led here."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, NbflowWarning, stacklevel=level)


_PACKAGE = str(Path(__file__).parent.parent)


FLOW_FACTORY[:] = [implicit_flow]
