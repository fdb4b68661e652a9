"""What shows itself in a notebook by more than a bundle: front ends register here."""

from __future__ import annotations

from nbflow.seams import DISPLAYS


class Displayed:
    """Has a place of its own in a notebook, where something else stands later; text everywhere else."""

    def _ipython_display_(self) -> None:
        """IPython asks for it. NotImplementedError, by which it goes on to the text, where this is no notebook."""
        for show in DISPLAYS:
            show(self)
