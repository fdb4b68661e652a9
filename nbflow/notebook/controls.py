"""The controls of a run in the background: a line that tells how far it is, and a button that ends it."""

from __future__ import annotations

import contextvars
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbflow.flow.background import Background

_STEP_S = 0.25


def show_controls(handle: Background) -> None:
    """Shows the button and the line under the cell. The button works while no cell runs."""
    from IPython.display import display

    display(controls(handle))  # type: ignore[no-untyped-call]


def controls(handle: Background) -> Any:
    """An ipywidgets box; a thread keeps its line as it is until the run has ended."""
    from ipywidgets import Button, HBox, Label

    button = Button(description="Cancel", icon="stop", tooltip="End the run; what has finished is kept")
    line = Label(repr(handle.progress))
    button.on_click(lambda _button: handle.cancel())

    def follow() -> None:
        while not handle.done:
            line.value = repr(handle.progress)
            handle.ended.wait(_STEP_S)
        button.disabled = True
        line.value = f"{handle.how}: {handle.progress}"

    threading.Thread(target=contextvars.copy_context().run, args=(follow,), name="nbflow-controls", daemon=True).start()
    return HBox([button, line])
