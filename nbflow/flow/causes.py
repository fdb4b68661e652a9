"""Why nodes run: what a plan or a run found, beside what the store remembers of the last time."""

from __future__ import annotations

import os
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from nbflow.engine.ledger import LostValue
from nbflow.engine.loops import times_of
from nbflow.engine.why import Part, Reason, argument_parts, at_most, compare, moment, outline, parts_of
from nbflow.errors import UnidentifiableError
from nbflow.model.node import Node
from nbflow.model.state import State
from nbflow.store.runs import ID_BYTES, UNSTORED

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from nbflow.flow.workshop import Workshop
    from nbflow.store import Last
    from nbflow.store.runs import NodeRecord, RunRecord

# Values up to this many bytes are loaded to tell how they differ from those before.
SMALL_BYTES = 64 * 1024


class Causes:
    """Finds reasons for one plan or run.

    before: what each node was made of last time; forced: nodes run on demand; until_ns: when the run began, None for
    a plan.
    """

    def __init__(
        self,
        workshop: Workshop,
        flow_name: str,
        before: Mapping[str, Last],
        forced: Collection[Node] = (),
        *,
        until_ns: int | None = None,
    ) -> None:
        self._workshop = workshop
        self._flow = flow_name
        self._before = before
        self._forced = forced
        self._until_ns = until_ns
        self._records: dict[str, tuple[RunRecord, NodeRecord] | None] = {}
        self._runs: list[RunRecord] | None = None

    def of(self, node: Node, missed: Sequence[int], stale: Mapping[int, str], *, one: bool = False) -> list[Reason]:
        """Why the missed elements of a node run, the most telling first; never nothing.

        stale: why stored results no longer hold, by element. one: it is a single element that is asked for.
        """
        general = self._general(node)
        if general:
            return general
        before = self._before.get(node.name)
        edited = self._changed(node, before) if before is not None else []
        changed = edited + at_most([Reason(_with_stat(stale[i])) for i in missed if i in stale])
        unkept = self._workshop.ledger.books[node].unkept
        if not unkept.isdisjoint(missed):
            changed.append(Reason("what it needs failed or was skipped, and the result of such a call is never kept"))
        left = [i for i in missed if i not in stale and i not in unkept]
        if before is None:
            return changed + (self._first_time(node, left) if left else [])
        if edited or not left or self._keys_differ(node, before):
            return changed
        return changed + self._elements(node, before, left, one=one) or [_NOTHING_STORED]

    def present(self, node: Node, *, described: bool = True) -> list[Part]:
        """What a node is made of now, apart from its code; described: also how large what comes from upstream is."""
        recipe = self._workshop.resolver.recipe(node)
        times = times_of(node, self._workshop.ledger) if node.task.options.loop_times is not None else None
        parts = (
            argument_parts(node, recipe, times, self._describe) if described else argument_parts(node, recipe, times)
        )
        return [*parts, Part("prefix", "", recipe.prefix, "")]

    def code_parts(self, node: Node) -> list[Part]:
        """What a node's code consists of now."""
        return parts_of(self._workshop.resolver.recipe(node).code.components, self._workshop.store.salted)

    def last_time(self, node: Node) -> tuple[RunRecord, NodeRecord] | None:
        """The newest earlier run that a node took part in."""
        history = self._workshop.store.history
        if self._runs is None:
            until_ns = self._until_ns or time.time_ns()
            self._runs = [run for run in history.runs(self._flow) if run.started_ns < until_ns]
        if node.name not in self._records:
            found = (
                (run, history.nodes(run).get(node.name)) for run in reversed(self._runs) if run.state != "accepted"
            )
            self._records[node.name] = next(((run, record) for run, record in found if record is not None), None)
        return self._records[node.name]

    def _general(self, node: Node) -> list[Reason]:
        if node in self._forced:
            return [Reason("it was forced to run (force=)")]
        options = node.task.options
        if options.cache is False:
            return [Reason("its results are not stored (cache=False)")]
        return [Reason("it runs every time (always=True)")] if options.always else []

    def _changed(self, node: Node, before: Last) -> list[Reason]:
        try:
            now = self.code_parts(node) + self.present(node)
        except (UnidentifiableError, LostValue):
            # Told by who asked for its key.
            return []
        reasons = compare(stored_parts(self._workshop, before), now)
        if not reasons and before.code != self._workshop.resolver.recipe(node).code.id:
            return [
                Reason("something that its code reaches changed: an attribute, a decorator, or one of two of a name")
            ]
        return reasons or (
            [Reason("nbflow itself tells results apart otherwise")] if self._keys_differ(node, before) else []
        )

    def _keys_differ(self, node: Node, before: Last) -> bool:
        """Whether all keys of a node differ from those before, whatever its elements are."""
        try:
            now = self._workshop.resolver.recipe(node)
        except (UnidentifiableError, LostValue):
            return True
        old = prefix_of(before)
        if before.code != now.code.id or (old is not None and old != now.prefix):
            return True
        ids = {(kind, name): id_ for kind, name, id_, _ in before.arguments}
        return any(i.kind != "mapped" and ids.get((i.kind, i.name), i.id) != i.id for i in now.ingredients)

    def _first_time(self, node: Node, left: Sequence[int]) -> list[Reason]:
        last = self.last_time(node)
        if last is not None and last[1].state == State.SKIPPED.label:
            return [Reason("it was skipped last time, and has not run yet")]
        keys = self._workshop.ledger.books[node].keys
        count = len(keys)
        # Of equal elements only one is called.
        reused = State.CACHED in self._workshop.machine.tracks[node].counts()
        if len(left) == count or not reused or {keys[i] for i in left}.issuperset(keys):
            return [Reason("it has not run before")]
        return [Reason(f"{len(left)} of {count} elements have no result yet; the others were made elsewhere")]

    def _elements(self, node: Node, before: Last, left: Sequence[int], *, one: bool) -> list[Reason]:
        keys = self._workshop.ledger.books[node].keys
        places = {before.keys[at : at + ID_BYTES]: at // ID_BYTES for at in range(0, len(before.keys), ID_BYTES)}
        known = [places[key] for i in left if (key := keys[i]) is not None and key in places]
        told = self._known(node, known, 1 if one else len(keys))
        new = len(left) - len(known)
        if new:
            text = self._new_element(node, left[0]) if one else self._new(node, new, len(keys), len(places))
            told.insert(0, Reason(text))
        return told

    def _new(self, node: Node, new: int, count: int, old_count: int) -> str:
        of = f"{new} of {count} elements"
        sources = dict.fromkeys(f"`{a.value.name}`" for a in node.arguments if a.mapped and isinstance(a.value, Node))
        if not node.mapped or not sources or new == count - old_count:
            return f"{of} are new"
        verb = "gave" if len(sources) == 1 else "give"
        return f"upstream {', '.join(sources)} {verb} new values for {of}"

    def _new_element(self, node: Node, index: int) -> str:
        given = [a for a in node.arguments if a.mapped]
        told = [
            f"upstream `{a.value.name}` gave it another value"
            if isinstance(a.value, Node)
            else f"{a.name}={outline(self._workshop.ledger.books[node].items[a.name].values[index])}"
            for a in given
        ]
        return f"this element is new: {', '.join(told)}"

    def _known(self, node: Node, places: Sequence[int], count: int) -> list[Reason]:
        """Why elements have no result that had the same key last time."""
        last = self.last_time(node)
        if last is None or not places:
            return [_NOTHING_STORED] if places else []
        run, record = last
        ends = Counter(_end(record.states[place]) for place in places if place < len(record.states))
        ends["gone"] += sum(place >= len(record.states) for place in places)
        if ends["gone"] and self._workshop.store.history.cleared_ns(record.task) > run.started_ns:
            ends["cleared"] = ends.pop("gone")
        error = f": {record.error}" if record.error else ""
        told = {**_ENDS, "failed": f"failed last time{error}"}
        if error and record.state == State.TRIGGER_FAILED.label:
            # Only what ended the run itself leaves an error with what did not run.
            told["not run"] = f"did not run last time{error}"
        many = node.mapped and count > 1
        return [
            Reason(f"{number} of {count} elements {told[end]}" if many else f"it {told[end]}".replace("have", "has", 1))
            for end, number in ends.items()
            if number
        ]

    def _describe(self, source: Any) -> str:
        """How large what comes from upstream is, where that is cheap to tell."""
        ledger = self._workshop.ledger
        if not isinstance(source, Node) or source not in ledger.books:
            return ""
        book = ledger.books[source]
        if source.mapped:
            return f"{len(book.keys)} elements"
        row = book.rows[0]
        if not ledger.in_memory(source) and (row is None or row.size_bytes > SMALL_BYTES):
            return "" if row is None else f"{row.size_bytes / 1e6:.1f} MB"
        try:
            return outline(ledger.value(source))
        except LostValue:
            return ""


def _with_stat(note: str) -> str:
    """What is said of a changed file, with its size and when it was written."""
    path = note.removeprefix("file ").removesuffix(" changed")
    if note != f"file {path} changed":
        return note
    try:
        found = os.stat(path)
    except OSError:
        return note
    return f"{note} (now {found.st_size:,} bytes, written {moment(found.st_mtime_ns)})"


def stored_parts(workshop: Workshop, before: Last) -> list[Part]:
    """What a node was made of last time."""
    code = [Part(*row) for row in workshop.store.recipe(before.code)]
    return code + [Part(*row) for row in before.arguments]


def prefix_of(before: Last) -> bytes | None:
    """How the keys of a node began last time; None where a store of an earlier version does not know."""
    return next((id_ for kind, _, id_, _ in before.arguments if kind == "prefix"), None)


def _end(state: int) -> str:
    if state & UNSTORED:
        return "unstored"
    match State(state):
        case State.FAILED:
            return "failed"
        case State.SUCCESS | State.CACHED | State.SKIPPED:
            return "gone"
        case State.TRIGGER_FAILED:
            return "not run"
        case _:
            return "stopped"


_NOTHING_STORED = Reason("there is no stored result of it any more")
_ENDS = {
    "unstored": "could not be stored last time",
    "stopped": "did not end last time: the run was stopped",
    "not run": "did not run last time, because of what it needs",
    "cleared": "have no stored result any more, since it was cleared",
    "gone": "have no stored result any more: it made room for others, or was damaged or deleted",
}
