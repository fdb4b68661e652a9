"""Mapped results as a DataFrame: one row an element."""

from __future__ import annotations

import datetime as dt
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from nbflow.engine.collector import Collector
from nbflow.model.mapping import Levels, Spread
from nbflow.model.node import Node
from nbflow.model.state import SUCCESSFUL, UNSUCCESSFUL, State
from nbflow.probe.secrets import error_text, is_secret_name
from nbflow.results.arguments import argument_columns, unpacked, values_of
from nbflow.results.report import shared_text, shared_with
from nbflow.results.spread import as_series, result_columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbflow.engine.ledger import Book, Ledger
    from nbflow.engine.track import Track
    from nbflow.results.shown import ShownFrame

OWN_COLUMNS = ("state", "error", "seconds", "cached", "attempts")
_LONGEST_ERROR = 2_000


def make_frame(node: Node, ledger: Ledger, track: Track) -> ShownFrame:
    """The elements of a node, one row each, in their order; a node that is not mapped has one row.

    Columns: the arguments of the root sources, mapped arguments (large values as a short summary), the result (what
    has named parts spread into columns), then state, error (text), seconds, cached (bool), attempts. Where one of the
    user's has such a name, or that of a level of the index, it becomes `result.state`, `argument.state` or
    `index.state`.
    """
    collector = Collector()
    collector.rest()
    try:
        return _made(node, ledger, track)
    finally:
        collector.wake()


def _made(node: Node, ledger: Ledger, track: Track) -> ShownFrame:
    from nbflow.results.shown import ShownFrame

    count = len(track.states)
    states = ledger.states(node)
    indices = [i for i, state in enumerate(states) if state in SUCCESSFUL]
    found = iter(values_of(node, ledger, indices))
    present = [state in SUCCESSFUL for state in states]
    results = result_columns([next(found) if there else None for there in present], present)
    arguments = argument_columns(node, ledger, range(count))
    index = index_of(node, ledger)
    if isinstance(index, Levels):
        # Levels and columns of one name are ambiguous to pandas.
        arguments = {name: column for name, column in arguments.items() if not _is_level(index, name, column)}
    labels = None if index is None else _labels(index)[:count]
    levels = frozenset() if labels is None else frozenset(labels.names) - {None}
    columns = _named(arguments, results, levels) | _own_columns(node, ledger, track, states)
    frame = ShownFrame(
        {name: as_series(column, count) for name, column in columns.items()},
        index=None if count else range(0),
    )
    if labels is not None:
        frame.index = labels
    frame.headline = headline(states, mapped=node.mapped, shared=len(shared_with(track, ledger.books[node])))
    return frame


def only_failed(frame: ShownFrame) -> ShownFrame:
    """The rows of elements that failed, were cancelled, or did not run because something else failed."""
    from nbflow.results.shown import ShownFrame

    rows = ShownFrame(frame[frame["state"].isin([state.label for state in UNSUCCESSFUL])])
    rows.headline = f"{len(rows):,} of {len(frame):,} elements failed or did not run"
    return rows


def headline(states: Sequence[State], *, mapped: bool, shared: int = 0) -> str:
    """How the elements ended, in a line. shared: how many took the result of an equal one that ran.

    >>> headline([State.CACHED, State.CACHED, State.FAILED], mapped=True)
    '3 elements: 2 reused, 1 failed'
    """
    counts = [(states.count(state) - shared * (state is State.CACHED), word) for state, word in _WORDS.items()]
    told = ", ".join(f"{count:,} {word}" if mapped else word for count, word in counts if count)
    told += f", {shared_text(shared)}" if shared else ""
    if not mapped:
        return told
    return f"{len(states):,} element{'' if len(states) == 1 else 's'}" + (f": {told}" if told else "")


_WORDS = {State.CACHED: "reused", State.SUCCESS: "run"} | {
    state: state.label.replace("_", " ") for state in State if state not in SUCCESSFUL
}


def _named(
    arguments: dict[str, Sequence[Any]], results: dict[str, list[Any]], levels: frozenset[Hashable]
) -> dict[str, Sequence[Any]]:
    """The user's columns, with a longer name for those whose name is taken. levels: the names of the index."""
    taken = {*OWN_COLUMNS, *levels} | ({"result"} & results.keys())
    columns: dict[str, Sequence[Any]] = {}
    for prefix, given in (("argument", arguments), ("result", results)):
        for name, column in given.items():
            free = name if name not in taken or (given is results and name == "result") else f"{prefix}.{name}"
            while free in columns:
                free = f"{prefix}.{free}"
            columns[free] = column
    return columns


def index_of(node: Node, ledger: Ledger) -> Any:
    """The labels of a node's elements: those of its first mapped source that has any; None for 0, 1, 2 …"""
    crossed = unpacked(node, ledger, range(len(ledger.books[node].values))) if node.task.crossed else None
    if crossed is not None and all(isinstance(label, Hashable) for each in crossed.values() for label in each):
        return Levels(tuple(crossed), tuple(crossed.values()))
    for argument in node.arguments:
        if not argument.mapped:
            continue
        if isinstance(argument.value, Node) and argument.value.mapped and not node.product:
            index = index_of(argument.value, ledger)
        else:
            items = ledger.books[node].items.get(argument.name)
            index = items.index if items is not None else None
        if index is not None:
            return _by_values(index, ledger.books[node]) if isinstance(index, Levels) else index
    return None


def _by_values(levels: Levels, book: Book) -> Levels:
    """The labels of a product, where plain values stand for themselves, and not their numbers."""
    labels = list(levels.labels)
    for at, name in enumerate(levels.names):
        items = book.items[name].values
        once = items.base if isinstance(items, Spread) else items
        if name in levels.numbered and not is_secret_name(name) and all(type(value) in _PLAIN for value in once):
            labels[at] = list(items)
    return Levels(levels.names, tuple(labels))


# Without None, of which an index makes NaN.
_PLAIN = frozenset({int, float, str, bool, bytes, dt.date, dt.datetime, dt.timedelta})


def _is_level(index: Levels, name: str, column: Sequence[Any]) -> bool:
    """Whether a column says no more than a level of the index that has its name."""
    level = dict(zip(index.names, index.labels, strict=True)).get(name)
    return level is not None and len(level) == len(column) and all(a is b for a, b in zip(level, column, strict=True))


def _labels(index: Any) -> Any:
    import pandas as pd

    if isinstance(index, Levels):
        made: Any = pd.MultiIndex.from_arrays([list(each) for each in index.labels], names=list(index.names))
    else:
        # An index of several levels would become one of tuples.
        made = index if isinstance(index, pd.Index) else pd.Index(index)
    return made.set_names([f"index.{name}" if name in _TAKEN else name for name in made.names])


_TAKEN = frozenset({*OWN_COLUMNS, "result"})


def _own_columns(node: Node, ledger: Ledger, track: Track, states: Sequence[State]) -> dict[str, Sequence[Any]]:
    book = ledger.books[node]
    labels = {state: state.label for state in State}
    errors: list[str | None] = [None] * len(states)
    for i, error in book.errors.items():
        if i < len(errors):
            errors[i] = _cut(error_text(error))
    return {
        "state": [labels[state] for state in states],
        "error": errors,
        "seconds": book.seconds[: len(states)].tolist(),
        "cached": [state is State.CACHED for state in states],
        "attempts": _attempts(states, track.attempts),
    }


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_ERROR else text[: _LONGEST_ERROR - 1] + "…"


def _attempts(states: Sequence[State], retries: dict[int, int]) -> list[int]:
    """How often each element was called."""
    attempts = [int(state in _CALLED) for state in states]
    for i, more in retries.items():
        attempts[i] += more if states[i] in _CALLED else 0
    return attempts


_CALLED = frozenset({State.SUCCESS, State.FAILED})
