"""What of the user's cloudpickle would send by name, which in a worker leads nowhere, or cannot send at all."""

from __future__ import annotations

import functools
import importlib
import sys
import types
import typing
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# What has a name in its module, and is pickled by that, but for functions and classes.
NAMED = (functools._lru_cache_wrapper, typing.NewType, typing.ParamSpec, typing.TypeVarTuple)


def specially_reduced(thing: Any) -> Any:
    """How such a thing travels; None for anything else."""
    way = _WAYS.get(type(thing))
    return None if way is None else way(thing)


def with_members(cls: Any, reduced: Any) -> Any:
    """What cloudpickle makes of an Enum, with what its own `__init__` or `__new__` gave to its members."""
    if not (isinstance(cls, type) and issubclass(cls, Enum) and isinstance(reduced, tuple)):
        return reduced
    make, arguments, state, items, pairs, put = reduced
    given = {member.name: _given(member) for member in cls}
    return make, arguments, (put, state, given), items, pairs, _put_members


def _given(member: Enum) -> dict[str, Any]:
    return {name: value for name, value in vars(member).items() if name not in _OF_ENUMS}


def _put_members(cls: Any, everything: tuple[Any, ...]) -> None:
    put, state, given = everything
    put(cls, state)
    for name, values in given.items():
        vars(cls.__members__[name]).update(values)


def _cached(thing: Any) -> Any:
    return (_make_cached, (thing.__wrapped__, thing.cache_parameters())) if _is_users(thing) else None


def _make_cached(fn: Callable[..., Any], parameters: Mapping[str, Any]) -> Any:
    return functools.lru_cache(**parameters)(fn)


def _cached_property(thing: Any) -> Any:
    # Up to Python 3.11 it holds a lock.
    return _make_cached_property, (thing.func, thing.attrname)


def _make_cached_property(fn: Callable[..., Any], name: str | None) -> Any:
    made: functools.cached_property[Any] = functools.cached_property(fn)
    if name is not None:
        made.__set_name__(object, name)
    return made


def _function(thing: types.FunctionType) -> Any:
    """A singledispatch function: what it is made of, without what it remembers of earlier calls."""
    if thing.__code__ is not _DISPATCHING or not _is_users(thing):
        return None
    registered = list(thing.registry.items())  # type: ignore[attr-defined]  # of each such function
    attributes = {name: value for name, value in vars(thing).items() if name not in _OF_DISPATCH}
    named = {name: getattr(thing, name) for name in functools.WRAPPER_ASSIGNMENTS}
    # It is filled once it is there: what is registered may call it.
    return _make_dispatching, (thing.__name__,), (named, attributes, registered), None, None, _fill_dispatching


def _make_dispatching(name: str) -> Any:
    def fn(*_args: Any) -> None: ...

    fn.__name__ = name
    return functools.singledispatch(fn)


def _fill_dispatching(made: Any, state: tuple[Any, ...]) -> None:
    named, attributes, registered = state
    for name, value in named.items():
        setattr(made, name, value)
    vars(made).update(attributes)
    for cls, fn in registered:
        made.register(cls, fn)


def _dispatching_method(thing: functools.singledispatchmethod[Any]) -> Any:
    # From Python 3.13 on it holds weak references: what it remembers of earlier calls.
    return _make_dispatching_method, (thing.func, thing.dispatcher)


def _make_dispatching_method(fn: Callable[..., Any], dispatcher: Any) -> Any:
    made = functools.singledispatchmethod(fn)
    made.dispatcher = dispatcher
    return made


def _new_type(thing: Any) -> Any:
    return (typing.NewType, (thing.__name__, thing.__supertype__), dict(vars(thing))) if _is_users(thing) else None


def _parameters(thing: Any) -> Any:
    if not _is_users(thing):
        return None
    options = (
        {"bound": thing.__bound__, "covariant": thing.__covariant__, "contravariant": thing.__contravariant__}
        if isinstance(thing, typing.ParamSpec)
        else {}
    )
    return _make_parameters, (type(thing), thing.__name__, thing.__module__, options)


def _make_parameters(kind: Callable[..., Any], name: str, module: str, options: Mapping[str, Any]) -> Any:
    made = kind(name, **options)
    made.__module__ = module
    return made


def _method(thing: types.MethodType) -> Any:
    # Magics and commands in a task are the worker's own shell's.
    return (_get_ipython, ()) if getattr(thing, "__name__", "") == "get_ipython" else None


def _get_ipython() -> Any:
    return importlib.import_module("IPython.core.getipython").get_ipython


def _is_users(thing: Any) -> bool:
    # What a partial is cached as has no name.
    name: str = getattr(thing, "__qualname__", None) or getattr(thing, "__name__", None) or ""
    module = getattr(thing, "__module__", None)
    if module == "__main__" or "<locals>" in name:
        return True
    return getattr(sys.modules.get(str(module)), name, None) is not thing


_WAYS: dict[type, Callable[[Any], Any]] = {
    functools._lru_cache_wrapper: _cached,
    functools.cached_property: _cached_property,
    functools.singledispatchmethod: _dispatching_method,
    types.FunctionType: _function,
    types.MethodType: _method,
    typing.NewType: _new_type,
    typing.ParamSpec: _parameters,
    typing.TypeVarTuple: _parameters,
}
_DISPATCHING = functools.singledispatch(lambda _: None).__code__  # type: ignore[attr-defined]  # it is a function
_OF_DISPATCH = frozenset({"registry", "dispatch", "register", "_clear_cache"})
_OF_ENUMS = frozenset({"_value_", "_name_", "__objclass__", "_sort_order_"})
