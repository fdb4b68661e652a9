"""Ids of numpy values: by what they hold, hashed in place where it lies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xxhash import xxh3_128, xxh3_128_digest

from nbflow.errors import UnidentifiableError
from nbflow.identity.encoding import framed, list_id
from nbflow.identity.hashing import NOTED_BYTES, buffer_hash, note
from nbflow.identity.reduced import state_id

if TYPE_CHECKING:
    from nbflow.identity.walk import Walk

# So many bytes are still in the cache of one core when they are looked at a second time.
_PART_BYTES = 1 << 18
_DOUBLE_BYTES = 8


def encode(walk: Walk, value: Any, path: str) -> bytes | None:
    """The id of a numpy value; None for types that are left to the general way."""
    import numpy as np

    if value is np.ma.masked:
        return framed("masked constant")
    if isinstance(value, np.ma.MaskedArray):
        # What lies below the mask counts, too: `.data` shows it.
        parts = (value.data, np.ma.getmaskarray(value), value.fill_value, (type(value).__name__, bool(value.hardmask)))
        return framed("masked", *(walk.id(part, path) for part in parts))
    if type(value) is np.ndarray or type(value) is np.memmap:
        return array_id(walk, value, path)
    if isinstance(value, np.ndarray):
        own = state_id(walk, getattr(value, "__dict__", None), path)
        return framed("array of a kind", walk.resolve(type(value)), array_id(walk, value.view(np.ndarray), path), own)
    if isinstance(value, np.generic):
        return framed("numpy scalar", array_id(walk, np.asarray(value), path))
    if isinstance(value, np.dtype):
        return framed("dtype", _dtype(value))
    if isinstance(value, np.random.Generator):
        seeds = value.bit_generator.seed_seq
        # What `spawn` gives depends on how often it was asked before.
        kept = [getattr(seeds, name, None) for name in ("entropy", "spawn_key", "pool_size", "n_children_spawned")]
        return framed("random", walk.id(value.bit_generator.state, path), walk.id(kept, path))
    if isinstance(value, np.ufunc):
        if value.__name__.endswith(" (vectorized)"):
            # np.frompyfunc gives no way to the function inside.
            raise UnidentifiableError(path, "ufunc", "np.frompyfunc hides its function; np.vectorize does not")
        return framed("ufunc", value.__name__.encode(), walk.resolve(np))
    return None


def array_id(walk: Walk, value: Any, path: str) -> bytes:
    """The id of an array: dtype, shape and content; how it lies in memory makes no difference."""
    shape = repr(value.shape).encode()
    # Strings of any length lie elsewhere, as objects do.
    if value.dtype.hasobject or value.dtype.kind == "T":
        members = walk.many(value.ravel().tolist(), path)
        return framed("objects", _dtype(value.dtype), shape, list_id(members))
    return framed("ndarray", _dtype(value.dtype), shape, _content(value))


def _content(value: Any) -> bytes:
    """16 bytes for an array's content: in C order, in place where it lies so already."""
    import numpy as np

    if value.dtype.names:
        # Field by field: what lies between them is left over from whatever was there before.
        return list_id(_content(value[name]) for name in value.dtype.names)
    data = value if value.flags.c_contiguous else np.ascontiguousarray(value)
    if not data.size:
        return buffer_hash(b"")
    numbers = data.reshape(-1)
    if numbers.dtype.kind == "c":
        numbers = numbers.view(numbers.real.dtype)
    if numbers.dtype.kind == "f":
        hashed, plain = _floats(numbers)
    else:
        hashed, plain = buffer_hash(numbers.view(np.uint8).data), True
    if plain and data is value and data.nbytes >= NOTED_BYTES:
        note((data.ctypes.data, data.nbytes), hashed)
    return hashed


def _floats(data: Any) -> tuple[bytes, bool]:
    """What a plain hash of the buffer gives, with every NaN the usual one: their other bit patterns mean nothing.

    Also whether it is the plain hash, since there was none.
    """
    import numpy as np

    if data.itemsize > _DOUBLE_BYTES:
        usual = _one_nan(data).view(np.uint8).reshape(-1, data.itemsize)
        # An 80-bit number takes 16 bytes, and six of them hold what was there before.
        used = 10 if np.finfo(data.dtype).nmant == 63 else data.itemsize
        return xxh3_128_digest(np.ascontiguousarray(usual[:, :used]).data), False
    step = _PART_BYTES // data.itemsize
    hasher = xxh3_128()
    for start in range(0, len(data), step):
        part = data[start : start + step]
        hasher.update(part.view(np.uint8))
        # The first NaN is the largest number, and no other way to find one is as fast.
        largest = part[part.argmax()]
        if largest != largest:  # noqa: PLR0124 (the test for NaN)
            return _with_nan(data, step), False
    return hasher.digest(), True


def _with_nan(data: Any, step: int) -> bytes:
    import numpy as np

    hasher = xxh3_128()
    for start in range(0, len(data), step):
        hasher.update(_one_nan(data[start : start + step]).view(np.uint8))
    return hasher.digest()


def _one_nan(data: Any) -> Any:
    import numpy as np

    wrong = np.isnan(data)
    if not wrong.any():
        return data
    usual = data.copy()
    usual[wrong] = np.nan
    return usual


def _dtype(dtype: Any) -> bytes:
    # The short name of a plain dtype leaves nothing out; fields, sub-arrays and other libraries' dtypes have none.
    text = repr(dtype) if dtype.kind in "VT" or dtype.subdtype else dtype.str
    return text.encode() + repr(dtype.metadata or "").encode()
