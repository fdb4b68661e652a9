"""The values of tasks that were put into the notebook's namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbflow.model.state import Freshness

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from nbflow.flow.finished import Run
    from nbflow.flow.front import Flow
    from nbflow.model.node import Node
    from nbflow.results.report import PlanRow

# How reasons begin that tell of files.
FILES = ("file ", "folder ")
# Elements that are looked at before every plain cell for what it does not read.
_MOST_CHECKED = 2_000


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
            now = run.identify(before[1])
            # What has no identity, as a figure, cannot be told to have changed.
            if now is None or now == out:
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


def still_fresh(flow: Flow, nodes: Mapping[str, Node]) -> set[str]:
    """The names whose nodes are fresh; those that take long to check are not among them, and come back when read."""
    rows = {row.name: row for row in _quick_rows(flow, nodes)}
    return {name for name, node in nodes.items() if node.name in rows and rows[node.name].freshness is Freshness.FRESH}


def changed_files(flow: Flow, nodes: Mapping[str, Node]) -> Iterator[tuple[str, PlanRow]]:
    """The names whose nodes are made from a file that is another one by now, with the row that says so."""
    rows = [row for row in _quick_rows(flow, nodes) if any(each.text.startswith(FILES) for each in row.reasons)]
    for name, node in nodes.items() if rows else ():
        needed = {each.name for each in flow.graph.needed([node])}
        yield from [(name, row) for row in rows if row.name in needed][:1]


def _quick_rows(flow: Flow, nodes: Mapping[str, Node]) -> list[PlanRow]:
    """How nodes and what they need stand, but for those that take long to check."""
    counts = {name: last.count for name, last in flow.store.last(flow.name).items()}
    quick = [
        node
        for node in nodes.values()
        if sum(counts.get(each.name) or 1 for each in flow.graph.needed([node])) <= _MOST_CHECKED
    ]
    return flow.plan(quick).rows if quick else []
