"""What counts by a name: values that the user declared opaque, and the standard streams."""

from __future__ import annotations

import builtins
import sys
import types
import weakref
from typing import TYPE_CHECKING, Any, TypeVar

from nbflow.lean import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def opaque(value: T, *, id: str) -> T:  # noqa: A002 (the word that the error message proposes)
    """The value itself, which from now on counts by the given id: for clients, connections, handles.

    >>> client = opaque(object(), id="production")
    """
    OPAQUE[builtins.id(value)] = (_reference(value), id)
    return value


def is_opaque(value: Any) -> bool:
    """Whether the value counts by an id that the user gave it."""
    return opaque_name(value) is not None


def opaque_name(value: Any) -> str | None:
    """The id that the user gave a value; None for any other."""
    if OPAQUE:
        entry = OPAQUE.get(id(value))
        if entry is not None and entry[0]() is value:
            return entry[1]
    return None


def stream_name(value: Any) -> str | None:
    """The name of a standard stream, whatever stands for it just now; None for anything else."""
    for name in ("stdin", "stdout", "stderr"):
        if value is getattr(sys, name) or value is getattr(sys, f"__{name}__"):
            return name
    return None


def plain_reader(value: Any) -> Any:
    """A reader of a library as it was before nbflow wrapped it; anything else as it is.

    `functools.wraps` hands attributes on: of a function only the wrapper's own code tells what it is.
    """
    if isinstance(value, types.FunctionType):
        is_wrapper = value.__code__.co_qualname == _WRAPPER and value.__globals__.get("__name__") == _READERS
        return value.__dict__["__nbflow_reader__"] if is_wrapper else value
    return vars(value).get("__nbflow_reader__", value) if isinstance(value, type) else value


@dataclass(frozen=True, slots=True)
class _Held:
    """Stands for a weak reference where a value allows none: it is held for good."""

    value: Any

    def __call__(self) -> Any:
        return self.value


def _reference(value: Any) -> Callable[[], Any]:
    try:
        return weakref.ref(value)
    except TypeError:
        return _Held(value)


# Readers lie above identity, so they are known by their names.
_READERS, _WRAPPER = "nbflow.probe.readers", "_telling.<locals>.told"
OPAQUE: dict[int, tuple[Callable[[], Any], str]] = {}
