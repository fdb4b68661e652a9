"""Forms and runs in the background in a cell's output: alive while they can be, and saved as what is left of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbflow.flow.form import Form
from nbflow.notebook.live import speaks_widgets
from nbflow.notebook.places import in_kernel, show_background
from nbflow.notebook.showing import show, show_to_change

if TYPE_CHECKING:
    from nbflow.flow.background import Background


def display_value(value: Form | Background) -> None:
    """Shows one of them. Raises NotImplementedError where this is no notebook: IPython shows its text then."""
    if not in_kernel():
        raise NotImplementedError
    if isinstance(value, Form):
        show_form(value)
    else:
        show_background(value)


def show_form(form: Form) -> None:
    """A table of the parameters, which is what is saved; as long as the kernel lives, the form stands in its place."""
    table = {"text/html": form.html(), "text/plain": repr(form)}
    if not speaks_widgets():
        show(table)
        return
    from nbflow.notebook.widget import FormPlace, reference

    widget = FormPlace(form=form.box)
    place = show_to_change({**reference(widget), "text/plain": repr(form)})

    def heard(_widget: object, message: dict[str, Any], _buffers: object) -> None:
        # The browser can hold the form without the view that is displayed: JupyterLab and Notebook 7.
        if message.get("do") == "settle":
            place.update(table, raw=True)

    widget.on_msg(heard)
