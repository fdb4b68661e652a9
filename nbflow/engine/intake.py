"""What came back from calls: written down, kept, and told to the machine; equal computations share it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow.codecs import seal
from nbflow.engine import events as m
from nbflow.engine.ledger import MISSING, Resume
from nbflow.errors import GraphError, NotStorable, RunawayLoop
from nbflow.model.state import State
from nbflow.probe.capture import joined
from nbflow.signals import FAIL, PAUSE, RETRY, SKIP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from nbflow.engine.keeping import Keeper
    from nbflow.engine.ledger import Ledger
    from nbflow.engine.machine import Machine
    from nbflow.engine.output import Output
    from nbflow.engine.resolve import Found, Resolver
    from nbflow.executors.base import Batch, Outcome
    from nbflow.model.node import Node


class Intake:
    """Takes outcomes in for one run. do: does what the machine commands."""

    def __init__(
        self,
        machine: Machine,
        ledger: Ledger,
        resolver: Resolver,
        keeper: Keeper,
        *,
        tell: Callable[[str], None],
        output: Output,
        do: Callable[[Sequence[m.Command]], None],
    ) -> None:
        self.machine = machine
        self.ledger = ledger
        self.resolver = resolver
        self.keeper = keeper
        self._tell = tell
        self._output = output
        self._do = do
        self._told: set[str] = set()
        self._failed_at: dict[tuple[Node, int], int] = {}
        self._waiting: dict[bytes, list[tuple[Node, int]]] = {}
        self._leaders: dict[bytes, tuple[Node, int]] = {}

    def leading(self, found: Found) -> list[int]:
        """The misses to call: of equal computations only the first, the others wait for it."""
        book = self.ledger.books[found.node]
        leading: list[int] = []
        for i in found.misses:
            key = book.keys[i]
            if key is None or self._leaders.setdefault(key, (found.node, i)) == (found.node, i):
                leading.append(i)
            else:
                self._waiting.setdefault(key, []).append((found.node, i))
        return leading

    def freed(self, key: bytes) -> list[tuple[Node, int]]:
        """The elements that waited for a computation which is no longer equal: they are called themselves."""
        self._leaders.pop(key, None)
        return self._waiting.pop(key, [])

    def record(self, batch: Batch, outcomes: Sequence[Outcome]) -> None:
        """Writes down what came back, and tells the machine."""
        node, indices = batch.tag
        self.take_logs(batch, outcomes)
        self.keeper.keep(batch, [outcome for outcome in outcomes if _keepable(outcome)])
        ended = [outcome for outcome in outcomes if not outcome.step or outcome.nodes]
        good = [outcome for outcome in ended if outcome.error is None and not outcome.nodes]
        self.note(node, indices, good)
        succeeded = [indices[outcome.position] for outcome in good]
        if succeeded:
            self._do(self.machine.handle(m.Succeeded(node, succeeded)))
        for outcome in ended:
            if outcome.note:
                self._once(outcome.note)
            if outcome.error is not None:
                self._failed(batch, indices[outcome.position], outcome)
            elif outcome.nodes:
                self._expand(node, indices[outcome.position], outcome)
        self.follow(node, [indices[outcome.position] for outcome in ended])

    def take_logs(self, batch: Batch, outcomes: Sequence[Outcome]) -> None:
        """Notes and shows what calls put out; what an element put out in earlier attempts stands before it."""
        node, indices = batch.tag
        for outcome in outcomes:
            if outcome.log:
                i, book = indices[outcome.position], self.ledger.books[node]
                log = outcome.log
                book.logs[i] = joined(book.logs.get(i, ()), log)
                if not outcome.step:
                    outcome.log = book.logs[i]
                self._output.ended(node, i, log, live=batch.live is not None)

    def note(self, node: Node, indices: Sequence[int], outcomes: Iterable[Outcome]) -> None:
        book = self.ledger.books[node]
        for outcome in outcomes:
            i = indices[outcome.position]
            # What came from another process is decoded when somebody needs it, where the store has it.
            away = outcome.apart and book.rows[i] is not None
            book.values[i] = MISSING if away else outcome.open()
            book.out[i], book.seconds[i] = outcome.out, outcome.seconds
            book.errors.pop(i, None)
            if outcome.count > 1:
                book.loops[i] = outcome.count
            if outcome.members is not None:
                book.members[i] = outcome.members

    def _expand(self, node: Node, index: int, outcome: Outcome) -> None:
        """Makes the nodes of a result part of the run."""
        self.ledger.books[node].seconds[index] = outcome.seconds
        if outcome.step and index not in self.ledger.books[node].resume:
            self.ledger.books[node].resume[index] = Resume(outcome.count, None, None, outcome.previous)
        try:
            event = self.resolver.expander.expand(node, index, outcome.value, reused=False, step=outcome.step)
        except GraphError as error:
            self.ledger.books[node].errors[index] = error
            self._do(self.machine.handle(m.Failed(node, index, retriable=False)))
            return
        self._do(self.machine.handle(event))

    def _failed(self, batch: Batch, index: int, outcome: Outcome) -> None:
        node = batch.tag[0]
        book, error = self.ledger.books[node], outcome.error
        assert error is not None
        book.seconds[index] = outcome.seconds
        if isinstance(error, SKIP):
            book.notes[index] = error.message
            self._do(self.machine.handle(m.Skipped(node, (index,))))
        elif isinstance(error, PAUSE):
            self._paused(batch, index, outcome, error)
        else:
            book.errors[index] = error
            self._do(self.machine.handle(self._failure(node, index, outcome, error)))

    def _failure(self, node: Node, index: int, outcome: Outcome, error: BaseException) -> m.Failed:
        """The event of a failure; an iteration of a loop has attempts of its own."""
        book = self.ledger.books[node]
        anew = False
        if outcome.count > 1:
            anew = self._failed_at.get((node, index)) != outcome.count
            self._failed_at[node, index] = outcome.count
            if index not in book.resume or book.resume[index].count != outcome.count:
                book.resume[index] = Resume(outcome.count, None, None, outcome.previous)
        asked = isinstance(error, RETRY)
        retriable = asked or isinstance(error, node.task.options.retry_on)
        retriable = retriable and not isinstance(error, (FAIL, RunawayLoop))
        return m.Failed(node, index, retriable, anew, asked, error.delay_s if isinstance(error, RETRY) else None)

    def _paused(self, batch: Batch, index: int, outcome: Outcome, pause: PAUSE) -> None:
        """Waits for approval; where that is given, what the signal carries is the result."""
        node = batch.tag[0]
        if node not in self.resolver.approved:
            self.ledger.books[node].notes[index] = pause.message
            self._do(self.machine.handle(m.Paused(node, index)))
            return
        outcome.value, outcome.error = pause.result, None
        if batch.keep:
            outcome.out, outcome.members = self.resolver.identify_output(pause.result)
            try:
                outcome.sealed = seal(pause.result)
            except NotStorable as reason:
                outcome.unstored = str(reason)
            self.keeper.keep(batch, [outcome])
        self.note(node, batch.tag[1], [outcome])
        self._do(self.machine.handle(m.Succeeded(node, (index,))))

    def _once(self, message: str) -> None:
        if message not in self._told:
            self._told.add(message)
            self._tell(message)

    def follow(self, node: Node, indices: Iterable[int]) -> None:
        """Elements that waited for an equal computation get what came of it."""
        book, states = self.ledger.books[node], self.machine.tracks[node].states
        for i in indices:
            key = book.keys[i]
            if key is None or not State(states[i]).finished:
                continue
            self._leaders.pop(key, None)
            for follower, j in self._waiting.pop(key, ()):
                other = self.ledger.books[follower]
                if i in book.errors:
                    other.errors[j] = book.errors[i]
                    self._do(self.machine.handle(m.Failed(follower, j, retriable=False)))
                    continue
                if State(states[i]) in {State.SKIPPED, State.PAUSED}:
                    event = m.Skipped(follower, (j,)) if states[i] == State.SKIPPED else m.Paused(follower, j)
                    self._do(self.machine.handle(event))
                    continue
                other.out[j], other.rows[j], other.values[j] = book.out[i], book.rows[i], book.values[i]
                other.seconds[j] = book.seconds[i]
                if i in book.expressions:
                    other.expressions[j] = book.expressions[i]
                if i in book.logs:
                    other.logs[j] = book.logs[i]
                if i in book.members:
                    other.members[j] = book.members[i]
                self._do(self.machine.handle(m.Reused(follower, [j])))


def _keepable(outcome: Outcome) -> bool:
    return outcome.error is None or isinstance(outcome.error, SKIP)
