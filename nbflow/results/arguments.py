"""The mapped arguments of elements, as columns: those of the root sources first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbflow.engine.ledger import MISSING
from nbflow.model.node import Argument, Node
from nbflow.probe.secrets import DOTS, is_secret_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbflow.engine.ledger import Ledger

# Values above this size are large ones; where a node has more bytes of them than that, they are not loaded.
LARGE_BYTES = 100_000
LOADED_BYTES = 200_000_000
# Lists and dicts above this length are told by it.
_MOST_ITEMS = 10


def argument_columns(node: Node, ledger: Ledger, indices: Sequence[int]) -> dict[str, Sequence[Any]]:
    """The mapped arguments of a node's elements, by name: those that its sources were mapped over, then its own."""
    columns: dict[str, Sequence[Any]] = {}
    _add_columns(node, ledger, indices, columns)
    return columns


def _add_columns(node: Node, ledger: Ledger, indices: Sequence[int], columns: dict[str, Sequence[Any]]) -> None:
    mapped = [argument for argument in node.arguments if argument.mapped]
    for argument in mapped:
        source = _source(node, argument)
        if source is not None:
            _add_columns(source, ledger, indices, columns)
    parts = unpacked(node, ledger, indices)
    if parts is not None:
        columns.update({name: _shown(name, values) for name, values in parts.items() if name not in columns})
        return
    for argument in mapped:
        if argument.name not in columns:
            columns[argument.name] = _column(node, argument, ledger, indices)


def unpacked(node: Node, ledger: Ledger, indices: Sequence[int]) -> dict[str, list[Any]] | None:
    """The variables that a cell's head unpacks its items to, each with its values; None where it is otherwise."""
    names = node.task.unpacks
    mapped = [argument for argument in node.arguments if argument.mapped]
    if not names or len(mapped) != 1:
        return None
    source = _source(node, mapped[0])
    given = ledger.books[node].items.get(mapped[0].name)
    if source is not None:
        items: Sequence[Any] = values_of(source, ledger, indices)
    else:
        items = [] if given is None else [given.values[i] for i in indices]
    if len(items) != len(indices) or not all(isinstance(item, tuple) and len(item) == len(names) for item in items):
        return None
    return {name: [item[at] for item in items] for at, name in enumerate(names)}


def _shown(name: str, values: Sequence[Any]) -> list[Any]:
    return [DOTS if is_secret_name(name) else summary(value) for value in values]


def _source(node: Node, argument: Argument) -> Node | None:
    """The mapped node whose elements an argument takes one by one."""
    value = argument.value
    return value if isinstance(value, Node) and value.mapped and not node.product else None


def _column(node: Node, argument: Argument, ledger: Ledger, indices: Sequence[int]) -> Sequence[Any]:
    if is_secret_name(argument.name):
        return [DOTS] * len(indices)
    source = _source(node, argument)
    if source is not None:
        return [summary(value) for value in values_of(source, ledger, indices)]
    items = ledger.books[node].items.get(argument.name)
    return [None] * len(indices) if items is None else [summary(items.values[i]) for i in indices]


def values_of(node: Node, ledger: Ledger, indices: Sequence[int]) -> list[Any]:
    """The values of a node's elements; None where there is none.

    Where they are so large that loading them to be shown would cost more than it tells, large ones are a text.
    """
    book = ledger.books[node]
    if len(book.values) <= max(indices, default=-1):
        # It never had elements.
        return [None] * len(indices)
    sizes = [0 if (row := book.rows[i]) is None else row.size_bytes for i in indices]
    large = set[int]()
    if sum(sizes) > LOADED_BYTES:
        large = {i for i, size_bytes in zip(indices, sizes, strict=True) if size_bytes > LARGE_BYTES}
    ledger.load(node, [i for i in indices if i not in large])
    return [
        _not_loaded(book.values[i], size_bytes) if i in large else _or_none(book.values[i])
        for i, size_bytes in zip(indices, sizes, strict=True)
    ]


def _or_none(value: Any) -> Any:
    return None if value is MISSING else value


def _not_loaded(value: Any, size_bytes: int) -> str:
    short = None if value is MISSING else summary(value)
    return short if isinstance(short, str) else f"<{size_bytes / 1e6:.1f} MB>"


def summary(value: Any) -> Any:
    """A value as it can stand in a table's cell: large ones by type and shape.

    >>> summary(3), summary([1, 2]), summary(list(range(20)))
    (3, [1, 2], 'list of 20')
    """
    kind = type(value)
    if kind in _SMALL:
        return value
    if isinstance(value, (list, tuple, dict, set, frozenset)):
        return value if len(value) <= _MOST_ITEMS else f"{kind.__name__} of {len(value)}"
    if kind.__module__.partition(".")[0] in _SHAPED:
        shape = getattr(value, "shape", None)
        if isinstance(shape, tuple) and shape:
            return f"{kind.__name__} {' × '.join(map(str, shape))}"
    return value


_SMALL = frozenset({int, float, str, bool, type(None)})
# Objects of other packages may do anything when they are asked for their shape.
_SHAPED = frozenset({"numpy", "pandas", "polars", "scipy", "pyarrow", "torch", "xarray"})
