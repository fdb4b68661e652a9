"""A DataFrame that shows itself with a line above, symbols for states, and units."""

from __future__ import annotations

from html import escape
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from nbflow.draw.theme import LOOKS, NONE, words
from nbflow.probe.secrets import short_text
from nbflow.results.arguments import summary
from nbflow.results.report import duration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LONGEST_CELL = 60


class ShownFrame(pd.DataFrame):
    """A DataFrame in all respects but its display; what is derived from it is a plain one.

    headline: stands above the table. wraps: whether wide rows are broken. texts: how columns are told, by name, where
    that is not as in `_OWN`.
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
            label = words(name)
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
            if name == "parameters" and not column.any():
                continue
            columns[name] = column
            as_text = self.texts.get(name) or _OWN.get(name)
            if as_text is None and pd.api.types.is_object_dtype(column.dtype):
                as_text = cell_text
            if as_text is not None:
                cells = np.full(count, "", dtype=object)
                for at in in_sight:
                    cells[at] = as_text(column.iloc[at])
                columns[name] = pd.Series(cells, index=self.index, dtype=object)
        return pd.DataFrame(columns, index=self.index)


def state_text(label: str) -> str:
    """A state with its symbol.

    >>> state_text("success")
    '✓ success'
    """
    return f"{LOOKS.get(label, NONE).symbol} {words(label)}".strip()


def cell_text(value: Any) -> str:
    """A value in one line; nothing for None and NaN."""
    if value is None or (isinstance(value, float) and value != value):  # noqa: PLR0124 (NaN only)
        return ""
    short = summary(value)
    text = short if isinstance(short, str) else short_text(short, limit=_LONGEST_CELL)
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST_CELL else text[: _LONGEST_CELL - 1] + "…"


def seconds_text(seconds: float) -> str:
    """Seconds to the millisecond, of long times to the second.

    >>> seconds_text(0.0123), seconds_text(7300.4), seconds_text(float("nan"))
    ('0.012', '7,300', '')
    """
    if seconds != seconds:  # noqa: PLR0124 (NaN only)
        return ""
    return f"{seconds:.3f}" if seconds < 100 else f"{seconds:,.0f}"


def _moment(time: Any) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S") if hasattr(time, "strftime") else cell_text(time)


_OWN: dict[Any, Callable[[Any], str]] = {
    "state": state_text,
    "seconds": seconds_text,
    "error": cell_text,
    "why": cell_text,
    "started": _moment,
}


class HistoryFrame(ShownFrame):
    """Runs, a row each, in one line."""

    wraps = False
    texts = MappingProxyType({"seconds": duration, "parameters": cell_text})
