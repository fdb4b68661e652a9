"""What a task puts out: prints, logging records, warnings and displays, in the order in which they came.

It is told apart by context: what the task's own context writes is the task's, and so is what threads write that it
started; everything else goes where it always went. What a C library or another process writes to the terminal by itself
is not seen. A warning appears once a line of code, as anywhere in Python.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

from nbflow.probe.pieces import DISPLAY, NOTE, STDERR, STDOUT, Displays, Log, Piece, Texts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# What is kept of one element: its first and its last texts and displays.
FIRST_CHARACTERS, LAST_CHARACTERS = 200_000, 50_000
FIRST_DISPLAYS, LAST_DISPLAYS = 20, 5
FIRST_DISPLAY_SIZE, LAST_DISPLAY_SIZE = 8_000_000, 2_000_000


class Live(Protocol):
    """Shows what a task puts out at once."""

    def show(self, piece: Piece) -> None:
        """Shows one piece. A display shows itself, once this has shown what stands above it."""

    def cleared(self) -> None:
        """What was shown is gone, by the task's own wish."""


class Capture:
    """Takes in what the elements of a batch put out, one after the other; any thread may write.

    outer: the capture that this one stands in, where a task runs a flow. live: shows it at once, too. touched: whether
    there is anything.
    """

    def __init__(self, live: Live | None = None, outer: Capture | None = None) -> None:
        self.touched = False
        self.closed = False
        self.outer = outer
        self._live = live
        self._lock = threading.RLock()
        self._number = 0
        self._kind = ""
        self._clears = False

    def write(self, piece: Piece) -> None:
        """Takes in a text: a part of a stream, or a logging record or warning, which stand alone."""
        with self._lock:
            self._note(goes_on=piece.kind == self._kind and piece.kind in {STDOUT, STDERR})
            self._kind = piece.kind
            was_over = self._texts.over_at is not None
            fitting = self._texts.add(self._number, piece)
            is_over = self._texts.over_at is not None
        if self._live is not None and not was_over:
            if fitting:
                self._show(piece._replace(text=fitting))
            if is_over:
                self._show(Piece(NOTE, "\n… there is more; its end is shown when the task ends …\n"))

    def display(self, data: Mapping[str, Any], metadata: Mapping[str, Any], display_id: str | None) -> bool:
        """Takes in a display. True where it is to be shown at once, too."""
        piece = _display(data, metadata)
        with self._lock:
            self._note()
            self._kind = DISPLAY
            fits = self._displays.add(self._number, piece, display_id)
        if self._live is not None and fits:
            self._show(piece)
            return True
        return False

    def update(self, data: Mapping[str, Any], metadata: Mapping[str, Any], display_id: str) -> bool:
        """Puts a display in the place of an earlier one. True where it is to be shown, too: live, or another's."""
        with self._lock:
            known = self.touched and self._displays.replace(display_id, _display(data, metadata))
        return not known or self._live is not None

    def clear(self, *, wait: bool) -> bool:
        """Forgets what there is; wait: once something new comes. True where that is to be shown at once, too."""
        with self._lock:
            self._clears = True
            if not wait:
                self._begin()
        if self._live is not None:
            self._live.cleared()
        return self._live is not None

    def take(self) -> Log:
        """What has come since the last time; what was not shown for want of room is shown as far as it is kept."""
        with self._lock:
            (texts, more_texts), (displays, more_displays) = self._texts.finish(), self._displays.finish()
            self._begin()
        rest = sorted([*more_texts, *more_displays], key=_number)
        if self._live is not None:
            for _, piece in rest:
                self._show(piece)
        return tuple(piece for _, piece in sorted([*texts, *displays, *rest], key=_number))

    def _note(self, *, goes_on: bool = False) -> None:
        if self._clears:
            self._begin()
        if not self.touched:
            # Only now: most tasks put nothing out.
            self._texts = Texts(FIRST_CHARACTERS, LAST_CHARACTERS)
            self._displays = Displays(FIRST_DISPLAYS, LAST_DISPLAYS, FIRST_DISPLAY_SIZE, LAST_DISPLAY_SIZE)
            self.touched = True
        self._number += not goes_on

    def _begin(self) -> None:
        self.touched = self._clears = False
        self._number, self._kind = 0, ""

    def _show(self, piece: Piece) -> None:
        assert self._live is not None
        with aside(self.outer):
            self._live.show(piece)


def joined(before: Log, after: Log) -> Log:
    """What an element put out in several calls, no more of it than of one."""
    if not before or not after:
        return before or after
    capture = Capture()
    for piece in (*before, *after):
        if piece.data is None:
            capture.write(piece)
        else:
            capture.display(piece.data, piece.metadata or {}, None)
    return capture.take()


def _display(data: Mapping[str, Any], metadata: Mapping[str, Any]) -> Piece:
    return Piece(DISPLAY, str(data.get("text/plain", "")), data=dict(data), metadata=dict(metadata))


def _number(numbered: tuple[int, Piece]) -> int:
    return numbered[0]


# None where nobody captures; a thread that a task started has no value here at all.
CAPTURE: ContextVar[Capture | None] = ContextVar("nbflow_capture")


def current() -> Capture | None:
    """The capture of this context, or of the task that started this thread; None where there is none."""
    try:
        capture = CAPTURE.get()
    except LookupError:
        capture = getattr(threading.current_thread(), STARTED_BY, None)
    return None if capture is None or capture.closed else capture


@contextmanager
def aside(capture: Capture | None = None) -> Iterator[None]:
    """What is written in the block belongs to another capture, or to none."""
    token = CAPTURE.set(capture)
    try:
        yield
    finally:
        CAPTURE.reset(token)


# Under this name a thread keeps the capture of the task that started it.
STARTED_BY = "_nbflow_capture"
