"""The functions that make tasks and map them, where users of Prefect 1 look for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbflow.errors import GraphError
from nbflow.model.task import Task, task

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbflow.model.node import Node

__all__ = ["Task", "map", "task"]


def map(each: Task | Callable[..., Any]) -> Callable[..., Node]:  # noqa: A001 (the name Prefect users look for)
    """The function form of `Task.map`: `map(load)(paths)` is `load.map(paths)`; a plain function becomes a task.

    >>> map(len)
    <bound method Task.map of <Task len>>
    """
    if not callable(each):
        raise GraphError(f"map({each!r}): a task or a function is needed; the values go into a second call: map(f)(xs)")
    return (each if isinstance(each, Task) else Task(each)).map
