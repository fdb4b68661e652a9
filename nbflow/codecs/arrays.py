"""Arrays as `.npy` bytes: anybody can open them with `np.load`."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from nbflow.codecs.sealed import INLINE_BYTES, Buffer, Sealed
from nbflow.identity.hashing import buffer_hash

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nbflow.identity.hashing import Place

NPY = "npy"


def seal(value: Any, hashes: Mapping[Place, bytes]) -> Sealed | None:
    """A large array with its header in front; None for one that is small, or that `.npy` would not give back as it was.

    An array that lies in memory with gaps is copied; any other is used where it lies.
    """
    import numpy as np

    if type(value) is not np.ndarray or value.nbytes <= INLINE_BYTES or not _round_trips(value.dtype):
        return None
    fortran = value.flags.f_contiguous and not value.flags.c_contiguous
    plain = value.T if fortran else np.ascontiguousarray(value)
    header = _header(value.shape, value.dtype, fortran=fortran)
    # The same bytes as a plain line: memoryviews of some dtypes cannot be written or cast.
    data = plain.reshape(-1).view(np.uint8)
    known = hashes.get((data.ctypes.data, data.nbytes)) if plain is value else None
    content = known if known is not None else buffer_hash(data.data)
    return Sealed(f"{NPY} {len(header)}", (header, data.data), len(header) + data.nbytes, content)


def unseal(codec: str, data: Buffer) -> Any:
    """The array, in the memory of data."""
    import numpy as np

    stream = io.BytesIO(memoryview(data)[: int(codec.partition(" ")[2])])
    version = np.lib.format.read_magic(stream)
    # What numpy calls private here is the one reader that knows all versions of the header.
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stream, max_header_size=len(stream.getvalue()))
    array = np.frombuffer(data, dtype=dtype, offset=stream.tell())
    return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)


def _header(shape: tuple[int, ...], dtype: Any, *, fortran: bool) -> bytes:
    import numpy as np

    stream = io.BytesIO()
    fields = {"shape": shape, "fortran_order": fortran, "descr": np.lib.format.dtype_to_descr(dtype)}
    try:
        np.lib.format.write_array_header_1_0(stream, fields)
    except ValueError:
        # Records of hundreds of fields have a long header.
        stream = io.BytesIO()
        np.lib.format.write_array_header_2_0(stream, fields)
    return stream.getvalue()


def _round_trips(dtype: Any) -> bool:
    """Whether the header tells the whole dtype: no objects, no metadata, none that another library made."""
    import numpy as np

    if dtype.hasobject or dtype.metadata or (dtype.names is None and dtype.kind not in "biufcmMSU"):
        return False
    if dtype.names is None:
        return True
    if any(not _round_trips(dtype[name].base) for name in dtype.names):
        return False
    back = np.lib.format.descr_to_dtype(np.lib.format.dtype_to_descr(dtype))
    return bool(back == dtype and back.isalignedstruct == dtype.isalignedstruct and repr(back) == repr(dtype))
