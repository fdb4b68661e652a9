"""What a flow tells of itself: its plan, reasons, history and picture. Each is loaded by the method that needs it."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from nbflow.errors import UnknownName, nearest
from nbflow.flow.targets import Targets, name_meant, node_meant, nodes_meant
from nbflow.flow.workshop import Workshop, check_parameters, open_workshop, store_at
from nbflow.model.node import Node, ancestors

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    import pandas as pd

    from nbflow.engine.resolve import Forced
    from nbflow.flow.accept import Accepted
    from nbflow.flow.drawing import Drawing
    from nbflow.flow.explain import Explanation
    from nbflow.flow.finished import Run
    from nbflow.flow.plans import Plan, Status
    from nbflow.flow.whys import Why
    from nbflow.model.graph import Graph
    from nbflow.results.comparison import Comparison
    from nbflow.store import Store


class FlowViews:
    """The part of Flow that runs nothing: what would run, why, what ran before, what it looks like."""

    def __init__(self, graph: Graph, place: str | Path | None) -> None:
        self.name = graph.name
        self.graph = graph
        self.last_run: Run | None = None
        self._place = place

    @property
    def store(self) -> Store:
        """The store that keeps this flow's results. Raises StoreRefused."""
        return store_at(self._place)

    def plan(self, targets: Targets = None, **parameters: Any) -> Plan:
        """What would run and why, with no task run. Displays as a table."""
        from nbflow.flow.plans import Plan

        workshop = self._workshop(nodes_meant(self.graph, targets), parameters)
        return Plan(self, self._explained(workshop).visible())

    def why(self, name: Node | str, /, element: Any = None, **parameters: Any) -> Why:
        """Why a node would run now, with the evidence: code as a diff, values before and after; runs nothing.

        Of a node that would be reused: when its result was made, how long that took, by which code, in which run.
        element: one element of a mapped node: its number, its label, or what it is mapped over. `.full` of the text
        has diffs at full length. Raises UnknownName.

        >>> from nbflow import Flow, task
        >>> with Flow("why it would run") as flow:
        ...     node = task(lambda: 1)(name="one")
        >>> flow.why("one")
        one is new:
          it has not run before
        """
        from nbflow.flow.whys import why_planned

        node = node_meant(self.graph, name)
        explained = self._explained(self._workshop([node], parameters))
        if node not in explained.rows:
            names = [row.name for row in explained.visible()]
            raise UnknownName(f"{node.name!r} is no task; `why` tells of tasks" + nearest(node.name, names))
        return why_planned(explained, node, element, self.last_run)

    def status(self, **parameters: Any) -> Status:
        """One line a node: fresh, stale, new or unknown. Runs nothing, and hashes nothing large.

        What depends on a value or a changed file that is large is unknown; `flow.plan()` looks at that, too.

        >>> from nbflow import Flow, task
        >>> with Flow("how it stands") as flow:
        ...     node = task(lambda: 1)(name="one")
        >>> flow.status()
        ○ one: new
        """
        from nbflow.flow.status import status_of

        check_parameters(self.graph.parameters, parameters, self.name)
        return status_of(self, parameters)

    def accept(self, *names: Node | str, **parameters: Any) -> Accepted:
        """Adopts the results that nodes had before an edit which is known to change none of them.

        Only elements whose inputs are the same take their old results; the others run with the next run. What
        depends on the node stays fresh. Tells how many were adopted (`.counts`, by name), and is kept for `why` and
        `history`. Raises NotAccepted, with the reason, when there is nothing to adopt.

        >>> import tempfile
        >>> from nbflow import Flow, task
        >>> store = tempfile.mkdtemp()
        >>> def flow_of(version):
        ...     with Flow("accepted", store=store) as flow:
        ...         task(version=version)(lambda: 1)(name="one")
        ...     return flow
        >>> run = flow_of("a").run()
        >>> flow_of("b").accept("one")
        one: 1 result adopted from before the edit (option version=: 'a' → 'b')
        """
        from nbflow.flow.accept import accept

        check_parameters(self.graph.parameters, parameters, self.name)
        return accept(self, [node_meant(self.graph, name) for name in names], parameters)

    def history(self, name: Node | str | None = None, *, all: bool = False) -> pd.DataFrame:  # noqa: A002 (as it reads)
        """The runs of this flow in which something ran, failed or was accepted, and the last one, the oldest first.

        The index is the run's number; the newest 200 are kept. Columns: started, ran, reused, failed (elements),
        state, seconds (wall time), parameters (without secrets), ok. name: of one node, with its state, why it ran,
        seconds of work, and whether its output changed. all: also the runs in which everything was reused. Raises
        UnknownName.

        >>> from nbflow import Flow, task
        >>> with Flow("kept runs") as flow:
        ...     node = task(cache=False)(lambda: 1)(name="one")
        >>> run = flow.run()
        >>> flow.history().ran.iloc[-1], flow.history("one").why.iloc[-1]
        (np.int64(1), 'its results are not stored (cache=False)')
        """
        from nbflow.flow.past import history_frame

        return history_frame(self, None if name is None else name_meant(self.graph, name), every=all)

    def compare(self, run_a: Run | int | None = None, run_b: Run | int | None = None) -> Comparison:
        """What two runs gave differently: nodes, states, outputs; of DataFrames the rows, columns and cells.

        run_a, run_b: Run objects or numbers from `history()`; by default the last run, and the last before it that left
        other outputs. Values come from the store, as long as it keeps them. Raises UnknownName.

        >>> from nbflow import Flow, Parameter, task
        >>> with Flow("compared") as flow:
        ...     node = task(lambda n: 2 * n)(Parameter("n"), name="double")
        >>> flow.compare(flow.run(n=1), flow.run(n=2))["double"].lines
        ('2 → 4',)
        """
        from nbflow.flow.compare import compare_runs

        return compare_runs(self, run_a, run_b)

    def visualize(self, run: Run | None = None, filename: str | Path | None = None, format: str = "svg") -> Drawing:  # noqa: A002 (as graphviz calls it)
        """The picture of the flow, with the states of a run if one is given; shows itself in a notebook.

        filename: also saved there, in the format given ("svg", "png", "pdf", "dot" …). `.source` is the DOT.

        >>> from nbflow import Flow
        >>> Flow("empty").visualize().source.splitlines()[0]
        'digraph {'
        """
        from nbflow.flow.drawing import Drawing
        from nbflow.flow.picture import flow_picture, run_picture

        drawing = Drawing(flow_picture(self.graph) if run is None else run_picture(run), format)
        if filename is not None:
            drawing.save(filename)
        return drawing

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

    def _explained(self, workshop: Workshop) -> Explanation:
        from nbflow.flow.explain import explain

        return explain(workshop, self.name)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        from nbflow.draw import mime_bundle
        from nbflow.flow.picture import flow_picture

        return mime_bundle(flow_picture(self.graph, self.last_run))
