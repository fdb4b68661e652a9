"""What the user has put into installed modules and their classes, which in a worker are as they were installed."""

from __future__ import annotations

import functools
import importlib
import sys
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

from nbflow.executors.spaces import Space, enter
from nbflow.identity.parts import MISSING
from nbflow.loaded import loaded, space_of
from nbflow.probe.imported import IMPORTED
from nbflow.probe.packages import is_installed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from collections.abc import Set as AbstractSet

    from nbflow.executors.order import Patched

# Classes whose values code reaches without their names: (library, classes).
_CLASSES = (
    ("pandas", ("DataFrame", "Series", "Index")),
    ("polars", ("DataFrame", "LazyFrame", "Series", "Expr")),
    ("xarray", ("Dataset", "DataArray")),
)


def patches(names: AbstractSet[str]) -> dict[str, dict[str, Any]]:
    """By module, what is not the library's own under names that code reads: `dumps`, or `Series.median`."""
    found: dict[str, dict[str, Any]] = {}
    for module, path, value in (*_functions(names), *_methods(names)):
        found.setdefault(module, {})[path] = value
    return found


def _functions(names: AbstractSet[str]) -> Iterator[tuple[str, str, Any]]:
    for module, thing in list(sys.modules.items()):
        space = space_of(thing)
        # Thousands of modules are asked, for every task.
        if space is None or space.keys().isdisjoint(names):
            continue
        for name in space.keys() & names:
            if _is_users(space[name]) and _is_installed(module, space):
                yield module, name, space[name]


def _is_installed(module: str, space: Mapping[str, Any]) -> bool:
    file = space.get("__file__")
    return module in sys.builtin_module_names if file is None else module != "__main__" and is_installed(file)


def _methods(names: AbstractSet[str]) -> Iterator[tuple[str, str, Any]]:
    for library, classes in _CLASSES:
        module = loaded(library)
        for cls in filter(None, (getattr(module, name, None) for name in classes)):
            for name in vars(cls).keys() & names:
                put = vars(cls)[name]
                if _module_of(put).partition(".")[0] not in {library, ""}:
                    yield library, f"{cls.__name__}.{name}", put


def _module_of(put: Any) -> str:
    """Where what lies in a class was made: a method, a property, or the class of an accessor."""
    fn = getattr(put, "fget", None) or getattr(put, "_accessor", None) or getattr(put, "_ns", None) or put
    if isinstance(fn, FunctionType):
        return str(fn.__globals__.get("__name__", ""))
    return str(fn.__module__) if isinstance(fn, type) else ""


def _is_users(value: Any) -> bool:
    """Whether something that can be called was made in the notebook, or in one of the user's modules."""
    if not callable(value):
        return False
    while (inner := _inner(value)) is not None:
        value = inner
    module = _module_of(value) or type(value).__module__
    return module == "__main__" or module in IMPORTED.by_name


def _inner(value: Any) -> Any:
    """What a partial, a bound method or a cached function calls."""
    if isinstance(value, functools.partial):
        return value.func
    if isinstance(value, MethodType):
        return value.__func__
    return value.__wrapped__ if isinstance(value, functools._lru_cache_wrapper) else None


class Patches:
    """Those of this process, a worker. What a module had in their place it gets back when they are gone."""

    def __init__(self) -> None:
        self._patched: Patched | None = None
        self._space: Space | None = None
        # (class or module, name, what is there now, what was there before).
        self._there: list[tuple[Any, str, Any, Any]] = []

    def put(self, patched: Patched | None) -> None:
        """From now on these are there, and no others, whatever tasks have done since.

        Nobody may be at work meanwhile. What opening them raises is any exception.
        """
        if patched != self._patched:
            self._restore()
            if patched is not None:
                self._space = Space.of(patched.run)
                enter(self._space)
                self._there = [each for name, some in patched.modules.items() for each in _found(name, some.open())]
            self._patched = patched
        for place, name, value, _ in self._there:
            if vars(place).get(name) is not value:
                setattr(place, name, value)

    def before(self, place: Any, name: str) -> Any:
        """What a module has under a name without them."""
        there = (before for each, of, _, before in self._there if each is place and of == name)
        return next(there, getattr(place, name, None))

    def _restore(self) -> None:
        for place, name, _, before in reversed(self._there):
            if before is MISSING:
                delattr(place, name)
            else:
                setattr(place, name, before)
        self._there, self._patched, self._space = [], None, None


def _found(module: str, values: Mapping[str, Any]) -> Iterator[tuple[Any, str, Any, Any]]:
    for path, value in values.items():
        place: Any = importlib.import_module(module)
        *outer, name = path.split(".")
        for each in outer:
            place = getattr(place, each)
        yield place, name, value, vars(place).get(name, MISSING)


def original(thing: Any) -> Any:
    """How a function written in C travels in whose place the user has put something; None for anything else."""
    if not isinstance(thing, BuiltinFunctionType) or not isinstance(thing.__self__, ModuleType):
        return None
    module = thing.__self__.__name__
    there = getattr(sys.modules.get(module), thing.__name__, thing)
    return None if there is thing else (_original, (module, thing.__name__))


def _original(module: str, name: str) -> Any:
    return PATCHES.before(importlib.import_module(module), name)


PATCHES = Patches()
