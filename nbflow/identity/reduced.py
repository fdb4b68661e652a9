"""Ids of objects of any other type: of their class, and of what pickle would rebuild them from."""

from __future__ import annotations

import functools
import weakref
from typing import TYPE_CHECKING, Any

from nbflow.errors import UnidentifiableError
from nbflow.identity.encoding import dict_id, framed, list_id, set_id, tuple_id
from nbflow.identity.reducers import reducer_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from nbflow.identity.walk import Walk


def encode_by_reduce(walk: Walk, value: Any, path: str) -> bytes:
    """The id of any other object: its class, and what pickle would rebuild it from, walked and not pickled."""
    kind = type(value)
    reducer = reducer_of(kind)
    try:
        reduced = reducer(value) if reducer is not None else value.__reduce_ex__(4)
    # A class's own way to be pickled may raise anything.
    except Exception as error:  # noqa: BLE001 (told, with the ways out)
        raise UnidentifiableError(path, kind.__name__, str(error)) from None
    if isinstance(reduced, str):
        return framed("global", walk.resolve(kind), reduced.encode())
    parts: tuple[Any, ...] = (*reduced, None, None, None)
    function, args, state, items, pairs = parts[:5]
    if not state and isinstance(value, BaseException):
        # An exception has an empty dict for a state from the moment that somebody looks for its attributes.
        state = None
    if state is None and not args and items is None and pairs is None and kind.__module__ == "builtins":
        raise UnidentifiableError(path, kind.__name__)
    return framed(
        "object",
        walk.resolve(kind),
        walk.id(function, f"{path}.__reduce__"),
        _arguments(walk, args, kind, path),
        state_id(walk, state, path, _computed_names(kind)),
        list_id(walk.many(items, path)) if items is not None else b"",
        _items(walk, dict(pairs), path) if pairs is not None else b"",
    )


def _arguments(walk: Walk, args: tuple[Any, ...], kind: type, path: str) -> bytes:
    # The class itself is the first argument of copyreg.__newobj__, and counts already.
    return tuple_id(walk.id(arg, f"{path} part {i}") for i, arg in enumerate(args) if arg is not kind)


def _computed_names(kind: type) -> frozenset[str]:
    """The attributes of a class's instances that are computed from the others when somebody looks at them."""
    found = _COMPUTED.get(kind)
    if found is None:
        names = {n: v for base in reversed(kind.__mro__) for n, v in vars(base).items()}
        found = frozenset(name for name, value in names.items() if isinstance(value, functools.cached_property))
        _COMPUTED[kind] = found
    return found


_COMPUTED: weakref.WeakKeyDictionary[type, frozenset[str]] = weakref.WeakKeyDictionary()


def state_id(walk: Walk, state: Any, path: str, left_out: Collection[str] = ()) -> bytes:
    """The id of an object's attributes, in whatever order they were set."""
    if isinstance(state, tuple) and len(state) == 2 and isinstance(state[1], dict):
        # Objects with slots: (the instance's dict or None, the slots).
        state = {**(state[0] or {}), **state[1]}
    if type(state) is dict and left_out:
        # An instance without attributes has no state at all.
        state = {name: value for name, value in state.items() if name not in left_out} or None
    if type(state) is dict and all(isinstance(name, str) for name in state):
        return set_id(
            framed("attribute", name.encode(), walk.id(v, f"{path}.{name}"))
            for name, v in state.items()
            if not _is_address(name, v, state)
        )
    return walk.id(state, f"{path} state")


def _is_address(name: str, value: Any, state: Mapping[str, Any]) -> bool:
    """Whether an attribute tells where another one lies, as text vectorizers of scikit-learn note it."""
    return type(value) is int and name.endswith("_id") and any(value == id(other) for other in state.values())


def _items(walk: Walk, pairs: Mapping[Any, Any], path: str) -> bytes:
    return dict_id((walk.id(k, f"{path} key {k!r}"), walk.id(v, f"{path}[{key_text(k)}]")) for k, v in pairs.items())


def key_text(key: Any) -> str:
    """A key in the style of the code that users write: config["db"]."""
    return f'"{key}"' if isinstance(key, str) else repr(key)
