"""Lanes: where the elements of each node are called, which come next, and which have to wait."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from nbflow.engine.places import HOME, NOTEBOOK, SYNC, THREADS, Place, Places, is_away
from nbflow.engine.waiting import Waiting
from nbflow.lean import dataclass, field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from nbflow.engine.pace import Pace
    from nbflow.engine.places import Where
    from nbflow.engine.track import Track
    from nbflow.executors.base import Batch, Executor
    from nbflow.executors.home import Home
    from nbflow.model.node import Node
    from nbflow.model.task import Task


class Flights:
    """The batches that executors work on, and where."""

    def __init__(self) -> None:
        # When somebody last looked what each has finished.
        self.looked: dict[Batch, float] = {}
        self.count: dict[Where, int] = defaultdict(int)
        # How many are under way that nothing may run beside.
        self.exclusive = 0
        self._where: dict[Batch, Where] = {}

    def __len__(self) -> int:
        return len(self._where)

    def __iter__(self) -> Iterator[Batch]:
        return iter(self._where)

    def begin(self, batch: Batch, where: Where, now: float) -> None:
        self._where[batch], self.looked[batch] = where, now
        self.count[where] += 1
        self.exclusive += batch.exclusive

    def end(self, batch: Batch) -> None:
        self.count[self._where.pop(batch)] -= 1
        del self.looked[batch]
        self.exclusive -= batch.exclusive

    def where(self, batch: Batch) -> Where:
        return self._where[batch]

    def by_executor(self) -> Iterator[tuple[Where, list[Batch]]]:
        for name in [name for name, count in self.count.items() if count]:
            yield name, [batch for batch, where in self._where.items() if where == name]


@dataclass(slots=True, eq=False)
class Lane:
    """Elements that are called at the same place, and share their bounds if they have any."""

    where: Where
    pace: Pace | None = None
    exclusive: bool = False
    alone: bool = False
    waiting: Waiting = field(default_factory=Waiting)


class Choice(NamedTuple):
    """What is called next: a node's elements, and where. one: a single one of them."""

    node: Node
    lane: Lane
    where: Where
    one: bool = False


class Lanes:
    """The elements of one run that wait to be called.

    is_cheap: whether calling a node's elements takes less than handing them to another thread.
    """

    def __init__(
        self,
        places: Places,
        executors: Mapping[Where, Executor],
        home: Home,
        is_cheap: Callable[[Task], bool],
    ) -> None:
        # Whether the thread that asked for the run is needed for one task while others go on elsewhere.
        self.crowded = False
        self._places = places
        self._executors = executors
        self._home = home
        self._is_cheap = is_cheap
        self._lanes: dict[Place, Lane] = {}
        self.paced: list[Lane] = []
        self._lane_of: dict[Node, Lane] = {}

    def __bool__(self) -> bool:
        """Whether any wait."""
        return any(lane.waiting for lane in self._lanes.values())

    def add(self, node: Node, depth: int, indices: Sequence[int], *, private: bool = False) -> None:
        """Puts elements in line. private: they must run alone, on copies of their arguments."""
        if not indices:
            # What a node gets is looked at only when it is called: a resource may not even be set up.
            return
        lane = self._lane_of.get(node)
        if lane is None:
            place = self._places.of(node)
            lane = self._lanes.get(place)
            if lane is None:
                lane = self._lanes[place] = Lane(*place)
                self.paced += [lane] if lane.pace is not None else []
            self._lane_of[node] = lane
        lane.waiting.add(node, depth, indices, private=private)

    def look_ahead(self, tracks: Iterable[Track]) -> None:
        """Where anything is to be called: raises ClusterError if something that comes later surely could not be."""
        if self:
            self._places.check_ahead(tracks)

    def choose(self, flights: Flights) -> Choice | None:
        """The deepest node that may be called now; None where all have to wait."""
        self.crowded = False
        if flights.exclusive:
            return None
        waiting = [lane for lane in self._lanes.values() if lane.waiting]
        if len(waiting) > 1:
            waiting.sort(key=lambda lane: lane.waiting.depth(), reverse=True)
        for lane in waiting:
            if lane.pace is not None and lane.pace.wait_s(time.monotonic()) != 0.0:
                continue
            choice = self._choice(lane, flights, alone=len(waiting) == 1 and not flights.looked)
            if choice is not None:
                return choice
            if lane.exclusive or self.crowded:
                # Its turn comes when the others have ended, or the shell has moved.
                return None
        return None

    def end(self, batch: Batch) -> None:
        """A batch has ended: others of its task may begin."""
        pace = self._lane_of[batch.tag[0]].pace
        if pace is not None:
            pace.end()

    def pace(self, node: Node) -> Pace | None:
        return self._lane_of[node].pace

    def wait_s(self, now: float) -> float | None:
        """Seconds until an element may begin that only waits for its time; None where there is none."""
        waits = [lane.pace.wait_s(now) for lane in self.paced if lane.pace is not None and lane.waiting]
        return min((wait for wait in waits if wait is not None), default=None)

    def _choice(self, lane: Lane, flights: Flights, *, alone: bool) -> Choice | None:
        node = lane.waiting.deepest()
        if lane.exclusive:
            return None if flights.looked else Choice(node, lane, self._at_home(), one=True)
        if lane.where == HOME:
            return self._at_service(node, lane, flights, alone=alone)
        if lane.where == THREADS:
            return self._threads(node, lane, flights, alone=alone)
        if is_away(lane.where):
            room = flights.count[lane.where] < 2 * self._executors[lane.where].slots
            return Choice(node, lane, lane.where, one=lane.pace is not None and lane.pace.one_by_one) if room else None
        if lane.where == NOTEBOOK and not self._home.away:
            # Its loop runs where the shell is now.
            self.crowded = True
            return None
        # A task that says itself how many run at once is not counted with the others.
        own = lane.pace is not None and lane.pace.bounds_running
        room = own or flights.count[lane.where] < self._executors[lane.where].slots
        return Choice(node, lane, lane.where, one=True) if room else None

    def _at_service(self, node: Node, lane: Lane, flights: Flights, *, alone: bool) -> Choice | None:
        if self._home.away:
            return Choice(node, lane, HOME) if not flights.count[HOME] else None
        if alone:
            return Choice(node, lane, SYNC, one=True)
        self.crowded = True
        return None

    def _threads(self, node: Node, lane: Lane, flights: Flights, *, alone: bool) -> Choice | None:
        if self._called_here(node) and all(self._called_here(batch.tag[0]) for batch in flights):
            # Never beside others that might end meanwhile, and would not be kept.
            return None if flights.looked else Choice(node, lane, SYNC, one=True)
        if alone and len(lane.waiting) == 1 and self._home.attended:
            return Choice(node, lane, self._at_home(), one=True)
        slots = self._executors[THREADS].slots
        if lane.pace is None:
            room = flights.count[THREADS] < 2 * slots
        else:
            # A task that says itself how many run at once is not counted with the others.
            room = lane.pace.bounds_running or flights.count[THREADS] < slots
        return Choice(node, lane, THREADS, one=lane.pace is not None and lane.pace.one_by_one) if room else None

    def _at_home(self) -> str:
        """Where somebody waits, the thread that asked for the run; else one that can be left alone."""
        if not self._home.attended:
            return THREADS
        return HOME if self._home.away else SYNC

    def _called_here(self, node: Node) -> bool:
        """Whether handing a node to another thread would cost more than to call it on this one."""
        lane = self._lane_of[node]
        if lane.where != THREADS or lane.pace is not None or node.task.options.timeout_s is not None:
            return False
        return not node.mapped and self._is_cheap(node.task)
