"""How many elements a mapped node has, and where the items of its arguments come from."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

from nbflow.errors import UnequalLengths
from nbflow.model.mapping import Items, Levels, Spread, common_length, items_of
from nbflow.model.node import Argument, Node
from nbflow.model.state import SUCCESSFUL

if TYPE_CHECKING:
    from nbflow.engine.ledger import Book, Ledger
    from nbflow.engine.track import Track


def size_of(node: Node, ledger: Ledger, tracks: Mapping[Node, Track]) -> int:
    """The number of elements of a mapped node; takes its sources apart. Raises MapError, LostValue."""
    book = ledger.books[node]
    lengths: dict[str, int] = {}
    for argument in node.arguments:
        if not argument.mapped:
            continue
        if isinstance(argument.value, Node) and argument.value.mapped and not node.product:
            if tracks[argument.value].verdict is None:
                lengths[argument.name] = tracks[argument.value].count or 0
            continue
        items = _taken_apart(argument, ledger) if argument.items is None else argument.items
        book.items[argument.name] = items
        lengths[argument.name] = len(items)
    if node.product:
        count = _combined(book)
    else:
        _check_branch(node, lengths, tracks)
        count = common_length(lengths, strict=node.strict)
    book.size(count)
    return count


class LoadedLater(Sequence[Any]):
    """The members of a stored list, loaded when the first of them is wanted."""

    def __init__(self, ledger: Ledger, node: Node, length: int) -> None:
        self._ledger, self._node, self._length = ledger, node, length

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        return self._ledger.value(self._node)[index]


class Elements(Sequence[Any]):
    """The elements of a mapped node that were not skipped, loaded when they are wanted. source: that node."""

    def __init__(self, ledger: Ledger, source: Node, present: Sequence[int]) -> None:
        self._ledger, self.source, self.present = ledger, source, present

    def __len__(self) -> int:
        return len(self.present)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        assert isinstance(index, int)
        return self._ledger.value(self.source, self.present[index])


def _taken_apart(argument: Argument, ledger: Ledger) -> Items:
    if argument.value.mapped:
        present = [i for i in ledger.present(argument.value) if ledger.state(argument.value, i) in SUCCESSFUL]
        return Items(Elements(ledger, argument.value, present), present)
    members = ledger.members(argument.value)
    if members is not None:
        return Items(LoadedLater(ledger, argument.value, len(members)))
    return items_of(ledger.value(argument.value), argument.name)


def _combined(book: Book) -> int:
    """The number of combinations of a product's items; its items become one for each combination."""
    items = book.items
    positions = list(itertools.product(*(range(len(each)) for each in items.values())))
    labels = []
    numbered = frozenset(name for name, each in items.items() if each.index is None)
    for place, (name, each) in enumerate(items.items()):
        taken = [position[place] for position in positions]
        items[name] = Items(Spread(each.values, taken), None)
        index = range(len(each)) if each.index is None else each.index
        labels.append([index[at] for at in taken])
    first = next(iter(items))
    items[first] = Items(items[first].values, Levels(tuple(items), tuple(labels), numbered))
    return len(positions)


def _check_branch(node: Node, lengths: Mapping[str, int], tracks: Mapping[Node, Track]) -> None:
    """In a branch that is decided for each element, only maps over the same elements may stand."""
    gate = node.gate
    if gate is None or not gate.mapped or tracks[gate].verdict is not None:
        return
    count = tracks[gate].count or 0
    for name, length in lengths.items():
        if length != count:
            raise UnequalLengths(
                f"{node.name}: {name!r} has {length} elements, and the branch it stands in is decided for the "
                f"{count} of {gate.source.name!r}; inside it, map over the same elements"
            )
