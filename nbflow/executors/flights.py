"""Batches that are carried out on a cluster, and their orders on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbflow.executors.errand import Errand
from nbflow.executors.order import MOST_DEATHS
from nbflow.lean import dataclass

if TYPE_CHECKING:
    import concurrent.futures
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from nbflow.executors.freight import Freight


@dataclass(slots=True, eq=False)
class Mission(Errand):
    """An errand on a cluster. flights: how many of its orders are on their way; openings: deaths of what was sent;
    opened: whether any worker could open that.
    """

    flights: int = 0
    openings: int = 0
    opened: bool = False

    def died(self, at: Sequence[int]) -> bool:
        """Workers died that had an order of it. at: the places that they were at, below 0 while they opened it.

        Gives whether an element, or all, may have been its death: that happens a few times at most.
        """
        self.opened = self.opened or any(place >= 0 for place in at)
        for place in at:
            if place >= 0:
                self.deaths[place] += 1
            elif not self.opened:
                self.openings += 1
        # Where others could open what all orders share, it died of what it had called before.
        return any(place >= 0 or not self.opened for place in at)

    def dead(self, places: Iterable[int]) -> list[int]:
        """Those of some places that too many workers have died of."""
        left = [place for place in places if place in self.left]
        if self.openings >= MOST_DEATHS and not self.opened:
            return left
        return [place for place in left if self.deaths[place] >= MOST_DEATHS]


@dataclass(slots=True, eq=False)
class Flight:
    """An order on its way. places: of its elements in their batch.

    losses: how often in succession it was sent anew while nothing came of the whole run; gained: what had come by then.
    """

    mission: Mission
    places: list[int]
    future: Any
    watched: bool
    losses: int
    gained: int
    stopped_at: float = 0.0
    report: concurrent.futures.Future[Freight] | None = None

    @property
    def key(self) -> str:
        key: str = self.future.key
        return key


class Clock:
    """How long flights have been at an element. grace_s: how much longer than its time each may take."""

    def __init__(self, grace_s: float) -> None:
        self._grace_s = grace_s
        self._since: dict[str, tuple[int, float]] = {}

    def overdue(self, flights: Mapping[str, Flight], at: Mapping[str, int], now: float) -> Iterator[tuple[Flight, int]]:
        """The flights whose call is beyond its time, with its place. at: the places, by key, as far as they are known.

        Told once of each.
        """
        self._since = {key: each for key, each in self._since.items() if key in flights}
        for key, flight in flights.items():
            timeout_s, place = flight.mission.batch.timeout_s, at.get(key, -1)
            if timeout_s is None or place < 0:
                continue
            before, since = self._since.get(key, (-1, now))
            if before != place:
                self._since[key] = place, now
            elif now > since + timeout_s + self._grace_s:
                self._since[key] = place, float("inf")
                yield flight, place


class Desertion:
    """Tells once that nobody is there to do anything: some clusters take long to start workers."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._since: float | None = None

    def begins(self, now: float, *, deserted: bool) -> bool:
        """Whether it has to be told now."""
        if not deserted:
            self._since = None
            return False
        self._since = now if self._since is None else self._since
        if now <= self._since + self._patience_s:
            return False
        self._since = float("inf")
        return True
