"""What plain cells said as they last ran: where the names that tasks read come from."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from nbflow.notebook.text import Written, statements_of

if TYPE_CHECKING:
    from collections.abc import Iterator


class RecordedCells:
    """The statements of plain cells, in the order in which the cells first ran."""

    def __init__(self) -> None:
        self._cells: dict[str, list[Written]] = {}

    def note(self, cell: str | None, text: str, tree: ast.Module) -> None:
        """Takes in a cell that is about to run; it replaces what the same cell said before.

        text: the cell, IPython's syntax transformed. Without a cell id, the same text is the same cell.
        """
        if ast.dump(_parsed(text)) != ast.dump(tree):
            # Something else than what was asked for, such as code that a magic runs.
            text = ast.unparse(tree)
            tree = _parsed(text)
        first = next((line for line in text.split("\n") if line.strip()), "")
        self._cells[cell or f"text:{text}"] = statements_of(text, tree, f"the cell that begins `{first[:60]}`")

    def statements(self) -> Iterator[Written]:
        for cell in self._cells.values():
            yield from cell


def _parsed(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except SyntaxError:
        return ast.Module([], [])
