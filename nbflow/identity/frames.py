"""Ids of pandas values: by columns, dtypes, index and buffers; how the columns lie in blocks makes no difference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbflow.identity.arrays import array_id
from nbflow.identity.encoding import framed, list_id
from nbflow.identity.tables import column_id

if TYPE_CHECKING:
    from nbflow.identity.walk import Walk


def encode(walk: Walk, value: Any, path: str) -> bytes | None:
    """The id of a pandas value; None for types that are left to the general way."""
    import pandas as pd

    if isinstance(value, pd.DataFrame):
        columns = [_series(walk, value.iloc[:, i], f"{path}[{name!r}]") for i, name in enumerate(value.columns)]
        attrs = _attributes(walk, value, path)
        kind = walk.resolve(getattr(type(value), "__nbflow_class__", type(value)))
        return framed("frame", kind, walk.id(value.columns, path), walk.id(value.index, path), list_id(columns), attrs)
    if isinstance(value, pd.Series):
        parts = (_series(walk, value, path), walk.id(value.index, path), walk.id(value.name, path))
        return framed("series", walk.resolve(type(value)), *parts, _attributes(walk, value, path))
    if isinstance(value, pd.MultiIndex):
        levels = [walk.id(value.get_level_values(i), path) for i in range(value.nlevels)]
        return framed("multiindex", list_id(levels), walk.id(list(value.names), path))
    if isinstance(value, pd.RangeIndex):
        return framed(
            "rangeindex", walk.id(range(value.start, value.stop, value.step), path), walk.id(value.name, path)
        )
    if isinstance(value, pd.Index):
        frequency = str(getattr(value, "freqstr", None)).encode()
        return framed("index", _values(walk, value.array, path), walk.id(value.name, path), frequency)
    if isinstance(value, pd.api.extensions.ExtensionArray):
        return _values(walk, value, path)
    if value is pd.NaT or value is pd.NA:
        return framed("missing", repr(value).encode())
    if isinstance(value, (pd.Timestamp, pd.Timedelta, pd.Period, pd.Interval)):
        unit = str(getattr(value, "unit", "")).encode()
        return framed("pandas scalar", type(value).__name__.encode(), repr(value).encode(), unit)
    if isinstance(value, pd.api.extensions.ExtensionDtype):
        return framed("dtype", repr(value).encode())
    return None


def _attributes(walk: Walk, value: Any, path: str) -> bytes:
    """The id of what a frame or series carries besides its data."""
    attrs = walk.id(value.attrs, path)
    return attrs if value.flags.allows_duplicate_labels else framed("without duplicates", attrs)


def _series(walk: Walk, series: Any, path: str) -> bytes:
    return _values(walk, series.array, path)


def _values(walk: Walk, data: Any, path: str) -> bytes:
    """The id of the data of a column, whatever lies below it."""
    import pandas as pd

    dtype = repr(data.dtype).encode()
    if isinstance(data, pd.Categorical):
        return framed(
            "categorical", walk.id(data.categories, path), str(data.ordered).encode(), array_id(walk, data.codes, path)
        )
    arrow = getattr(data, "_pa_array", None)
    if arrow is not None:
        return framed("column", dtype, column_id(walk, arrow, path))
    mask = getattr(data, "_mask", None)
    if mask is not None:
        filled = data._data
        if mask.any():
            filled = filled.copy()
            filled[mask] = 0
        return framed("column", dtype, array_id(walk, filled, path), array_id(walk, mask, path))
    plain = getattr(data, "_ndarray", None)
    if plain is None:
        return framed("column", dtype, list_id(walk.many(list(data), path)))
    frequency = str(getattr(data, "freqstr", None)).encode() if data.dtype.kind in "mM" else b""
    return framed("column", dtype, array_id(walk, plain, path), frequency)
