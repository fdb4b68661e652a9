"""The values of tasks that were put into the notebook's namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nbflow.flow import Run
    from nbflow.model.node import Node


class Published:
    """Puts values into a namespace, and takes out again only what it put there itself."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        self._namespace = namespace
        self._values: dict[str, tuple[bytes, Any]] = {}

    def names(self) -> set[str]:
        return set(self._values)

    def put(self, name: str, node: Node, run: Run) -> None:
        """The value of a node under a name; one that a plain cell changed in place is replaced, and that is told."""
        out = run.value_id(node)
        before = self._values.get(name)
        if before is not None and self._namespace.get(name) is before[1] and before[0] == out:
            if run.identify(before[1]) == out:
                return
            print(
                f"`{name}` was changed in place by a plain cell; it is what the task made again. "
                f"To keep the change, make it a task, or work on a copy under another name."
            )
        value = run.values(node)
        self._values[name] = (out, value)
        self._namespace[name] = value

    def drop(self, names: Iterable[str]) -> None:
        """Takes values out; a name that was given another value meanwhile is left alone."""
        for name in list(names):
            published = self._values.pop(name, None)
            if published is not None and self._namespace.get(name) is published[1]:
                del self._namespace[name]
