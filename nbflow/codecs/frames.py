"""Frames and tables as Arrow files, where these give back exactly what went in.

Which do is a rule and no trial: plain numbers and times, and columns that are Arrow's already. All others are
pickled, which keeps everything.
"""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

from nbflow.codecs.sealed import INLINE_BYTES, Buffer, Sealed

if TYPE_CHECKING:
    from collections.abc import Iterable

FRAME, TABLE = "arrow frame", "arrow table"
# Above this a frame is more a matrix, and its columns are looked at one by one.
MOST_COLUMNS = 1000
_SHELL = b"nbflow"


def seal(value: Any) -> Sealed | None:
    """A large frame or table as an Arrow file; None where it is small, or would not come back as it was."""
    try:
        import pyarrow as pa
    except ImportError:
        return None
    if type(value) is pa.Table:
        if value.nbytes <= INLINE_BYTES or not all(_is_simple(pa, kind) for kind in value.schema.types):
            return None
        return _written(pa, TABLE, value.schema, value.to_batches())
    return _frame(pa, value)


def unseal(codec: str, data: Buffer) -> Any:
    """The frame or table, in the memory of data."""
    import pyarrow as pa

    whole = pa.py_buffer(data)
    reader = pa.ipc.open_file(whole)
    if codec == TABLE:
        return reader.read_all()
    shell, index = pickle.loads(reader.schema.metadata[_SHELL])
    batch = reader.get_batch(0)
    columns = [_restored(data, whole, batch.column(i), shell.iloc[:, i].array) for i in range(batch.num_columns)]
    frame = type(shell)(dict(enumerate(columns)), index=index, copy=False)
    frame.columns = shell.columns
    frame.attrs = shell.attrs
    return frame


def _frame(pa: Any, frame: Any) -> Sealed | None:
    import pandas as pd

    if (
        type(frame) is not pd.DataFrame
        or type(frame.index) is not pd.RangeIndex
        or not 0 < len(frame.columns) <= MOST_COLUMNS
        or len(frame) * len(frame.columns) * 8 <= INLINE_BYTES
        or not frame.flags.allows_duplicate_labels
    ):
        return None
    columns: list[Any] = []
    for i in range(len(frame.columns)):
        column = _column(pa, frame.iloc[:, i].array)
        if column is None:
            return None
        columns.append(column)
    try:
        # Labels, dtypes and attributes travel as they are, on a frame without rows.
        shell = pickle.dumps((frame.iloc[:0], frame.index), protocol=5)
    # What a label's own __reduce__ raises is any exception; the general way tells of it.
    except Exception:  # noqa: BLE001 (as above)
        return None
    fields = [pa.field(str(name), each.type) for name, each in zip(frame.columns, columns, strict=True)]
    batch = pa.record_batch(columns, schema=pa.schema(fields, metadata={_SHELL: shell}))
    return _written(pa, FRAME, batch.schema, [batch])


def _column(pa: Any, array: Any) -> Any:
    """A column for Arrow, in the memory where it lies; None for one that is not plain."""
    kind = type(array).__name__
    if kind in {"ArrowStringArray", "ArrowExtensionArray"}:
        held = array._pa_array
        return held.chunk(0) if held.num_chunks == 1 and _arrow_restores(pa, held.type) else None
    data: Any = getattr(array, "_ndarray", None)
    if (
        kind not in {"NumpyExtensionArray", "DatetimeArray", "TimedeltaArray"}
        or getattr(array, "freqstr", None) is not None
        or getattr(array, "tz", None) is not None
        or not data.flags.c_contiguous
        or not data.dtype.isnative
        or data.dtype.metadata
    ):
        return None
    if data.dtype.kind == "b":
        return pa.array(data)
    if data.dtype.kind not in "iufmM" or data.dtype.itemsize > 8:
        return None
    return pa.Array.from_buffers(pa.from_numpy_dtype(data.dtype), len(data), [None, pa.py_buffer(data.view("u1"))])


def _restored(data: Buffer, whole: Any, column: Any, like: Any) -> Any:
    """A column as it was, in the memory of the file, so that it can be changed like any other."""
    import numpy as np
    import pyarrow as pa

    if type(like).__name__ == "ArrowStringArray":
        return type(like)(pa.chunked_array([column]), dtype=like.dtype)
    if type(like).__name__ == "ArrowExtensionArray":
        return type(like)(pa.chunked_array([column]))
    dtype = like._ndarray.dtype
    if dtype.kind == "b":
        return column.to_numpy(zero_copy_only=False)
    held = column.buffers()[1]
    return np.frombuffer(data, dtype=dtype, count=len(column), offset=held.address - whole.address)


def _arrow_restores(pa: Any, kind: Any) -> bool:
    import pandas as pd

    return int(pd.__version__.split(".")[0]) >= 3 and _is_simple(pa, kind)


def _is_simple(pa: Any, kind: Any) -> bool:
    """Whether an Arrow type holds no others, no dictionary, and nothing that somebody has to register."""
    types = pa.types
    return bool(
        types.is_primitive(kind)
        or types.is_decimal(kind)
        or types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_binary(kind)
        or types.is_large_binary(kind)
    )


def _written(pa: Any, codec: str, schema: Any, batches: Iterable[Any]) -> Sealed:
    parts = _Parts()
    with pa.PythonFile(parts, mode="w") as stream, pa.ipc.new_file(stream, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return Sealed(codec, tuple(parts.taken), sum(part.nbytes for part in parts.taken))


class _Parts:
    """A file that keeps what is written to it as it is handed over, without a copy."""

    closed = False

    def __init__(self) -> None:
        self.taken: list[memoryview] = []

    def write(self, data: Any) -> int:
        view = memoryview(data)
        self.taken.append(view)
        return view.nbytes

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing is open."""
