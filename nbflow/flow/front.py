"""Flow: the front door. Builds a graph and runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from nbflow.errors import GraphError, nearest
from nbflow.executors.cluster import LOCAL, DaskExecutor
from nbflow.flow.finished import Run
from nbflow.flow.output import OutputStyle
from nbflow.flow.running import Job
from nbflow.flow.targets import Force, Targets, elements_meant, nodes_meant
from nbflow.flow.telling import warn_user
from nbflow.flow.views import FlowViews
from nbflow.flow.workshop import check_parameters
from nbflow.model.control import chain
from nbflow.model.executor import check_executor
from nbflow.model.graph import Graph
from nbflow.model.inline import Inlined, building_graph, inline
from nbflow.model.node import BUILDING, Builder, Node, check_name
from nbflow.signals import LOOP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextvars import Token
    from pathlib import Path

    from nbflow.engine.hooks import StateChange
    from nbflow.flow.background import Background
    from nbflow.flow.form import Form


class Flow(FlowViews):
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
    executor: "threads" (default), "processes", "sync", "dask" for a cluster on this machine, or a DaskExecutor. Async
    tasks that wait are better left on threads, where they do so together: a worker process awaits one at a time.
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
        # The cluster of its tasks with executor="dask".
        self.cluster = executor if isinstance(executor, DaskExecutor) else LOCAL
        executor = "dask" if isinstance(executor, DaskExecutor) else executor
        check_executor(executor, "Flow")
        if loop not in {"own", "notebook"}:
            raise GraphError(f"Flow(loop={loop!r})" + nearest(loop, ["own", "notebook"]))
        super().__init__(Graph(name, self), store)
        self.executor = executor
        self.loop = loop
        self.on_state = on_state
        self.reference = None if reference is None else list(reference)
        # What users should know goes here: a warning, or a line in a notebook.
        self.tell: Callable[[str], None] = warn_user
        # How what tasks put out is shown.
        self.output = OutputStyle()
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
            return Run.planned(self, workshop, self._explained(workshop).visible())
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
        from nbflow.flow.background import start

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
        from nbflow.flow.background import start

        run = await start(self._job(targets, force, approve, parameters))
        if check:
            run.check()
        return run

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
        from nbflow.flow.fields import fields_of
        from nbflow.flow.form import Form

        check_parameters(self.graph.parameters, parameters, self.name)
        fields = fields_of(self.graph.parameters.values(), self.graph.nodes.values(), parameters)
        return Form(self.name, fields, lambda values: self.run(**values))

    def _job(self, targets: Targets, force: Force, approve: Targets, parameters: dict[str, Any]) -> Job:
        # Each is looked through once: it may be a generator.
        chosen = nodes_meant(self.graph, targets)
        forced = elements_meant(self.graph, force)
        approved = nodes_meant(self.graph, approve) or ()
        job = Job(self, self._workshop(chosen, parameters, forced, approved), parameters, forced)
        job.run.targets = None if chosen is None else [node.name for node in chosen]
        job.run.approved = [node.name for node in approved]
        return job

    def __nbflow_id__(self) -> Any:
        """What identifies a flow that a task uses: its tasks and how they are joined; not what it ran last."""
        return self.graph.outline()

    def __repr__(self) -> str:
        return f"<Flow {self.name!r} with {len(self.graph.nodes)} nodes>"
