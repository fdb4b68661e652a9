"""Environment variables that code reads by name: they count by their value."""

from __future__ import annotations

import os
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
    if value is os.environ or value is os.getenv or getattr(value, "__self__", None) is os.environ:
        return True
    if getattr(value, "__name__", "") == "nbflow" and rest == ("secret",):
        return True
    return (getattr(value, "__module__", None), getattr(value, "__name__", None)) == _SECRET
