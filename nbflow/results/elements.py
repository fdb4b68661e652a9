"""DataFrames of elements and of runs that show themselves with a line above, symbols for states, and units."""

from __future__ import annotations

from html import escape
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from nbflow.draw.theme import LOOKS, NONE
from nbflow.probe.secrets import short_text
from nbflow.results.arguments import summary
from nbflow.results.report import duration

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping

_LONGEST_CELL = 60


class ShownFrame(pd.DataFrame):
    """A DataFrame in all respects but its display; what is derived from it is a plain one.

    headline: stands above the table. wraps: whether wide rows are broken. texts: how columns are told, by name.
    """

    headline = ""
    wraps = True
    texts: Mapping[Any, Callable[[Any], str]] = MappingProxyType({})
    __nbflow_class__ = pd.DataFrame

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return pd.DataFrame

    def __reduce__(self) -> tuple[Any, ...]:
        return pd.DataFrame, (pd.DataFrame(self),)

    def _repr_html_(self) -> str | None:
        if not pd.get_option("display.notebook_repr_html"):
            return None
        shown_rows = self._shown_rows()
        table = self._as_shown(shown_rows).to_html(
            max_rows=shown_rows, max_cols=pd.get_option("display.max_columns"), na_rep="", notebook=True
        )
        for name, look in LOOKS.items():
            label = name.replace("_", " ")
            symbol = f'<span style="color:{look.colour};font-weight:700">{look.symbol}</span>'
            table = table.replace(
                f"<td>{look.symbol} {label}</td>", f'<td style="white-space:nowrap">{symbol} {label}</td>'
            )
        if not self.wraps:
            table = table.replace("<td>", '<td style="white-space:nowrap">')
        size = f"<p>{len(self):,} rows × {len(self.columns)} columns</p>" if shown_rows else ""
        return f"<div><p>{escape(self.headline)}</p>{table}{size}</div>"

    def __repr__(self) -> str:
        shown_rows = self._shown_rows()
        width = pd.get_option("display.width") if self.wraps else None
        table = self._as_shown(shown_rows).to_string(
            max_rows=shown_rows, line_width=width, na_rep="", max_colwidth=_LONGEST_CELL + 1
        )
        return f"{self.headline}\n{table}"

    def _shown_rows(self) -> int | None:
        """How many rows are shown; None for all."""
        most = pd.get_option("display.max_rows")
        return (pd.get_option("display.min_rows") or most) if most and len(self) > most else None

    def _as_shown(self, shown_rows: int | None) -> pd.DataFrame:
        """The frame with cells as texts, as far as they are in sight."""
        count = len(self)
        half = count if shown_rows is None else shown_rows // 2 + 1
        in_sight = [*range(min(half, count)), *range(max(half, count - half), count)]
        columns = {}
        for position, name in enumerate(self.columns):
            column = self.iloc[:, position]
            columns[name] = column
            as_text = self.texts.get(name) or (cell_text if pd.api.types.is_object_dtype(column.dtype) else None)
            if as_text is not None:
                cells = np.full(count, "", dtype=object)
                for at in in_sight:
                    cells[at] = as_text(column.iloc[at])
                columns[name] = pd.Series(cells, index=self.index, dtype=object)
        return pd.DataFrame(columns, index=self.index, columns=self.columns)


def state_text(label: str) -> str:
    """A state with its symbol.

    >>> state_text("success")
    '✓ success'
    """
    return f"{LOOKS.get(label, NONE).symbol} {label.replace('_', ' ')}".strip()


def cell_text(value: Any) -> str:
    """A value in one line; nothing for None and NaN."""
    if value is None or (isinstance(value, float) and value != value):  # noqa: PLR0124 (NaN only)
        return ""
    short = summary(value)
    text = short if isinstance(short, str) else short_text(short, limit=_LONGEST_CELL)
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST_CELL else text[: _LONGEST_CELL - 1] + "…"


def time_text(value: dt.datetime) -> str:
    """A time to the second.

    >>> import datetime as dt
    >>> time_text(dt.datetime(2024, 5, 1, 12, 30, 15, 250_000))
    '2024-05-01 12:30:15'
    """
    return f"{value:%Y-%m-%d %H:%M:%S}"


class ElementFrame(ShownFrame):
    """The elements of a node, a row each."""

    texts = MappingProxyType({"state": state_text, "seconds": duration, "error": cell_text})


class HistoryFrame(ShownFrame):
    """Runs, a row each."""

    wraps = False
    texts = MappingProxyType(
        {
            "started": time_text,
            "state": state_text,
            "seconds": duration,
            "why": cell_text,
            "error": cell_text,
            "parameters": cell_text,
        }
    )
