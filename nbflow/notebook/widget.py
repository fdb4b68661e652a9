"""The live graph's widget: what it is given at the start, and the messages that follow. Imports anywidget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anywidget
import ipywidgets
import traitlets

_HERE = Path(__file__).parent


class LiveGraph(anywidget.AnyWidget):
    """A graph that lives in the browser: layouts and texts once, then only what changed.

    scene: boxes, arrows and the SVG; aside: the SVG from left to right, empty until there is one. texts: what the
    detail pane shows that does not change, by box. css: the style sheet of the pictures. can_cancel: whether there is
    a button for it.
    """

    _esm = _HERE / "view.js"
    _css = _HERE / "view.css"
    scene = traitlets.Dict().tag(sync=True)
    aside = traitlets.Unicode().tag(sync=True)
    texts = traitlets.Dict().tag(sync=True)
    css = traitlets.Unicode().tag(sync=True)
    can_cancel = traitlets.Bool(default_value=False).tag(sync=True)

    def tell(self, changes: dict[str, Any]) -> None:
        """Sends what changed."""
        self.send(changes)


class FormPlace(anywidget.AnyWidget):
    """Holds a form's widgets in the place of the table that is saved; it says "settle" when the table may come."""

    _esm = _HERE / "form.js"
    form = traitlets.Instance(ipywidgets.DOMWidget).tag(sync=True, **ipywidgets.widget_serialization)


def reference(widget: anywidget.AnyWidget) -> dict[str, Any]:
    """The part of a MIME bundle that shows a widget."""
    view = {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}
    return {"application/vnd.jupyter.widget-view+json": view}
