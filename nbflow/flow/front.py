"""Flow: the front door. Builds a graph, plans it, runs it, draws it."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

from nbflow.draw import mime_bundle
from nbflow.errors import GraphError, UnknownName, nearest
from nbflow.executors.cluster import DaskExecutor
from nbflow.flow.accept import Accepted, accept
from nbflow.flow.background import Background, start
from nbflow.flow.compare import compare_runs
from nbflow.flow.drawing import Drawing
from nbflow.flow.explain import explain
from nbflow.flow.fields import fields_of
from nbflow.flow.finished import Run
from nbflow.flow.form import Form
from nbflow.flow.output import OutputStyle
from nbflow.flow.past import history_frame
from nbflow.flow.picture import flow_picture, run_picture
from nbflow.flow.plans import Plan, Status
from nbflow.flow.running import Job
from nbflow.flow.status import status_of
from nbflow.flow.targets import Force, Targets, elements_meant, name_meant, node_meant, nodes_meant
from nbflow.flow.telling import warn_user
from nbflow.flow.whys import Why, why_planned
from nbflow.flow.workshop import Workshop, check_parameters, open_workshop, store_at
from nbflow.model.control import chain
from nbflow.model.graph import Graph
from nbflow.model.inline import Inlined, building_graph, inline
from nbflow.model.node import BUILDING, Builder, Node, ancestors, check_name
from nbflow.model.task import EXECUTORS
from nbflow.signals import LOOP

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from contextvars import Token
    from pathlib import Path

    import pandas as pd

    from nbflow.engine.hooks import StateChange
    from nbflow.engine.resolve import Forced
    from nbflow.results.comparison import Comparison
    from nbflow.store import Store


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
    executor: "threads" (default), "processes", "sync", "dask" for a cluster on this machine, or a DaskExecutor.
    loop: where async tasks run, "own" (default) or "notebook".
    reference: the nodes whose success decides `run.ok`; by default all.
    on_state: called with a StateChange when a run begins and ends.
    """

    def __init__(
        self,
        name: str = "flow",
        *,
        store: str | Path | None = None,
        executor: str | DaskExecutor = "threads",
        loop: str = "own",
        reference: Iterable[Node] | None = None,
        on_state: Callable[[StateChange], Any] | None = None,
    ) -> None:
        check_name(name, f"Flow({name!r})")
        # The cluster of its tasks with executor="dask"; None for the one that nbflow starts on this machine.
        self.cluster = executor if isinstance(executor, DaskExecutor) else None
        executor = "dask" if isinstance(executor, DaskExecutor) else executor
        if executor not in EXECUTORS:
            raise GraphError(f"Flow(executor={executor!r})" + nearest(executor, EXECUTORS))
        if loop not in {"own", "notebook"}:
            raise GraphError(f"Flow(loop={loop!r})" + nearest(loop, ["own", "notebook"]))
        self.name = name
        self.executor = executor
        self.loop = loop
        self.on_state = on_state
        self.reference = None if reference is None else list(reference)
        self.graph: Graph = Graph(name, self)
        self.last_run: Run | None = None
        # What users should know goes here: a warning, or a line in a notebook.
        self.tell: Callable[[str], None] = warn_user
        # How what tasks put out is shown.
        self.output = OutputStyle()
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
        force: Force = None,
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
        if dry:
            forced, approved = elements_meant(self.graph, force), nodes_meant(self.graph, approve) or ()
            workshop = self._workshop(nodes_meant(self.graph, targets), parameters, forced, approved)
            return Run.planned(self, workshop, explain(workshop, self.name).visible())
        run = self._job(targets, force, approve, parameters).here()
        if check:
            run.check()
        return run

    def start(
        self, *, targets: Targets = None, force: Force = None, approve: Targets = None, **parameters: Any
    ) -> Background:
        """Runs in the background, and gives a handle at once; the options are those of `run`.

        The handle tells how far the run is (`.progress`), waits for its Run (`.wait()`), and ends it (`.cancel()`).
        What must be called on the main thread, as tasks that draw with pyplot, is called in a notebook between its
        cells, or in `wait()`. Raises ParameterError.

        >>> from nbflow import task
        >>> with Flow("in the background") as flow:
        ...     node = task(cache=False)(lambda: 42)(name="answer")
        >>> handle = flow.start()
        >>> handle.wait()["answer"], handle.progress
        (42, 1 of 1 done)
        """
        return start(self._job(targets, force, approve, parameters))

    async def arun(
        self,
        *,
        targets: Targets = None,
        force: Force = None,
        approve: Targets = None,
        check: bool = False,
        **parameters: Any,
    ) -> Run:
        """As `run`, to be awaited: the event loop goes on meanwhile. When the awaiting task is cancelled, the run is.

        >>> import asyncio
        >>> from nbflow import task
        >>> with Flow("awaited") as flow:
        ...     node = task(cache=False)(lambda: 42)(name="answer")
        >>> asyncio.run(flow.arun())["answer"]
        42
        """
        run = await start(self._job(targets, force, approve, parameters))
        if check:
            run.check()
        return run

    def plan(self, targets: Targets = None, **parameters: Any) -> Plan:
        """What would run and why, with no task run. Displays as a table."""
        workshop = self._workshop(nodes_meant(self.graph, targets), parameters)
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
        node = node_meant(self.graph, name)
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
        return accept(self, [node_meant(self.graph, name) for name in names], parameters)

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
        return history_frame(self, None if name is None else name_meant(self.graph, name), every=all)

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

    def form(self, **parameters: Any) -> Form:
        """Widgets for the flow's parameters, by value and by what tasks say they take, and a button that runs it.

        parameters: values to begin with. `form.values()` is what is set, `form.run()` the button, `form.last_run` what
        it gave. Needs a notebook with ipywidgets.

        >>> from nbflow import Parameter, task
        >>> with Flow("asked") as flow:
        ...     node = task(lambda n: 2 * n)(Parameter("n", default=4), name="double")
        >>> flow.form()
        parameters of asked
          name  value  takes
          n     4      int
        """
        check_parameters(self.graph.parameters, parameters, self.name)
        fields = fields_of(self.graph.parameters.values(), self.graph.nodes.values(), parameters)
        return Form(self.name, fields, lambda values: self.run(**values))

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

    def _job(self, targets: Targets, force: Force, approve: Targets, parameters: dict[str, Any]) -> Job:
        # Each is looked through once: it may be a generator.
        chosen = nodes_meant(self.graph, targets)
        forced = elements_meant(self.graph, force)
        approved = nodes_meant(self.graph, approve) or ()
        job = Job(self, self._workshop(chosen, parameters, forced, approved), parameters, forced)
        job.run.targets = None if chosen is None else [node.name for node in chosen]
        job.run.approved = [node.name for node in approved]
        return job

    def _workshop(
        self,
        chosen: list[Node] | None,
        parameters: dict[str, Any],
        forced: Forced = MappingProxyType({}),
        approved: Collection[Node] = (),
    ) -> Workshop:
        check_parameters(self.graph.parameters, parameters, self.name)
        nodes = list(self.graph.nodes.values()) if chosen is None else chosen
        return open_workshop(ancestors(nodes), self.store, parameters, force=forced, targets=chosen, approved=approved)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return mime_bundle(flow_picture(self.graph, self.last_run))

    def __nbflow_id__(self) -> Any:
        """What identifies a flow that a task uses: its tasks and how they are joined; not what it ran last."""
        return self.graph.outline()

    def __repr__(self) -> str:
        return f"<Flow {self.name!r} with {len(self.graph.nodes)} nodes>"
