"""Plan and Status: what would run, as a table with a picture, and in one line a node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbflow.draw import mime_bundle
from nbflow.errors import UnknownName, nearest
from nbflow.flow.drawing import Drawing
from nbflow.flow.picture import plan_picture
from nbflow.model.state import Freshness
from nbflow.results.report import FAILED_LAST_TIME, PlanRow, duration, html_table, plan_table, text_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from nbflow.flow.views import FlowViews


class Plan:
    """What would run, and why. rows: one a node, in running order."""

    def __init__(self, flow: FlowViews, rows: list[PlanRow]) -> None:
        self.flow = flow
        self.rows = rows

    @property
    def table(self) -> pd.DataFrame:
        """One row a node: state, elements, why, seconds it took last time."""
        return plan_table(self.rows)

    @property
    def will_run(self) -> list[str]:
        """The names of the nodes that are not fresh."""
        return [row.name for row in self.rows if row.freshness.label != "fresh"]

    def __getitem__(self, name: str) -> PlanRow:
        rows = {row.name: row for row in self.rows}
        if name not in rows:
            raise UnknownName(f"the plan has no node {name!r}" + nearest(name, rows))
        return rows[name]

    def drawing(self) -> Drawing:
        """The picture without the table."""
        return Drawing(plan_picture(self.flow.graph, self.rows))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        bundle = mime_bundle(plan_picture(self.flow.graph, self.rows))
        html = bundle.get("text/html", "")
        return {
            "text/html": html + html_table(self.table, {"seconds": duration}),
            "text/plain": repr(self),
        }

    def __repr__(self) -> str:
        return text_table(self.table, {"seconds": duration}) if self.rows else "<Plan of nothing>"


class Status:
    """How each node stands. rows: one a node, in running order."""

    def __init__(self, rows: Sequence[PlanRow]) -> None:
        self.rows = list(rows)

    def __getitem__(self, name: str) -> PlanRow:
        rows = {row.name: row for row in self.rows}
        if name not in rows:
            raise UnknownName(f"the flow has no task {name!r}" + nearest(name, rows))
        return rows[name]

    def lines(self) -> list[str]:
        """One line a node: symbol, name, fresh elements of all, state."""
        return [f"{_symbol(row)} {' '.join(filter(None, (row.name, row.elements)))}: {_how(row)}" for row in self.rows]

    def __repr__(self) -> str:
        return "\n".join(self.lines()) or "<Status of nothing>"


def _symbol(row: PlanRow) -> str:
    return _SYMBOLS["failed" if row.failed else row.freshness.label]


def _how(row: PlanRow) -> str:
    known = row.freshness is not Freshness.UNKNOWN or not row.reasons
    word = FAILED_LAST_TIME if row.failed else row.freshness.label
    return word if known else f"{word} ({row.reasons[0].text})"


_SYMBOLS = {"fresh": "✓", "stale": "◐", "new": "○", "unknown": "?", "failed": "✗"}
