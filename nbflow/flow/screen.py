"""Shows what tasks put out: under a cell, or on the streams of a script."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from nbflow.probe.pieces import NOTE, STDERR, STDOUT, Piece
from nbflow.probe.secrets import redact_long

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from nbflow.probe.pieces import Log
    from nbflow.probe.routing import Front

# Each change between streams waits until what stands before it is sent; a task that changes on and on is not held up.
_MOST_CHANGES = 200
# What keeps a line at the bottom of a terminal makes room here for each text that is written, and comes back below it.
ROOMS: list[Callable[[str], AbstractContextManager[None]]] = []


class Screen:
    """Where one run shows what its tasks put out, each piece behind the one before it.

    front: None in plain Python, where texts go to the stream that they were written to, whole elements in one piece.
    Header lines stand there on stderr, and only where that is a terminal: what goes into a file or another program is
    what the tasks wrote, and nothing else. begin: called once, before anything is shown.
    """

    def __init__(self, front: Front | None, begin: Callable[[], None] | None = None) -> None:
        self._front = front
        self._begin = begin
        self._begun = False
        self._last = ""
        self._changes = 0
        self._ends_line = True

    def begin(self) -> None:
        """Something is about to be shown."""
        if not self._begun and self._begin is not None:
            self._begin()
        self._begun = True

    def clear(self) -> None:
        """All that was shown is gone: what comes next is the first again."""
        self._begun = False
        self._last, self._ends_line = "", True

    def group(self, header: str, log: Log) -> None:
        """What an element put out, under its header; "" for none."""
        self.begin()
        self.header(header)
        for piece in log:
            if piece.data is not None and self._front is not None:
                self.end_line()
                self._front.publish(piece.data, piece.metadata or {})
            else:
                self.text(piece)
        self.end_line()

    def header(self, header: str) -> None:
        if header and self._front is not None:
            self._write(STDOUT, f"{_painted(header, 34) if self._front.coloured else header}\n")
        elif header and sys.stderr.isatty():
            self._write(STDERR, f"{header if os.environ.get('NO_COLOR') else _painted(header, 2)}\n")

    def text(self, piece: Piece) -> None:
        """A piece of text; of a display, which shows itself, nothing."""
        if piece.data is None:
            self._write(STDOUT if piece.kind == NOTE else piece.stream, redact_long(piece.text))

    def end_line(self) -> None:
        """Ends a line that a task left open, so that nothing of another one stands on it."""
        if not self._ends_line:
            self._write(self._last, "\n")

    def line(self, text: str) -> None:
        """A line of nbflow's own."""
        self.end_line()
        self._write(STDOUT, f"{text}\n")

    def _write(self, name: str, text: str) -> None:
        if not text:
            return
        if name != self._last and self._last:
            self._changes += 1
            if self._changes < _MOST_CHANGES:
                getattr(sys, self._last).flush()
        self._last = name
        self._ends_line = text.endswith("\n")
        with ExitStack() as stack:
            for room in ROOMS:
                stack.enter_context(room(text))
            getattr(sys, name).write(text)


def _painted(text: str, code: int) -> str:
    return f"\x1b[{code}m{text}\x1b[0m"
