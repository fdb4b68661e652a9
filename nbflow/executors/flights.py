"""Batches that are carried out on a cluster, and their orders on the way."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from nbflow.executors.base import Outcome
from nbflow.lean import dataclass, field

if TYPE_CHECKING:
    import concurrent.futures
    from collections.abc import Iterable

    from nbflow.executors.afar import Freight
    from nbflow.executors.base import Batch


@dataclass(slots=True, eq=False)
class Errand:
    """A batch that is carried out on the cluster. left: the places that have no outcome so far."""

    batch: Batch
    left: dict[int, None]
    flights: int = 0
    openings: int = 0
    losses: int = 0
    deaths: Counter[int] = field(default_factory=Counter)

    def fail(self, places: Iterable[int], error: Exception) -> None:
        for place in places:
            if place in self.left:
                del self.left[place]
                self.batch.outcomes.append(Outcome(place, error=error))


@dataclass(slots=True, eq=False)
class Flight:
    """An order on its way. places: of its elements in their batch; at: the one that it is at, and since when."""

    errand: Errand
    places: list[int]
    future: Any
    watched: bool
    stopped_at: float = 0.0
    at: int = -1
    at_since: float = 0.0
    report: concurrent.futures.Future[Freight] | None = None

    @property
    def key(self) -> str:
        key: str = self.future.key
        return key
