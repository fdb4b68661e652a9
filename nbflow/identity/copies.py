"""Copies that have the id of what they were made from, and can be changed without anybody noticing."""

from __future__ import annotations

import copy
from typing import Any

from nbflow.identity.immutable import is_immutable
from nbflow.identity.named import is_opaque
from nbflow.identity.reducers import has_foreign_reducers
from nbflow.loaded import loaded
from nbflow.model.tree import leaves


def private_copy(value: Any) -> Any:
    """A copy that can be changed in place without anybody noticing; the value itself where none can be made."""
    if is_immutable(value) or is_opaque(value):
        return value
    pandas = loaded("pandas")
    try:
        if pandas is not None and isinstance(value, (pandas.DataFrame, pandas.Series)):
            return _pandas_copy(value, pandas)
        return copy.deepcopy(value, _copied_exceptions(value) if has_foreign_reducers() else None)
    # Connections, locks and clients refuse in many ways; they are shared, as in any program.
    except Exception:  # noqa: BLE001 (the value's own __deepcopy__ or __reduce__ raised)
        return value


def _copied_exceptions(value: Any) -> dict[int, Any]:
    """Copies of the exceptions in a value, by address: made in their own way, which deepcopy does not take."""
    copied: dict[int, Any] = {}
    for error in leaves(value, BaseException):
        make, args, *states = error.__reduce_ex__(4)
        again = copied[id(error)] = make(*copy.deepcopy(args, copied))
        for state in states:
            again.__setstate__(copy.deepcopy(state, copied))
    return copied


def _pandas_copy(value: Any, pandas: Any) -> Any:
    """A copy of a frame or series and of the objects in its cells, which pandas' own copies share."""
    copies_on_write = int(pandas.__version__.split(".")[0]) >= 3
    copied = value.copy(deep=not copies_on_write)
    if isinstance(value, pandas.Series):
        cells = _copied_cells(value)
        if cells is not None:
            copied = value._constructor(cells, index=value.index, name=value.name, dtype=object).__finalize__(value)
        return copied
    for position in range(value.shape[1]):
        cells = _copied_cells(value.iloc[:, position])
        if cells is not None:
            copied.isetitem(position, pandas.Series(cells, index=value.index, dtype=object))
    return copied


def _copied_cells(column: Any) -> list[Any] | None:
    """Copies of the objects in a column; None where nothing in it can be changed in place."""
    if column.dtype != object or all(map(is_immutable, column.array)):
        return None
    return copy.deepcopy(list(column.array))
