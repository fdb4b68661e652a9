"""Results as columns: what has named parts is spread over them."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING, Any

from nbflow.loaded import loaded
from nbflow.probe.secrets import DOTS, is_secret_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# Results with more parts than that, or each with parts of its own, are no rows of one table.
_MOST_FIELDS = 100


def result_columns(values: Sequence[Any], present: Sequence[bool]) -> dict[str, list[Any]]:
    """The results as one column `result`, or where all of them have named parts, a column a part.

    present: which elements have a result. Named parts have dicts, dataclasses, named tuples, pydantic models, attrs
    classes, and Series with texts as labels.
    """
    rows = _rows([value for value, there in zip(values, present, strict=True) if there])
    if rows is None:
        return {"result": [value if there else None for value, there in zip(values, present, strict=True)]}
    names = list(dict.fromkeys(name for row in rows for name in row))
    coming = iter(rows)
    spread = [next(coming) if there else _NOTHING for there in present]
    return {
        name: [DOTS if name in row else None for row in spread]
        if is_secret_name(name)
        else [row.get(name) for row in spread]
        for name in names
    }


_NOTHING: dict[str, Any] = {}


def _rows(values: Sequence[Any]) -> list[dict[str, Any]] | None:
    """The parts of each value by name; None when they do not all have some."""
    rows: list[dict[str, Any]] = []
    names: set[str] = set()
    reader: Callable[[Any], dict[str, Any] | None] = _no_parts
    read_type: type | None = None
    for value in values:
        if type(value) is not read_type:
            reader, read_type = _reader(value), type(value)
        row = reader(value)
        if not row:
            return None
        names.update(row)
        if len(names) > _MOST_FIELDS or not all(type(name) is str for name in row):
            return None
        rows.append(row)
    return rows or None


def _reader(value: Any) -> Callable[[Any], dict[str, Any] | None]:
    """How the parts of values of this type are read."""
    kind = type(value)
    if isinstance(value, dict):
        return dict
    if dataclasses.is_dataclass(kind):
        names = [field.name for field in dataclasses.fields(kind)]
    elif isinstance(value, tuple) and hasattr(kind, "_fields"):
        names = list(kind._fields)
    elif hasattr(kind, "__attrs_attrs__"):
        names = [field.name for field in kind.__attrs_attrs__]
    elif _is(value, "pydantic", "BaseModel"):
        names = list(kind.model_fields)
    elif _is(value, "pandas", "Series"):
        return lambda series: series.to_dict() if len(series) <= _MOST_FIELDS else None
    else:
        return _no_parts
    # A dataclass may delete a field of an object, or never set it.
    return lambda each: {name: getattr(each, name, None) for name in names}


def _no_parts(value: Any) -> dict[str, Any] | None:
    return None


def _is(value: Any, package: str, name: str) -> bool:
    """Whether a value is of a package's class, without importing that package."""
    module = loaded(package)
    return module is not None and isinstance(value, getattr(module, name))


def as_series(column: Sequence[Any], count: int) -> Any:
    """A column of a DataFrame: plain values by their type, anything else as one object a cell."""
    import numpy as np
    import pandas as pd

    kinds = set(map(type, column))
    if kinds <= _INFERRED or all(issubclass(kind, (np.generic, *_TIMES)) for kind in kinds - _INFERRED):
        try:
            return pd.Series(list(column), dtype=None if count else object)
        except (ValueError, TypeError, OverflowError):
            # Such as times of two time zones, or texts with half a character: they stay what they are.
            pass
    # pandas would try to take arrays, lists and whatever can be iterated over apart.
    objects = np.empty(count, dtype=object)
    for i, value in enumerate(column):
        objects[i] = value
    return pd.Series(objects, dtype=object)


_INFERRED = frozenset({int, float, complex, bool, str, type(None)})
_TIMES = (dt.date, dt.timedelta)
