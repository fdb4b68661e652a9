"""Loops: which iterations are known already, and under which keys new ones are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xxhash import xxh3_128_digest

from nbflow.engine.ledger import MISSING, Book, LostValue, Resume
from nbflow.model.node import Node
from nbflow.model.tree import fill
from nbflow.store import LOOP_EXPRESSION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbflow.engine.ledger import Ledger
    from nbflow.executors.base import Outcome
    from nbflow.store import Row, Store


def key_of(book: Book, index: int) -> bytes | None:
    """The key of the iteration that comes next: the first one's is the element's own."""
    key, resume = book.keys[index], book.resume.get(index)
    if key is None or resume is None:
        return key
    if resume.id is None:
        return None
    return next_key(key, resume.count, resume.id)


def next_key(key: bytes, count: int, previous: bytes) -> bytes:
    """The key of an iteration. key: of its element; count: its number, from 2; previous: id of the result before."""
    return xxh3_128_digest(b"".join((b"loop", key, count.to_bytes(8, "little"), previous)))


def times_of(node: Node, ledger: Ledger) -> int | None:
    """How often a node is run, where that is said outside its function."""
    times = node.task.options.loop_times
    found: int | None = fill(times, Node, ledger.whole)
    return found


def bounded(node: Node) -> bool:
    """Whether the end of a node's loop is decided outside its function."""
    options = node.task.options
    return options.loop_times is not None or options.loop_while is not None


class Loops:
    """Follows loops through the store. store: where results of iterations are loaded from."""

    def __init__(self, ledger: Ledger, store: Store | None) -> None:
        self._ledger = ledger
        self._store = store

    def follow(self, node: Node, index: int, row: Row) -> bytes | None:
        """Takes in a known iteration; gives the key of the next, None when this was the last one."""
        book = self._ledger.books[node]
        count = book.resume[index].count if index in book.resume else 1
        if row.kind != LOOP_EXPRESSION and bounded(node) and not self.goes_on(node, count, row):
            book.loops[index] = count
            return None
        book.resume[index] = Resume(count + 1, row.out, row)
        return key_of(book, index)

    def goes_on(self, node: Node, count: int, row: Row) -> bool:
        """Whether a loop that is bounded from outside goes on after an iteration. Raises LostValue."""
        options = node.task.options
        times = times_of(node, self._ledger)
        if times is not None and count >= times:
            return False
        if options.loop_while is None:
            return True
        assert self._store is not None
        return bool(options.loop_while(self._store.load(row)))

    def starts(self, node: Node, indices: Sequence[int]) -> dict[int, tuple[int, Any]] | None:
        """Where the loops of elements go on, by their place among indices: number and result before it."""
        resume = self._ledger.books[node].resume
        if not resume:
            return None
        return {
            position: (resume[i].count, self._result(node, i, resume[i]))
            for position, i in enumerate(indices)
            if i in resume
        }

    def _result(self, node: Node, index: int, resume: Resume) -> Any:
        if resume.value is MISSING:
            assert resume.row is not None
            assert self._store is not None
            try:
                resume.value = self._store.load(resume.row)
            except LostValue:
                self._ledger.books[node].resume.pop(index)
                raise
        return resume.value


def take_in(book: Book, index: int, outcome: Outcome) -> None:
    """Notes an iteration that was done: the next one goes on from its result."""
    book.resume[index] = Resume(outcome.count + 1, outcome.out, None, outcome.open())
