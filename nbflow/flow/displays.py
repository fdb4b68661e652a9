"""What shows itself in a notebook by more than a bundle: front ends register here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

# One, once nbflow is imported: shows a value in the output of the cell that runs.
DISPLAYS: list[Callable[[Any], None]] = []


class Displayed:
    """Has a place of its own in a notebook, where something else stands later; text everywhere else."""

    def _ipython_display_(self) -> None:
        """IPython asks for it. NotImplementedError, by which it goes on to the text, where this is no notebook."""
        for show in DISPLAYS:
            show(self)
