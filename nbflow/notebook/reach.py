"""The global names that code of the notebook reads."""

from __future__ import annotations

import functools
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from nbflow.flow.front import Flow
from nbflow.identity.asked import with_asked
from nbflow.identity.bytecode import reaches_of
from nbflow.model.node import Node, ancestors
from nbflow.model.task import Task

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# A table of functions is short; what is longer is data.
_MOST_PARTS = 100


def reached_names(names: Iterable[str], namespace: dict[str, Any]) -> set[str]:
    """The global names that these lead to through functions and classes of the notebook, at any depth."""
    return names_reached_from([namespace.get(name) for name in names], namespace)


def names_reached_from(values: Iterable[Any], namespace: dict[str, Any]) -> set[str]:
    """The same for values.

    Seen through: methods, base classes, instances, closures, what decorators wrap, partials, tasks, flows, and
    functions in short lists and dicts.
    """
    found: set[str] = set()
    todo = list(values)
    seen: dict[int, Any] = {}
    while todo:
        value = todo.pop()
        if id(value) in seen:
            continue
        seen[id(value)] = value
        if isinstance(value, FunctionType) and value.__globals__ is namespace:
            reaches = with_asked(value, reaches_of(value.__code__))
            fresh = {reach.names[0] for reach in reaches if reach.module is None} - found
            found |= fresh
            todo.extend(namespace.get(name) for name in fresh)
        todo.extend(_parts(value, namespace))
    return found


def _parts(value: Any, namespace: dict[str, Any]) -> Iterator[Any]:
    """What code a value holds, or may hold."""
    match value:
        case FunctionType():
            yield from (cell.cell_contents for cell in value.__closure__ or () if _is_filled(cell))
            yield from value.__defaults__ or ()
            yield value.__dict__.get("__wrapped__")
        case functools.partial():
            yield from (value.func, *value.args, *value.keywords.values())
        case MethodType():
            yield from (value.__func__, value.__self__)
        case staticmethod() | classmethod():
            yield value.__func__
        case property():
            yield from (value.fget, value.fset)
        case functools.cached_property():
            yield value.func
        case functools._lru_cache_wrapper():
            yield value.__wrapped__
        case Task():
            yield value.fn
        case Node():
            yield from (each.task for each in ancestors([value]))
        case Flow():
            yield from (each.task for each in value.graph.nodes.values())
        case list() | tuple() if len(value) <= _MOST_PARTS:
            yield from value
        case dict() if len(value) <= _MOST_PARTS:
            yield from value.values()
        case type() if value.__module__ == namespace.get("__name__"):
            yield from (*vars(value).values(), *value.__bases__)
        case _ if not isinstance(value, type):
            yield type(value)


def _is_filled(cell: Any) -> bool:
    """Whether a closure's variable has a value yet."""
    try:
        cell.cell_contents  # noqa: B018 (an empty one raises)
    except ValueError:
        return False
    return True
