"""Which elements of a mapped node are the same in two runs: by name, else by key, else by where they stand."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING

from nbflow.lean import dataclass

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence


@dataclass(frozen=True, slots=True)
class Pairs:
    """both: places before and after of elements that are in both; gone, come: places of the others."""

    both: list[tuple[int, int]]
    gone: list[int]
    come: list[int]


def pair_named(before: Sequence[Hashable], after: Sequence[Hashable]) -> Pairs:
    """Pairs what is called the same, the first of a name with the first.

    >>> pair_named(["a", "b", "c"], ["c", "a", "d"])
    Pairs(both=[(2, 0), (0, 1)], gone=[1], come=[2])
    """
    places: defaultdict[Hashable, deque[int]] = defaultdict(deque)
    for place, name in enumerate(before):
        places[name].append(place)
    both: list[tuple[int, int]] = []
    come: list[int] = []
    for place, name in enumerate(after):
        if places[name]:
            both.append((places[name].popleft(), place))
        else:
            come.append(place)
    return Pairs(both, sorted(place for left in places.values() for place in left), come)


def pair_unnamed(before: Sequence[bytes], after: Sequence[bytes]) -> Pairs:
    """Pairs elements with equal keys, and the others by where they stand among those.

    >>> pair_unnamed([b"1", b"2", b"3"], [b"1", b"3"])
    Pairs(both=[(0, 0), (2, 1)], gone=[1], come=[])
    >>> pair_unnamed([b"1", b"2"], [b"8", b"9"])
    Pairs(both=[(0, 0), (1, 1)], gone=[], come=[])
    """
    found = pair_named(before, after)
    more = list(zip(found.gone, found.come, strict=False))
    both = sorted([*found.both, *more], key=lambda pair: pair[1])
    return Pairs(both, found.gone[len(more) :], found.come[len(more) :])
