"""Run: one execution, its states and results."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from nbflow.draw import mime_bundle
from nbflow.engine.ledger import LostValue
from nbflow.errors import GraphError, NotSuccessful, RunFailed, UnknownName, nearest
from nbflow.flow.origin import origin_of
from nbflow.flow.picture import run_picture
from nbflow.flow.remember import records_of, settle, shown_parameters
from nbflow.flow.retrying import retry
from nbflow.flow.whys import Why, why_ran
from nbflow.model.state import UNSUCCESSFUL, State
from nbflow.model.triggers import all_successful
from nbflow.probe.secrets import error_text, short_text
from nbflow.results.arguments import argument_columns
from nbflow.results.frame import make_frame, only_failed
from nbflow.results.report import Group, duration, groups_of, is_visible, node_counts, run_table, visible

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    import pandas as pd

    from nbflow.engine.ledger import Ledger
    from nbflow.engine.machine import Track
    from nbflow.engine.why import Reason
    from nbflow.flow.causes import Causes
    from nbflow.flow.front import Flow
    from nbflow.flow.workshop import Workshop
    from nbflow.model.control import Gate
    from nbflow.model.node import Node
    from nbflow.results.elements import ElementFrame
    from nbflow.results.report import PlanRow


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

    def frame(self, node: Node | str) -> ElementFrame:
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

    def failed(self, node: Node | str) -> ElementFrame:
        """The rows of the frame whose element failed, or did not run because something else did."""
        return only_failed(self.frame(node))

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
        return run_table(self._workshop.nodes, self._workshop.machine, self._workshop.ledger)

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

    def groups(self) -> list[Group]:
        """The nodes that running tasks made, by the task that made them."""
        return groups_of(self._workshop.machine.tracks)

    def loops(self, node: Node) -> int | None:
        """How many iterations a node's loop took; of a mapped node the longest."""
        counts = self._workshop.ledger.books[node].loops.values()
        return max(counts, default=None)

    def state(self, node: Node | str) -> State:
        """The state of a node as a whole."""
        return self.track(self._find(node)).state()

    def track(self, node: Node) -> Track:
        return self._workshop.machine.tracks[node]

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

    def first_error(self, node: Node) -> tuple[int, BaseException | None]:
        """The first element of a node that failed, and its exception."""
        errors = self._workshop.ledger.books[node].errors
        return next(iter(sorted(errors.items(), key=lambda pair: pair[0])), (0, None))

    def describe_arguments(self, node: Node, index: int) -> str:
        """The mapped arguments of an element, in short."""
        shown = argument_columns(node, self._workshop.ledger, [index])
        return ", ".join(f"{name}={short_text(column[0], name)}" for name, column in shown.items())

    def why(self, node: Node | str, element: Any = None) -> Why:
        """Why a node ran in this run, was reused, failed or did not run.

        element: the number or the label of one element of a mapped node. Raises UnknownName.
        """
        return why_ran(self, self._find(node), element)

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
        """Nothing when the run is ok, else RunFailed, raised from the first task's own error."""
        if self.ok:
            return
        failing = [node for node in visible(self._workshop.nodes) if self.track(node).state() is State.FAILED]
        lines = [f"  {line}" for node in failing[:10] for line in [self._failure(node)]]
        raise RunFailed("\n".join([f"{len(failing)} of the tasks failed:", *lines])) from (
            self.error(failing[0]) if failing else None
        )

    def _failure(self, node: Node) -> str:
        errors = self._workshop.ledger.books[node].errors
        index, error = next(iter(errors.items()), (0, None))
        what = error_text(error) if error is not None else "failed"
        if not node.mapped or self.track(node).verdict is not None:
            return f"{node.name}: {what}"
        count = len(self.track(node).states)
        where = f"{len(errors)} of {count} elements failed; see run.failed({node.name!r})"
        return f"{node.name}[{index}]: {what}  ({where})"

    def _require(self, node: Node, track: Track) -> None:
        state = track.state()
        if state in {State.SUCCESS, State.CACHED} or (
            node.mapped and track.verdict is None and not _WITHOUT_VALUE & set(track.counts())
        ):
            return
        if state is State.FAILED:
            raise NotSuccessful(f"{self._failure(node)}") from self.error(node)
        if state is State.TRIGGER_FAILED:
            raise NotSuccessful(f"{node.name} did not run, because {self.cause(node)}")
        if state is State.SKIPPED:
            raise NotSuccessful(f"{node.name} has no value: it was skipped, {self.why_skipped(node)}")
        if state is State.PAUSED:
            raise NotSuccessful(
                f"{node.name} has no value: it waits for approval: flow.run(approve=[{self.paused[0]!r}]), "
                f"in a notebook %flow approve {self.paused[0]}"
            )
        raise NotSuccessful(f"{node.name} has no value: it is {state.label}")

    def why_skipped(self, node: Node) -> str:
        """Why a node was skipped: the branch it stands in, its own words, or what it needs."""
        gate, notes = node.gate, self._workshop.ledger.books[node].notes
        if not self.track(node).wanted:
            return f"since nothing that ran needs it; flow.run(targets=[{node.name!r}]) runs it all the same"
        if gate is not None and not self.track(gate).state().successful:
            return f"since `{gate.source.name}` {_not_taken(gate)}"
        if any(notes.values()):
            return f"as it said itself: {next(filter(None, notes.values()))}"
        above = [f"`{up.name}`" for up in node.upstreams if self.track(up).state() is State.SKIPPED]
        if above:
            return f"since {', '.join(above)} {'was' if len(above) == 1 else 'were'}"
        return "as it said itself"

    def cause(self, node: Node) -> str:
        """Why a node did not run although nothing was skipped: what failed above it, or its trigger."""
        names = [f"`{up.name}`" for up in node.upstreams if self.track(up).state() in UNSUCCESSFUL]
        trigger = node.task.options.trigger
        if names and trigger is all_successful:
            return f"{', '.join(names)} failed"
        counts = Counter(label for up in node.upstreams for label in self._ends(up))
        ends = ", ".join(f"{count} {label}" for label, count in counts.items())
        return f"its trigger {getattr(trigger, '__name__', trigger)!s} is not met: what it needs ended as {ends}"

    def _ends(self, node: Node) -> Iterator[str]:
        """How the elements of a node ended, a word each."""
        for state, count in self.track(node).counts().items():
            yield from ["success" if state.successful else state.label.replace("_", " ")] * count

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
        parts = [f"{ran} ran", f"{reused} reused"] + ([f"{failed} failed"] if failed else [])
        return f"{self.flow.name}: {', '.join(parts)} in {duration(self.seconds)}"

    def __repr__(self) -> str:
        return f"<Run of {self.summary()}>"


def _not_taken(gate: Gate) -> str:
    if gate.kind == "truthy":
        return "is not true"
    return f"is not {gate.expected!r}" if gate.kind == "case" else "has a case of its own"
