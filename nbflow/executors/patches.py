"""What the user has put into installed modules and their classes, which in a worker are as they were installed."""

from __future__ import annotations

import importlib
import sys
from types import FunctionType
from typing import TYPE_CHECKING, Any

from nbflow.identity.parts import MISSING
from nbflow.loaded import loaded
from nbflow.probe.imported import IMPORTED
from nbflow.probe.packages import is_installed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from collections.abc import Set as AbstractSet

    from nbflow.executors.order import Packed

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
        space = getattr(thing, "__dict__", None)
        # Thousands of modules are asked, for every task.
        if type(space) is not dict or space.keys().isdisjoint(names):
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
    """Whether a function or class was made in the notebook, or in one of the user's modules."""
    return isinstance(value, (FunctionType, type)) and (
        _module_of(value) == "__main__" or _module_of(value) in IMPORTED.by_name
    )


class Patches:
    """Those of a worker. What an installed module had in their place it gets back when they are gone."""

    def __init__(self) -> None:
        self._packed: Mapping[str, Packed] = {}
        # (class or module, name, what is there now, what was there before).
        self._there: list[tuple[Any, str, Any, Any]] = []

    def put(self, packed: Mapping[str, Packed]) -> None:
        """From now on these are there, and no others, whatever tasks have done since."""
        if packed != self._packed:
            self._packed = packed
            for place, name, _, before in reversed(self._there):
                if before is MISSING:
                    delattr(place, name)
                else:
                    setattr(place, name, before)
            self._there = [each for module, some in packed.items() for each in _found(module, some.open())]
        for place, name, value, _ in self._there:
            # Another thread of a cluster's worker may be about to call it.
            if vars(place).get(name) is not value:
                setattr(place, name, value)


def _found(module: str, values: Mapping[str, Any]) -> Iterator[tuple[Any, str, Any, Any]]:
    for path, value in values.items():
        place: Any = importlib.import_module(module)
        *outer, name = path.split(".")
        for each in outer:
            place = getattr(place, each)
        yield place, name, value, vars(place).get(name, MISSING)
