"""Where things are defined, and what a module of the user's consists of where it counts whole."""

from __future__ import annotations

import ast
import types
from typing import TYPE_CHECKING, Any

from nbflow.identity.normal import drop_docstrings

if TYPE_CHECKING:
    from collections.abc import Iterator

MADE_AT_RUN_TIME = 1 << 9  # the flag of types that Python code made (Py_TPFLAGS_HEAPTYPE)


def kind_of(thing: Any) -> str:
    """The kind of component that a function, class or module is."""
    if isinstance(thing, types.ModuleType):
        return "module"
    return "class" if isinstance(thing, type) else "helper"


def module_of(thing: Any) -> Any:
    """The name of the module that something is from; methods of built-in types have it from their type."""
    return getattr(thing, "__module__", None) or getattr(getattr(thing, "__objclass__", None), "__module__", None)


def module_parts(module: types.ModuleType) -> Iterator[tuple[str, Any]]:
    """(name, value) of all that a module holds, in an order that its text does not decide."""
    for name, value in sorted(vars(module).items()):
        if name == "__getattr__" or not (name.startswith("__") and name.endswith("__")):
            yield name, value


def shape_of(text: str) -> str:
    """A text of source in a form that comments, docstrings and layout do not change; itself where it does not parse.

    >>> shape_of("x = 1  # one") == shape_of("x = (1)")
    True
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return text
    drop_docstrings(tree)
    return ast.dump(tree)
