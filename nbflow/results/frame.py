"""Mapped results as a DataFrame: one row an element."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from nbflow.engine.ledger import MISSING, LostValue
from nbflow.model.mapping import Levels
from nbflow.model.node import Argument, Node
from nbflow.model.state import State
from nbflow.probe.secrets import DOTS, error_text, is_secret_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from nbflow.engine.ledger import Ledger
    from nbflow.engine.machine import Track

OWN_COLUMNS = ("state", "error", "seconds", "cached", "attempts")
# Above this many bytes an argument is summed up and not loaded to be shown.
LARGE_BYTES = 100_000


def make_frame(node: Node, ledger: Ledger, track: Track) -> pd.DataFrame:
    """The elements of a node, one row each, in their order; a node that is not mapped has one row.

    Columns: the arguments of the root sources, mapped arguments (large values as a short summary), the
    result (dicts, dataclasses and named tuples spread into columns), then state, error (text), seconds,
    cached (bool), attempts. Where one of the user's has such a name, nbflow's becomes `result.state`.
    """
    import pandas as pd

    count = len(track.states)
    columns: dict[str, Sequence[Any]] = {}
    argument_columns(node, ledger, count, columns)
    columns.update(_result_columns(node, ledger, track))
    for name, column in _own_columns(node, ledger, track).items():
        columns[f"result.{name}" if name in columns else name] = column
    index = index_of(node, ledger)
    frame = pd.DataFrame({name: _series(column, count) for name, column in columns.items()})
    if index is not None:
        frame.index = _labels(index)[:count]
    return frame


def index_of(node: Node, ledger: Ledger) -> Any:
    """The labels of a node's elements: those of its first mapped source that has any; None for 0, 1, 2 …"""
    for argument in node.arguments:
        if not argument.mapped:
            continue
        if isinstance(argument.value, Node) and argument.value.mapped and not node.product:
            index = index_of(argument.value, ledger)
        else:
            items = ledger.books[node].items.get(argument.name)
            index = items.index if items is not None else None
        if index is not None:
            return index
    return None


def _labels(index: Any) -> Any:
    import pandas as pd

    if isinstance(index, Levels):
        labels = [list(each) for each in index.labels]
        return pd.MultiIndex.from_arrays(labels, names=list(index.names))
    return pd.Index(index)


def argument_columns(node: Node, ledger: Ledger, count: int, columns: dict[str, Sequence[Any]]) -> None:
    """Adds the mapped arguments of a node, those of the root sources first."""
    mapped = [argument for argument in node.arguments if argument.mapped]
    for argument in mapped:
        if isinstance(argument.value, Node) and argument.value.mapped and not node.product:
            argument_columns(argument.value, ledger, count, columns)
    for argument in mapped:
        if node.product or not isinstance(argument.value, Node) or not argument.value.mapped:
            columns.setdefault(argument.name, _items(node, argument, ledger, count))
        elif argument.name not in columns:
            hidden = is_secret_name(argument.name)
            columns[argument.name] = [
                DOTS if hidden else _upstream_item(ledger, argument.value, i) for i in range(count)
            ]


def _items(node: Node, argument: Argument, ledger: Ledger, count: int) -> Sequence[Any]:
    items = ledger.books[node].items.get(argument.name)
    if items is None:
        return [None] * count
    if is_secret_name(argument.name):
        return [DOTS] * count
    return [summary(items.values[i]) for i in range(count)]


def _upstream_item(ledger: Ledger, node: Node, index: int) -> Any:
    book = ledger.books[node]
    row = book.rows[index]
    if book.values[index] is MISSING and row is not None and row.size_bytes > LARGE_BYTES:
        return f"<{row.size_bytes / 1e6:.1f} MB>"
    try:
        return summary(ledger.value(node, index))
    except LostValue:
        return None


def summary(value: Any) -> Any:
    """A value as it can stand in a table's cell: large ones by type and shape.

    >>> summary(3), summary([1, 2])
    (3, [1, 2])
    """
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and shape:
        return f"{type(value).__name__} {' × '.join(map(str, shape))}"
    if isinstance(value, (list, tuple, dict, set, frozenset)) and len(value) > 10:
        return f"{type(value).__name__} of {len(value)}"
    return value


def _result_columns(node: Node, ledger: Ledger, track: Track) -> dict[str, list[Any]]:
    values = [_result(node, ledger, track, i) for i in range(len(track.states))]
    fields = _common_fields([value for value in values if value is not MISSING])
    if not fields:
        return {"result": [None if value is MISSING else value for value in values]}
    spread = [None if value is MISSING else _as_dict(value) for value in values]
    return {name: [None if each is None else each.get(name) for each in spread] for name in fields}


def _result(node: Node, ledger: Ledger, track: Track, index: int) -> Any:
    if not State(track.states[index]).successful:
        return MISSING
    try:
        return ledger.value(node, index)
    except LostValue:
        return MISSING


def _common_fields(values: Sequence[Any]) -> list[str]:
    """The column names that results spread into; empty when they do not all spread."""
    names: dict[str, None] = {}
    for value in values:
        fields = _as_dict(value)
        if not fields or not all(isinstance(name, str) for name in fields):
            return []
        names.update(dict.fromkeys(fields))
    return list(names)


def _as_dict(value: Any) -> dict[str, Any] | None:
    if isinstance(value, dict):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return dict(zip(value._fields, value, strict=True))
    return None


def _own_columns(node: Node, ledger: Ledger, track: Track) -> dict[str, list[Any]]:
    book = ledger.books[node]
    states = [State(state) for state in track.states]
    errors = [book.errors.get(i) for i in range(len(states))]
    return {
        "state": [state.label for state in states],
        "error": [None if error is None else error_text(error) for error in errors],
        "seconds": list(book.seconds),
        "cached": [state is State.CACHED for state in states],
        "attempts": [_attempts(state, track.attempts.get(i, 0)) for i, state in enumerate(states)],
    }


def _attempts(state: State, retries: int) -> int:
    called = state in {State.SUCCESS, State.FAILED}
    return retries + 1 if called else 0


def _series(column: Sequence[Any], count: int) -> Any:
    import numpy as np
    import pandas as pd

    if any(hasattr(value, "shape") or isinstance(value, (list, tuple, dict, set)) for value in column):
        # One object a cell: pandas would try to take arrays and lists apart.
        objects = np.empty(count, dtype=object)
        for i, value in enumerate(column):
            objects[i] = value
        return pd.Series(objects)
    return pd.Series(list(column), dtype=None if count else object)
