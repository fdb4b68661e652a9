"""`%flow params`: the notebook's parameters in a form, or set on the line."""

from __future__ import annotations

import ast
import contextlib
from typing import TYPE_CHECKING, Any

from nbflow.probe.secrets import short_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nbflow.flow.fields import Field
    from nbflow.flow.finished import Run
    from nbflow.flow.form import Form
    from nbflow.notebook.session import Session

_NONE = "no task reads a parameter; a cell such as `n = 5` makes one of what tasks read, and so does `Parameter('n')`"


def form_of(session: Session) -> Form | None:
    """The form; None, and a word on how parameters are made, where there are none."""
    from nbflow.flow.form import Form

    fields = _fields(session)
    if not fields:
        print(_NONE)
        return None

    def run(values: dict[str, Any]) -> Run:
        session.givens.set(values)
        return session.run()

    return Form(session.flow.name, fields, run)


def set_values(session: Session, words: Sequence[str]) -> str:
    """Gives parameters the values of `NAME=VALUE`; tells what they were. Raises UnknownName, ParameterError."""
    before = {field.name: field for field in _fields(session)}
    values = {name: _read(before.get(name), text) for name, _, text in (word.partition("=") for word in words)}
    session.givens.set(values)
    told = [f"{name}: {before[name].shown()} → {short_text(value, name)}" for name, value in values.items()]
    return "\n".join([*told, "`%flow run` runs what depends on it"])


@contextlib.contextmanager
def given_values(session: Session, words: Sequence[str]) -> Iterator[None]:
    """Gives parameters the values of `NAME=VALUE` until the block ends. Raises UnknownName, ParameterError."""
    before = {each.name: each.value for each in session.givens.parameters()} if words else {}
    if words:
        set_values(session, words)
    try:
        yield
    finally:
        if words:
            session.givens.set({name: before[name] for name in (word.partition("=")[0] for word in words)})


def is_given(word: str) -> bool:
    """Whether a word of a line gives a parameter a value.

    >>> is_given("rate=2"), is_given("daily")
    (True, False)
    """
    name, equals, _ = word.partition("=")
    return bool(equals) and name.isidentifier()


def _fields(session: Session) -> list[Field]:
    from nbflow.flow.fields import annotation_of, field_of, fields_of

    graph = session.build().graph
    asked = {field.name: field for field in fields_of(graph.parameters.values(), graph.nodes.values(), {})}
    return [
        field_of(each.name, each.value, annotation_of(each.annotation, session.namespace))
        if each.plain
        else asked[each.name]
        for each in session.givens.parameters()
    ]


def _read(field: Field | None, text: str) -> Any:
    """A value from a line; a text needs no quotes. A choice is found by its label."""
    if field is None:
        return text
    if field.kind == "choice":
        return dict(field.choices).get(text, text)
    if field.kind in {"text", "secret"}:
        return text
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text if field.kind in {"literal", "date", "datetime"} and field.value is ... else field.read(text)
