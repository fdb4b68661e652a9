"""Environment variables that code reads by name, and the arguments of the script: they count by their value."""

from __future__ import annotations

import os
import sys
import types
from typing import Any

# `nbflow.secret("NAME")` reads the environment, too; probe lies above identity, so it is known by its name.
_SECRET = ("nbflow.probe.secrets", "secret")


def reads_environment(value: Any, rest: tuple[str, ...]) -> bool:
    """Whether a path leads to the environment. value: what its first part gives; rest: the attributes behind that.

    >>> reads_environment(os, ("environ", "get")), reads_environment(os.getenv, ()), reads_environment(os, ("path",))
    (True, True, False)
    """
    if value is os:
        return rest[:1] in {("environ",), ("getenv",)}
    if value is os.environ or value is os.getenv:
        return True
    # Of these types only: an attribute of a user's object may be code that runs.
    if isinstance(value, types.MethodType):
        return value.__self__ is os.environ
    if isinstance(value, types.ModuleType):
        return value.__name__ == "nbflow" and rest == ("secret",)
    return isinstance(value, types.FunctionType) and (value.__module__, value.__name__) == _SECRET


def reads_arguments(value: Any, rest: tuple[str, ...]) -> bool:
    """Whether a path leads to what the script was called with. value, rest: as of reads_environment.

    >>> reads_arguments(sys, ("argv",)), reads_arguments(sys, ("path",))
    (True, False)
    """
    return value is sys and rest[:1] == ("argv",)
