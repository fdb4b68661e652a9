"""A glance at a node: its source before a run, and why it ran, how it ended and what it gave, as short plain texts."""

from __future__ import annotations

import traceback
from contextlib import suppress
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from nbflow.engine.ledger import MISSING, LostValue
from nbflow.errors import NbflowError
from nbflow.flow.failing import first_error
from nbflow.flow.logs import text_of
from nbflow.flow.preview import preview
from nbflow.flow.unrun import why_not_run, why_skipped
from nbflow.flow.workshop import SOURCES
from nbflow.model.node import DERIVED, Node, Parameter
from nbflow.model.state import UNSUCCESSFUL, State
from nbflow.probe.secrets import error_text, redact, short_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nbflow.engine.why import Reason
    from nbflow.flow.causes import Causes
    from nbflow.flow.finished import Run

MOST_SOURCE, MOST_TRACE, MOST_LOG = 6_000, 6_000, 4_000
# Bytes: what is larger is not read only to show a part of it.
MOST_READ = 4_000_000
_CALLED = {State.RUNNING, State.RETRYING, State.SUCCESS, State.FAILED}


def source_of(node: Node, given: Mapping[str, Any] = MappingProxyType({})) -> str:
    """The text of a node's function, not too long; of a parameter its value. given: those that are not the defaults."""
    if isinstance(node, Parameter):
        value = given.get(node.name, node.default_value)
        return "" if value is ... else short_text(value, node.name, 200)
    if node.task in DERIVED:
        return ""
    return shortened(redact(SOURCES.text_of(node.task.fn)), MOST_SOURCE)


def shortened(text: str, most: int) -> str:
    r"""A text's beginning, with how much was left out.

    >>> shortened("abcdef", 4)
    'abcd\n… 2 more characters'
    """
    return text if len(text) <= most else f"{text[:most]}\n… {len(text) - most:,} more characters"


class Glances:
    """Looks at the nodes of one run while it goes. Asked from a watcher's thread: it computes no value."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._causes: Causes | None = None

    def reason(self, node: Node) -> str:
        """Why a node runs, is reused, waits or does not run."""
        run, track = self._run, self._run.track(node)
        state = track.state()
        if isinstance(node, Parameter):
            return ""
        if state is State.CACHED:
            return "reused: nothing that it depends on changed"
        if state is State.SKIPPED:
            return f"skipped {why_skipped(run, node)}"
        if state is State.TRIGGER_FAILED:
            return why_not_run(run, node)
        if state is State.PENDING and not track.opened:
            waits = [up.name for up in node.upstreams if run.takes_part(up) and not run.track(up).finished]
            return f"waits for {', '.join(waits[:5])}{' …' if len(waits) > 5 else ''}" if waits else ""
        called = [i for i, each in enumerate(bytes(track.states)) if each in _CALLED]
        return "; ".join(reason.text for reason in self._reasons(node, called)) if called else ""

    def _reasons(self, node: Node, called: list[int]) -> list[Reason]:
        if self._causes is None:
            self._causes = self._run.causes_so_far()
        try:
            return self._causes.of(node, called, dict(self._run.stale.get(node, {})))[:4]
        # The run goes on beside this: what it is about to change cannot be told yet, and is no fault.
        except (NbflowError, LostValue, RuntimeError, LookupError):
            return []

    def ended(self, node: Node) -> dict[str, Any]:
        """What is told of a node that has ended: seconds, output, error, traceback, log."""
        book, track = self._run.ledger.books[node], self._run.track(node)
        told: dict[str, Any] = {}
        if track.state() is not State.CACHED and not isinstance(node, Parameter):
            told["seconds"] = round(sum(book.seconds), 4)
        if track.state() in UNSUCCESSFUL and book.errors:
            index, error = first_error(self._run, node)
            assert error is not None
            told["error"] = (f"{node.name}[{index}]: " if node.mapped else "") + error_text(error)
            told["trace"] = shortened(redact(_user_trace(error)), MOST_TRACE)
        if book.workers:
            told["workers"] = ", ".join(f"{name} ({peak / 1e6:,.0f} MB)" for name, peak in sorted(book.workers.items()))
        logs = [text_of(book.logs[i]) for i in sorted(book.logs)[:20]]
        if logs:
            told["log"] = shortened("".join(logs), MOST_LOG)
        found = self._output(node)
        if found is not None:
            told["output"] = found
        return told

    def _output(self, node: Node) -> dict[str, Any] | None:
        values = self._run.ledger.books[node].values
        there = ((i, value) for i in range(len(values)) if (value := self._value(node, i)) is not MISSING)
        if not node.mapped:
            return next((preview(value, node.name) for _, value in there), None)
        first = [(i, short_text(value, node.name, 120)) for i, value in islice(there, 5)]
        return {"kind": "list", "total": len(values), "items": first}

    def _value(self, node: Node, index: int) -> Any:
        """A value as far as it is at hand: what another process made, and is not large, is read from the store."""
        book, track = self._run.ledger.books[node], self._run.track(node)
        value, row = book.values[index], book.rows[index]
        if value is not MISSING or row is None or track.states[index] == State.CACHED or row.size_bytes > MOST_READ:
            return value
        with suppress(LostValue):
            return self._run.ledger.fresh_copy(node, index)
        return MISSING


def _user_trace(error: BaseException) -> str:
    """A traceback without the frames of nbflow that called the function."""
    frames = traceback.extract_tb(error.__traceback__)
    while frames and "/nbflow/" in frames[0].filename.replace("\\", "/"):
        frames.pop(0)
    return "".join([*traceback.format_list(frames), *traceback.format_exception_only(error)])
