"""What two runs gave differently, node by node."""

from __future__ import annotations

import datetime as dt
from html import escape
from typing import TYPE_CHECKING

from nbflow.errors import UnknownName, nearest
from nbflow.lean import dataclass
from nbflow.results.report import html_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from nbflow.results.differences import Difference

# Runs that are closer to each other than that are told apart by seconds.
_CLOSE_NS = 60_000_000_000
SAME, CHANGED, ADDED, REMOVED, UNKNOWN = "same", "changed", "added", "removed", "unknown"


@dataclass(frozen=True, slots=True)
class NodeComparison:
    """How one node's output differs between two runs.

    before, after: its state in each, "" where it took no part. output: "same", "changed", "added", "removed", or
    "unknown" where one of them gave none. lines: how it differs, in words; differences: by element, of those that
    were looked at (0 for a node that is not mapped).
    """

    name: str
    before: str
    after: str
    output: str
    lines: tuple[str, ...] = ()
    differences: Mapping[int, Difference] | None = None

    @property
    def difference(self) -> Difference | None:
        """How the value differs; of a mapped node that of its first element that does."""
        return next(iter((self.differences or {}).values()), None)


@dataclass(frozen=True, slots=True)
class Moment:
    """A run that is compared. started_ns: Unix time; now: whether it is the last one."""

    run: int
    started_ns: int
    now: bool = False

    def text(self, *, seconds: bool = False) -> str:
        """`run 34 (16:42, now)`; with the date where that is not today."""
        at = dt.datetime.fromtimestamp(self.started_ns / 1e9).astimezone()
        today = at.date() == dt.datetime.now().astimezone().date()
        when = at.strftime(("" if today else "%Y-%m-%d ") + ("%H:%M:%S" if seconds else "%H:%M"))
        return f"run {self.run} ({when}{', now' if self.now else ''})"


class Comparison:
    """What a run gave differently from one before. nodes: by name; run_a, run_b: their numbers."""

    def __init__(
        self, before: Moment, after: Moment, nodes: Mapping[str, NodeComparison], *, unchanged: bool = False
    ) -> None:
        self.run_a = before.run
        self.run_b = after.run
        self.nodes = dict(nodes)
        self._moments = (before, after)
        # Whether no run before gave anything else.
        self._unchanged = unchanged

    def __getitem__(self, name: str) -> NodeComparison:
        if name not in self.nodes:
            raise UnknownName(f"neither run knows {name!r}" + nearest(name, self.nodes))
        return self.nodes[name]

    @property
    def changed(self) -> list[str]:
        """The names of the nodes whose output differs, and of those that came or went."""
        return [name for name, node in self.nodes.items() if node.output in {CHANGED, ADDED, REMOVED}]

    @property
    def table(self) -> pd.DataFrame:
        """One row a node: its state before and after, whether its output is the same, and how it differs."""
        import pandas as pd

        return pd.DataFrame(
            {
                "before": [node.before for node in self.nodes.values()],
                "after": [node.after for node in self.nodes.values()],
                "output": [node.output for node in self.nodes.values()],
                "how": ["; ".join(node.lines[:3]) for node in self.nodes.values()],
            },
            index=pd.Index(list(self.nodes), name="node"),
        )

    def __repr__(self) -> str:
        before, after = self._moments
        seconds = abs(after.started_ns - before.started_ns) < _CLOSE_NS
        lines = [f"{before.text(seconds=seconds)} → {after.text(seconds=seconds)}: {self._head()}"]
        for node in self.nodes.values():
            if node.output != SAME or node.lines:
                lines += [f"{node.name}: {_told(node)}", *(f"  {line}" for line in node.lines)]
        return "\n".join(lines)

    def _head(self) -> str:
        count = len(self.changed)
        if count:
            return f"{count} of {len(self.nodes)} outputs changed"
        return "no output changed" + (", nor in any run before that is kept" if self._unchanged else "")

    def _repr_html_(self) -> str:
        head, *details = repr(self).splitlines()
        body = f"<pre>{escape(chr(10).join(details))}</pre>" if details else ""
        return f"<div><p>{escape(head)}</p>{html_table(self.table)}{body}</div>"


def _told(node: NodeComparison) -> str:
    if node.output != UNKNOWN:
        return node.output
    if node.before == node.after:
        return f"{node.before.replace('_', ' ')} in both runs"
    return f"{node.output} ({node.before or 'no part'} → {node.after or 'no part'})"
