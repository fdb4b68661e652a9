"""What the user's modules hold now, where that may be something else than a worker makes of their sources.

A key counts what a module holds when the run begins: after `helpers.K = 5` in a cell, a table that was changed in
place, a function that was replaced. A worker imports the source, and gets these values on top.
"""

from __future__ import annotations

import abc
import sys
import types
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from nbflow.identity.handles import is_handle
from nbflow.identity.immutable import is_immutable
from nbflow.probe.imported import IMPORTED, codes_in
from nbflow.probe.packages import is_installed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from nbflow.probe.imported import Imported


def held_values(names: set[str]) -> dict[str, dict[str, Any]]:
    """By module, what the user's modules hold under names that code reads: `K`, or `Box.size`."""
    held = {}
    for name, module in _modules().items():
        defaults = {id(each) for fn in _functions(module) for each in _defaults(fn) if not is_immutable(each)}
        values = {
            path: value for path, value in _values(module) if path.rpartition(".")[2] in names or id(value) in defaults
        }
        if values:
            held[name] = values
    return held


def names_in_modules() -> set[str]:
    """The names that the code of the user's modules reads."""
    return set().union(*(_names_in(IMPORTED.by_name[name]) for name in _modules()))


def bases_in_modules() -> list[type]:
    """The classes of the user's modules, where code of these asks any class for those below it."""
    modules = _modules()
    if not any("__subclasses__" in _names_in(IMPORTED.by_name[name]) for name in modules):
        return []
    return [
        value
        for name, module in modules.items()
        for value in list(vars(module).values())
        if isinstance(value, type) and value.__module__ == name
    ]


def _modules() -> dict[str, types.ModuleType]:
    return {name: sys.modules[name] for name in IMPORTED.by_name if name in sys.modules and name != "__main__"}


def put_values(module: types.ModuleType, values: Mapping[str, Any], state_of: Callable[[Any], bytes | None]) -> None:
    """Gives a module in a worker what it holds in the kernel, and leaves alone what is the same.

    state_of: differs where values do; None where nothing tells, as of a bare object() that stands for "not given".
    """
    for path, value in values.items():
        outer, _, name = path.rpartition(".")
        place = getattr(module, outer) if outer else module
        present: Any = getattr(place, name, None)
        if present is value or (type(present) is type(value) and state_of(value) in {None, state_of(present)}):
            continue
        # Other modules, defaults and closures may hold the same object.
        if type(present) is type(value) is list:
            present[:] = value
        elif type(present) is type(value) and isinstance(value, (dict, set)):
            present.clear()
            present.update(value)
        else:
            setattr(place, name, value)


def is_replaced(fn: types.FunctionType) -> bool:
    """Whether a function bears the name of one of a module's, as decorators make it, but was made in a notebook."""
    imported, file = IMPORTED.by_name.get(fn.__module__), fn.__code__.co_filename
    if imported is None or file in {imported.file, "<string>"}:
        return False
    return all(file != each.file for each in IMPORTED.by_name.values()) and not is_installed(file)


@lru_cache(maxsize=500)
def is_outdated(name: str, imported: Imported) -> bool:
    """Whether a module's functions are not those of its source: it was edited before anybody had read it."""
    module = sys.modules.get(name)
    return isinstance(module, types.ModuleType) and not imported.is_true_of(module)


@lru_cache(maxsize=500)
def _codes_of(imported: Imported) -> frozenset[types.CodeType]:
    """The functions and classes in a module's source; none where that does not compile."""
    try:
        return frozenset(codes_in(compile(imported.content, imported.file, "exec", dont_inherit=True)))
    except (SyntaxError, ValueError):
        return frozenset()


@lru_cache(maxsize=500)
def _names_in(imported: Imported) -> frozenset[str]:
    return frozenset(name for code in _codes_of(imported) for name in code.co_names)


def _values(module: types.ModuleType) -> Iterator[tuple[str, Any]]:
    for name, value in list(vars(module).items()):
        if name.startswith("__") or isinstance(value, types.ModuleType):
            continue
        if not _comes_by_import(value, module, name):
            if _can_travel(value):
                yield name, value
        elif isinstance(value, types.FunctionType) or type(value) in _CLASSES:
            yield from _carried(name, value)


def _comes_by_import(value: Any, module: types.ModuleType, name: str) -> bool:
    if not isinstance(value, (type, types.FunctionType)) or (value.__module__, value.__qualname__) != (
        module.__name__,
        name,
    ):
        return False
    return not isinstance(value, types.FunctionType) or not is_replaced(value)


def _carried(outer: str, thing: Any) -> Iterator[tuple[str, Any]]:
    """What a class or function of a module holds, but for methods and other descriptors that its source made."""
    for name, value in list(vars(thing).items()):
        if name.startswith("__"):
            continue
        is_data = not hasattr(type(value), "__get__")
        if (is_data and _can_travel(value)) or (isinstance(value, types.FunctionType) and _is_foreign(value, thing)):
            yield f"{outer}.{name}", value


def _is_foreign(fn: types.FunctionType, cls: Any) -> bool:
    return fn.__module__ != cls.__module__ or is_replaced(fn)


def _can_travel(value: Any) -> bool:
    # Handles, flows and tasks are made by a worker's own import.
    return not is_handle(value) and not type(value).__module__.startswith("nbflow.")


def _functions(module: types.ModuleType) -> Iterator[types.FunctionType]:
    for value in list(vars(module).values()):
        is_class = isinstance(value, type) and value.__module__ == module.__name__
        held = list(vars(value).values()) if is_class else [value]
        yield from (each for each in held if isinstance(each, types.FunctionType))


def _defaults(fn: types.FunctionType) -> tuple[Any, ...]:
    return (*(fn.__defaults__ or ()), *(fn.__kwdefaults__ or {}).values())


# With another one, what is put into a class may mean more than that.
_CLASSES = frozenset({type, abc.ABCMeta})
