"""How two values differ: of frames the rows, columns and cells, of arrays the numbers, of dicts the keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nbflow.engine.why import diff_of, outline
from nbflow.lean import dataclass, field
from nbflow.loaded import loaded
from nbflow.probe.secrets import short_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd

_MOST = 5
_MOST_DIFF_LINES = 10


@dataclass(slots=True)
class Difference:
    """How a value differs from one before. lines: in words, the first one a summary."""

    lines: list[str]

    @property
    def summary(self) -> str:
        return self.lines[0]


@dataclass(slots=True)
class FrameDifference(Difference):
    """How a DataFrame differs. Rows are told apart by their index.

    retyped: old and new dtype by column; changed: how many cells of rows that both have, by column; examples: a row
    a changed cell, with row, column, before and after.
    """

    added_rows: list[Any] = field(default_factory=list)
    removed_rows: list[Any] = field(default_factory=list)
    added_columns: list[Any] = field(default_factory=list)
    removed_columns: list[Any] = field(default_factory=list)
    retyped: dict[Any, tuple[str, str]] = field(default_factory=dict)
    changed: dict[Any, int] = field(default_factory=dict)
    examples: pd.DataFrame | None = None


def difference(before: Any, after: Any) -> Difference:
    """How `after` differs from `before`, two values that are known to differ.

    >>> difference({"a": 1, "b": 2}, {"a": 1, "c": 3}).lines
    ["key 'b' is gone", "key 'c' is new"]
    """
    pandas, numpy = loaded("pandas"), loaded("numpy")
    if pandas is not None:
        if isinstance(before, pandas.DataFrame) and isinstance(after, pandas.DataFrame):
            return _frames(before, after)
        if isinstance(before, pandas.Series) and isinstance(after, pandas.Series):
            return _series(before, after)
    if numpy is not None and isinstance(before, numpy.ndarray) and isinstance(after, numpy.ndarray):
        return Difference(_arrays(before, after))
    if type(before) is not type(after):
        return Difference([f"{_told(before)} → {_told(after)}"])
    if isinstance(before, Mapping):
        return Difference(_mappings(before, after))
    if isinstance(before, (list, tuple)):
        return Difference(_sequences(before, after))
    if isinstance(before, str):
        return Difference(_texts(before, after))
    return Difference([_scalars(before, after)])


def _frames(before: pd.DataFrame, after: pd.DataFrame) -> FrameDifference:
    found = FrameDifference([])
    found.added_columns = [c for c in after.columns if c not in before.columns]
    found.removed_columns = [c for c in before.columns if c not in after.columns]
    columns = [c for c in after.columns if c in before.columns]
    if not (before.columns.is_unique and after.columns.is_unique):
        found.lines = [f"DataFrame {_shape(before)} → {_shape(after)}; columns of one name cannot be told apart"]
        return found
    found.retyped = {
        c: (str(before[c].dtype), str(after[c].dtype)) for c in columns if before[c].dtype != after[c].dtype
    }
    lines: list[str] = []
    if not (before.index.is_unique and after.index.is_unique):
        if len(before) != len(after):
            lines.append(f"{len(before)} → {len(after)} rows; rows of one label cannot be told apart")
            columns = []
        before, after = before.reset_index(drop=True), after.reset_index(drop=True)
    found.added_rows = list(after.index.difference(before.index, sort=False))
    found.removed_rows = list(before.index.difference(after.index, sort=False))
    common = after.index.intersection(before.index, sort=False)
    _cells(found, before.loc[common], after.loc[common], columns)
    found.lines = lines + _frame_lines(found, before, after, len(common))
    return found


def _cells(found: FrameDifference, before: pd.DataFrame, after: pd.DataFrame, columns: Sequence[Any]) -> None:
    """Counts the cells that differ; NaN is equal to NaN."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for column in columns:
        differ = _differ(before[column], after[column])
        count = int(differ.sum())
        if not count:
            continue
        found.changed[column] = count
        for at in differ.nonzero()[0][:_MOST]:
            old, new = before[column].iloc[at], after[column].iloc[at]
            rows.append({"row": after.index[at], "column": column, "before": old, "after": new})
    found.examples = pd.DataFrame(rows, columns=["row", "column", "before", "after"], dtype=object)


def _differ(before: pd.Series[Any], after: pd.Series[Any]) -> Any:
    import numpy as np

    old, new = before.to_numpy(), after.to_numpy()
    missing = before.isna().to_numpy() & after.isna().to_numpy()
    try:
        differ = np.asarray(old != new)
        if differ.dtype != bool or differ.shape != missing.shape:
            differ = differ.astype(bool)
    # Cells may hold anything, which may refuse to be compared: they are compared by how they read.
    except Exception:  # noqa: BLE001 (a user's own __ne__ may raise anything)
        differ = np.array([repr(a) != repr(b) for a, b in zip(old, new, strict=True)], dtype=bool)
    return differ & ~missing


def _frame_lines(found: FrameDifference, before: pd.DataFrame, after: pd.DataFrame, common: int) -> list[str]:
    lines: list[str] = []
    for what, labels in (
        ("row{} added", found.added_rows),
        ("row{} removed", found.removed_rows),
        ("column{} added", found.added_columns),
        ("column{} removed", found.removed_columns),
    ):
        if labels:
            lines.append(f"{len(labels)} {what.format('s' if len(labels) != 1 else '')}: {_some(labels)}")
    lines += [f"column {short_text(c)}: {old} → {new}" for c, (old, new) in found.retyped.items()]
    for column, count in found.changed.items():
        examples = found.examples
        shown = [] if examples is None else [
            f"[{short_text(e.row)}] {' → '.join(_both(e.before, e.after, str(column), 40))}"
            for e in examples[examples.column == column].head(3).itertuples()
        ]  # fmt: skip
        more = ", …" if count > len(shown) else ""
        lines.append(f"column {short_text(column)}: {count} of {common} cells changed: {', '.join(shown)}{more}")
    if not lines and list(before.columns) != list(after.columns):
        lines.append("its columns stand in another order")
    if not lines and not before.index.equals(after.index):
        lines.append("its rows stand in another order")
    return lines or ["its index or attributes changed"]


def _series(before: pd.Series[Any], after: pd.Series[Any]) -> FrameDifference:
    """A Series differs as a frame of one column does."""
    name = after.name if after.name is not None else "value"
    found = _frames(before.to_frame(name), after.to_frame(name))
    if before.name != after.name:
        found.lines.insert(0, f"its name: {before.name!r} → {after.name!r}")
    return found


def _arrays(before: Any, after: Any) -> list[str]:
    import numpy as np

    lines: list[str] = []
    if before.shape != after.shape:
        lines.append(f"shape {before.shape} → {after.shape}")
    if before.dtype != after.dtype:
        lines.append(f"dtype {before.dtype} → {after.dtype}")
    if before.shape != after.shape:
        return lines
    equal = before == after
    if before.dtype.kind in "fc" and after.dtype.kind in "fc":
        equal |= np.isnan(before) & np.isnan(after)
    count = int(before.size - np.count_nonzero(equal))
    if count:
        line = f"{count} of {before.size} elements differ"
        if before.dtype.kind in "biuf" and after.dtype.kind in "biuf":
            gap = np.abs(before.astype(float) - after.astype(float))
            line += f", by at most {float(np.nanmax(np.where(equal, 0.0, gap))):.6g}"
        lines.append(line)
    return lines or ["its bits changed"]


def _mappings(before: Mapping[Any, Any], after: Mapping[Any, Any]) -> list[str]:
    gone = [key for key in before if key not in after]
    new = [key for key in after if key not in before]
    lines = [f"key {short_text(key)} is gone" for key in gone[:_MOST]]
    lines += [f"key {short_text(key)} is new" for key in new[:_MOST]]
    changed = [key for key in after if key in before and not _alike(before[key], after[key])]
    lines += [f"key {short_text(key)}: {_nested(before[key], after[key], str(key))}" for key in changed[:_MOST]]
    rest = sum(max(0, len(each) - _MOST) for each in (gone, new, changed))
    if rest:
        lines.append(f"and {rest} more keys")
    return lines or ["its keys stand in another order, or its type changed"]


def _sequences(before: Sequence[Any], after: Sequence[Any]) -> list[str]:
    changed = [i for i, (a, b) in enumerate(zip(before, after, strict=False)) if not _alike(a, b)]
    lines = [f"length {len(before)} → {len(after)}"] if len(before) != len(after) else []
    if changed:
        lines.append(f"{len(changed)} of {min(len(before), len(after))} items changed")
        lines += [f"[{i}]: {_nested(before[i], after[i])}" for i in changed[:3]]
    return lines or ["an item changed its type or its bits"]


def _texts(before: str, after: str) -> list[str]:
    if "\n" not in before and "\n" not in after and len(before) + len(after) < 160:
        return [_scalars(before, after)]
    lines = diff_of(before, after)
    rest = len(lines) - _MOST_DIFF_LINES
    more = [f"… {rest} more lines"] if rest > 0 else []
    return [f"text of {len(before)} → {len(after)} characters", *lines[:_MOST_DIFF_LINES], *more]


def _scalars(before: Any, after: Any) -> str:
    old, new = _both(before, after)
    return f"{old} → {new}" if old != new else f"a {type(after).__name__} that reads the same ({new})"


def _nested(before: Any, after: Any, name: str = "") -> str:
    if type(before) is type(after) and not isinstance(before, (Mapping, list, tuple, str)):
        found = difference(before, after)
        if not isinstance(before, (int, float)):
            return found.summary
    if isinstance(_plain(before), float) and isinstance(_plain(after), float):
        return " → ".join(_both(before, after, name))
    return f"{_told(before, name)} → {_told(after, name)}"


def _told(value: Any, name: str = "") -> str:
    """A value in short, or how large it is."""
    text = short_text(_plain(value), name)
    return text if len(text) <= 60 else outline(value)


def _both(before: Any, after: Any, name: str = "", limit: int = 120) -> tuple[str, str]:
    """Two values in short; numbers to six digits, unless they read the same then."""
    exact = short_text(_plain(before), name, limit), short_text(_plain(after), name, limit)
    rounded = _rounded(before, exact[0]), _rounded(after, exact[1])
    return rounded if rounded[0] != rounded[1] else exact


def _rounded(value: Any, exact: str) -> str:
    number = _plain(value)
    # What is a secret stays dots.
    if not isinstance(number, float) or exact != repr(number):
        return exact
    short = f"{number:.6g}"
    return exact if float(short) == number else short


def _plain(value: Any) -> Any:
    """A number of NumPy's as Python's, which reads better."""
    return value.item() if hasattr(value, "item") and getattr(value, "shape", None) == () else value


def _alike(before: Any, after: Any) -> bool:
    """Whether two items are equal as far as can be told; NaN equals NaN."""
    if type(before) is not type(after):
        return False
    if isinstance(before, float) and before != before and after != after:  # noqa: PLR0124 (NaN only)
        return True
    try:
        return bool(before == after)
    # Frames and arrays have no truth, other objects may raise anything: they are compared by what they tell.
    except Exception:  # noqa: BLE001 (a user's own __eq__ may raise anything)
        equals = getattr(before, "equals", None)
        return bool(equals(after)) if callable(equals) else repr(before) == repr(after)


def _some(labels: Iterable[Any]) -> str:
    known = list(labels)
    shown = ", ".join(short_text(label) for label in known[:_MOST])
    return shown + (", …" if len(known) > _MOST else "")


def _shape(frame: pd.DataFrame) -> str:
    return f"{len(frame)} × {len(frame.columns)}"
