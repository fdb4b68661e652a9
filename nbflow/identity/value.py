"""Value ids: equal values have equal ids, in every process; different ones differ."""

from __future__ import annotations

import array
import collections
import datetime as dt
import decimal
import enum
import fractions
import functools
import importlib
import io
import os
import re
import sys
import types
import uuid
import weakref
import zoneinfo
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any, NewType, TypeVar

from nbflow.errors import UnidentifiableError
from nbflow.identity.encoding import atom_id, dict_id, flat_id, framed, list_id, set_id, tuple_id
from nbflow.identity.handles import handle_of, is_handle
from nbflow.identity.named import OPAQUE, opaque, opaque_name, plain_reader, stream_name
from nbflow.identity.reduced import encode_by_reduce, key_text, state_id

T = TypeVar("T")
Resolve = Callable[[Any], bytes]
Encode = Callable[["Walk", Any, str], bytes]
Family = Callable[["Walk", Any, str], bytes | None]

__all__ = ["Identifier", "atom_id", "dict_id", "is_immutable", "list_id", "opaque", "set_id", "tuple_id"]


class Identifier:
    """Ids of values. resolve: gives the 16-byte id of functions, classes, builtins and modules inside them.

    >>> identify = Identifier(lambda function: bytes(16))
    >>> identify([1, 2]) == identify([1, 2]), identify([1, 2]) == identify((1, 2))
    (True, False)
    """

    def __init__(self, resolve: Resolve, *, noting: bool = False) -> None:
        self.resolve = resolve
        # Whether `resolve` notes what it is asked for, so that it must be asked each time.
        self._noting = noting

    def __call__(self, value: Any, path: str = "value") -> bytes:
        """16 bytes. Raises UnidentifiableError that names the path to what has no identity."""
        quick = atom_id(value)
        if quick is not None:
            return quick
        try:
            return Walk(self.resolve, noting=self._noting).id(value, path)
        except RecursionError:
            raise UnidentifiableError(path, type(value).__name__, "it is nested too deeply") from None

    def ids(self, values: Sequence[Any], path: str) -> list[bytes]:
        """The ids of many values; errors name `path[i]`."""
        # What counts by a given id may be a list, too.
        quick = atom_id if OPAQUE else flat_id
        return [quick(value) or self(value, f"{path}[{i}]") for i, value in enumerate(values)]

    def members(self, value: Any, path: str = "value") -> tuple[bytes, ...] | None:
        """The ids of the members of an exact list or tuple, else None."""
        if type(value) is list or type(value) is tuple:
            if self._holds_itself(value):
                return None
            return tuple(self.ids(value, path))
        return None

    def _holds_itself(self, value: Sequence[Any]) -> bool:
        return any(member is value for member in value)


class Walk:
    """One walk over a value. A member that contains it all over again is told by how far up it lies.

    What several members share is looked at once, as long as it leads to nothing that contains it: whether parts are
    shared or equal makes no difference. noting: `resolve` is asked again for each of them.
    """

    def __init__(self, resolve: Resolve, *, noting: bool = False) -> None:
        self._resolve = resolve
        self._above: dict[int, int] = {}
        self._cycles = 0
        # With the values, so that no other gets the address of one that was made on the way.
        self._known: dict[int, tuple[Any, bytes | None, tuple[Any, ...]]] = {}
        self._again = 0
        self._noted: list[Any] | None = [] if noting else None

    def resolve(self, thing: Any) -> bytes:
        """The id of a function, class, builtin or module."""
        if self._noted is not None:
            self._noted.append(thing)
        return self._resolve(thing)

    def id(self, value: Any, path: str) -> bytes:
        quick = atom_id(value)
        if quick is not None:
            return quick
        depth = self._above.get(id(value))
        if depth is not None:
            self._cycles += 1
            return framed("cycle", (len(self._above) - depth).to_bytes(8, "little"))
        shared = sys.getrefcount(value) > HELD_ONCE and type(value) not in IMMUTABLE
        if shared:
            known = self._known.get(id(value))
            if known is not None and (found := self._shared(known, path)) is not None:
                return found
        before = self._cycles, len(self._noted or ())
        self._above[id(value)] = len(self._above)
        try:
            # No call lies in between: each would take away from how deep values may be nested.
            found = self._encode(value, path)
        finally:
            del self._above[id(value)]
        if shared and (type(value) in SHARED or type(value) not in BY_TYPE):
            self._remember(value, found, *before)
        return found

    def _shared(self, known: tuple[Any, bytes | None, tuple[Any, ...]], path: str) -> bytes | None:
        """The id of a value that was looked at before; None where it must be looked at again."""
        value, found, resolved = known
        if found is None:
            self._again += 1
            if self._again > MOST_AGAIN:
                raise UnidentifiableError(path, type(value).__name__, "its parts lead to each other in too many ways")
            return None
        for thing in resolved:
            self.resolve(thing)
        return found

    def _remember(self, value: Any, found: bytes, cycles: int, noted: int) -> None:
        resolved = () if self._noted is None else tuple(self._noted[noted:])
        whole = cycles == self._cycles and len(resolved) <= MOST_NOTED
        self._known[id(value)] = (value, found if whole else None, resolved if whole else ())

    def many(self, values: Iterable[Any], path: str) -> list[bytes]:
        quick = atom_id if OPAQUE else flat_id
        return [quick(value) or self.id(value, f"{path}[{i}]") for i, value in enumerate(values)]

    def _encode(self, value: Any, path: str) -> bytes:
        known = opaque_name(value)
        if known is not None:
            return framed("opaque", known.encode())
        kind = type(value)
        encode = BY_TYPE.get(kind)
        if encode is not None:
            return encode(self, value, path)
        hook = getattr(kind, "__nbflow_id__", None)
        if hook is not None:
            return framed("hook", self.resolve(kind), self.id(hook(value), f"{path}.__nbflow_id__()"))
        if isinstance(value, CODE_TYPES) or kind.__name__ == COMPILED:
            return framed("code", self.resolve(plain_reader(value)))
        handle = handle_of(value, path)
        if handle is not None:
            return framed("handle", *(part.encode("utf-8", "surrogatepass") for part in handle.id))
        # nbflow's own frames differ from plain ones in how they are shown, and become plain when they are copied.
        family = FAMILIES.get(getattr(kind, "__nbflow_class__", kind).__module__.partition(".")[0])
        if family is not None:
            found = family(self, value, path)
            if found is not None:
                return found
        stream = stream_name(value)
        if stream is not None:
            return framed("stream", stream.encode())
        numpy = sys.modules.get("numpy")
        if numpy is not None and isinstance(value, numpy.ndarray):
            # Pickle would leave out what a class of the user's adds to an array.
            return FAMILIES["numpy"](self, value, path) or encode_by_reduce(self, value, path)
        for base, encode_instance in BY_BASE:
            if isinstance(value, base):
                return encode_instance(self, value, path)
        return encode_by_reduce(self, value, path)


def is_immutable(value: Any) -> bool:
    """Whether a task certainly cannot change the value in place; cheap, and False when in doubt.

    >>> is_immutable((1, "a")), is_immutable([1])
    (True, False)
    """
    kind = type(value)
    if kind in IMMUTABLE:
        return True
    if kind is tuple or kind is frozenset:
        return len(value) <= 1000 and all(is_immutable(member) for member in value)
    if isinstance(value, (enum.Enum, PurePath, types.FunctionType, type)) or hasattr(kind, "__nbflow_immutable__"):
        return True
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.generic):
        return not isinstance(value, numpy.void)
    # What is done through a handle is no change of it.
    return kind not in BY_TYPE and is_handle(value)


def _by_repr(tag: str) -> Encode:
    return lambda walk, value, path: framed(tag, repr(value).encode())


def _list(walk: Walk, value: Sequence[Any], path: str) -> bytes:
    return list_id(walk.many(value, path))


def _tuple(walk: Walk, value: Sequence[Any], path: str) -> bytes:
    return tuple_id(walk.many(value, path))


def _dict(walk: Walk, value: Mapping[Any, Any], path: str) -> bytes:
    return dict_id(
        (atom_id(k) or walk.id(k, f"{path} key {k!r}"), atom_id(v) or walk.id(v, f"{path}[{key_text(k)}]"))
        for k, v in value.items()
    )


def _set(walk: Walk, value: Iterable[Any], path: str) -> bytes:
    return set_id([walk.id(member, f"{path} member") for member in value], frozen=isinstance(value, frozenset))


def _range(walk: Walk, value: Any, path: str) -> bytes:
    return framed(type(value).__name__, tuple_id(walk.many((value.start, value.stop, value.step), path)))


def _array(walk: Walk, value: array.array[Any], path: str) -> bytes:
    return framed("array", value.typecode.encode(), value.tobytes())


def _deque(walk: Walk, value: collections.deque[Any], path: str) -> bytes:
    return framed("deque", walk.id(value.maxlen, path), list_id(walk.many(value, path)))


def _pattern(walk: Walk, value: re.Pattern[Any], path: str) -> bytes:
    return framed("pattern", walk.id(value.pattern, path), str(value.flags).encode())


def _partial(walk: Walk, value: functools.partial[Any], path: str) -> bytes:
    parts = (value.func, value.args, value.keywords)
    return framed(
        "partial",
        *(walk.id(part, f"{path}.{name}") for part, name in zip(parts, ("func", "args", "keywords"), strict=True)),
    )


def _method(walk: Walk, value: types.MethodType, path: str) -> bytes:
    return framed("method", walk.id(value.__self__, f"{path}.__self__"), walk.id(value.__func__, f"{path}.__func__"))


def _builtin(walk: Walk, value: types.BuiltinFunctionType, path: str) -> bytes:
    owner = value.__self__
    if owner is None or isinstance(owner, (types.ModuleType, type)):
        return framed("code", walk.resolve(value))
    return framed("method", walk.id(owner, f"{path}.__self__"), value.__name__.encode())


def _wrapping(walk: Walk, value: Any, path: str) -> bytes:
    return framed(type(value).__name__, walk.id(value.__func__, f"{path}.__func__"))


def _property(walk: Walk, value: property, path: str) -> bytes:
    return framed("property", *(walk.id(part, path) for part in (value.fget, value.fset, value.fdel)))


def _cached(walk: Walk, value: Any, path: str) -> bytes:
    """The id of an lru_cache's function: what it remembers is no part of it."""
    return framed("lru_cache", walk.id(value.__wrapped__, path), repr(value.cache_parameters()).encode())


def _cached_property(walk: Walk, value: functools.cached_property[Any], path: str) -> bytes:
    return framed("cached property", walk.id(value.func, path), walk.id(value.attrname, path))


def _alias(walk: Walk, value: Any, path: str) -> bytes:
    return framed("alias", walk.id(value.__origin__, path), walk.id(value.__args__, path))


def _new_type(walk: Walk, value: Any, path: str) -> bytes:
    return framed("new type", value.__name__.encode(), walk.id(value.__supertype__, path))


def _environ(walk: Walk, value: Any, path: str) -> bytes:
    """The id of `os.environ`, which does not count by itself: `env=` declares what does."""
    return framed("environ") if value is os.environ else encode_by_reduce(walk, value, path)


def _in_memory(walk: Walk, value: io.BytesIO | io.StringIO, path: str) -> bytes:
    return framed(type(value).__name__, walk.id(value.getvalue(), path), walk.id(value.tell(), path))


def _enum(walk: Walk, value: enum.Enum, path: str) -> bytes:
    return framed("enum", walk.resolve(type(value)), walk.id(value.name, path), walk.id(value.value, f"{path}.value"))


def _path(walk: Walk, value: PurePath, path: str) -> bytes:
    return framed("path", type(value).__name__.encode(), str(value).encode("utf-8", "surrogatepass"))


def _refused(walk: Walk, value: Any, path: str) -> bytes:
    raise UnidentifiableError(path, type(value).__name__)


# How often parts that lead to each other are looked at again, and how much one noting part may hold.
MOST_AGAIN = 10_000
MOST_NOTED = 200
# The references to a value in a walk that one container holds: the container's, and those of the calls that lead there.
HELD_ONCE = 5
# Containers that several others may share; other values of Python's own are quick to look at again.
SHARED = frozenset({list, tuple, dict, set, frozenset})
CODE_TYPES = (types.FunctionType, type, types.ModuleType)
# What Cython makes of a function, whatever its version.
COMPILED = "cython_function_or_method"
BY_TYPE: dict[type, Callable[[Walk, Any, str], bytes]] = {
    list: _list,
    tuple: _tuple,
    dict: _dict,
    set: _set,
    frozenset: _set,
    bytearray: lambda walk, value, path: framed("bytearray", bytes(value)),
    memoryview: lambda walk, value, path: framed(
        "memoryview", value.format.encode(), repr(value.shape).encode(), value.tobytes()
    ),
    complex: lambda walk, value, path: framed("complex", walk.id(value.real, path), walk.id(value.imag, path)),
    range: _range,
    slice: _range,
    type(...): _by_repr("constant"),
    type(NotImplemented): _by_repr("constant"),
    array.array: _array,
    collections.deque: _deque,
    re.Pattern: _pattern,
    functools.partial: _partial,
    functools._lru_cache_wrapper: _cached,
    functools.cached_property: _cached_property,
    types.GenericAlias: _alias,
    io.BytesIO: _in_memory,
    io.StringIO: _in_memory,
    NewType: _new_type,
    type(os.environ): _environ,
    types.MethodType: _method,
    types.BuiltinFunctionType: _builtin,
    types.MappingProxyType: lambda walk, value, path: framed("proxy", _dict(walk, value, path)),
    types.SimpleNamespace: lambda walk, value, path: framed("namespace", state_id(walk, vars(value), path)),
    staticmethod: _wrapping,
    classmethod: _wrapping,
    property: _property,
    dt.datetime: lambda walk, value, path: framed(
        "datetime", value.isoformat().encode(), str(value.fold).encode(), walk.id(value.tzinfo, path)
    ),
    dt.date: _by_repr("date"),
    dt.time: _by_repr("time"),
    dt.timedelta: _by_repr("timedelta"),
    dt.timezone: _by_repr("timezone"),
    zoneinfo.ZoneInfo: _by_repr("zone"),
    decimal.Decimal: _by_repr("decimal"),
    fractions.Fraction: _by_repr("fraction"),
    uuid.UUID: _by_repr("uuid"),
    types.GeneratorType: _refused,
    types.CoroutineType: _refused,
    types.AsyncGeneratorType: _refused,
    types.FrameType: _refused,
    weakref.ref: _refused,
}
BY_BASE: tuple[tuple[Any, Callable[[Walk, Any, str], bytes]], ...] = (
    (enum.Enum, _enum),
    (PurePath, _path),
    (
        (types.WrapperDescriptorType, types.MethodDescriptorType, types.GetSetDescriptorType, types.MethodWrapperType),
        lambda walk, value, path: framed("code", walk.resolve(value)),
    ),
    (collections.abc.Iterator, _refused),
)
IMMUTABLE = frozenset(
    {int, str, float, bool, bytes, type(None), complex, range, dt.datetime, dt.date, dt.time}
    | {dt.timedelta, dt.timezone, decimal.Decimal, fractions.Fraction, uuid.UUID, type(...), re.Pattern}
    | {types.BuiltinFunctionType, zoneinfo.ZoneInfo}
)
# Encoders of whole libraries, by the first part of a type's module; they are loaded with the first such value.
FAMILIES: dict[str, Family] = {}


def _library(name: str) -> Family:
    """The encoder of a library's values, loaded with the first of them."""

    def encode(walk: Walk, value: Any, path: str) -> bytes | None:
        module = importlib.import_module(f"nbflow.identity.{name}")
        found: bytes | None = module.encode(walk, value, path)
        return found

    return encode


FAMILIES.update(
    numpy=_library("arrays"),
    pandas=_library("frames"),
    pyarrow=_library("tables"),
    polars=_library("tables"),
    pydantic=_library("fields"),
    scipy=_library("sparse"),
)
