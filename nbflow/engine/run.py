"""The shell of a run: does what the machine commands, and tells it what came of it."""

from __future__ import annotations

import heapq
import os
import time
import warnings
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from nbflow.engine import events as m
from nbflow.engine.assemble import assemble
from nbflow.engine.batching import Batcher, LostArguments
from nbflow.engine.collector import Collector
from nbflow.engine.endings import Endings, RunCancelled
from nbflow.engine.hooks import Hooks
from nbflow.engine.intake import Intake
from nbflow.engine.lanes import Flights, Lanes
from nbflow.engine.ledger import LostValue
from nbflow.engine.mutation import Guards
from nbflow.engine.output import UNSHOWN
from nbflow.engine.places import SYNC, goes_on
from nbflow.engine.resources import ResourceFailed, Resources
from nbflow.engine.sizes import size_of
from nbflow.errors import GraphError, MapError, UnidentifiableError
from nbflow.probe.listening import apart

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nbflow.engine.keeping import Keeper
    from nbflow.engine.lanes import Choice
    from nbflow.engine.ledger import Ledger
    from nbflow.engine.machine import Machine
    from nbflow.engine.output import Output
    from nbflow.engine.places import Places, Where
    from nbflow.engine.resolve import Resolver
    from nbflow.executors.base import Batch, Executor
    from nbflow.executors.home import Home
    from nbflow.executors.inbox import Inbox
    from nbflow.model.node import Node

# How long the shell waits at most before it looks at interrupts and delayed retries again.
WAIT_S = 0.2
# How long a batch may keep what it has finished to itself.
EARLY_S = 0.5


class Shell:
    """Runs one machine to its end. executors: by name; "sync" is always there."""

    def __init__(
        self,
        machine: Machine,
        ledger: Ledger,
        resolver: Resolver,
        executors: dict[Where, Executor],
        keeper: Keeper,
        *,
        inbox: Inbox,
        home: Home,
        places: Places,
        tell: Callable[[str], None] = warnings.warn,
        output: Output = UNSHOWN,
    ) -> None:
        self.machine = machine
        self.ledger = ledger
        self.resolver = resolver
        self.keeper = keeper
        self.stale: dict[Node, dict[int, str]] = {}
        self._executors = executors
        self._inbox = inbox
        self._home = home
        self._tell = tell
        self._output = output
        self._later: list[tuple[float, int, Node, int]] = []
        self._flights = Flights()
        self._batcher = Batcher(ledger, resolver)
        self._lanes = Lanes(places, executors, home, self._batcher.is_cheap)
        self._guards = Guards(self._batcher, resolver, ledger, tell)
        self._intake = Intake(machine, ledger, resolver, keeper, tell=tell, output=output, do=self._do)
        self._hooks = Hooks(ledger, tell)
        self._collector = Collector()
        self._resources = Resources(machine, ledger, self._collector, home)
        resolver.set_up = self._resources.set_up
        self._endings = Endings(ledger, keeper, inbox, self._look_again, tell)

    def run(self) -> None:
        """Runs until nothing is left to do; what finished is kept also when it is interrupted."""
        self._collector.rest()
        with apart():
            try:
                self._do(self.machine.start())
                self._lanes.look_ahead(self.machine.tracks.values())
                self._go_on()
            except BaseException as error:
                self._stop(error if isinstance(error, Exception) else None)
                raise
            finally:
                self._collector.wake()
                self._resources.close(self._tell)
                self.keeper.flush()
        self._do(self.machine.handle(m.Stopped()))

    def _go_on(self) -> None:
        while self._step():
            if self._lanes.crowded:
                # This thread is needed for a task while others go on: the work moves to another one.
                self._collector.wake()
                self._home.leave(self._go_on, partial(self._inbox.put, RunCancelled()))
                return

    def _step(self) -> bool:
        """One turn: submit what there is room for, then take in what has ended. False at the end."""
        self._due_retries()
        self._resources.clean_up(self._tell)
        called = self._dispatch()
        if self._lanes.crowded or (called and self._inbox.empty()):
            return True
        if not (self._flights.looked or self._later or self._lanes or self._endings.waited_for):
            return False
        self._collector.wake()
        arrived = self._inbox.take(self._patience(called=called))
        self._collector.rest()
        for item in arrived:
            if callable(item):
                item()
            else:
                self._arrived(item)
        self._take_in_early()
        return True

    def _take_in_early(self) -> None:
        """What long batches have finished already is kept before they end: a kill costs only the last second."""
        now = time.monotonic()
        for batch, looked in list(self._flights.looked.items()):
            if now - looked > EARLY_S:
                self._take_in(batch)

    def _patience(self, *, called: bool) -> float:
        """Seconds to wait at most for something to end."""
        if called:
            return 0.0
        now = time.monotonic()
        due = self._later[0][0] - now if self._later else WAIT_S
        begins = self._lanes.wait_s(now)
        return max(0.0, min(WAIT_S, due, WAIT_S if begins is None else begins))

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
        self._intake.follow(node, [index])
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
            for event in found.events():
                commands += self.machine.handle(event)
            if found.stale:
                self.stale.setdefault(found.node, {}).update(found.stale)
            for i, error in found.refused.items():
                self.ledger.books[found.node].errors[i] = error
                commands += self.machine.handle(m.Failed(found.node, i, retriable=False))
            self._enqueue(found.node, self._endings.without_late(found.node, self._intake.leading(found)))
        return commands

    def _look_again(self, node: Node, index: int) -> None:
        """An element that an earlier run left behind has ended: its result may be in the store now."""
        self._do([m.Resolve(node, (index,))])
        self._intake.follow(node, (index,))

    def _lost_while_resolving(self, lost: LostValue, requests: list[tuple[Node, Sequence[int]]]) -> list[m.Command]:
        if len(requests) > 1:
            return [command for request in requests for command in self._resolve([request])]
        self.ledger.lose(lost.node, (lost.index,))
        self._tell(f"{lost.node.name}: {lost}; it is computed again")
        node, indices = requests[0]
        return self.machine.handle(m.Lost(lost.node, (lost.index,), node, indices))

    def _enqueue(self, node: Node, indices: Sequence[int], *, private: bool = False) -> None:
        self._lanes.add(node, self.machine.tracks[node].depth, indices, private=private)

    def _due_retries(self) -> None:
        now = time.monotonic()
        while self._later and self._later[0][0] <= now:
            _, _, node, i = heapq.heappop(self._later)
            self._enqueue(node, (i,))

    def _dispatch(self) -> bool:
        """Hands out batches, the deepest node first, while there is room; gives whether one was called right here."""
        while (choice := self._lanes.choose(self._flights)) is not None:
            self._submit(choice)
            if choice.where == SYNC:
                return True
        return False

    def _submit(self, choice: Choice) -> None:
        node, executor = choice.node, self._executors[choice.where]
        line = choice.lane.waiting.line(node)
        private = bool(line.private)
        size = 1 if private or choice.one else self._batcher.size(node, len(line.indices), executor.slots)
        indices = choice.lane.waiting.take(node, size)
        try:
            batch = self._batcher.make(node, indices, private=private)
        except LostArguments as lost:
            self._tell(f"{lost.node.name}: {lost}; it is computed again")
            self.ledger.lose(lost.node, lost.indices)
            self._do(self.machine.handle(m.Lost(lost.node, lost.indices, node, indices)))
            return
        except (UnidentifiableError, ResourceFailed, GraphError) as error:
            self._refuse(node, indices, error)
            return
        for former in self._guards.watch(batch):
            for other, index in self._intake.freed(former):
                self._enqueue(other, (index,))
        batch.exclusive, batch.alone = choice.lane.exclusive, choice.lane.alone
        self._flights.begin(batch, choice.where, time.monotonic())
        if choice.lane.pace is not None:
            choice.lane.pace.begin(batch.begun)
            batch.extra = choice.lane.pace.bounds_running
        if choice.where == SYNC:
            # Nobody else looks in while this thread is busy; a kill must not cost hours of a loop.
            batch.report = self._report
            batch.live = self._output.live(node, indices[0])
            self._collector.wake()
        self._do(self.machine.handle(m.Started(node, indices)))
        executor.submit(batch)
        self._collector.rest()
        if choice.where == SYNC:
            self._arrived(batch)

    def _refuse(self, node: Node, indices: Sequence[int], error: Exception) -> None:
        for i in indices:
            self.ledger.books[node].errors[i] = error
            self._do(self.machine.handle(m.Failed(node, i, retriable=False)))

    def _arrived(self, batch: Batch) -> None:
        """Takes in a batch that has ended."""
        self._flights.end(batch)
        if self._lanes.paced:
            self._lanes.end(batch)
        # It may have written files that others read.
        self.resolver.look_at_files_again()
        self._take_in(batch)
        self._guards.release(batch)
        self.ledger.note_workers(batch.tag[0], batch.workers)
        self._batcher.measure(batch.tag[0], batch)

    def _report(self, batch: Batch) -> None:
        """Takes in what a loop on this thread has done, now and then."""
        if time.monotonic() - self._flights.looked[batch] > EARLY_S:
            self._flights.looked[batch] = time.monotonic()
            self._take_in(batch)

    def _take_in(self, batch: Batch) -> None:
        """Takes in what a batch has finished so far; what cannot be trusted is queued again, to run alone."""
        node, indices = batch.tag
        outcomes = batch.take()
        if not outcomes:
            return
        again = self._guards.check(batch, outcomes, self._flights)
        if again:
            gone = list(dict.fromkeys(indices[o.position] for o in outcomes if o.position in again))
            for i in gone:
                self.ledger.books[node].resume.pop(i, None)
            self.machine.handle(m.Discarded(node, gone))
            self._enqueue(node, gone, private=True)
        self._intake.record(batch, [outcome for outcome in outcomes if outcome.position not in again])

    def _stop(self, error: Exception | None) -> None:
        """Ends early: keeps what is finished, and lets what still runs be kept when it ends. error: of the run."""
        for name, batches in self._flights.by_executor():
            self._executors[name].cancel(batches)
        for batch in self._flights:
            node, indices = batch.tag
            self._endings.leave(batch, self._lanes.pace(node), goes_on=goes_on(self._flights.where(batch)))
            finished = [outcome for outcome in batch.take() if outcome.error is None]
            if self._guards.clean(batch):
                self._intake.take_logs(batch, finished)
                self.keeper.keep(batch, finished)
                outcomes = [outcome for outcome in finished if not outcome.step and not outcome.nodes]
                self._intake.note(node, indices, outcomes)
                done = [indices[outcome.position] for outcome in outcomes]
                self.machine.handle(m.Succeeded(node, done))
        for command in self.machine.handle(m.Stopped(error)):
            self._other(command) if isinstance(command, m.Blame) else None


def session_id() -> str:
    """Tells this kernel's session from others': a fork is another one."""
    return f"{os.getpid()}-{_STARTED_NS}"


_STARTED_NS = time.time_ns()
