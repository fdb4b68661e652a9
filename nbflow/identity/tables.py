"""Ids of Arrow and polars values: chunks, offsets into larger buffers and garbage under nulls make no difference."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

from xxhash import xxh3_128_digest

from nbflow.errors import UnidentifiableError
from nbflow.identity.arrays import array_id
from nbflow.identity.encoding import framed, list_id

if TYPE_CHECKING:
    from nbflow.identity.walk import Walk


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
    import polars as pl

    dtype = repr(series.dtype).encode()
    if series.dtype == pl.Categorical:
        # The numbers of its categories depend on what else this process has seen.
        series = series.cast(pl.String)
    # Arrow has no objects and no integers of 128 bits.
    foreign = series.dtype.is_nested() or series.dtype.is_object() or dtype.endswith(b"Int128")
    if foreign or importlib.util.find_spec("pyarrow") is None:
        content = list_id(walk.many(series.to_list(), path))
    else:
        content = column_id(walk, series.to_arrow(), path)
    return framed("polars series", series.name.encode("utf-8", "surrogatepass"), dtype, content)


def _arrow(walk: Walk, value: Any, path: str) -> bytes | None:
    import pyarrow as pa

    if isinstance(value, (pa.Table, pa.RecordBatch)):
        columns = [column_id(walk, value.column(i), f"{path}[{name!r}]") for i, name in enumerate(value.schema.names)]
        return framed("arrow table", type(value).__name__.encode(), walk.id(value.schema, path), list_id(columns))
    if isinstance(value, (pa.Array, pa.ChunkedArray)):
        kind = b"chunked" if isinstance(value, pa.ChunkedArray) else b"array"
        return framed("arrow array", kind, column_id(walk, value, path))
    if isinstance(value, pa.Schema):
        return framed(
            "arrow schema", value.to_string(show_schema_metadata=True).encode(), repr(value.metadata).encode()
        )
    if isinstance(value, pa.Field):
        return framed("arrow field", str(value).encode(), str(value.nullable).encode(), repr(value.metadata).encode())
    if isinstance(value, pa.DataType):
        return framed("arrow type", str(value).encode())
    if isinstance(value, pa.Scalar):
        return framed("arrow scalar", str(value.type).encode(), walk.id(value.as_py(), path))
    return None


def column_id(walk: Walk, value: Any, path: str) -> bytes:
    """The id of an Arrow column: chunks, offsets into larger buffers and garbage under nulls make no difference."""
    import pyarrow as pa

    joined = _joined(value)
    kind = str(value.type).encode()
    valid = array_id(walk, joined.is_valid().to_numpy(zero_copy_only=False), path)
    types = pa.types
    if isinstance(joined, pa.ExtensionArray):
        return framed("arrow extension", kind, column_id(walk, joined.storage, path))
    if types.is_dictionary(joined.type):
        parts = (column_id(walk, joined.dictionary, path), column_id(walk, joined.indices, path))
        return framed("arrow dictionary", kind, valid, *parts)
    if types.is_string(joined.type) or types.is_large_string(joined.type) or types.is_binary(joined.type):
        return framed("arrow text", kind, valid, *_text(walk, joined, path))
    if types.is_list(joined.type) or types.is_large_list(joined.type):
        return framed("arrow lists", kind, valid, *_lists(walk, joined, path))
    if types.is_struct(joined.type):
        return framed("arrow structs", kind, valid, list_id(column_id(walk, each, path) for each in joined.flatten()))
    numbers = _as_numbers(joined)
    if numbers is not None:
        return framed("arrow numbers", kind, valid, array_id(walk, numbers.to_numpy(zero_copy_only=False), path))
    return framed("arrow values", kind, valid, list_id(walk.many(joined.to_pylist(), path)))


def _joined(value: Any) -> Any:
    """One array of all chunks, with one dictionary where it has such."""
    import pyarrow as pa

    if not isinstance(value, pa.ChunkedArray):
        return value
    joined = value.unify_dictionaries().combine_chunks()
    if not isinstance(joined, pa.ChunkedArray):
        return joined
    return pa.concat_arrays(joined.chunks) if joined.num_chunks else pa.array([], type=value.type)


def _as_numbers(joined: Any) -> Any:
    """Numbers with zeros for nulls; times as the counts they are; None for what is neither."""
    import pyarrow as pa

    types, kind = pa.types, joined.type
    if types.is_date32(kind) or types.is_time32(kind):
        joined = joined.view(pa.int32())
    elif types.is_temporal(kind) and not types.is_interval(kind):
        joined = joined.view(pa.int64())
    elif types.is_boolean(kind):
        return joined.fill_null(False)
    elif not (types.is_integer(kind) or types.is_floating(kind)):
        return None
    if not joined.null_count:
        return joined
    return joined.fill_null(pa.scalar(0, joined.type) if not types.is_float16(kind) else pa.scalar(0.0, joined.type))


def _lists(walk: Walk, joined: Any, path: str) -> tuple[bytes, bytes]:
    from pyarrow import compute

    lengths = compute.list_value_length(joined).fill_null(0).to_numpy(zero_copy_only=False)
    return array_id(walk, lengths, path), column_id(walk, joined.flatten(), path)


def _text(walk: Walk, joined: Any, path: str) -> tuple[bytes, bytes]:
    import numpy as np
    import pyarrow as pa
    from pyarrow import compute

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
