"""Whether what a function reaches by name in a worker is still what came with it: looked at as the kernel does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbflow.executors.call import PACKAGES
from nbflow.identity.code import CodeIds
from nbflow.lean import replace
from nbflow.model.node import Node
from nbflow.model.task import Task
from nbflow.probe.listening import apart

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from nbflow.identity.parts import CodeIdentity


class Drift:
    """Whether a function's globals are what the kernel's are. reached: their names and digests there."""

    def __init__(self, fn: Callable[..., Any], reached: Mapping[str, bytes], ignored: Collection[str]) -> None:
        self._found: str | None = None
        self._code = _identified(fn, reached, ignored)
        if self._code is not None and _CHANGED:
            # What a task left in a module of this process, the next one was not to see.
            differs = (each.name for each in self._code.captures if each.digest != reached[each.name])
            self._found = next((name for name in differs if _last(name) in _CHANGED), None)

    def now(self) -> str | None:
        """The name of a global that was changed, else None."""
        if self._found is None and self._code is not None:
            with apart():
                self._found = self._code.drifted()
        if self._found is not None:
            _CHANGED.add(_last(self._found))
        return self._found


def suspect(names: Iterable[str]) -> None:
    """A call that nobody looks at may have changed these."""
    _CHANGED.update(map(_last, names))


def _identified(fn: Callable[..., Any], reached: Mapping[str, bytes], ignored: Collection[str]) -> CodeIdentity | None:
    codes = CodeIds(_NO_SOURCES, PACKAGES, is_input=_is_node, called_by_name=_task_function)
    try:
        code = codes.identify(fn, ignore=ignored)
    # What it imports or holds is the user's and may raise anything; then the call does, too, or the kernel has said so.
    except Exception:  # noqa: BLE001 (nothing can be told of it)
        return None
    return replace(code, captures=tuple(each for each in code.captures if each.name in reached))


class _NoSources:
    """What runs is what came: files that lie here may be others."""

    def tree(self, filename: str) -> None:
        return None

    def text_of(self, thing: Any) -> str:
        return ""


def _is_node(value: object) -> bool:
    return isinstance(value, Node)


def _task_function(value: object) -> Any:
    return value.fn if isinstance(value, Task) else None


def _last(name: str) -> str:
    """`TABLE`, also where a task reaches it as `helpers.TABLE`."""
    return name.rpartition(".")[2]


_NO_SOURCES = _NoSources()
# The names of what calls have changed in this process, or may have.
_CHANGED: set[str] = set()
