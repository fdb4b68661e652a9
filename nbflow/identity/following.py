"""Following a path of names from a function, through the user's modules, to what it means now."""

from __future__ import annotations

import builtins
import importlib
import sys
import types
from typing import TYPE_CHECKING, Any

from nbflow.identity.parts import MISSING

if TYPE_CHECKING:
    from nbflow.identity.origin import Origins
    from nbflow.identity.reach import Reach


def followed(fn: types.FunctionType, reach: Reach, origins: Origins) -> tuple[Any, str, tuple[str, ...]]:
    """The first thing on a path that is no module of the user's, the part that leads there, and the rest."""
    names = list(reach.names)
    if reach.module is not None:
        value = module_named(reach.module, reach.level, fn.__globals__)
        passed = [reach.module]
    else:
        first = names.pop(0)
        value = fn.__globals__[first] if first in fn.__globals__ else _builtin(first)
        passed = [first]
    while names and isinstance(value, types.ModuleType) and origins.of_module(value.__name__) is None:
        passed.append(names.pop(0))
        space = vars(value)
        # A module may make attributes when they are asked for: what makes them counts.
        value = space.get(passed[-1], space.get("__getattr__", MISSING))
    if names and isinstance(value, types.ModuleType):
        put = vars(value).get(names[0])
        if isinstance(put, (types.FunctionType, type)) and origins.of(put) is None:
            # The user put something of their own into an installed module.
            value = put
            passed.append(names.pop(0))
    return value, ".".join(passed), tuple(names)


def _builtin(name: str) -> Any:
    value = vars(builtins).get(name, MISSING)
    # A kernel puts a method of its own in the place of `input`: what counts is which, not all that the kernel holds.
    return value.__func__ if isinstance(value, types.MethodType) else value


def module_named(name: str, level: int = 0, namespace: dict[str, Any] | None = None) -> Any:
    """A module, imported if need be; MISSING where there is none. level, namespace: as of a relative import."""
    try:
        if level and namespace is not None:
            return importlib.import_module("." * level + name, namespace.get("__package__") or None)
        return sys.modules.get(name) or importlib.import_module(name)
    except ImportError:
        return MISSING
