"""Lanes: where the elements of each node are called, which come next, and which have to wait."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nbflow.engine.ledger import LostValue
from nbflow.engine.pace import pace_of
from nbflow.engine.waiting import Waiting
from nbflow.identity.bound import MAKERS, bound_value
from nbflow.model.node import Node
from nbflow.model.resource import Resource
from nbflow.store.live import LIVE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from nbflow.engine.ledger import Ledger
    from nbflow.engine.pace import Pace
    from nbflow.engine.resolve import Resolver
    from nbflow.executors.base import Batch, Executor
    from nbflow.executors.home import Home
    from nbflow.model.task import Task

# Where a batch is called. SYNC: on the shell's own thread. HOME: on the thread that asked for the run, which is the
# same one as long as the shell has not moved. OWN, NOTEBOOK: event loops.
SYNC, THREADS, HOME, OWN, NOTEBOOK = "sync", "threads", "home", "loop", "notebook"


class Flights:
    """The batches that executors work on: where, and since when somebody looked what they have finished."""

    def __init__(self) -> None:
        self.looked: dict[Batch, float] = {}
        self.count: Counter[str] = Counter()
        self._where: dict[Batch, str] = {}
        self._exclusive = 0

    def __len__(self) -> int:
        return len(self._where)

    def __iter__(self) -> Iterator[Batch]:
        return iter(self._where)

    def __contains__(self, batch: Batch) -> bool:
        return batch in self._where

    @property
    def exclusive(self) -> bool:
        """Whether one is under way that nothing may run beside."""
        return self._exclusive > 0

    def begin(self, batch: Batch, where: str, now: float) -> None:
        self._where[batch], self.looked[batch] = where, now
        self.count[where] += 1
        self._exclusive += batch.exclusive

    def end(self, batch: Batch) -> None:
        self.count[self._where.pop(batch)] -= 1
        del self.looked[batch]
        self._exclusive -= batch.exclusive

    def where(self, batch: Batch) -> str:
        return self._where[batch]

    def by_executor(self) -> Iterator[tuple[str, list[Batch]]]:
        for name in [name for name, count in self.count.items() if count]:
            yield name, [batch for batch, where in self._where.items() if where == name]


@dataclass(slots=True, eq=False)
class Lane:
    """Elements that are called at the same place, and share their bounds if they have any."""

    where: str
    pace: Pace | None = None
    exclusive: bool = False
    waiting: Waiting = field(default_factory=Waiting)


@dataclass(frozen=True, slots=True)
class Choice:
    """What is called next: a node's elements, and where. one: a single one of them."""

    node: Node
    lane: Lane
    where: str
    one: bool = False


class Lanes:
    """The elements of one run that wait to be called. len() counts them. default: the flow's executor.

    is_cheap: whether calling a node's elements takes less than handing them to another thread.
    """

    def __init__(
        self,
        ledger: Ledger,
        resolver: Resolver,
        executors: Mapping[str, Executor],
        home: Home,
        *,
        default: str,
        loop: str,
        is_cheap: Callable[[Task], bool],
    ) -> None:
        self.home = home
        # Whether the thread that asked for the run is needed for one task while others go on elsewhere.
        self.crowded = False
        self._ledger = ledger
        self._resolver = resolver
        self._executors = executors
        self._default = default
        self._loop = loop
        self._is_cheap = is_cheap
        self._lanes: dict[tuple[str, Pace | None, bool], Lane] = {}
        self._lane_of: dict[Node, Lane] = {}
        self._bound: dict[int, str | None] = {}

    def __len__(self) -> int:
        return sum(len(lane.waiting) for lane in self._lanes.values())

    def add(self, node: Node, depth: int, indices: Sequence[int], *, private: bool = False) -> None:
        """Puts elements in line. private: they must run alone, on copies of their arguments."""
        if not indices:
            # What a node gets is looked at only when it is called: a resource may not even be set up.
            return
        lane = self._lane_of.get(node)
        if lane is None:
            lane = self._lane_of[node] = self._lane(node)
        lane.waiting.add(node, depth, indices, private=private)

    def choose(self, flights: Flights, now: float) -> Choice | None:
        """The deepest node that may be called now; None where all have to wait."""
        self.crowded = False
        if flights.exclusive:
            return None
        waiting = [lane for lane in self._lanes.values() if len(lane.waiting)]
        if len(waiting) > 1:
            waiting.sort(key=lambda lane: lane.waiting.depth(), reverse=True)
        for lane in waiting:
            if lane.pace is not None and lane.pace.wait_s(now) != 0.0:
                continue
            choice = self._choice(lane, flights, alone=not flights and len(waiting) == 1)
            if choice is not None:
                return choice
            if lane.exclusive or self.crowded:
                # Its turn comes when the others have ended, or the shell has moved.
                return None
        return None

    def end(self, batch: Batch) -> None:
        """A batch has ended: others of its task may begin."""
        pace = self.pace(batch.tag[0])
        if pace is not None:
            pace.end()

    def pace(self, node: Node) -> Pace | None:
        return self._lane_of[node].pace

    def wait_s(self, now: float) -> float | None:
        """Seconds until an element may begin that only waits for its time; None where there is none."""
        waits = [lane.pace.wait_s(now) for lane in self._lanes.values() if lane.pace is not None and len(lane.waiting)]
        return min((wait for wait in waits if wait is not None), default=None)

    def _choice(self, lane: Lane, flights: Flights, *, alone: bool) -> Choice | None:
        node = lane.waiting.deepest()
        if lane.exclusive:
            return None if flights else Choice(node, lane, self._at_home(), one=True)
        if lane.where == HOME:
            return self._home(node, lane, flights, alone=alone)
        if lane.where == THREADS:
            return self._threads(node, lane, flights, alone=alone)
        # A task that says itself how many run at once is not counted with the others.
        own = lane.pace is not None and lane.pace.bounds_running
        room = own or flights.count[lane.where] < self._executors[lane.where].slots
        return Choice(node, lane, lane.where, one=True) if room else None

    def _home(self, node: Node, lane: Lane, flights: Flights, *, alone: bool) -> Choice | None:
        if self.home.away:
            return Choice(node, lane, HOME) if not flights.count[HOME] else None
        if alone:
            return Choice(node, lane, SYNC, one=True)
        self.crowded = True
        return None

    def _threads(self, node: Node, lane: Lane, flights: Flights, *, alone: bool) -> Choice | None:
        if self._called_here(node) and all(self._called_here(batch.tag[0]) for batch in flights):
            # Never beside others that might end meanwhile, and would not be kept.
            return None if flights else Choice(node, lane, SYNC, one=True)
        if alone and len(lane.waiting) == 1 and self.home.attended:
            return Choice(node, lane, self._at_home(), one=True)
        slots = self._executors[THREADS].slots
        one_by_one = lane.pace is not None
        room = flights.count[THREADS] < (slots if one_by_one else 2 * slots)
        return Choice(node, lane, THREADS, one=lane.pace is not None and lane.pace.one_by_one) if room else None

    def _at_home(self) -> str:
        return HOME if self.home.away and self.home.attended else SYNC

    def _called_here(self, node: Node) -> bool:
        """Whether handing a node to another thread would cost more than to call it on this one."""
        lane = self._lane_of[node]
        if lane.where != THREADS or lane.pace is not None or node.task.options.timeout_s is not None:
            return False
        return not node.mapped and self._is_cheap(node.task)

    def _lane(self, node: Node) -> Lane:
        task = node.task
        exclusive = task.options.seed is not None or (task.options.executor or self._default) == SYNC
        key = (self._where(node), pace_of(task), exclusive)
        if key not in self._lanes:
            self._lanes[key] = Lane(*key)
        return self._lanes[key]

    def _where(self, node: Node) -> str:
        task = node.task
        if task.is_async and task.options.seed is None:
            loop = task.options.loop or self._loop
            return NOTEBOOK if loop == "notebook" and self.home.has_loop else OWN
        return HOME if self._is_bound(node) or self._gets_bound(node) else THREADS

    def _is_bound(self, node: Node) -> bool:
        """Whether a task's code reaches what only the main thread may use."""
        bound = self._reaches_bound(node.task.fn)
        # A connection that is the result of a node is for others; one that an element makes is mostly for itself.
        return bound is not None and not (node.mapped and bound in MAKERS)

    def _reaches_bound(self, fn: Callable[..., Any]) -> str | None:
        if id(fn) not in self._bound:
            self._bound[id(fn)] = self._resolver.codes.bound(fn)
        return self._bound[id(fn)]

    def _gets_bound(self, node: Node) -> bool:
        """Whether a task is given what only the thread may use that made it."""
        # A resource is set up when it is wanted for a call, and not for being looked at.
        makers = (up.kind.make for up in node.data if isinstance(up, Resource))
        return any(map(self._reaches_bound, makers)) or any(map(bound_value, self._given(node)))

    def _given(self, node: Node) -> Iterator[Any]:
        """What is there already of a node's arguments; handles are never in the store alone."""
        books = self._ledger.books
        for argument in node.arguments:
            source = argument.value
            if isinstance(source, Node):
                yield self._result(source)
            elif not argument.mapped:
                yield source
            elif argument.name in books[node].items:
                values = books[node].items[argument.name].values
                yield values[0] if isinstance(values, (list, tuple)) and values else None

    def _result(self, node: Node) -> Any:
        """The first value of a node, where it is there without being loaded or made."""
        book = self._ledger.books[node]
        if not book.values:
            return None
        row = book.rows[0]
        if row is not None and row.codec == LIVE:
            with suppress(LostValue):
                return self._ledger.value(node)
        return book.values[0]
