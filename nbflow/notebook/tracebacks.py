"""How a notebook shows a body that is no Python."""

from __future__ import annotations

import linecache
import traceback

from nbflow.errors import CellError


class BodyUnreadable(CellError):
    """A body that is no Python; shown as Python shows it, with the cell's own line."""

    def __init__(self, error: SyntaxError, filename: str) -> None:
        self.error = error
        if error.text is None:
            # The compiler knows no source when it refuses a tree, such as one with a `return`.
            error.text = linecache.getline(filename, error.lineno or 1)
        super().__init__(f"{type(error).__name__}: {error.msg} (line {error.lineno} of the cell)")

    def _render_traceback_(self) -> list[str]:
        lines = "".join(traceback.format_exception_only(self.error)).splitlines()
        return [f"  cell, line {self.error.lineno}", *lines[1:]]
