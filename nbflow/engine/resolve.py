"""Which results are known already: keys in bulk, one look-up, and the check of what was read."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from nbflow.engine.derive import derive
from nbflow.engine.events import Paused, Reused, Skipped
from nbflow.engine.expand import Expander
from nbflow.engine.keying import Keying
from nbflow.engine.ledger import Gone
from nbflow.engine.loops import Loops
from nbflow.engine.why import moment
from nbflow.errors import DamagedEntry
from nbflow.lean import dataclass, field
from nbflow.model.node import DERIVED, Node
from nbflow.model.state import SUCCESSFUL, State
from nbflow.model.tree import leaves
from nbflow.model.triggers import all_successful, manual_only
from nbflow.probe.files import what_changed
from nbflow.store import LIVE, LOOP_EXPRESSION, LOOP_STEP, SKIP, VALUE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from nbflow.engine.events import Event, Expanded
    from nbflow.engine.ledger import Ledger
    from nbflow.engine.machine import Machine
    from nbflow.identity.code import CodeIds
    from nbflow.model.resource import Resource
    from nbflow.probe.files import StatMemo
    from nbflow.store import Row, Store


@dataclass(slots=True)
class Found:
    """The answer for some elements of a node. stale: why a stored result no longer holds, by element.

    expanded: events for elements whose known result consists of nodes.
    """

    node: Node
    hits: list[int] = field(default_factory=list)
    skipped: list[int] = field(default_factory=list)
    expanded: list[Expanded] = field(default_factory=list)
    misses: list[int] = field(default_factory=list)
    paused: list[int] = field(default_factory=list)
    refused: dict[int, Exception] = field(default_factory=dict)
    stale: dict[int, str] = field(default_factory=dict)

    def events(self) -> Iterator[Event]:
        """What the machine is to hear of the elements that need no call."""
        if self.hits:
            yield Reused(self.node, self.hits)
        if self.skipped:
            yield Skipped(self.node, self.skipped)
        for index in self.paused:
            yield Paused(self.node, index)
        yield from self.expanded


# Nodes that run although their results are known, with the positions of the elements that do; None for all.
Forced = Mapping[Node, frozenset[int] | None]


class Resolver(Keying):
    """Keys and look-ups for one plan or run: every global, file and code object is looked at once."""

    def __init__(
        self,
        machine: Machine,
        ledger: Ledger,
        codes: CodeIds,
        store: Store | None,
        memo: StatMemo,
        *,
        session: str,
        now_ns: int,
        force: Forced = MappingProxyType({}),
        approved: frozenset[Node] = frozenset(),
    ) -> None:
        super().__init__(ledger, codes, store)
        self.tracks = machine.tracks
        self.expander = Expander(machine, ledger, lambda task: self.code_of(task).id)
        self.loops = Loops(ledger, store)
        # Sets a resource up when its value is taken; None where nothing runs.
        self.set_up: Callable[[Resource], Any] | None = None
        self._store = store
        self._memo = memo
        self._session = session
        self._now_ns = now_ns
        self._force = force
        self.approved = approved

    def keeps(self, node: Node) -> bool:
        """Whether results of a node are stored at all."""
        return self._store is not None and node.task.options.cache is not False

    def look_at_files_again(self) -> None:
        """From now on each file is looked at once more."""
        self._memo.fresh()

    def resolve(self, requests: Iterable[tuple[Node, Sequence[int]]]) -> list[Found]:
        """What is known of the requested elements, with one look-up for all of them. Raises LostValue."""
        found: list[Found] = []
        asked: list[tuple[Found, Sequence[int], list[bytes]]] = []
        for node, indices in requests:
            answer = Found(node)
            found.append(answer)
            left = indices
            if node.task in DERIVED:
                left = derive(self, answer, indices)
            elif not _plain(node):
                left = self._with_values(answer, indices)
            if not self.keeps(node):
                answer.misses.extend(left)
            elif left:
                keyed, refused = self.keyed(node, left)
                answer.refused.update(refused)
                asked.append((answer, keyed, self.keys(node, keyed)))
        self._look_up(asked)
        for answer in found:
            if answer.node.task.options.trigger is manual_only and answer.node not in self.approved:
                # What was approved and done is reused; anything new waits.
                answer.paused, answer.misses = answer.misses, []
        return found

    def _with_values(self, answer: Found, indices: Sequence[int]) -> Sequence[int]:
        """The elements all of whose inputs have values; the others are called, and not kept."""
        node = answer.node
        whole = [up for a in node.arguments if not a.mapped for up in leaves(a.value, Node)]
        each = [a.value for a in node.arguments if a.mapped and isinstance(a.value, Node) and a.value.mapped]
        lacking = any(self.lacks(up) for up in whole)
        without = [i for i in indices if lacking or any(self.ledger.state(up, i) not in SUCCESSFUL for up in each)]
        self.ledger.books[node].unkept.update(without)
        answer.misses.extend(without)
        if not without:
            return indices
        gone = set(without)
        return [i for i in indices if i not in gone]

    def lacks(self, node: Node) -> bool:
        """Whether something stands in place of a value in what a task gets that takes the node whole."""
        track = self.tracks[node]
        if track.verdict is not None:
            return True
        if not node.mapped:
            return State(track.states[0]) not in SUCCESSFUL
        return any(state not in _VALUE_OR_LEFT_OUT for state in track.states)

    def _look_up(self, asked: list[tuple[Found, Sequence[int], list[bytes]]]) -> None:
        while asked:
            wanted = [key for answer, _, keys in asked if not self._always(answer.node, None) for key in keys]
            rows = self._store.look_up(wanted) if self._store is not None and wanted else {}
            # Known iterations of loops lead to the next ones, which are looked up together.
            asked = [further for each in asked if (further := self._take_in(*each, rows)) is not None]

    def _take_in(
        self, answer: Found, indices: Sequence[int], keys: list[bytes], rows: Mapping[bytes, Sequence[Row]]
    ) -> tuple[Found, Sequence[int], list[bytes]] | None:
        book = self.ledger.books[answer.node]
        following: list[tuple[int, bytes]] = []
        for i, key in zip(indices, keys, strict=True):
            row = None if self._always(answer.node, i) else self._valid(rows.get(key, ()), answer, i)
            if row is None:
                answer.misses.append(i)
            elif row.kind == VALUE:
                if i in book.resume:
                    book.loops[i] = book.resume[i].count
                book.rows[i], book.seconds[i] = row, row.seconds
                # What a live connection leads to may have changed since it was made.
                book.out[i] = None if row.codec == LIVE else row.out
                answer.hits.append(i)
            else:
                further = self._other_kind(answer, i, row)
                if further is not None:
                    following.append((i, further))
        return (answer, [i for i, _ in following], [key for _, key in following]) if following else None

    def _other_kind(self, answer: Found, index: int, row: Row) -> bytes | None:
        """Takes in a result that is no value; gives the key to look at next, for a loop that goes on."""
        node, book = answer.node, self.ledger.books[answer.node]
        book.seconds[index] += row.seconds
        try:
            if row.kind == SKIP:
                book.notes[index] = self._loaded(row)
                answer.skipped.append(index)
                return None
            if row.kind != LOOP_STEP:
                answer.expanded.append(self._expanded(node, index, row))
                return None
            key = self.loops.follow(node, index, row)
        except (Gone, DamagedEntry):
            # What it was made of is there no more: it is made again.
            answer.misses.append(index)
            return None
        if key is None:
            book.rows[index], book.out[index] = row, row.out
            answer.hits.append(index)
        return key

    def _loaded(self, row: Row) -> Any:
        assert self._store is not None
        return self._store.load(row)

    def _expanded(self, node: Node, index: int, row: Row) -> Expanded:
        value = self.expander.thaw(node, self._loaded(row))
        return self.expander.expand(node, index, value, reused=True, step=row.kind == LOOP_EXPRESSION)

    def _always(self, node: Node, index: int | None) -> bool:
        """Whether an element runs although its result is known; with None, whether all of them do."""
        if node.task.options.always:
            return True
        if node not in self._force:
            return False
        elements = self._force[node]
        return elements is None or index in elements

    def _valid(self, rows: Sequence[Row], answer: Found, index: int) -> Row | None:
        """The newest row whose files are as they were, that has not expired, and is this session's to use."""
        for row in rows:
            if row.expires_ns is not None and row.expires_ns <= self._now_ns:
                answer.stale[index] = f"its max_age is over (it was made {moment(row.made_ns)})"
            elif row.session is not None and row.session != self._session:
                answer.stale[index] = "it depends on the outside world and was made in an earlier session"
            elif row.trace and (changed := self._changed(row.trace)) is not None:
                answer.stale[index] = changed
            else:
                answer.stale.pop(index, None)
                return row
        return None

    def _changed(self, trace: bytes) -> str | None:
        assert self._store is not None
        marks = self._store.traces([trace]).get(trace)
        return "which files it read is no longer known" if marks is None else what_changed(marks, self._memo)


def _plain(node: Node) -> bool:
    """Whether a node only ever runs with the values of all its upstreams."""
    options = node.task.options
    return options.trigger is all_successful and options.skip_on_upstream_skip


_VALUE_OR_LEFT_OUT = SUCCESSFUL | {State.SKIPPED}
