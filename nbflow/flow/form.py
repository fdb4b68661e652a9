"""A form for a flow's parameters, with a button that runs it. ipywidgets is imported as a form is made."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, Any

from nbflow.flow.displays import Displayed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nbflow.flow.fields import Field
    from nbflow.flow.finished import Run


class Form(Displayed):
    """Widgets for parameters. It shows itself in a notebook; as text it is a table of the parameters.

    run: takes the values by name, and gives the Run. `form.values()` is what is set now, `form.run()` is the button.
    """

    def __init__(self, title: str, fields: Sequence[Field], run: Callable[[dict[str, Any]], Run]) -> None:
        import ipywidgets

        self.fields = {field.name: field for field in fields}
        # Labels as wide as the longest stand in a column; a very long one is cut.
        style = {"description_width": f"{min(max(map(len, self.fields), default=0), 40) + 1}ch"}
        self.widgets = {field.name: _widget(field, style) for field in fields}
        self.button = ipywidgets.Button(description="Run", button_style="primary", icon="play", tooltip=f"run {title}")
        self.output = ipywidgets.Output()
        self.last_run: Run | None = None
        self._title = title
        self._run = run
        self.button.on_click(self._clicked)
        rows = [_row(field, self.widgets[field.name]) for field in fields]
        self.box = ipywidgets.VBox([*rows, self.button, self.output])

    def values(self) -> dict[str, Any]:
        """The values as they are set. Raises ParameterError for a text that is no value."""
        return {name: _value(self.fields[name], widget.value) for name, widget in self.widgets.items()}

    def run(self) -> Run:
        """Runs with these values, as the button does, and gives the Run."""
        self.last_run = self._run(self.values())
        return self.last_run

    def _clicked(self, _button: object) -> None:
        from IPython.display import display

        self.button.disabled, self.button.description = True, "Running…"
        self.output.clear_output()
        try:
            # What goes wrong is shown in here as in a cell.
            with self.output:
                run = self.run()
                print(run.summary())
                display(run)  # type: ignore[no-untyped-call]  # IPython has no types here
        finally:
            self.button.disabled, self.button.description = False, "Run"

    def __repr__(self) -> str:
        rows = self._rows()
        widths = [max(len(row[i]) for row in [_HEAD, *rows]) for i in range(len(_HEAD))]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [_HEAD, *rows]
        ]
        return "\n".join([f"parameters of {self._title}", *(f"  {line.rstrip()}" for line in lines)])

    def html(self) -> str:
        """The same table for a notebook's file: plain, and the same each time."""
        cells = [f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in self._rows()]
        head = "".join(f"<th>{cell}</th>" for cell in _HEAD)
        return (
            f'<div class="nbflow-params"><p>parameters of {escape(self._title)}</p>'
            f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(cells)}</tbody></table></div>"
        )

    def _rows(self) -> list[tuple[str, str, str, str]]:
        return [(field.name, field.shown(), _kind(field), field.help) for field in self.fields.values()]


_HEAD = ("name", "value", "takes", "")


def _kind(field: Field) -> str:
    if field.kind == "choice":
        return ", ".join(label for label, _ in field.choices)
    return {"checkbox": "yes or no", "literal": "a value as in Python", "secret": "text"}.get(field.kind, field.kind)


def _row(field: Field, widget: Any) -> Any:
    """A field as it stands in the form: a number with a slider beside it, which grows where it is too short."""
    if field.low is None or field.high is None:
        return widget
    import ipywidgets as w

    given = {"min": field.low, "max": field.high, "value": field.value, "readout": False}
    step = (field.high - field.low) / 100
    slider = w.IntSlider(**given) if field.kind == "int" else w.FloatSlider(**given, step=step)

    def follow(_change: Any) -> None:
        # A number may be cleared, or be no finite one, while it is typed.
        if widget.value != slider.value and math.isfinite(widget.value):
            slider.max, slider.min = max(slider.max, widget.value), min(slider.min, widget.value)
            slider.value = widget.value

    def lead(_change: Any) -> None:
        widget.value = slider.value

    widget.observe(follow, "value")
    slider.observe(lead, "value")
    return w.HBox([widget, slider])


def _widget(field: Field, style: dict[str, str]) -> Any:
    import ipywidgets as w

    shared = {"description": field.name, "tooltip": field.help, "style": style, "layout": {"width": "360px"}}
    value = {} if field.value is ... else {"value": field.value}
    match field.kind:
        case "checkbox":
            return w.Checkbox(**value, **shared)
        case "choice":
            return w.Dropdown(options=list(field.choices), **value, **shared)
        case "int":
            return w.IntText(**value, **shared)
        case "float":
            return w.FloatText(**value, **shared)
        case "date":
            return w.DatePicker(**value, **shared)
        case "datetime":
            return w.NaiveDatetimePicker(**value, **shared)
        case "secret":
            return w.Password(**value, **shared)
        case "text":
            return w.Text(**value, **shared)
    return w.Text(value="" if field.value is ... else repr(field.value), **shared)


def _value(field: Field, value: Any) -> Any:
    if field.kind == "literal" or (field.kind in {"text", "secret"} and field.value is ...):
        return field.read(value)
    return value
