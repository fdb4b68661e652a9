"""Previews of values: a frame's first rows, an array's shape, a figure's picture, else a short text. All bounded."""

from __future__ import annotations

import base64
import io
import sys
from datetime import date, datetime
from itertools import islice
from typing import Any

from nbflow.probe.secrets import short_text

ROWS, COLUMNS, MOST_CELL, MOST_TEXT, MOST_PICTURE, MOST_ITEMS = 6, 8, 60, 600, 150_000, 50


def preview(value: Any, name: str) -> dict[str, Any]:
    """A value in a form that JSON can hold. name: of what it is, so that secrets stay secret.

    >>> preview([1, 2], "numbers")
    {'kind': 'text', 'text': '[1, 2]'}
    """
    for module, kind, show in _KINDS:
        known = getattr(sys.modules.get(module), kind, None)
        if known is not None and isinstance(value, known):
            try:
                return show(value, name)
            # It runs code of libraries, and of the user's columns and artists, beside the run.
            except Exception as error:  # noqa: BLE001 (told in its place)
                return {"kind": "text", "text": f"{kind}, which cannot be shown here: {type(error).__name__}"}
    if isinstance(value, (list, tuple, dict, set, frozenset)) and len(value) > MOST_ITEMS:
        # The text of all of a large container would take long, and hold up the run.
        first = type(value)(islice(value.items() if isinstance(value, dict) else value, 10))
        return {"kind": "text", "text": f"{len(value):,} items, such as {short_text(first, name, MOST_TEXT)}"}
    return {"kind": "text", "text": short_text(value, name, MOST_TEXT)}


def _frame(value: Any, name: str) -> dict[str, Any]:
    part = value.iloc[:ROWS, :COLUMNS]
    rows = [
        [_cell(label, name), *(_cell(each, name) for each in row)]
        for label, row in zip(part.index, part.to_numpy(), strict=True)
    ]
    columns = ["", *(_cell(column, name) for column in part.columns)]
    return {
        "kind": "table",
        "columns": columns,
        "rows": rows,
        "text": f"{len(value):,} rows × {value.shape[1]} columns",
    }


def _series(value: Any, name: str) -> dict[str, Any]:
    told = _frame(value.iloc[:ROWS].to_frame(), name)
    return {**told, "text": f"{len(value):,} values of {value.dtype}"}


def _array(value: Any, name: str) -> dict[str, Any]:
    shape = " × ".join(map(str, value.shape)) or "one value"
    first = ", ".join(_cell(each, name) for each in value.flat[:8])
    return {"kind": "text", "text": f"array of {value.dtype}, {shape}\n{first}{' …' if value.size > 8 else ''}"}


def _figure(value: Any, name: str) -> dict[str, Any]:
    stream = io.BytesIO()
    value.savefig(stream, format="png", dpi=60)
    data = stream.getvalue()
    if len(data) > MOST_PICTURE:
        return {"kind": "text", "text": "a figure too large to be shown here"}
    return {"kind": "picture", "png": base64.b64encode(data).decode(), "text": "figure"}


def _axes(value: Any, name: str) -> dict[str, Any]:
    return _figure(value.figure, name)


def _cell(value: Any, name: str) -> str:
    if isinstance(value, (date, datetime)):
        value = str(value)
    elif type(value).__module__ == "numpy":
        # Not `np.float64(0.5)`.
        value = value.item() if value.dtype.kind in "biufc" else str(value)
    return value[:MOST_CELL] if isinstance(value, str) else short_text(value, name, MOST_CELL)


_KINDS = (
    ("pandas", "DataFrame", _frame),
    ("pandas", "Series", _series),
    ("numpy", "ndarray", _array),
    ("matplotlib.figure", "Figure", _figure),
    ("matplotlib.axes", "Axes", _axes),
)
