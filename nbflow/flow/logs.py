"""`run.log`: what the elements of a node put out, now or when their kept results were made."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from nbflow.engine.ledger import MISSING, LostValue
from nbflow.flow.screen import Screen
from nbflow.model.mapping import Levels
from nbflow.model.node import Node
from nbflow.probe.routing import front
from nbflow.probe.secrets import is_secret_name, redact, redact_long

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nbflow.engine.ledger import Ledger
    from nbflow.flow.workshop import Workshop
    from nbflow.model.node import Argument
    from nbflow.probe.pieces import Log
    from nbflow.store import Row

_LABEL_CHARACTERS = 40


class RunLog:
    """What a node put out, an element after the other. groups: a header and the pieces of each, in order."""

    def __init__(self, name: str, groups: list[tuple[str, Log]]) -> None:
        self.name = name
        self.groups = groups
        # Why there is nothing, for the end of a sentence.
        self.why = ""

    @property
    def text(self) -> str:
        """All of it as a text, displays as their plain text."""
        return "".join([(f"{header}\n" if header else "") + text_of(log) for header, log in self.groups])

    def __len__(self) -> int:
        return len(self.groups)

    def __str__(self) -> str:
        return self.text.removesuffix("\n") if self.groups else f"{self.name} put nothing out{self.why}"

    __repr__ = __str__

    def _ipython_display_(self) -> None:
        screen = Screen(front())
        for header, log in self.groups:
            screen.group(header, log)
        if not self.groups:
            print(self)


def text_of(log: Log) -> str:
    """The text of a log, without secrets; whole lines."""
    text = "".join([piece.text + "\n" * (piece.data is not None) for piece in log])
    return redact_long(text if text.endswith("\n") else text + "\n")


def run_log(workshop: Workshop, node: Node, element: Any) -> RunLog:
    """What a node, or one element of it, put out. Raises UnknownName."""
    count = len(workshop.machine.tracks[node].states)
    if element is not None:
        from nbflow.flow.whys import position_of  # brings in what tells why nodes run

        index = position_of(node, workshop.ledger, count, element)
        log = logs_of(workshop, node, [index]).get(index)
        return RunLog(header_of(node, index, workshop.ledger), [("", log)] if log else [])
    logs = logs_of(workshop, node, range(count))
    headers = (header_of(node, i, workshop.ledger) if node.mapped else "" for i in sorted(logs))
    return RunLog(node.name, [(header, logs[i]) for header, i in zip(headers, sorted(logs), strict=True)])


def logs_of(workshop: Workshop, node: Node, indices: Iterable[int]) -> dict[int, Log]:
    """The logs of those elements that put something out: from this run, or kept with their results."""
    book, store = workshop.ledger.books[node], workshop.store
    logs: dict[int, Log] = {}
    rows: dict[int, Row] = {}
    for i in indices:
        row, key = book.rows[i], book.keys[i]
        if i in book.logs:
            logs[i] = book.logs[i]
        elif row is not None:
            rows[i] = row
        elif key is not None:
            # A result that consists of nodes has a row that nobody notes.
            rows.update((i, found) for found in store.look_up([key]).get(key, ())[:1])
    if not rows:
        return logs
    kept = store.logs(rows.values())
    return logs | {i: kept[row.key, row.trace] for i, row in rows.items() if (row.key, row.trace) in kept}


def header_of(node: Node, index: int, ledger: Ledger) -> str:
    """The line above what an element put out: `clean[3] · 2020.csv`."""
    if not node.mapped:
        return node.name
    label = _label(node, index, ledger)
    return f"{node.name}[{index}] · {label}" if label else f"{node.name}[{index}]"


def _label(node: Node, index: int, ledger: Ledger) -> str:
    """What tells an element from the others, in short: its label, or its argument where that is a plain value."""
    from nbflow.results.frame import index_of  # brings in what makes frames

    labels = index_of(node, ledger)
    if labels is not None and not isinstance(labels, Levels):
        return _short(list(labels)[index])
    try:
        found = _root_value(node, index, ledger)
    except LostValue:
        return ""
    return _short(found)


def _root_value(node: Node, index: int, ledger: Ledger) -> Any:
    argument: Argument = next(each for each in node.arguments if each.mapped)
    if is_secret_name(argument.name):
        return None
    if isinstance(argument.value, Node) and argument.value.mapped and not node.product:
        up = argument.value
        if any(each.mapped for each in up.arguments):
            return _root_value(up, index, ledger)
        return ledger.books[up].values[index]
    items = ledger.books[node].items.get(argument.name)
    return None if items is None else items.values[index]


def _short(value: Any) -> str:
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if value is MISSING or isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return ""
    text = re.sub(r"\s+", " ", redact(str(value)))
    text = os.path.basename(text.rstrip(os.sep)) or text
    return text if len(text) <= _LABEL_CHARACTERS else text[: _LABEL_CHARACTERS - 1] + "…"
