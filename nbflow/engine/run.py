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
from nbflow.engine.assemble import assemble
from nbflow.engine.batching import Batcher, LostArguments
from nbflow.engine.hooks import Hooks
from nbflow.engine.ledger import LostValue, Resume
from nbflow.engine.mutation import Guards
from nbflow.engine.resources import ResourceFailed, Resources
from nbflow.engine.sizes import size_of
from nbflow.errors import GraphError, MapError, RunawayLoop, UnidentifiableError
from nbflow.model.state import State
from nbflow.signals import FAIL, PAUSE, RETRY, SKIP

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from nbflow.engine.keeping import Keeper
    from nbflow.engine.ledger import Ledger
    from nbflow.engine.machine import Machine
    from nbflow.engine.resolve import Found, Resolver
    from nbflow.executors.base import Batch, Executor, Outcome
    from nbflow.model.node import Node

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
        approved: Collection[Node] = (),
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
        self._approved = approved
        self._told: set[str] = set()
        self._failed_at: dict[tuple[Node, int], int] = {}
        self._hooks = Hooks(ledger, tell)
        self._resources = Resources(machine, ledger)
        resolver.set_up = self._resources.set_up

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
            self._resources.close(self._tell)
            self.keeper.flush()
        self._do(self.machine.handle(m.Stopped()))

    def _step(self) -> bool:
        """One turn: submit what there is room for, then take in what has ended. False at the end."""
        self._due_retries()
        self._resources.clean_up(self._tell)
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
            case m.Submit(node, indices, attempt, delay_s):
                wait_s = node.task.options.delay_s(attempt) if delay_s is None else delay_s
                for i in indices:
                    heapq.heappush(self._later, (time.monotonic() + wait_s, id(node), node, i))
            case m.Assemble(node, index):
                return self._assemble(node, index)
            case m.Blame(node, indices, error):
                self.ledger.books[node].errors.update(dict.fromkeys(indices, error))
            case m.Changed():
                self._hooks.call(command)
        return []

    def _assemble(self, node: Node, index: int) -> list[m.Command]:
        try:
            event = assemble(self.resolver, node, index)
        except LostValue as lost:
            self.ledger.books[node].errors[index] = lost
            return self.machine.handle(m.Failed(node, index, retriable=False))
        if event is None:
            return self._resolve([(node, (index,))])
        commands = self.machine.handle(event)
        self._follow(node, [index])
        return commands

    def _size(self, node: Node) -> list[m.Command]:
        try:
            count = size_of(node, self.ledger, self.machine.tracks)
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
            if found.skipped:
                commands += self.machine.handle(m.Skipped(found.node, found.skipped))
            for event in found.expanded:
                commands += self.machine.handle(event)
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
        except (UnidentifiableError, ResourceFailed) as error:
            self._refuse(node, indices, error)
            return
        self._guards.watch(batch)
        self._in_flight[batch] = (name, time.monotonic())
        self._do(self.machine.handle(m.Started(node, indices)))
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
            gone = list(dict.fromkeys(indices[o.position] for o in outcomes if o.position in again))
            for i in gone:
                self.ledger.books[node].resume.pop(i, None)
            self.machine.handle(m.Discarded(node, gone))
            self._enqueue(node, gone, private=True)
        self._record(batch, [outcome for outcome in outcomes if outcome.position not in again])

    def _record(self, batch: Batch, outcomes: Sequence[Outcome]) -> None:
        """Writes down what came back, and tells the machine."""
        node, indices = batch.tag
        self.keeper.keep(batch, [outcome for outcome in outcomes if _keepable(outcome)])
        ended = [outcome for outcome in outcomes if not outcome.step or outcome.nodes]
        good = [outcome for outcome in ended if outcome.error is None and not outcome.nodes]
        self._note(node, indices, good)
        succeeded = [indices[outcome.position] for outcome in good]
        if succeeded:
            self._do(self.machine.handle(m.Succeeded(node, succeeded)))
        for outcome in ended:
            if outcome.note:
                self._once(outcome.note)
            if outcome.error is not None:
                self._failed(node, indices[outcome.position], outcome)
            elif outcome.nodes:
                self._expand(node, indices[outcome.position], outcome)
        self._follow(node, [indices[outcome.position] for outcome in ended])

    def _note(self, node: Node, indices: Sequence[int], outcomes: Iterable[Outcome]) -> None:
        book = self.ledger.books[node]
        for outcome in outcomes:
            i = indices[outcome.position]
            book.values[i], book.out[i], book.seconds[i] = outcome.value, outcome.out, outcome.seconds
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

    def _failed(self, node: Node, index: int, outcome: Outcome) -> None:
        book, error = self.ledger.books[node], outcome.error
        assert error is not None
        book.seconds[index] = outcome.seconds
        if isinstance(error, SKIP):
            book.notes[index] = error.message
            self._do(self.machine.handle(m.Skipped(node, (index,))))
        elif isinstance(error, PAUSE):
            self._paused(node, index, error)
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

    def _paused(self, node: Node, index: int, pause: PAUSE) -> None:
        if node not in self._approved:
            self.ledger.books[node].notes[index] = pause.message
            self._do(self.machine.handle(m.Paused(node, index)))
            return
        book = self.ledger.books[node]
        book.values[index], book.out[index] = pause.result, self.resolver.identify_output(pause.result)[0]
        self._do(self.machine.handle(m.Succeeded(node, (index,))))

    def _once(self, message: str) -> None:
        if message not in self._told:
            self._told.add(message)
            self._tell(message)

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
                if State(states[i]) in {State.SKIPPED, State.PAUSED}:
                    event = m.Skipped(follower, (j,)) if states[i] == State.SKIPPED else m.Paused(follower, j)
                    self._do(self.machine.handle(event))
                    continue
                other.out[j], other.rows[j], other.values[j] = book.out[i], book.rows[i], book.values[i]
                other.seconds[j] = book.seconds[i]
                if i in book.expressions:
                    other.expressions[j] = book.expressions[i]
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
            finished = [outcome for outcome in batch.take() if outcome.error is None]
            if self._guards.clean(batch):
                self.keeper.keep(batch, finished)
                outcomes = [outcome for outcome in finished if not outcome.step and not outcome.nodes]
                self._note(node, indices, outcomes)
                done = [indices[outcome.position] for outcome in outcomes]
                self.machine.handle(m.Succeeded(node, done))
        self.machine.handle(m.Stopped())


def _keepable(outcome: Outcome) -> bool:
    return outcome.error is None or isinstance(outcome.error, SKIP)


def session_id() -> str:
    """Tells this kernel's session from others': a fork is another one."""
    return f"{os.getpid()}-{_STARTED_NS}"


_STARTED_NS = time.time_ns()
