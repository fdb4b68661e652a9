"""Ids of numpy values: by what they hold, hashed in place where it lies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbflow.errors import UnidentifiableError
from nbflow.identity.encoding import framed, list_id
from nbflow.identity.hashing import NOTED_BYTES, buffer_hash, note

if TYPE_CHECKING:
    from nbflow.identity.value import Walk


def encode(walk: Walk, value: Any, path: str) -> bytes | None:
    """The id of a numpy value; None for types that are left to the general way."""
    import numpy as np

    if isinstance(value, np.ma.MaskedArray):
        return framed("masked", walk.id(value.filled(0), path), walk.id(np.ma.getmaskarray(value), path))
    if type(value) is np.ndarray:
        return array_id(walk, value, path)
    if isinstance(value, np.generic):
        return framed("numpy scalar", _dtype(value.dtype), _canonical_bytes(np.asarray(value)))
    if isinstance(value, np.dtype):
        return framed("dtype", _dtype(value))
    if isinstance(value, np.random.Generator):
        return framed("random", walk.id(value.bit_generator.state, path))
    if isinstance(value, np.ufunc):
        if value.__name__.endswith(" (vectorized)"):
            # np.frompyfunc gives no way to the function inside.
            raise UnidentifiableError(path, "ufunc", "np.frompyfunc hides its function; np.vectorize does not")
        return framed("ufunc", value.__name__.encode(), walk.resolve(np))
    return None


def array_id(walk: Walk, value: Any, path: str) -> bytes:
    """The id of an array: dtype, shape and content; how it lies in memory makes no difference."""
    shape = repr(value.shape).encode()
    if value.dtype.hasobject:
        members = walk.many(value.ravel().tolist(), path)
        return framed("objects", _dtype(value.dtype), shape, list_id(members))
    return framed("ndarray", _dtype(value.dtype), shape, _canonical_bytes(value))


def _canonical_bytes(value: Any) -> bytes:
    """16 bytes for an array's content: in C order, in place where it lies so already."""
    import numpy as np

    if value.dtype.names:
        # Field by field: what lies between them was never written, and is different each time.
        return framed("fields", *(_canonical_bytes(value[name]) for name in value.dtype.names))
    data = value if value.flags.c_contiguous else np.ascontiguousarray(value)
    if value.dtype.kind in "fc":
        data = _one_nan(data)
    hashed = buffer_hash(data.reshape(-1).view(np.uint8).data if data.size else b"")
    if data is value and data.nbytes >= NOTED_BYTES:
        note((data.ctypes.data, data.nbytes), hashed)
    return hashed


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
