"""Any value as a pickle whose large buffers lie apart."""

from __future__ import annotations

import io
import pickle
import struct
from typing import TYPE_CHECKING, Any

from nbflow.codecs.sealed import INLINE_BYTES, Buffer, Sealed
from nbflow.errors import NotStorable
from nbflow.identity.reducers import has_foreign_reducers, set_reducers
from nbflow.loaded import loaded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PICKLE = "pickle5"
# Buffers start at multiples of this, so that arrays mapped from a file are aligned for any processor.
ALIGNMENT = 64


def seal(value: Any) -> Sealed:
    """A value as bytes: pickle protocol 5, large buffers apart. Raises NotStorable."""
    return _framed(*parts_of(value))


def parts_of(value: Any) -> tuple[bytes, list[memoryview[int]]]:
    """The pickle of a value and its buffers, which are the value's own, not copies. Raises NotStorable."""
    buffers: list[pickle.PickleBuffer] = []
    try:
        body = named(value, buffers)
    # What a value's own __reduce__ raises is any exception; cloudpickle gets a second try.
    except Exception:  # noqa: BLE001 (the second try tells)
        buffers.clear()
        body = _by_content(value, buffers)
    return body, [buffer.raw() for buffer in buffers]


# What nobody pickles in another way.
_PLAIN = frozenset({int, float, str, bytes, bool, type(None), complex})
_ONE_PART = struct.pack("<Q", 1)


def unseal(data: Buffer) -> Any:
    """The value in sealed bytes; arrays use the memory of data, without a copy. Only for verified bytes."""
    view = memoryview(data)
    if view[:8] == _ONE_PART:
        # What most values are: a pickle behind a header of one line.
        return pickle.loads(view[ALIGNMENT:])
    lengths = _lengths(view)
    at = _padded(_header_bytes(len(lengths)))
    parts: list[memoryview[int]] = []
    for length in lengths:
        parts.append(view[at : at + length])
        at = _padded(at + length)
    return pickle.loads(parts[0], buffers=parts[1:])


class _ArrayPickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        return array_reduced(value)


def named(value: Any, buffers: list[pickle.PickleBuffer]) -> bytes:
    """The pickle of a value that tells classes and functions by their names alone. Raises whatever it meets."""
    if type(value) in _PLAIN:
        return pickle.dumps(value, protocol=5)
    with_arrays = _own_array_classes()
    if not with_arrays and not has_foreign_reducers():
        return pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    stream = io.BytesIO()
    pickler = (_ArrayPickler if with_arrays else pickle.Pickler)(stream, protocol=5, buffer_callback=buffers.append)
    set_reducers(pickler)
    pickler.dump(value)
    return stream.getvalue()


def _own_array_classes() -> bool:
    """Whether somebody made a kind of array of their own, of which NumPy would pickle only the numbers."""
    numpy = loaded("numpy")
    return numpy is not None and any(not cls.__module__.startswith("numpy") for cls in numpy.ndarray.__subclasses__())


def array_reduced(value: Any) -> Any:
    """How an array with attributes of its own is pickled; NotImplemented for anything else."""
    numpy = loaded("numpy")
    if numpy is None or not isinstance(value, numpy.ndarray) or not getattr(value, "__dict__", None):
        return NotImplemented
    if type(value).__reduce__ is not numpy.ndarray.__reduce__:
        return NotImplemented
    function, arguments, state = value.__reduce__()
    return _array_with, (function, arguments, state, vars(value))


def _array_with(
    function: Callable[..., Any], arguments: tuple[Any, ...], state: Any, attributes: dict[str, Any]
) -> Any:
    array = function(*arguments)
    array.__setstate__(state)
    vars(array).update(attributes)
    return array


def with_full_name(thing: Any, reduced: Any) -> Any:
    """What cloudpickle makes of a class, with what it leaves out.

    Its qualified name: pickles name nested classes by that, and people. Its slots: without them an object of it gets a
    `__dict__`, and its pickle says so where there is none.
    """
    if isinstance(thing, type) and isinstance(reduced, tuple) and reduced[0].__name__ == "_make_skeleton_class":
        reduced[1][3]["__qualname__"] = thing.__qualname__
        by_itself = any(getattr(base, "__name__", "") == "NamedTuple" for base in reduced[1][2])
        if "__slots__" in vars(thing) and not by_itself:
            reduced[1][3]["__slots__"] = vars(thing)["__slots__"]
    return reduced


def _by_content(value: Any, buffers: list[pickle.PickleBuffer]) -> bytes:
    """Functions and classes that live only in a notebook travel by content."""
    import cloudpickle

    stream = io.BytesIO()
    try:

        class Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # it ships no types
            def __init__(self, *args: Any, **options: Any) -> None:
                # Looked at once, when it begins.
                set_reducers(self)
                super().__init__(*args, **options)

            def reducer_override(self, each: Any) -> Any:
                reduced = array_reduced(each)
                return with_full_name(each, super().reducer_override(each)) if reduced is NotImplemented else reduced

        Pickler(stream, protocol=5, buffer_callback=buffers.append).dump(value)
    # As above: any exception at all may come from the value's own methods.
    except Exception as error:
        raise NotStorable(f"a {type(value).__name__} cannot be pickled ({error})") from error
    return stream.getvalue()


def _framed(body: bytes, buffers: Sequence[memoryview[int]]) -> Sealed:
    if not buffers:
        # What most values are: one part, with nothing to align behind it.
        whole = struct.pack("<QQ", 1, len(body)).ljust(ALIGNMENT, b"\0") + body
        return Sealed(PICKLE, (whole,), len(whole))
    lengths = [len(body), *(buffer.nbytes for buffer in buffers)]
    header = struct.pack(f"<{len(lengths) + 1}Q", len(lengths), *lengths)
    parts: list[Buffer] = []
    at = 0
    every: tuple[Buffer, ...] = (header, body, *buffers)
    for part in every:
        gap = _padded(at) - at
        if gap:
            parts.append(bytes(gap))
        parts.append(part)
        at += gap + (part.nbytes if isinstance(part, memoryview) else len(part))
    sealed = Sealed(PICKLE, tuple(parts), at)
    # Small ones wait in memory until they are committed; large ones are written at once.
    return sealed.detached() if at <= INLINE_BYTES else sealed


def _lengths(view: memoryview) -> tuple[int, ...]:
    (count,) = struct.unpack_from("<Q", view)
    return struct.unpack_from(f"<{count}Q", view, 8)


def _header_bytes(count: int) -> int:
    return 8 * (count + 1)


def _padded(at: int) -> int:
    return -(-at // ALIGNMENT) * ALIGNMENT
