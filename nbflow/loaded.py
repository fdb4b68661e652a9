"""Libraries that this process may have imported, asked without importing them."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


def loaded(name: str) -> Any:
    """A module that somebody has imported; None where nobody has, or another thread is at it.

    >>> loaded("sys").__name__, loaded("no.such.module")
    ('sys', None)
    """
    module = sys.modules.get(name)
    # Python notes it there for its own import statement, too. What is half there has not made any value yet.
    return None if getattr(getattr(module, "__spec__", None), "_initializing", False) else module


def space_of(thing: Any) -> dict[str, Any] | None:
    """The names in a module, without asking it: some wait for the first question to be imported. None for others.

    Some libraries in C put things among the modules that say that they are such.
    """
    return ModuleType.__getattribute__(thing, "__dict__") if issubclass(type(thing), ModuleType) else None
