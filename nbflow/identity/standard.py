"""How values of Python's own types, and of the standard library's, count."""

from __future__ import annotations

import array
import collections
import datetime as dt
import decimal
import enum
import fractions
import functools
import io
import os
import re
import types
import uuid
import weakref
import zoneinfo
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, NewType

from nbflow.errors import UnidentifiableError
from nbflow.identity.encoding import atom_id, dict_id, framed, list_id, set_id, tuple_id
from nbflow.identity.reduced import encode_by_reduce, key_text, state_id

if TYPE_CHECKING:
    from nbflow.identity.walk import Walk

Encode = Callable[["Walk", Any, str], bytes]


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


BY_TYPE: dict[type, Encode] = {
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
BY_BASE: tuple[tuple[Any, Encode], ...] = (
    (enum.Enum, _enum),
    (PurePath, _path),
    (
        (types.WrapperDescriptorType, types.MethodDescriptorType, types.GetSetDescriptorType, types.MethodWrapperType),
        lambda walk, value, path: framed("code", walk.resolve(value)),
    ),
    (collections.abc.Iterator, _refused),
)
