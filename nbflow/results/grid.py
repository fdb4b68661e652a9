"""The elements of a node as a table to sort, filter and pick from; an offline widget of `itables`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbflow.draw.theme import LOOKS, NONE, words
from nbflow.errors import MissingExtra, NbflowError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ipywidgets import VBox

    from nbflow.results.shown import ShownFrame

# What a browser sorts and filters at once without a pause; of more, those that failed come first.
MOST_ROWS = 10_000
_PAGE = 10
_FIRST = ("failed", "trigger_failed", "cancelled", "retrying", "running", "paused", "pending")


def make_grid(frame: ShownFrame, name: str, retry: Callable[[Sequence[int]], tuple[ShownFrame, str]]) -> VBox:
    """A widget with the frame's elements. retry: runs the elements at these positions again, and gives the new frame
    with a line about the run. Raises MissingExtra.
    """
    try:
        import itables.widget  # noqa: F401 (only whether it is there)
    except ImportError:
        raise MissingExtra(
            f"the grid needs itables: pip install 'nbflow[grid]'; run.frame({name!r}) is the same as a plain DataFrame"
        ) from None
    return ElementGrid(frame, retry).widget


class ElementGrid:
    """The state of one grid: which elements are in sight, which are selected. widget: what is displayed."""

    def __init__(self, frame: ShownFrame, retry: Callable[[Sequence[int]], tuple[ShownFrame, str]]) -> None:
        import ipywidgets
        from itables.widget import ITable

        self.frame = frame
        self._retry = retry
        self._positions: list[int] = []
        self._line = ipywidgets.Label()
        self._told = ipywidgets.Label()
        self.states = ipywidgets.Dropdown(options=self._choices(), description="state", layout={"width": "260px"})
        self.button = ipywidgets.Button(description="Retry selected", icon="refresh", disabled=True)
        self.table = ITable(_as_table(frame.iloc[:0], frame), **_OPTIONS)
        self.states.observe(self._filter, "value")
        self.table.observe(self._note_selection, "selected_rows")
        self.button.on_click(self._run_again)
        bar = ipywidgets.HBox([self.states, self.button, self._told])
        self.widget = ipywidgets.VBox([self._line, bar, self.table])
        self._filter()

    @property
    def selected(self) -> list[int]:
        """The positions of the selected elements in the frame."""
        return [self._positions[row] for row in self.table.selected_rows]

    def _choices(self) -> list[tuple[str, str]]:
        """The states that occur, as they are told, each with its name; first all of them."""
        counts = self.frame["state"].value_counts()
        order = sorted(counts.index, key=lambda state: (state not in _FIRST, state))
        every = (f"all ({len(self.frame):,})", "")
        return [every, *((f"{LOOKS.get(s, NONE).symbol} {words(s)} ({counts[s]:,})", s) for s in order)]

    def _show_states(self) -> None:
        before, choices = self.states.value, self._choices()
        self.states.options = choices
        self.states.value = before if before in dict(choices).values() else ""

    def _filter(self, _change: Any = None) -> None:
        """Puts the elements of the chosen state into the table; where they are too many, the failed ones first."""
        import numpy as np

        states = self.frame["state"]
        wanted = self.states.value
        found = np.flatnonzero((states == wanted) if wanted else np.ones(len(states), dtype=bool))
        line = self.frame.headline
        if len(found) > MOST_ROWS:
            first = states.iloc[found].isin(_FIRST).to_numpy()
            found = np.sort(np.concatenate([found[first], found[~first]])[:MOST_ROWS])
            line += f" · the table holds {MOST_ROWS:,} of {int((states == wanted).sum()) if wanted else len(states):,}"
            line += ", those that failed before all others; choose a state to see only its elements"
        self._positions = found.tolist()
        self._line.value = line
        self.table.selected_rows = []
        self.table.update(_as_table(self.frame.iloc[found], self.frame), **_OPTIONS)

    def _note_selection(self, _change: Any = None) -> None:
        count = len(self.table.selected_rows)
        self.button.disabled = not count
        self.button.description = f"Retry {count:,} selected" if count else "Retry selected"

    def _run_again(self, _button: Any) -> None:
        chosen = self.selected
        self.button.disabled = True
        self._told.value = f"▶ running {len(chosen):,} elements again …"
        try:
            self.frame, self._told.value = self._retry(chosen)
        except NbflowError as error:
            self._told.value = f"✗ {str(error).splitlines()[0]}"
            self.button.disabled = False
            return
        self._show_states()
        self._filter()


_OPTIONS: dict[str, Any] = {
    "select": {"style": "multi", "selector": "td"},
    "selected_rows": [],
    "maxBytes": 0,
    "maxRows": 0,
    "maxColumns": 0,
    "pageLength": _PAGE,
    "showIndex": True,
    "allow_html": False,
    "warn_on_unexpected_types": False,
    "style": "width:100%;margin:0",
}


def _as_table(rows: Any, frame: ShownFrame) -> Any:
    """Rows with texts in place of objects, and seconds that sort; a plain DataFrame."""
    import pandas as pd

    from nbflow.results.shown import cell_text, state_text

    shown = {}
    for position, name in enumerate(frame.columns):
        column = rows.iloc[:, position]
        if name == "state":
            column = column.map(state_text)
        elif name == "seconds":
            column = column.round(3)
        elif not (pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_datetime64_any_dtype(column.dtype)):
            column = pd.Series([cell_text(value) for value in column], index=rows.index, dtype=object)
        shown[str(name)] = column
    return pd.DataFrame(shown, index=rows.index)
