"""The shell of a run: does what the machine commands, and tells it what came of it."""

from __future__ import annotations

import heapq
import os
import time
import warnings
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nbflow.engine import events as m
from nbflow.engine.batching import Batcher, LostArguments
from nbflow.engine.ledger import LostValue
from nbflow.engine.mutation import Guards
from nbflow.errors import MapError, UnidentifiableError
from nbflow.model.state import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from nbflow.engine.keeping import Keeper
    from nbflow.engine.ledger import Ledger
    from nbflow.engine.machine import Machine
    from nbflow.engine.resolve import Found, Resolver
    from nbflow.executors.base import Batch, Executor, Outcome
    from nbflow.model.graph import Node

# How long the shell waits at most before it looks at interrupts and delayed retries again.
WAIT_S = 0.2
# How long a batch may keep what it has finished to itself.
EARLY_S = 0.5


@dataclass(slots=True)
class Queue:
    """Elements of one node that are to be called: positions, and those that must run alone on private copies."""

    indices: deque[int] = field(default_factory=deque)
    private: deque[int] = field(default_factory=deque)

    def __len__(self) -> int:
        return len(self.indices) + len(self.private)


class Shell:
    """Runs one machine to its end. executors: by name; "sync" is always there."""

    def __init__(
        self,
        machine: Machine,
        ledger: Ledger,
        resolver: Resolver,
        executors: dict[str, Executor],
        keeper: Keeper,
        *,
        default_executor: str = "threads",
        tell: Callable[[str], None] = warnings.warn,
    ) -> None:
        self.machine = machine
        self.ledger = ledger
        self.resolver = resolver
        self.keeper = keeper
        self.stale: dict[Node, dict[int, str]] = {}
        self._executors = executors
        self._default = default_executor
        self._tell = tell
        self._queues: dict[Node, Queue] = {}
        self._waiting: dict[bytes, list[tuple[Node, int]]] = {}
        self._leaders: dict[bytes, tuple[Node, int]] = {}
        self._later: list[tuple[float, int, Node, int]] = []
        self._in_flight: dict[Batch, tuple[str, float]] = {}
        self._batcher = Batcher(ledger, resolver)
        self._guards = Guards(self._batcher, resolver, ledger, tell)

    def run(self) -> None:
        """Runs until nothing is left to do; what finished is kept also when it is interrupted."""
        try:
            self._do(self.machine.start())
            while self._step():
                pass
        except BaseException:
            self._stop()
            raise
        finally:
            self.keeper.flush()
        self._do(self.machine.handle(m.Stopped()))

    def _step(self) -> bool:
        """One turn: submit what there is room for, then take in what has ended. False at the end."""
        self._due_retries()
        self._dispatch()
        if not self._in_flight:
            if not self._later:
                return bool(self._queues)
            time.sleep(max(0.0, min(WAIT_S, self._later[0][0] - time.monotonic())))
            return True
        for name in self._busy_executors():
            for batch in self._executors[name].outcomes(0 if name == "sync" else self._patience()):
                self._arrived(batch)
        self._take_in_early()
        return True

    def _take_in_early(self) -> None:
        """What long batches have finished already is kept before they end: a kill costs only the last second."""
        now = time.monotonic()
        for batch, (_, started) in list(self._in_flight.items()):
            if batch.count > 1 and now - started > EARLY_S:
                self._take_in(batch)

    def _busy_executors(self) -> list[str]:
        return list(dict.fromkeys(name for name, _ in self._in_flight.values()))

    def _patience(self) -> float:
        due = self._later[0][0] - time.monotonic() if self._later else WAIT_S
        return max(0.0, min(WAIT_S, due))

    def _do(self, commands: Sequence[m.Command]) -> None:
        todo = deque(commands)
        while todo:
            requests: list[tuple[Node, Sequence[int]]] = []
            while todo and isinstance(todo[0], m.Resolve):
                command = todo.popleft()
                assert isinstance(command, m.Resolve)
                requests.append((command.node, command.indices))
            if requests:
                todo.extend(self._resolve(requests))
            elif todo:
                todo.extend(self._other(todo.popleft()))

    def _other(self, command: m.Command) -> list[m.Command]:
        match command:
            case m.Size(node):
                return self._size(node)
            case m.Submit(node, indices, 0):
                self._enqueue(node, indices)
            case m.Submit(node, indices, attempt):
                due = time.monotonic() + node.task.options.delay_s(attempt)
                for i in indices:
                    heapq.heappush(self._later, (due, id(node), node, i))
        return []

    def _size(self, node: Node) -> list[m.Command]:
        try:
            count = self.resolver.size(node, self.machine.tracks)
        except MapError as error:
            self.ledger.books[node].errors[0] = error
            return self.machine.handle(m.Refused(node))
        except LostValue as lost:
            # The size is asked for again once the lost value is there.
            self.ledger.lose(lost.node, (lost.index,))
            return self.machine.handle(m.Lost(lost.node, (lost.index,), node, ()))
        return self.machine.handle(m.Sized(node, count))

    def _resolve(self, requests: list[tuple[Node, Sequence[int]]]) -> list[m.Command]:
        try:
            answers = self.resolver.resolve(requests)
        except LostValue as lost:
            return self._lost_while_resolving(lost, requests)
        commands: list[m.Command] = []
        for found in answers:
            if found.hits:
                commands += self.machine.handle(m.Reused(found.node, found.hits))
            if found.stale:
                self.stale.setdefault(found.node, {}).update(found.stale)
            for i, error in found.refused.items():
                self.ledger.books[found.node].errors[i] = error
                commands += self.machine.handle(m.Failed(found.node, i, retriable=False))
            self._enqueue(found.node, self._leading(found))
        return commands

    def _lost_while_resolving(self, lost: LostValue, requests: list[tuple[Node, Sequence[int]]]) -> list[m.Command]:
        if len(requests) > 1:
            return [command for request in requests for command in self._resolve([request])]
        self.ledger.lose(lost.node, (lost.index,))
        self._tell(f"{lost.node.name}: {lost}; it is computed again")
        node, indices = requests[0]
        return self.machine.handle(m.Lost(lost.node, (lost.index,), node, indices))

    def _leading(self, found: Found) -> list[int]:
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

    def _enqueue(self, node: Node, indices: Iterable[int], *, private: bool = False) -> None:
        queue = self._queues.get(node) or Queue()
        (queue.private if private else queue.indices).extend(indices)
        if len(queue):
            self._queues[node] = queue

    def _due_retries(self) -> None:
        now = time.monotonic()
        while self._later and self._later[0][0] <= now:
            _, _, node, i = heapq.heappop(self._later)
            self._enqueue(node, (i,))

    def _dispatch(self) -> None:
        """Hands out batches, the deepest node first, while there is room."""
        while self._queues:
            node = max(self._queues, key=lambda each: self.machine.tracks[each].depth)
            name = self._executor_for(node)
            executor = self._executors[name]
            busy = sum(1 for where, _ in self._in_flight.values() if where == name)
            if busy >= 2 * executor.slots or (name == "sync" and self._in_flight):
                return
            self._submit(node, name, executor)
            if name == "sync":
                return

    def _executor_for(self, node: Node) -> str:
        """The sync executor, on this thread, for what runs alone."""
        options = node.task.options
        name = options.executor or self._default
        alone = not self._in_flight and sum(len(queue) for queue in self._queues.values()) == 1
        return "sync" if alone or options.seed is not None else name

    def _submit(self, node: Node, name: str, executor: Executor) -> None:
        queue = self._queues[node]
        private = bool(queue.private)
        source = queue.private if private else queue.indices
        # On this thread nobody could take in what a batch has finished while its next element goes on.
        size = 1 if private or name == "sync" else self._batcher.size(node, len(source), executor.slots)
        indices = [source.popleft() for _ in range(min(size, len(source)))]
        if not len(queue):
            del self._queues[node]
        try:
            batch = self._batcher.make(node, indices, private=private)
        except LostArguments as lost:
            self._tell(f"{lost.node.name}: {lost}; it is computed again")
            self.ledger.lose(lost.node, lost.indices)
            self._do(self.machine.handle(m.Lost(lost.node, lost.indices, node, indices)))
            return
        except UnidentifiableError as error:
            self._refuse(node, indices, error)
            return
        self._guards.watch(batch)
        self._in_flight[batch] = (name, time.monotonic())
        self.machine.handle(m.Started(node, indices))
        executor.submit(batch)

    def _refuse(self, node: Node, indices: Sequence[int], error: Exception) -> None:
        for i in indices:
            self.ledger.books[node].errors[i] = error
            self._do(self.machine.handle(m.Failed(node, i, retriable=False)))

    def _arrived(self, batch: Batch) -> None:
        """Takes in a batch that has ended."""
        del self._in_flight[batch]
        self._take_in(batch)
        self._guards.release(batch)
        self._batcher.measure(batch.tag[0], batch)

    def _take_in(self, batch: Batch) -> None:
        """Takes in what a batch has finished so far; what cannot be trusted is queued again, to run alone."""
        node, indices = batch.tag
        outcomes = batch.take()
        if not outcomes:
            return
        again = self._guards.check(batch, outcomes, self._in_flight)
        if again:
            gone = [indices[outcome.position] for outcome in outcomes if outcome.position in again]
            self.machine.handle(m.Discarded(node, gone))
            self._enqueue(node, gone, private=True)
        self._record(batch, [outcome for outcome in outcomes if outcome.position not in again])

    def _record(self, batch: Batch, outcomes: Sequence[Outcome]) -> None:
        """Writes down what came back, and tells the machine."""
        node, indices = batch.tag
        good = [outcome for outcome in outcomes if outcome.error is None]
        self._note(node, indices, good)
        self.keeper.keep(batch, good)
        succeeded = [indices[outcome.position] for outcome in good]
        if succeeded:
            self._do(self.machine.handle(m.Succeeded(node, succeeded)))
        for outcome in outcomes:
            if outcome.error is not None:
                self._failed(node, indices[outcome.position], outcome)
        self._follow(node, [indices[outcome.position] for outcome in outcomes])

    def _note(self, node: Node, indices: Sequence[int], outcomes: Iterable[Outcome]) -> None:
        book = self.ledger.books[node]
        for outcome in outcomes:
            i = indices[outcome.position]
            book.values[i], book.out[i], book.seconds[i] = outcome.value, outcome.out, outcome.seconds
            book.errors.pop(i, None)
            if outcome.members is not None:
                book.members[i] = outcome.members

    def _failed(self, node: Node, index: int, outcome: Outcome) -> None:
        book = self.ledger.books[node]
        assert outcome.error is not None
        book.errors[index], book.seconds[index] = outcome.error, outcome.seconds
        retriable = isinstance(outcome.error, node.task.options.retry_on)
        self._do(self.machine.handle(m.Failed(node, index, retriable=retriable)))

    def _follow(self, node: Node, indices: Iterable[int]) -> None:
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
                other.out[j], other.rows[j], other.values[j] = book.out[i], book.rows[i], book.values[i]
                other.seconds[j] = book.seconds[i]
                if i in book.members:
                    other.members[j] = book.members[i]
                self._do(self.machine.handle(m.Reused(follower, [j])))

    def _stop(self) -> None:
        """Ends early: keeps what is finished, and lets what still runs be kept when it ends."""
        for name in self._busy_executors():
            mine = [batch for batch, (where, _) in self._in_flight.items() if where == name]
            self._executors[name].cancel(mine)
        for batch in list(self._in_flight):
            batch.late = self.keeper.keep_late
            node, indices = batch.tag
            outcomes = [outcome for outcome in batch.take() if outcome.error is None]
            if self._guards.clean(batch):
                self._note(node, indices, outcomes)
                self.keeper.keep(batch, outcomes)
                done = [indices[outcome.position] for outcome in outcomes]
                self.machine.handle(m.Succeeded(node, done))
        self.machine.handle(m.Stopped())


def session_id() -> str:
    """Tells this kernel's session from others': a fork is another one."""
    return f"{os.getpid()}-{_STARTED_NS}"


_STARTED_NS = time.time_ns()
