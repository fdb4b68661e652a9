"""A batch that is carried out in other processes, some of which may die of it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from nbflow.executors.base import Outcome
from nbflow.lean import dataclass, field

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nbflow.executors.base import Batch


@dataclass(slots=True, eq=False)
class Errand:
    """What a batch still needs. left: the places that have no outcome so far; deaths: of workers, by place."""

    batch: Batch
    left: dict[int, None]
    deaths: Counter[int] = field(default_factory=Counter)

    def take(self, outcome: Outcome) -> None:
        """Takes in what came of an element; one that loops, or makes nodes, may have more to say."""
        if not outcome.step or outcome.nodes:
            self.left.pop(outcome.position, None)
        self.batch.outcomes.append(outcome)

    def fail(self, places: Iterable[int], error: Exception) -> None:
        """Fails elements, as far as they had not ended before their worker died of what came after them."""
        for place in places:
            if place in self.left:
                self.take(Outcome(place, error=error))


def left_of(batch: Batch) -> dict[int, None]:
    """All places of a batch, in order."""
    return dict.fromkeys(range(batch.count))
