"""What a run knows of each node: ids, rows of the store, and the values that are in memory."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

from nbflow.errors import DamagedEntry, NotSuccessful
from nbflow.identity.encoding import list_id
from nbflow.lean import dataclass, field
from nbflow.model.node import Node
from nbflow.model.state import SUCCESSFUL, Failed, Skipped, State
from nbflow.model.tree import fill

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from nbflow.engine.track import Track
    from nbflow.model.mapping import Items
    from nbflow.probe.pieces import Log
    from nbflow.store import Row, Store


class _Missing:
    """Stands where no value is in memory: None is a value like any other."""

    def __repr__(self) -> str:
        return "<not in memory>"


MISSING = _Missing()


class LostValue(Exception):
    """A stored result that was about to be used proved missing or damaged."""

    def __init__(self, node: Node, index: int, why: str) -> None:
        self.node = node
        self.index = index
        super().__init__(why)


class Gone(Exception):
    """An expression names a task or node that is there no more."""


@dataclass(slots=True)
class Expression:
    """A result that consists of nodes. reused: found in the store; step: of a loop that goes on with it."""

    value: Any
    leaves: tuple[Node, ...]
    reused: bool
    step: bool


@dataclass(slots=True)
class Resume:
    """Where a loop stands. count: of the iteration that comes next; id, row, value: of the result before it."""

    count: int
    id: bytes | None
    row: Row | None = None
    value: Any = MISSING


@dataclass(slots=True, eq=False)
class Book:
    """One node's elements: parallel lists, as long as the node has elements.

    derive: computes an element from its upstreams' values, for nodes that are never stored. expressions: results
    that consist of nodes. resume: where loops stand.
    """

    node: Node
    keys: list[bytes | None] = field(default_factory=list)
    out: list[bytes | None] = field(default_factory=list)
    rows: list[Row | None] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    seconds: array[float] = field(default_factory=lambda: array("d"))
    members: dict[int, tuple[bytes, ...]] = field(default_factory=dict)
    errors: dict[int, BaseException] = field(default_factory=dict)
    items: dict[str, Items] = field(default_factory=dict)
    notes: dict[int, str] = field(default_factory=dict)
    derive: Callable[[int], Any] | None = None
    expressions: dict[int, Expression] = field(default_factory=dict)
    resume: dict[int, Resume] = field(default_factory=dict)
    loops: dict[int, int] = field(default_factory=dict)
    """How many iterations the elements took that were run more than once."""
    logs: dict[int, Log] = field(default_factory=dict)
    """What the elements put out that were called in this run."""
    unkept: set[int] = field(default_factory=set)
    """Elements that were given something in place of a value, such as a failed upstream's error."""

    workers: dict[str, int] = field(default_factory=dict)
    """Who called elements away from this process, and the most memory that each had in use, in bytes."""

    def size(self, count: int) -> None:
        self.keys = [None] * count
        self.out = [None] * count
        self.rows = [None] * count
        self.values = [MISSING] * count
        self.seconds = array("d", bytes(8 * count))


# As State(number) gives, which takes ten times as long.
_BY_NUMBER = tuple(State)


class Ledger:
    """The books of a run. identify: the id of a value and of its members; store: None keeps all in memory."""

    def __init__(
        self,
        tracks: dict[Node, Track],
        store: Store | None,
        identify: Callable[[Any], tuple[bytes, tuple[bytes, ...] | None]],
    ) -> None:
        self.books: dict[Node, Book] = {node: Book(node) for node in tracks}
        self._tracks = tracks
        self._store = store
        self._identify = identify
        for node, book in self.books.items():
            if not node.mapped:
                book.size(1)

    def add(self, node: Node) -> None:
        """Opens a book for a node that was made during the run."""
        book = self.books[node] = Book(node)
        if not node.mapped:
            book.size(1)

    def value(self, node: Node, index: int = 0) -> Any:
        """An element's value, from memory or the store. Raises LostValue."""
        book = self.books[node]
        value = book.values[index]
        if value is MISSING:
            value = book.values[index] = self._fetch(book, index)
        return value

    def load(self, node: Node, indices: Sequence[int]) -> None:
        """Gets the values of many elements into memory at once, of those that have one. Raises LostValue."""
        book = self.books[node]
        track = self._tracks[node]
        if track.verdict is not None and track.verdict not in SUCCESSFUL:
            return
        states = track.states
        absent = [i for i in indices if book.values[i] is MISSING and states[i] in SUCCESSFUL]
        stored = [(i, row) for i in absent if (row := book.rows[i]) is not None]
        if self._store is not None and stored:
            for (i, _), value in zip(stored, self._store.load_many([row for _, row in stored]), strict=True):
                if isinstance(value, DamagedEntry):
                    raise LostValue(node, i, value.why)
                book.values[i] = value
        for i in absent:
            if book.values[i] is MISSING:
                self.value(node, i)

    def fresh_copy(self, node: Node, index: int) -> Any:
        """The value as it was made, shared with nobody; MISSING where none can be had."""
        book = self.books[node]
        return MISSING if book.rows[index] is None else self._fetch(book, index)

    def whole(self, node: Node) -> Any:
        """What a task gets that takes the node whole: of a mapped node the list, without skipped elements.

        In place of what failed or was skipped stands Failed(error) or Skipped.
        """
        track = self._tracks[node]
        if track.verdict is not None:
            return self._instead(node, 0, track.verdict)
        if not node.mapped:
            return self.element(node, 0)
        present = list(self.present(node))
        self.load(node, present)
        return [self.element(node, i) for i in present]

    def element(self, node: Node, index: int) -> Any:
        """An element's value, or what stands in its place. Raises LostValue."""
        state = self.state(node, index)
        return self.value(node, index) if state in SUCCESSFUL else self._instead(node, index, state)

    def state(self, node: Node, index: int = 0) -> State:
        """An element's state."""
        track = self._tracks[node]
        return track.verdict if track.verdict is not None else State(track.states[index])

    def states(self, node: Node) -> list[State]:
        """The states of all elements."""
        track = self._tracks[node]
        if track.verdict is not None:
            return [track.verdict] * len(track.states)
        return [_BY_NUMBER[number] for number in track.states]

    def in_memory(self, node: Node) -> bool:
        """Whether all values of a node are in memory."""
        return not any(value is MISSING for value in self.books[node].values)

    def _instead(self, node: Node, index: int, state: State) -> Any:
        if state is State.SKIPPED:
            return Skipped
        error = self.books[node].errors.get(index)
        return Failed(error or NotSuccessful(f"{node.name} did not run: it is {state.label.replace('_', ' ')}"))

    def present(self, node: Node) -> Iterator[int]:
        """The positions of a node's elements that were not skipped."""
        return (i for i, state in enumerate(self._tracks[node].states) if state != State.SKIPPED)

    def out_id(self, node: Node, index: int = 0) -> bytes:
        """The id of an element's value; computed now where nobody needed it before. Raises LostValue."""
        book = self.books[node]
        out = book.out[index]
        if out is None:
            out, members = self._identify(self.value(node, index))
            book.out[index] = out
            if members is not None:
                book.members[index] = members
        return out

    def whole_id(self, node: Node) -> bytes:
        """The id of what `whole` gives; only where all of it has a value, or the node was skipped."""
        if self._tracks[node].state() is State.SKIPPED:
            return _SKIPPED_ID
        if not node.mapped:
            return self.out_id(node)
        return list_id([self.out_id(node, i) for i in self.present(node)])

    def members(self, node: Node, index: int = 0) -> tuple[bytes, ...] | None:
        """The ids of an element's members where its value is a list or tuple, without loading it."""
        self.out_id(node, index)
        book = self.books[node]
        if index not in book.members:
            row = book.rows[index]
            if row is None or not row.members:
                return None
            book.members[index] = tuple(row.members[at : at + 16] for at in range(0, len(row.members), 16))
        return book.members[index]

    def forget(self, node: Node, index: int) -> None:
        """Drops a value from memory that the store has, so that the next reader gets it unchanged."""
        book = self.books[node]
        if book.rows[index] is not None:
            book.values[index] = MISSING

    def note_workers(self, node: Node, workers: dict[str, int]) -> None:
        """Who called elements of a node in another process, with the most memory it had in use, in bytes."""
        known = self.books[node].workers
        for name, peak in workers.items():
            known[name] = max(peak, known.get(name, 0))

    def lose(self, node: Node, indices: Sequence[int]) -> None:
        """Clears what is known of elements whose stored result proved missing."""
        book = self.books[node]
        for i in indices:
            book.rows[i] = book.out[i] = None
            book.values[i] = MISSING
            book.members.pop(i, None)

    def _fetch(self, book: Book, index: int) -> Any:
        row = book.rows[index]
        if row is not None and self._store is not None:
            try:
                return self._store.load(row)
            except DamagedEntry as damage:
                raise LostValue(book.node, index, damage.why) from damage
        if index in book.expressions:
            return self._assembled(book.node, index)
        if book.derive is not None:
            return book.derive(index)
        raise LostValue(book.node, index, "has no value in memory")

    def _assembled(self, node: Node, index: int) -> Any:
        """The value of a result that consists of nodes, whose own results may do so, too: innermost first."""
        todo = [(node, index)]
        while todo:
            each, i = todo[-1]
            book = self.books[each]
            needed = [
                (leaf, j)
                for leaf in book.expressions[i].leaves
                for j in range(len(self.books[leaf].values))
                if self.books[leaf].values[j] is MISSING and j in self.books[leaf].expressions
            ]
            if needed:
                todo.extend(needed)
                continue
            todo.pop()
            if book.values[i] is MISSING:
                book.values[i] = fill(book.expressions[i].value, Node, self.whole)
        return self.books[node].values[index]


_SKIPPED_ID = b"nbflow skipped  "
