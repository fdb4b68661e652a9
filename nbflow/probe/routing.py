"""Sends what this process prints, logs, warns and displays to the capture of its context, as long as tasks run."""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from nbflow.errors import NbflowWarning, is_cell
from nbflow.probe.capture import CAPTURE, STARTED_BY, Capture, aside, current
from nbflow.probe.listening import apart
from nbflow.probe.pieces import LOG, STDERR, STDOUT, WARNING, Piece
from nbflow.seams import FRONT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from nbflow.probe.capture import Live


class Front(Protocol):
    """What a front end with rich displays hands in."""

    @property
    def coloured(self) -> bool:
        """Whether text may be coloured there."""

    def route(self) -> Callable[[], None]:
        """From now on displays go to the capture of their context; gives what ends that."""

    def open_figures(self) -> frozenset[int]:
        """The figures that pyplot has open."""

    def show_figures(self, before: frozenset[int], value: object) -> None:
        """Displays and closes the figures that a call left open, as the end of a cell does; not those it returns."""

    def publish(self, data: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        """Displays something."""


def front() -> Front | None:
    """The front end of this process; None in plain Python."""
    found: Front | None = FRONT[0]()
    return found


class Stream:
    """Stands in for sys.stdout or sys.stderr: what a task writes goes to its capture, all else to the stream itself."""

    def __init__(self, kind: str, stream: Any) -> None:
        self._kind = kind
        self.stream = stream

    def write(self, text: str) -> int:
        capture = current()
        if capture is None or not isinstance(text, str):
            written: int = self.stream.write(text)
            return written
        if text:
            capture.write(Piece(self._kind, text))
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.stream)


class Routing:
    """What is put in place while anything is captured, and taken away with the last of those that ask for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._undo: list[Callable[[], None]] = []
        self.front: Front | None = None

    def begin(self) -> None:
        with self._lock:
            self._count += 1
            if self._count == 1:
                self._install()

    def end(self) -> None:
        with self._lock:
            self._count -= 1
            if not self._count:
                while self._undo:
                    self._undo.pop()()

    def _install(self) -> None:
        for name in (STDOUT, STDERR):
            # Whoever replaces the stream meanwhile, such as redirect_stdout, may put ours back later.
            before = getattr(sys, name)
            ours = Stream(name, before.stream if isinstance(before, Stream) else before)
            self._replace(sys, name, ours, ours.stream)
        self._replace(warnings, "showwarning", _warning_shower(warnings.showwarning), warnings.showwarning)
        emit = logging.StreamHandler.emit
        self._replace(logging.StreamHandler, "emit", _emitter(emit), emit)
        start = threading.Thread.start
        self._replace(threading.Thread, "start", _starter(start), start)
        self.front = front()
        if self.front is not None:
            self._undo.append(self.front.route())

    def _replace(self, owner: Any, name: str, ours: Any, before: Any) -> None:
        def undo() -> None:
            if getattr(owner, name) is ours:
                setattr(owner, name, before)

        self._undo.append(undo)
        setattr(owner, name, ours)


@contextmanager
def routed() -> Iterator[Front | None]:
    """Streams, logging, warnings and displays are told apart by context in the block."""
    ROUTING.begin()
    try:
        yield ROUTING.front
    finally:
        ROUTING.end()


class capturing:  # noqa: N801 (used as a function is; a generator would cost a chain of small tasks a tenth)
    """What this context puts out in the block goes to a capture.

    >>> with capturing() as capture:
    ...     print("hello")
    >>> capture.take()[0].text.strip()
    'hello'
    """

    __slots__ = ("_capture", "_token")

    def __init__(self, live: Live | None = None) -> None:
        self._capture = Capture(live, current())

    def __enter__(self) -> Capture:
        ROUTING.begin()
        self._token = CAPTURE.set(self._capture)
        return self._capture

    def __exit__(self, *raised: object) -> None:
        CAPTURE.reset(self._token)
        self._capture.closed = True
        ROUTING.end()


class Figures:
    """What pyplot has open at the beginning of a batch. front: None where nobody shows figures, or not of this thread.

    pyplot knows one list of figures for all threads: what a task on another thread draws, the end of the cell shows.
    """

    def __init__(self) -> None:
        on_main = ROUTING.front is not None and threading.current_thread() is threading.main_thread()
        self.front = ROUTING.front if on_main else None
        self._before = frozenset[int]() if self.front is None else self.front.open_figures()

    def settle(self, value: object) -> None:
        """Shows the figures that a call left open, and closes them."""
        if self.front is not None and self.front.open_figures() - self._before:
            # The fonts that drawing reads are not the task's.
            with apart():
                self.front.show_figures(self._before, value)


def _warning_shower(before: Callable[..., None]) -> Callable[..., None]:
    def showwarning(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: Any = None,
        line: str | None = None,
    ) -> None:
        capture = current()
        if capture is None or file is not None:
            before(message, category, filename, lineno, file, line)
            return
        if issubclass(category, NbflowWarning):
            # nbflow's own word, not the task's.
            with aside(capture.outer):
                before(message, category, filename, lineno, file, line)
            return
        text = warnings.formatwarning(str(message), category, filename, lineno, line)
        if is_cell(filename):
            # The name of the kernel's file says nothing to anybody.
            text = f"cell, line {lineno}{text.removeprefix(f'{filename}:{lineno}')}"
        capture.write(Piece(WARNING, text, category.__name__, f"{filename}:{lineno}"))
        with aside(_NOWHERE):
            # Whoever else listens, such as a test's recorder, hears of it, too.
            before(message, category, filename, lineno, file, line)

    return showwarning


def _emitter(before: Callable[..., None]) -> Callable[..., None]:
    def emit(handler: Any, record: logging.LogRecord) -> None:
        capture = current()
        kind = None if capture is None else _stream_of(handler)
        if capture is None or kind is None:
            before(handler, record)
            return
        try:
            text = f"{handler.format(record)}{handler.terminator}"
        # A record that cannot be formatted must not end the task: logging tells of it in its own way.
        except Exception:  # noqa: BLE001 (told by the handler)
            handler.handleError(record)
            return
        capture.write(Piece(LOG, text, record.levelname, kind))

    return emit


def _stream_of(handler: Any) -> str | None:
    """The stream that a handler writes to, if that is one of the two."""
    stream = getattr(handler, "stream", None)
    for kind in (STDERR, STDOUT):
        ours = getattr(sys, kind)
        if stream is ours or (stream is not None and stream is getattr(ours, "stream", None)):
            return kind
    return None


def _starter(before: Callable[[threading.Thread], None]) -> Callable[[threading.Thread], None]:
    def start(thread: threading.Thread) -> None:
        capture = current()
        if capture is not None:
            setattr(thread, STARTED_BY, capture)
        before(thread)

    return start


class _Nowhere(Capture):
    """Takes in nothing."""

    def write(self, piece: Piece) -> None:
        """Nothing."""


_NOWHERE = _Nowhere()
ROUTING = Routing()
