"""Run: one execution, its states and results."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

from nbflow.draw import mime_bundle
from nbflow.engine.ledger import LostValue
from nbflow.errors import GraphError, NotSuccessful, RunFailed, UnknownName, nearest
from nbflow.flow.causes import Causes
from nbflow.flow.debugging import debug
from nbflow.flow.failing import LINES_IN_SCRIPTS, failed_nodes, failure_block, first_error, in_python, unsuccessful_text
from nbflow.flow.logs import RunLog, run_log
from nbflow.flow.origin import origin_of
from nbflow.flow.picture import run_picture
from nbflow.flow.remember import members_of, records_of, settle, shown_parameters
from nbflow.flow.retrying import retry
from nbflow.flow.unrun import why_skipped
from nbflow.flow.whys import Why, why_ran
from nbflow.model.state import UNSUCCESSFUL, State
from nbflow.results.frame import make_frame, only_failed
from nbflow.results.grid import make_grid
from nbflow.results.report import (
    Group,
    duration,
    groups_of,
    is_visible,
    node_counts,
    run_table,
    shared_text,
    shared_with,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    import pandas as pd
    from ipywidgets import VBox

    from nbflow.engine.ledger import Ledger
    from nbflow.engine.track import Track
    from nbflow.engine.why import Reason
    from nbflow.flow.front import Flow
    from nbflow.flow.workshop import Workshop
    from nbflow.model.node import Node
    from nbflow.results.report import PlanRow
    from nbflow.results.shown import ShownFrame


_WITHOUT_VALUE = UNSUCCESSFUL | {State.PENDING, State.PAUSED}


class Run:
    """One execution of a flow: `run["name"]` is a value, `run.frame("name")` its elements as a DataFrame."""

    def __init__(self, flow: Flow, workshop: Workshop, parameters: Mapping[str, Any]) -> None:
        self.flow = flow
        self.graph = flow.graph
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
        self._workshop = workshop
        self._nodes = {node.name: node for node in workshop.nodes}

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

    @property
    def ledger(self) -> Ledger:
        """What this run knows of each node's elements."""
        return self._workshop.ledger

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
        found = self._find(node)
        if isinstance(node, str):
            # A name stands for the last version; a node for itself.
            found = self.graph.outputs.get(found.name, found)
        track = self._workshop.machine.tracks[found]
        if not found.mapped:
            self._require(found, track)
            return self._value(found, 0)
        if failed == "raise" or track.verdict is not None:
            self._require(found, track)
        kept = [i for i, state in enumerate(track.states) if State(state).successful]
        if failed != "none":
            return [self._value(found, i) for i in kept]
        good = set(kept)
        return [self._value(found, i) if i in good else None for i in range(len(track.states))]

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
        found = self._find(node)
        try:
            return make_frame(found, self._workshop.ledger, self._workshop.machine.tracks[found])
        except LostValue:
            return self._made_again(found).frame(found.name)

    def failed(self, node: Node | str) -> ShownFrame:
        """The rows of the frame whose element failed, or did not run because something else did."""
        return only_failed(self.frame(node))

    def grid(self, node: Node | str) -> VBox:
        """The frame as a table to sort, filter and select from, with a button that runs what is selected again.

        Works without a network. Raises MissingExtra where the extra `grid` is not installed.
        """
        found = self._find(node)

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
        return retry(self, None if node is None else self._find(node), elements)

    @property
    def table(self) -> pd.DataFrame:
        """One row a node: task, state, elements, ran, reused, failed, seconds."""
        return run_table(self._workshop.nodes, self._workshop.machine, self._workshop.ledger, self.summary())

    @property
    def ok(self) -> bool:
        """Whether no node failed; with `flow.reference`, whether none of those did."""
        nodes = self._workshop.nodes if self.flow.reference is None else self.flow.reference
        tracks = self._workshop.machine.tracks
        return not any(tracks[node].state() in UNSUCCESSFUL for node in nodes if node in tracks)

    @property
    def overall(self) -> State:
        """How the run ended as a whole: success, failed, paused or cancelled."""
        states = {track.state() for track in self._workshop.machine.tracks.values()}
        if not self.ok:
            return State.CANCELLED if State.CANCELLED in states else State.FAILED
        return State.PAUSED if State.PAUSED in states else State.SUCCESS

    @property
    def paused(self) -> list[str]:
        """The names of the nodes that wait for `flow.run(approve=[...])`."""
        tracks = self._workshop.machine.tracks
        waiting = [node for node, track in tracks.items() if track.state() is State.PAUSED]
        return [node.name for node in waiting if not any(up in waiting for up in node.upstreams)]

    def counts(self) -> tuple[int, int, int]:
        """How many elements ran (failed ones among them), were reused, failed."""
        rows = [node_counts(track) for node, track in self._workshop.machine.tracks.items() if is_visible(node)]
        ran, reused, failed = zip(*rows, strict=True) if rows else ((), (), ())
        return sum(ran), sum(reused), sum(failed)

    def shared(self, node: Node) -> dict[int, int]:
        """The elements of a node that took the result of an equal one which ran, with the position of that."""
        return shared_with(self.track(node), self._workshop.ledger.books[node])

    def groups(self) -> list[Group]:
        """The nodes that running tasks made, by the task that made them."""
        # A watcher's thread asks while the run adds nodes.
        return groups_of(list(self._workshop.machine.tracks))

    def watch(self) -> set[Track]:
        """The set that gets each node that changes from now on, for the watcher to empty."""
        return self._workshop.machine.watch()

    def loops(self, node: Node) -> int | None:
        """How many iterations a node's loop took; of a mapped node the longest."""
        counts = self._workshop.ledger.books[node].loops.values()
        return max(counts, default=None)

    def state(self, node: Node | str) -> State:
        """The state of a node as a whole."""
        return self.track(self._find(node)).state()

    @property
    def tracks(self) -> Mapping[Node, Track]:
        """How each node stands; nodes that tasks make come in while the run goes on."""
        return self._workshop.machine.tracks

    def track(self, node: Node) -> Track:
        return self._workshop.machine.tracks[node]

    def nodes(self) -> list[Node]:
        """All that took part, in running order; with those that running tasks made."""
        return list(self._workshop.machine.tracks)

    def takes_part(self, node: Node) -> bool:
        """Whether a node was among those that this run looked at."""
        return node in self._workshop.machine.tracks

    def value_id(self, node: Node) -> bytes:
        """The id of a node's value; of a mapped node that of the list. Raises NotSuccessful."""
        self._require(node, self.track(node))
        return self._workshop.ledger.whole_id(node)

    def identify(self, value: Any) -> bytes:
        """The id of any value, as this run tells them apart."""
        return self._workshop.resolver.identify_output(value)[0]

    def part(self, node: Node, position: int) -> Any:
        """One of the values that a node returned as a tuple."""
        return self._value(node, 0)[position]

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
        found = self._find(node)
        return run_log(self._workshop, found, element)

    def why(self, node: Node | str, element: Any = None) -> Why:
        """Why a node ran in this run, was reused, failed or did not run.

        element: one element of a mapped node: its number, its label, or what it is mapped over. Raises UnknownName.
        """
        return why_ran(self, self._find(node), element)

    def debug(self, node: Node | str, element: Any = None) -> None:
        """Calls a task again under the debugger, with the same arguments; nothing is stored.

        One that failed is looked at where it raised; any other from its first line. element: the number or the label
        of an element; by default the first that failed. Raises UnknownName, NotSuccessful.
        """
        debug(self, self._find(node), element)

    def origin(self, node: Node, indices: Iterable[int]) -> list[Reason]:
        """When and how the results of reused elements were made."""
        return [] if self.causes is None else origin_of(self._workshop, self.causes, node, indices)

    def error(self, node: Node | str, index: int | None = None) -> BaseException | None:
        """The exception of a node, or of one of its elements; the first one there is by default."""
        found = self._find(node)
        errors = self._workshop.ledger.books[found].errors
        if index is not None:
            return errors.get(index)
        return next(iter(errors.values()), None)

    def check(self) -> None:
        """Nothing when the run is ok, else RunFailed: a short block about the first task that failed.

        Its `error` is the task's own exception.
        """
        if self.ok:
            return
        failed = failed_nodes(self)
        if not failed:
            raise RunFailed(
                f"{self.flow.name} ended as {self.overall.label}; flow.last_run.table tells how each task did"
            )
        block = failure_block(self, failed[0], in_python("flow.last_run"), LINES_IN_SCRIPTS)
        raise RunFailed(block, first_error(self, failed[0])[1]) from None

    def _require(self, node: Node, track: Track) -> None:
        state = track.state()
        if state in {State.SUCCESS, State.CACHED} or (
            node.mapped and track.verdict is None and not _WITHOUT_VALUE & set(track.counts())
        ):
            return
        if state is State.FAILED:
            block = failure_block(self, node, in_python("run"), LINES_IN_SCRIPTS)
            raise NotSuccessful(block, self.error(node)) from None
        if state is State.TRIGGER_FAILED:
            raise NotSuccessful(unsuccessful_text(self, node))
        if state is State.SKIPPED:
            raise NotSuccessful(f"{node.name} has no value: it was skipped, {why_skipped(self, node)}")
        if state is State.PAUSED:
            raise NotSuccessful(
                f"{node.name} has no value: it waits for approval: flow.run(approve=[{self.paused[0]!r}]), "
                f"in a notebook %flow approve {self.paused[0]}"
            )
        raise NotSuccessful(f"{node.name} has no value: it is {state.label}; run.retry() goes on from there")

    def _find(self, node: Node | str) -> Node:
        if not isinstance(node, str) and self.takes_part(node):
            return node
        name = node if isinstance(node, str) else node.name
        name = self.graph.aliases.get(name, name)
        if name in self._nodes:
            return self._nodes[name]
        part = self.graph.outputs.get(name)
        if part is not None and self.takes_part(part):
            return part
        for made in self._workshop.machine.tracks:
            if made.name == name:
                return made
        if name in self.graph.nodes:
            raise UnknownName(f"{name!r} did not take part in this run; run it: flow.run(targets=[{name!r}])")
        raise UnknownName(f"the run has no node {name!r}" + nearest(name, self._nodes))

    def _value(self, node: Node, index: int) -> Any:
        try:
            return self._workshop.ledger.value(node, index)
        except LostValue:
            again = self._made_again(node)
            return again._value(again._find(node), index)

    def _made_again(self, node: Node) -> Run:
        """A run that makes again what was found damaged of a node's stored results, as any run does."""
        self._look_at_children()
        return self.flow.run(targets=[node], **self.parameters)

    def _look_at_children(self) -> None:
        """Reads what running tasks made; what cannot be read leaves the store by that."""
        ledger = self._workshop.ledger
        for node in self._workshop.machine.tracks:
            for index in range(len(ledger.books[node].rows)) if node.maker is not None else ():
                with contextlib.suppress(LostValue):
                    ledger.value(node, index)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return mime_bundle(run_picture(self))

    def summary(self) -> str:
        """One line: how many elements ran, were reused and failed, and the time it took."""
        ran, reused, failed = self.counts()
        shared = sum(len(self.shared(node)) for node in self._workshop.machine.tracks if is_visible(node))
        parts = [f"{ran} ran", f"{reused - shared} reused"] + ([shared_text(shared)] if shared else [])
        parts += [f"{failed} failed"] if failed else []
        return f"{self.flow.name}: {', '.join(parts)} in {duration(self.seconds)}"

    def __repr__(self) -> str:
        return f"<Run of {self.summary()}>"
