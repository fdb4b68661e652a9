"""Ids of numpy, pandas and pyarrow values: by what they hold, hashed in place where it lies."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from xxhash import xxh3_128_digest

from nbflow.identity.encoding import framed, list_id

if TYPE_CHECKING:
    from nbflow.identity.value import Walk


def encode(walk: Walk, value: Any, path: str) -> bytes | None:
    """The id of a value of one of these libraries; None for types that are left to the general way."""
    root = type(value).__module__.partition(".")[0]
    if root == "numpy":
        return _numpy(walk, value, path)
    if root == "pandas":
        return _pandas(walk, value, path)
    return _arrow(walk, value, path)


def _numpy(walk: Walk, value: Any, path: str) -> bytes | None:
    import numpy as np

    if isinstance(value, np.ma.MaskedArray):
        return framed("masked", walk.id(value.filled(0), path), walk.id(np.ma.getmaskarray(value), path))
    if type(value) is np.ndarray:
        return _ndarray(walk, value, path)
    if isinstance(value, np.generic):
        return framed("numpy scalar", _dtype(value.dtype), _canonical_bytes(np.asarray(value)))
    if isinstance(value, np.dtype):
        return framed("dtype", _dtype(value))
    if isinstance(value, np.random.Generator):
        return framed("random", walk.id(value.bit_generator.state, path))
    if isinstance(value, np.ufunc):
        return framed("ufunc", value.__name__.encode(), walk.resolve(np))
    return None


def _ndarray(walk: Walk, value: Any, path: str) -> bytes:
    shape = repr(value.shape).encode()
    if value.dtype.hasobject:
        members = walk.many(value.ravel().tolist(), path)
        return framed("objects", _dtype(value.dtype), shape, list_id(members))
    return framed("ndarray", _dtype(value.dtype), shape, _canonical_bytes(value))


def _canonical_bytes(value: Any) -> bytes:
    """16 bytes for an array's content: in C order, in place where it lies so already."""
    import numpy as np

    data = value if value.flags.c_contiguous else np.ascontiguousarray(value)
    if value.dtype.kind in "fc":
        data = _one_nan(data)
    return xxh3_128_digest(data.reshape(-1).view(np.uint8).data if data.size else b"")


def _one_nan(data: Any) -> Any:
    """The array with every NaN the usual one: they have many bit patterns, and none means anything."""
    import numpy as np

    wrong = np.isnan(data)
    if not wrong.any():
        return data
    usual = data.copy()
    usual[wrong] = np.nan
    return usual


def _dtype(dtype: Any) -> bytes:
    return repr(dtype.descr if dtype.names else dtype.str).encode() + repr(dtype.metadata or "").encode()


def _pandas(walk: Walk, value: Any, path: str) -> bytes | None:
    import pandas as pd

    if isinstance(value, pd.DataFrame):
        columns = [walk_series(walk, value.iloc[:, i], f"{path}[{name!r}]") for i, name in enumerate(value.columns)]
        attrs = walk.id(value.attrs, path)
        kind = walk.resolve(type(value))
        return framed("frame", kind, walk.id(value.columns, path), walk.id(value.index, path), list_id(columns), attrs)
    if isinstance(value, pd.Series):
        parts = (walk_series(walk, value, path), walk.id(value.index, path), walk.id(value.name, path))
        return framed("series", walk.resolve(type(value)), *parts, walk.id(value.attrs, path))
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


def walk_series(walk: Walk, series: Any, path: str) -> bytes:
    return _values(walk, series.array, path)


def _values(walk: Walk, data: Any, path: str) -> bytes:
    """The id of the data of a column, whatever lies below it."""
    import pandas as pd

    dtype = repr(data.dtype).encode()
    if isinstance(data, pd.Categorical):
        return framed(
            "categorical", walk.id(data.categories, path), str(data.ordered).encode(), _ndarray(walk, data.codes, path)
        )
    arrow = getattr(data, "_pa_array", None)
    if arrow is not None:
        return framed("column", dtype, _chunks(walk, arrow, path))
    mask = getattr(data, "_mask", None)
    if mask is not None:
        filled = data._data.copy()
        filled[mask] = 0
        return framed("column", dtype, _ndarray(walk, filled, path), _ndarray(walk, mask, path))
    plain = getattr(data, "_ndarray", None)
    if plain is None:
        return framed("column", dtype, list_id(walk.many(list(data), path)))
    frequency = str(getattr(data, "freqstr", None)).encode() if data.dtype.kind in "mM" else b""
    return framed("column", dtype, _ndarray(walk, plain, path), frequency)


def _arrow(walk: Walk, value: Any, path: str) -> bytes | None:
    pa = sys.modules["pyarrow"]
    if isinstance(value, (pa.Table, pa.RecordBatch)):
        columns = [_chunks(walk, value.column(i), f"{path}[{name!r}]") for i, name in enumerate(value.schema.names)]
        return framed("arrow table", walk.id(value.schema, path), list_id(columns))
    if isinstance(value, (pa.Array, pa.ChunkedArray)):
        return framed("arrow array", _chunks(walk, value, path))
    if isinstance(value, pa.Schema):
        return framed(
            "arrow schema", value.to_string(show_schema_metadata=True).encode(), repr(value.metadata).encode()
        )
    if isinstance(value, (pa.DataType, pa.Field)):
        return framed("arrow type", str(value).encode())
    if isinstance(value, pa.Scalar):
        return framed("arrow scalar", str(value.type).encode(), walk.id(value.as_py(), path))
    return None


def _chunks(walk: Walk, value: Any, path: str) -> bytes:
    """The id of an Arrow column: chunks, offsets into larger buffers and garbage under nulls make no difference."""
    pa = sys.modules["pyarrow"]
    from pyarrow import compute

    joined = value.combine_chunks() if isinstance(value, pa.ChunkedArray) else value
    kind = str(value.type).encode()
    if isinstance(joined, pa.ChunkedArray):
        joined = pa.concat_arrays(joined.chunks) if joined.num_chunks else pa.array([], type=value.type)
    valid = _ndarray(walk, joined.is_valid().to_numpy(zero_copy_only=False), path)
    if pa.types.is_string(joined.type) or pa.types.is_large_string(joined.type) or pa.types.is_binary(joined.type):
        return framed("arrow text", kind, valid, *_text(walk, joined, compute, path))
    if pa.types.is_integer(joined.type) or pa.types.is_floating(joined.type) or pa.types.is_boolean(joined.type):
        filled = joined.fill_null(False if pa.types.is_boolean(joined.type) else 0)
        return framed("arrow numbers", kind, valid, _ndarray(walk, filled.to_numpy(zero_copy_only=False), path))
    return framed("arrow values", kind, valid, list_id(walk.many(joined.to_pylist(), path)))


def _text(walk: Walk, joined: Any, compute: Any, path: str) -> tuple[bytes, bytes]:
    pa = sys.modules["pyarrow"]
    large = joined.cast(pa.large_binary()).fill_null(b"")
    lengths = compute.binary_length(large).to_numpy(zero_copy_only=False)
    _, offsets, data = large.buffers()
    import numpy as np

    ends = (
        np.frombuffer(offsets, dtype=np.int64)[large.offset : large.offset + len(large) + 1]
        if offsets
        else np.zeros(1, int)
    )
    content = memoryview(data)[int(ends[0]) : int(ends[-1])] if data is not None and len(large) else b""
    return _ndarray(walk, np.ascontiguousarray(lengths), path), xxh3_128_digest(content)
