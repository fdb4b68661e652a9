"""IPython's display, with types: what is shown now, and what takes its place later."""

from __future__ import annotations

from typing import Any

from IPython.display import display


def show(bundle: dict[str, Any]) -> None:
    """Shows a MIME bundle in the output of the cell that runs."""
    display(bundle, raw=True)  # type: ignore[no-untyped-call]  # IPython has no types here


def show_to_change(bundle: dict[str, Any]) -> Any:
    """Shows a bundle, and gives a handle: `handle.update(bundle, raw=True)` puts another one in its place."""
    return display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]  # as above
