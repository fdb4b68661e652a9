"""How a parameter is asked for in a form: by its annotation and its value."""

from __future__ import annotations

import ast
import builtins
import datetime as dt
import enum
import inspect
import math
import typing
from typing import TYPE_CHECKING, Any

from nbflow.errors import ParameterError
from nbflow.lean import dataclass
from nbflow.model.node import Node, Parameter
from nbflow.probe.secrets import is_secret_name, short_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# A slider of more steps cannot be set with a mouse.
_LARGEST_SLIDER = 1000
_BY_TYPE = {
    bool: "checkbox",
    int: "int",
    float: "float",
    str: "text",
    dt.datetime: "datetime",
    dt.date: "date",
}


@dataclass(frozen=True, slots=True)
class Field:
    """One parameter. value: as it is now, `...` where there is none yet.

    kind: checkbox, choice, int, float, text, secret, date, datetime, or literal, which is written as in Python.
    choices: (label, value) pairs; low, high: of a slider, None for plain numbers.
    """

    name: str
    value: Any
    kind: str
    help: str = ""
    choices: tuple[tuple[str, Any], ...] = ()
    low: float | None = None
    high: float | None = None

    def shown(self) -> str:
        """The value for a table."""
        return "(needed)" if self.value is ... else short_text(self.value, self.name)

    def read(self, text: str) -> Any:
        """A value from what was typed. Raises ParameterError."""
        if self.kind in {"text", "secret"}:
            if not text and self.value is ...:
                raise ParameterError(f"{self.name} needs a value")
            return text
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            raise ParameterError(
                f"{self.name} = {text}: this is no value as Python writes it, such as 5, 'text', [1, 2] or None"
            ) from None


def field_of(name: str, value: Any, annotation: Any = None, help: str = "") -> Field:  # noqa: A002 (as in Parameter)
    """The field of one parameter.

    >>> field_of("n", 5).kind, field_of("n", 5).high
    ('int', 20)
    >>> field_of("how", "mean", typing.Literal["mean", "median"]).choices
    (('mean', 'mean'), ('median', 'median'))
    """
    choices = _choices(value, annotation)
    if choices and (value is ... or any(value == each for _, each in choices)):
        return Field(name, value, "choice", help, choices)
    kind = _BY_TYPE.get(type(value)) or (_BY_TYPE.get(annotation, "literal") if value is ... else "literal")
    if value is ... and kind != "checkbox":
        # No slider without a place to stand.
        kind = "text" if kind == "text" else "literal"
    if kind == "text" and is_secret_name(name):
        kind = "secret"
    if kind == "int" and annotation is float:
        kind = "float"
    low, high = _range(value) if kind in {"int", "float"} else (None, None)
    return Field(name, value, kind, help, (), low, high)


def fields_of(parameters: Iterable[Parameter], nodes: Iterable[Node], given: Mapping[str, Any]) -> list[Field]:
    """The fields of a flow's parameters. nodes: whose tasks' annotations tell what they take; given: present values."""
    annotations = _annotations(nodes)
    return [
        field_of(each.name, given.get(each.name, each.default_value), annotations.get(each), each.help)
        for each in parameters
    ]


def annotation_of(text: str, namespace: Mapping[str, Any]) -> Any:
    """What an annotation in a cell says; None where that is not known. Nothing is called.

    >>> annotation_of("Literal['a', 'b']", {})
    typing.Literal['a', 'b']
    """
    match ast.parse(text, mode="eval").body if text else None:
        case ast.Subscript(value=ast.Name(id="Literal") | ast.Attribute(attr="Literal"), slice=inner):
            try:
                found = ast.literal_eval(inner)
            except ValueError:
                return None
            return typing.Literal[found if isinstance(found, tuple) else (found,)]
        case ast.Name(id=name):
            found = namespace.get(name, getattr(builtins, name, None))
            return found if isinstance(found, type) else None
        case _:
            return None


def _choices(value: Any, annotation: Any) -> tuple[tuple[str, Any], ...]:
    if typing.get_origin(annotation) is typing.Literal:
        return tuple((str(each), each) for each in typing.get_args(annotation))
    kind = annotation if isinstance(annotation, type) and issubclass(annotation, enum.Enum) else type(value)
    if issubclass(kind, enum.Enum):
        return tuple((each.name, each) for each in kind)
    return ()


def _range(value: float) -> tuple[float | None, float | None]:
    """A range with the value in its lower part; none for numbers that a slider is too coarse for.

    >>> _range(5), _range(0.3), _range(-4), _range(40_000)
    ((0, 20), (0.0, 1.0), (-16, 16), (None, None))
    """
    if not math.isfinite(value) or abs(value) > _LARGEST_SLIDER:
        return None, None
    if isinstance(value, float) and 0 <= value <= 1:
        return 0.0, 1.0
    high = max(abs(value) * 4, type(value)(10))
    return (type(value)(0) if value >= 0 else -high), high


def _annotations(nodes: Iterable[Node]) -> dict[Node, Any]:
    """What tasks say of the parameters that they are given."""
    found: dict[Node, Any] = {}
    for node in nodes:
        for argument in node.arguments:
            if isinstance(argument.value, Parameter):
                found.setdefault(argument.value, _annotation(node.task.fn, argument.name))
    return found


def _annotation(function: Any, argument: str) -> Any:
    try:
        hints = typing.get_type_hints(inspect.unwrap(function))
    except (NameError, TypeError, AttributeError, SyntaxError):
        # Annotations may name what is only there for type checkers.
        return None
    return hints.get(argument)
