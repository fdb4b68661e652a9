"""How arguments spread over the elements of a mapped node."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, overload

from nbflow.errors import MapError, UnequalLengths
from nbflow.lean import dataclass
from nbflow.loaded import loaded


@dataclass(frozen=True, slots=True)
class Unmapped:
    """Marks an argument of `.map` that every element gets whole."""

    value: Any


def unmapped(value: Any) -> Unmapped:
    """The value, passed whole to every element of a map.

    >>> unmapped([1, 2])
    Unmapped(value=[1, 2])
    """
    return value if isinstance(value, Unmapped) else Unmapped(value)


@dataclass(frozen=True, slots=True)
class Items:
    """A source taken apart: one value an element, and their labels (None: 0, 1, 2 …).

    index: list for dicts, a pandas Index for Series and DataFrames.
    """

    values: Sequence[Any]
    index: Any = None

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, slots=True)
class Levels:
    """The labels of a product's elements: for each argument its name, and one label an element.

    numbered: the arguments whose sources have no labels, so that theirs are numbers.
    """

    names: tuple[str, ...]
    labels: tuple[Sequence[Any], ...]
    numbered: frozenset[str] = frozenset()


class Spread(Sequence[Any]):
    """Items at other positions: those of a product, where each occurs many times. base: each once."""

    def __init__(self, base: Sequence[Any], positions: Sequence[int]) -> None:
        self.base = base
        self.positions = positions

    def __len__(self) -> int:
        return len(self.positions)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self.base[at] for at in self.positions[index]]
        return self.base[self.positions[index]]


def items_of(source: Any, argument: str) -> Items:
    """A source's items, as `.map` takes them; MapError names the argument and its type.

    >>> items_of({"a": 1, "b": 2}, "x")
    Items(values=[1, 2], index=['a', 'b'])
    """
    if type(source) in {list, tuple, range}:
        return Items(source)
    if isinstance(source, Mapping):
        return Items(list(source.values()), list(source))
    if isinstance(source, (str, bytes, bytearray)):
        kind = type(source).__name__
        raise MapError(
            f"map: {argument!r} is a {kind}, which would be taken apart into characters; "
            f"pass list(...) if you mean that, or unmapped(...) to pass it whole"
        )
    if isinstance(source, (set, frozenset)):
        raise MapError(f"map: {argument!r} is a set, which has no order; pass sorted(...)")
    return _pandas_items(source) or _array_items(source, argument) or _iterated(source, argument)


def common_length(lengths: Mapping[str, int], *, strict: bool) -> int:
    """The number of elements of a zip; UnequalLengths tells two that differ.

    >>> common_length({"x": 3, "y": 3}, strict=True)
    3
    """
    shortest = min(lengths, key=lambda name: lengths[name])
    longest = max(lengths, key=lambda name: lengths[name])
    if strict and lengths[shortest] != lengths[longest]:
        raise UnequalLengths(
            f"map: {longest!r} has {lengths[longest]} elements, {shortest!r} has {lengths[shortest]}; "
            f"pass strict=False to stop at the shortest, or unmapped(...) to pass one whole to every element"
        )
    return lengths[shortest]


def _pandas_items(source: Any) -> Items | None:
    pandas = loaded("pandas")
    if pandas is None:
        return None
    if isinstance(source, pandas.DataFrame):
        return Items(source.to_dict("records"), source.index)
    if isinstance(source, (pandas.Series, pandas.Index)):
        index = source.index if isinstance(source, pandas.Series) else None
        return Items(source.tolist(), index)
    return None


def _array_items(source: Any, argument: str) -> Items | None:
    numpy = loaded("numpy")
    if numpy is None or not isinstance(source, numpy.ndarray):
        return None
    if source.ndim == 0:
        raise MapError(f"map: {argument!r} is an array with no axis; pass a list of values")
    return Items(list(source))


def _iterated(source: Any, argument: str) -> Items:
    if not isinstance(source, Iterable):
        numbers = f"range({source}) gives so many numbers, and " if type(source) is int else ""
        raise MapError(
            f"map: {argument!r} is {_a(type(source).__name__)}, which cannot be iterated over; "
            f"{numbers}unmapped(...) passes it whole to every element"
        )
    iterator: Iterator[Any] = iter(source)
    return Items(list(iterator))


def _a(noun: str) -> str:
    return f"an {noun}" if noun[:1].lower() in "aeiou" else f"a {noun}"
