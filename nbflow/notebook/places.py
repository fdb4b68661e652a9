"""What is left of a live graph in a cell's output when its run has ended: a picture, or one line.

A cell of a task saves its value and one line, the same each time it is fresh; so the graph that it showed while it ran
gives its place to that line.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from IPython.core.getipython import get_ipython

from nbflow.lean import dataclass, field
from nbflow.notebook.showing import show, show_to_change

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nbflow.flow.background import Background
    from nbflow.flow.finished import Run

# The cells, by their message, that runs are shown in already.
_SHOWN: WeakKeyDictionary[Run, str] = WeakKeyDictionary()
# The places of runs in the background that their cells show.
_PLACES: WeakKeyDictionary[Run, Any] = WeakKeyDictionary()
_PLACING = threading.Lock()


@dataclass(slots=True)
class Line:
    """A line that a cell ends with. handle: of its place, once there is one, or of the live graph's."""

    handle: Any = None
    close: Callable[[], None] | None = None
    _lock: Any = field(default_factory=threading.Lock)

    def place(self, bundle: dict[str, Any]) -> Any:
        """Displays something in the line's place, which is opened where there is none; gives its handle."""
        with self._lock:
            if self.handle is None:
                self.handle = show_to_change(bundle)
            else:
                self.handle.update(bundle, raw=True)
        return self.handle

    def open(self) -> None:
        """Keeps a place above what the task is about to put out: quick or not, reused or not, the line stands there."""
        if self.handle is None and in_kernel():
            self.place({"text/plain": ""})

    def say(self, text: str) -> None:
        """Writes the line, in the place of the live graph where there was one."""
        if not in_kernel():
            print(text)
        elif self.handle is None:
            # As a display here, too: a cell that was quick this time saves the same as one that was not.
            show({"text/plain": text})
        else:
            self.replace(text)

    def replace(self, text: str) -> None:
        """Writes the line only in the place of a live graph."""
        if self.handle is None:
            return
        self.handle.update({"text/plain": text}, raw=True)
        self.handle = None
        if self.close is not None:
            self.close()


LINE: ContextVar[Line | None] = ContextVar("LINE", default=None)


@contextmanager
def one_line() -> Iterator[Line]:
    """While it lasts, runs that went to their end leave no picture behind: the caller says a line."""
    line = Line()
    token = LINE.set(line)
    try:
        yield line
    except BaseException:
        line.replace("✗ did not end well")
        raise
    finally:
        LINE.reset(token)


def open_line() -> None:
    """Keeps a place for the line of the cell that runs, if it ends with one."""
    line = LINE.get()
    if line is not None:
        line.open()


def output_cleared() -> None:
    """A task has cleared the cell's output, and with it the place of the cell's line."""
    line = LINE.get()
    if line is not None:
        line.handle = None


def leave_picture(run: Run, handle: Any) -> None:
    """Puts the static picture of a run into a place."""
    handle.update(_picture_of(run), raw=True)
    _SHOWN[run] = message_id()


def show_run(run: Run) -> None:
    """Displays a run that is a cell's result; nothing where its picture stands in that cell already."""
    if _SHOWN.get(run) != message_id():
        show(_picture_of(run))


def _picture_of(run: Run) -> dict[str, str]:
    """The flow as a run left it: what took no part is coloured by how it stands."""
    from nbflow.draw import mime_bundle
    from nbflow.flow.picture import flow_picture

    apart = run.graph is run.flow.graph and not all(map(run.takes_part, run.graph.nodes.values()))
    return mime_bundle(flow_picture(run.graph, run, run.flow.status().rows if apart else ()))


def show_background(handle: Background) -> None:
    """Displays a run in the background: as text, which gives its place to the live graph, and in the end its picture.

    So the cell saves the same, whether the run was quick or not.
    """
    run = handle.run
    with _PLACING:
        if handle.done or run in _SHOWN:
            show_run(run)
            return
        place = _PLACES[run] = show_to_change({"text/plain": f"{run.flow.name}: runs in the background"})
        _SHOWN[run] = message_id()
    handle.when_over(lambda: leave_picture(run, place))


def place_of(run: Run, bundle: dict[str, Any]) -> Any:
    """Displays a bundle in the place of a run, which is opened where it has none; gives the place's handle."""
    with _PLACING:
        place = _PLACES.get(run)
        _SHOWN[run] = message_id()
        if place is None:
            return show_to_change(bundle)
    place.update(bundle, raw=True)
    return place


def in_kernel() -> bool:
    """Whether this is a notebook's process."""
    return getattr(get_ipython(), "kernel", None) is not None


def message_id() -> str:
    """Tells the cell that runs now from others."""
    shell: Any = get_ipython()
    return str((shell.get_parent() or {}).get("header", {}).get("msg_id", ""))
