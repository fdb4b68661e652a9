"""Run: one execution, its states and results."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from nbflow.engine.ledger import LostValue
from nbflow.errors import GraphError, RunFailed, UnidentifiableError, nearest
from nbflow.flow.causes import Causes
from nbflow.flow.remember import members_of, records_of, settle, shown_parameters
from nbflow.flow.states import RunStates
from nbflow.flow.values import made_again, require, value_of, values_of
from nbflow.model.state import State

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    import pandas as pd
    from ipywidgets import VBox

    from nbflow.engine.why import Reason
    from nbflow.flow.front import Flow
    from nbflow.flow.logs import RunLog
    from nbflow.flow.whys import Why
    from nbflow.flow.workshop import Workshop
    from nbflow.model.node import Node
    from nbflow.results.report import PlanRow
    from nbflow.results.shown import ShownFrame


class Run(RunStates):
    """One execution of a flow: `run["name"]` is a value, `run.frame("name")` its elements as a DataFrame."""

    def __init__(self, flow: Flow, workshop: Workshop, parameters: Mapping[str, Any]) -> None:
        super().__init__(flow, workshop)
        self.parameters = dict(parameters)
        self.seconds = 0.0
        self.started_ns = time.time_ns()
        # The names it was asked for, None for the whole flow; those that might go on.
        self.targets: list[str] | None = None
        self.approved: list[str] = []
        self.stale: dict[Node, dict[int, str]] = {}
        self.reasons: dict[str, list[Reason]] = {}
        self.causes: Causes | None = None
        self.plan: list[PlanRow] = []

    @classmethod
    def planned(cls, flow: Flow, workshop: Workshop, rows: list[PlanRow]) -> Run:
        """The run that would be: nothing was called."""
        run = cls(flow, workshop, {})
        run.plan = rows
        return run

    def finish(self, forced: Collection[Node]) -> None:
        """Notes the end, and writes the run into the store's history."""
        workshop, store = self._workshop, self._workshop.store
        self.causes, self.reasons = settle(workshop, self.flow.name, self.started_ns, self.stale, forced)
        self.seconds = (time.time_ns() - self.started_ns) / 1e9
        ran, reused, failed = self.counts()
        store.add_run(
            flow=self.flow.name,
            started_ns=self.started_ns,
            seconds=self.seconds,
            ran=ran,
            reused=reused,
            failed=failed,
        )
        store.history.add(
            self.flow.name,
            self.started_ns,
            records_of(workshop, self.reasons),
            state=self.overall.label,
            parameters=shown_parameters(workshop),
            whole=self.targets is None,
            members=members_of(self.graph),
        )
        store.history.trim(self.flow.name)
        store.flush()

    @property
    def id(self) -> int | None:
        """The number of this run in `flow.history()`; None when it is not kept."""
        return self._workshop.store.history.id_of(self.flow.name, self.started_ns)

    def causes_so_far(self) -> Causes:
        """What tells why nodes run, while the run goes on."""
        before = self._workshop.store.last(self.flow.name)
        return Causes(self._workshop, self.flow.name, before, until_ns=self.started_ns)

    def __getitem__(self, node: Node | str) -> Any:
        """A node's value; of a mapped node the list. Raises NotSuccessful when there is none."""
        return self.values(node)

    def values(self, node: Node | str, *, failed: str = "raise") -> Any:
        """A node's value; of a mapped node the list of its elements' values.

        failed: "raise" (default) raises NotSuccessful when an element failed, "drop" leaves those out,
        "none" puts None in their place. Skipped elements are left out.
        """
        if failed not in {"raise", "drop", "none"}:
            raise GraphError(f"values(failed={failed!r})" + nearest(failed, ["raise", "drop", "none"]))
        found = self.find(node)
        if isinstance(node, str):
            # A name stands for the last version; a node for itself.
            found = self.graph.outputs.get(found.name, found)
        return values_of(self, found, failed)

    def frame(self, node: Node | str) -> ShownFrame:
        """A node's elements, one row each: arguments, result, state, error, seconds, cached, attempts.

        The index is that of what was mapped over. Results with named parts (dicts, dataclasses …) are spread into
        columns; a name that is taken becomes `result.name` or `argument.name`. A DataFrame, which shows itself with a
        line above; large arguments are summed up.

        >>> from nbflow import Flow, task
        >>> with Flow("its frame") as flow:
        ...     node = task(lambda x: 1 / x, name="invert").map([1, 0])
        >>> frame = flow.run().frame("invert")
        >>> frame[frame.state == "failed"].error.tolist()
        ['ZeroDivisionError: division by zero']
        """
        from nbflow.results.frame import make_frame

        found = self.find(node)
        try:
            return make_frame(found, self.ledger, self.tracks[found])
        except LostValue:
            return made_again(self, found).frame(found.name)

    def failed(self, node: Node | str) -> ShownFrame:
        """The rows of the frame whose element failed, or did not run because something else did."""
        from nbflow.results.frame import only_failed

        return only_failed(self.frame(node))

    def grid(self, node: Node | str) -> VBox:
        """The frame as a table to sort, filter and select from, with a button that runs what is selected again.

        Works without a network. Raises MissingExtra where the extra `grid` is not installed.
        """
        from nbflow.results.grid import make_grid

        found = self.find(node)

        def again(elements: Sequence[int]) -> tuple[ShownFrame, str]:
            run = self.retry(found, elements if found.mapped else None)
            return run.frame(found.name), run.summary()

        return make_grid(self.frame(found), found.name, again)

    def retry(self, node: Node | str | None = None, elements: Iterable[Any] | None = None) -> Run:
        """A new run of what failed, and of what did not run because of that; all else is reused.

        It has the parameters, targets and approvals of this one. node: only this one, and what it needs. elements:
        numbers or labels of elements that run in any case. Raises UnknownName.

        >>> import tempfile
        >>> from nbflow import Flow, task
        >>> answers = iter([ConnectionError("no answer"), 42])
        >>> @task(ignore=["answers"])
        ... def ask():
        ...     answer = next(answers)
        ...     if isinstance(answer, Exception):
        ...         raise answer
        ...     return answer
        >>> with Flow("asking", store=tempfile.mkdtemp()) as flow:
        ...     node = ask()
        >>> flow.run().retry()["ask"]
        42
        """
        from nbflow.flow.retrying import retry

        return retry(self, None if node is None else self.find(node), elements)

    @property
    def table(self) -> pd.DataFrame:
        """One row a node: task, state, elements, ran, reused, failed, seconds."""
        from nbflow.results.report import run_table

        return run_table(self._workshop.nodes, self._workshop.machine, self.ledger, self.summary())

    def value_id(self, node: Node) -> bytes:
        """The id of a node's value; of a mapped node that of the list. Raises NotSuccessful."""
        require(self, node)
        return self.ledger.whole_id(node)

    def identify(self, value: Any) -> bytes | None:
        """The id of any value, as this run tells them apart; None for one that has none."""
        try:
            return self._workshop.resolver.codes.identifier(value)
        except UnidentifiableError:
            return None

    def part(self, node: Node, position: int) -> Any:
        """One of the values that a node returned as a tuple."""
        return value_of(self, node, 0)[position]

    def workers(self, node: Node | str) -> dict[str, int]:
        """The workers that called a node's elements in other processes, with the most memory each had in use, in bytes.

        Empty for a node that was called in this process, or not at all. On Linux the memory is that of this node's
        calls; elsewhere that of all that the worker has done.
        """
        return dict(self.ledger.books[self.find(node)].workers)

    def log(self, node: Node | str, element: Any = None) -> RunLog:
        """What a node put out: prints, logging, warnings and displays, also of reused and of failed elements.

        Displays as they appeared, under a header line an element; as a text with `str`. element: the number or the
        label of one element of a mapped node. Of one element the first 200,000 and the last 50,000 characters are
        kept, and the first 20 and the last 5 displays. Raises UnknownName.

        >>> from nbflow import Flow, task
        >>> with Flow("talking") as flow:
        ...     node = task(cache=False)(lambda: print("hello"))(name="talk")
        >>> run = flow.run()
        hello
        >>> run.log("talk")
        hello
        """
        from nbflow.flow.logs import run_log
        from nbflow.flow.unrun import why_not_run

        found = self.find(node)
        log = run_log(self._workshop, found, element)
        if not log and self.state(found) is State.TRIGGER_FAILED:
            log.why = f": it did not run, because {why_not_run(self, found)}"
        return log

    def why(self, node: Node | str, element: Any = None) -> Why:
        """Why a node ran in this run, was reused, failed or did not run.

        element: one element of a mapped node: its number, its label, or what it is mapped over. Raises UnknownName.
        """
        from nbflow.flow.whys import why_ran

        return why_ran(self, self.find(node), element)

    def debug(self, node: Node | str, element: Any = None) -> None:
        """Calls a task again under the debugger, with the same arguments; nothing is stored.

        One that failed is looked at where it raised; any other from its first line. element: the number or the label
        of an element; by default the first that failed. Raises UnknownName, NotSuccessful.
        """
        from nbflow.flow.debugging import debug

        debug(self, self.find(node), element)

    def origin(self, node: Node, indices: Iterable[int]) -> list[Reason]:
        """When and how the results of reused elements were made."""
        from nbflow.flow.origin import origin_of

        return [] if self.causes is None else origin_of(self._workshop, self.causes, node, indices)

    def check(self) -> None:
        """Nothing when the run is ok, else RunFailed: a short block about the first task that failed.

        Its `error` is the task's own exception.
        """
        if self.ok:
            return
        from nbflow.flow.failing import LINES_IN_SCRIPTS, failed_nodes, failure_block, first_error, in_python
        from nbflow.flow.unrun import broken_text

        failed = failed_nodes(self)
        if not failed:
            why = f": {broken_text(self)}" if self.broken is not None else ""
            raise RunFailed(
                f"{self.flow.name} ended as {self.overall.label}{why}; flow.last_run.table tells how each task did"
            )
        block = failure_block(self, failed[0], in_python("flow.last_run"), LINES_IN_SCRIPTS)
        raise RunFailed(block, first_error(self, failed[0])[1]) from None

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        from nbflow.draw import mime_bundle
        from nbflow.flow.picture import run_picture

        return mime_bundle(run_picture(self))

    def summary(self) -> str:
        """One line: how many elements ran, were reused and failed, and the time it took."""
        from nbflow.flow.unrun import broken_text
        from nbflow.results.report import duration, is_visible, shared_text

        ran, reused, failed = self.counts()
        shared = sum(len(self.shared(node)) for node in self.tracks if is_visible(node))
        parts = [f"{ran} ran", f"{reused - shared} reused"] + ([shared_text(shared)] if shared else [])
        parts += [f"{failed} failed"] if failed else []
        broken = f"; it ended with an error: {broken_text(self)}" if self.broken is not None else ""
        return f"{self.flow.name}: {', '.join(parts)} in {duration(self.seconds)}{broken}"

    def __repr__(self) -> str:
        return f"<Run of {self.summary()}>"
