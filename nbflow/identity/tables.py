"""Ids of Arrow and polars values: chunks, offsets into larger buffers and garbage under nulls make no difference."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

from xxhash import xxh3_128_digest

from nbflow.errors import UnidentifiableError
from nbflow.identity.arrays import array_id
from nbflow.identity.encoding import framed, list_id

if TYPE_CHECKING:
    from nbflow.identity.value import Walk


def encode(walk: Walk, value: Any, path: str) -> bytes | None:
    """The id of an Arrow or polars value; None for types that are left to the general way."""
    root = type(value).__module__.partition(".")[0]
    return _polars(walk, value, path) if root == "polars" else _arrow(walk, value, path)


def _polars(walk: Walk, value: Any, path: str) -> bytes | None:
    import polars as pl

    if isinstance(value, pl.DataFrame):
        columns = [_series(walk, column, f"{path}[{column.name!r}]") for column in value.get_columns()]
        return framed("polars frame", walk.resolve(type(value)), str(value.height).encode(), list_id(columns))
    if isinstance(value, pl.Series):
        return _series(walk, value, path)
    if isinstance(value, pl.LazyFrame):
        raise UnidentifiableError(path, "LazyFrame", "it reads its files later; collect it, or make it inside the task")
    return None


def _series(walk: Walk, series: Any, path: str) -> bytes:
    """Through Arrow where that is installed and can hold it, else item by item."""
    dtype = repr(series.dtype).encode()
    if series.dtype.is_nested() or series.dtype.is_object() or importlib.util.find_spec("pyarrow") is None:
        content = list_id(walk.many(series.to_list(), path))
    else:
        content = column_id(walk, series.to_arrow(), path)
    return framed("polars series", series.name.encode("utf-8", "surrogatepass"), dtype, content)


def _arrow(walk: Walk, value: Any, path: str) -> bytes | None:
    import pyarrow as pa

    if isinstance(value, (pa.Table, pa.RecordBatch)):
        columns = [column_id(walk, value.column(i), f"{path}[{name!r}]") for i, name in enumerate(value.schema.names)]
        return framed("arrow table", walk.id(value.schema, path), list_id(columns))
    if isinstance(value, (pa.Array, pa.ChunkedArray)):
        return framed("arrow array", column_id(walk, value, path))
    if isinstance(value, pa.Schema):
        return framed(
            "arrow schema", value.to_string(show_schema_metadata=True).encode(), repr(value.metadata).encode()
        )
    if isinstance(value, (pa.DataType, pa.Field)):
        return framed("arrow type", str(value).encode())
    if isinstance(value, pa.Scalar):
        return framed("arrow scalar", str(value.type).encode(), walk.id(value.as_py(), path))
    return None


def column_id(walk: Walk, value: Any, path: str) -> bytes:
    """The id of an Arrow column: chunks, offsets into larger buffers and garbage under nulls make no difference."""
    import pyarrow as pa
    from pyarrow import compute

    joined = value.combine_chunks() if isinstance(value, pa.ChunkedArray) else value
    kind = str(value.type).encode()
    if isinstance(joined, pa.ChunkedArray):
        joined = pa.concat_arrays(joined.chunks) if joined.num_chunks else pa.array([], type=value.type)
    valid = array_id(walk, joined.is_valid().to_numpy(zero_copy_only=False), path)
    if pa.types.is_string(joined.type) or pa.types.is_large_string(joined.type) or pa.types.is_binary(joined.type):
        return framed("arrow text", kind, valid, *_text(walk, joined, compute, path))
    if pa.types.is_integer(joined.type) or pa.types.is_floating(joined.type) or pa.types.is_boolean(joined.type):
        filled = joined.fill_null(False if pa.types.is_boolean(joined.type) else 0)
        return framed("arrow numbers", kind, valid, array_id(walk, filled.to_numpy(zero_copy_only=False), path))
    return framed("arrow values", kind, valid, list_id(walk.many(joined.to_pylist(), path)))


def _text(walk: Walk, joined: Any, compute: Any, path: str) -> tuple[bytes, bytes]:
    import numpy as np
    import pyarrow as pa

    large = joined.cast(pa.large_binary()).fill_null(b"")
    lengths = compute.binary_length(large).to_numpy(zero_copy_only=False)
    _, offsets, data = large.buffers()
    ends = (
        np.frombuffer(offsets, dtype=np.int64)[large.offset : large.offset + len(large) + 1]
        if offsets
        else np.zeros(1, int)
    )
    content = memoryview(data)[int(ends[0]) : int(ends[-1])] if data is not None and len(large) else b""
    return array_id(walk, np.ascontiguousarray(lengths), path), xxh3_128_digest(content)
