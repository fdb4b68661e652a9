"""A form for a flow's parameters, with a button that runs it. ipywidgets is imported as a form is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nbflow.flow.fields import Field
    from nbflow.flow.finished import Run

_WIDE = {"description_width": "initial"}


class Form:
    """Widgets for parameters. It shows itself in a notebook; as text it is a table of the parameters.

    run: takes the values by name, and gives the Run. `form.values()` is what is set now, `form.run()` is the button.
    """

    def __init__(self, title: str, fields: Sequence[Field], run: Callable[[dict[str, Any]], Run]) -> None:
        import ipywidgets

        self.fields = {field.name: field for field in fields}
        self.widgets = {field.name: _widget(field) for field in fields}
        self.button = ipywidgets.Button(description="Run", button_style="primary", icon="play", tooltip=f"run {title}")
        self.output = ipywidgets.Output()
        self.last_run: Run | None = None
        self._title = title
        self._run = run
        self.button.on_click(self._clicked)
        self._box = ipywidgets.VBox([*self.widgets.values(), self.button, self.output])

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
                display(run)  # type: ignore[no-untyped-call]
        finally:
            self.button.disabled, self.button.description = False, "Run"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        found = self._box._repr_mimebundle_(include=include, exclude=exclude) or {}
        bundle: dict[str, Any] = found[0] if isinstance(found, tuple) else found
        return {**bundle, "text/plain": repr(self)}

    def __repr__(self) -> str:
        rows = [(field.name, field.shown(), _kind(field), field.help) for field in self.fields.values()]
        widths = [max(len(row[i]) for row in [_HEAD, *rows]) for i in range(len(_HEAD))]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [_HEAD, *rows]
        ]
        return "\n".join([f"parameters of {self._title}", *(f"  {line.rstrip()}" for line in lines)])


_HEAD = ("name", "value", "takes", "")


def _kind(field: Field) -> str:
    if field.kind == "choice":
        return ", ".join(label for label, _ in field.choices)
    if field.low is not None:
        return f"{field.kind}, {field.low} to {field.high}"
    return {"checkbox": "yes or no", "literal": "a value as in Python", "secret": "text"}.get(field.kind, field.kind)


def _widget(field: Field) -> Any:
    import ipywidgets as w

    shared = {"description": field.name, "tooltip": field.help, "style": _WIDE}
    value = {} if field.value is ... else {"value": field.value}
    match field.kind:
        case "checkbox":
            return w.Checkbox(**value, indent=False, **shared)
        case "choice":
            return w.Dropdown(options=list(field.choices), **value, **shared)
        case "int" if field.low is not None:
            return w.IntSlider(**value, min=field.low, max=field.high, **shared)
        case "float" if field.low is not None and field.high is not None:
            step = (field.high - field.low) / 100
            return w.FloatSlider(**value, min=field.low, max=field.high, step=step, readout_format=".3g", **shared)
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
