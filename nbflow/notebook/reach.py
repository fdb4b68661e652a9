"""The global names that functions of the notebook read."""

from __future__ import annotations

from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def reached_names(names: Iterable[str], namespace: dict[str, Any]) -> set[str]:
    """The global names that these names lead to through functions of the notebook, at any depth."""
    seen: set[str] = set()
    todo = list(names)
    while todo:
        value = namespace.get(todo.pop())
        if isinstance(value, FunctionType) and value.__globals__ is namespace:
            fresh = set(_global_names(value.__code__)) - seen
            seen |= fresh
            todo.extend(fresh)
    return seen


def _global_names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _global_names(constant)
