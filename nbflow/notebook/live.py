"""The live graph of a run in a kernel: a thread looks every 50 ms, and the static picture stands there at the end."""

from __future__ import annotations

import contextvars
import re
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from nbflow.draw import lay_out, mime_bundle, to_dot
from nbflow.draw.dot import clusters
from nbflow.draw.svg import to_svg
from nbflow.draw.theme import LOOKS, style
from nbflow.flow.failing import failure_line
from nbflow.flow.glance import Glances, source_of
from nbflow.flow.picture import flow_picture
from nbflow.flow.progress import Progress
from nbflow.lean import replace
from nbflow.model.node import Parameter
from nbflow.model.state import State
from nbflow.notebook.places import LINE, leave_picture, message_id, place_of
from nbflow.probe.listening import apart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nbflow.draw import Picture
    from nbflow.flow.finished import Run
    from nbflow.notebook.widget import LiveGraph

# A run that is over sooner shows no live graph: it would only flicker.
EARLY_S, QUIET_S, STEP_S, LAYOUT_S, PLAIN_S = 0.04, 0.12, 0.05, 1.0, 2.0
# On a machine that is busy steps cost more, and come less often: their share of the time, and what that may come to.
MOST_SHARE, SLOWEST_S = 0.02, 0.25
# What is sent in one message of previews and errors, at most.
MOST_ENDED = 20
ROOT = ".nbflow-live"
_CALLED = {"running", "retrying", "success", "failed"}
_FINISHED = {state.label for state in State if state.finished}


@contextmanager
def live(run: Run, cancel: Callable[[], None] | None) -> Iterator[None]:
    """Shows a run while it goes; in its place stands the static picture when it has ended, however it did."""
    view = View(run, cancel)
    thread = threading.Thread(
        target=contextvars.copy_context().run, args=(view.follow,), name="nbflow-view", daemon=True
    )
    thread.start()
    try:
        yield
        # In the background no cell ends with an error.
        told = run.flow.output.failures or cancel is not None
        if told and run.overall is State.FAILED:
            print(f"{run.flow.name}: {failure_line(run)}", file=sys.stderr)
    finally:
        if view.end():
            thread.join()
            view.conclude()


class View:
    """One run's place in the output of a cell."""

    def __init__(self, run: Run, cancel: Callable[[], None] | None) -> None:
        self.over = threading.Event()
        self._gate = threading.Lock()
        self._showing = False
        self._run = run
        self._cancel = cancel
        self._progress: Progress
        self._glances = Glances(run)
        self._widget: LiveGraph | None = None
        self._place: Any = None
        self._line = LINE.get()
        self._numbers: dict[str, int] = {}
        self._ended: dict[str, None] = {}
        self._explained: set[tuple[str, str]] = set()
        self._laid_out_at = 0.0

    @apart()
    def follow(self) -> None:
        """What the thread does until the run is over."""
        if self.over.wait(EARLY_S):
            return
        self._progress = Progress(self._run)
        dot = to_dot(self._progress.picture)
        if speaks_widgets():
            # A layout is remembered; another process makes it meanwhile.
            lay_out(dot)
        self.over.wait(max(0.0, QUIET_S - EARLY_S - self._progress.seconds))
        with self._gate:
            if self.over.is_set():
                return
            self._showing = True
        if not speaks_widgets():
            self._follow_plainly()
            return
        self._open(dot)
        spent_s = 0.0
        while not self.over.wait(min(SLOWEST_S, max(STEP_S, spent_s / MOST_SHARE))):
            began = time.thread_time()
            self._step()
            spent_s = time.thread_time() - began
        self._step()

    def end(self) -> bool:
        """The run is over; gives whether anything is shown of it. Nobody waits for a layout that comes too late."""
        with self._gate:
            self.over.set()
            return self._showing

    def _follow_plainly(self) -> None:
        """For front ends without widgets: static pictures, now and then."""
        self._show(mime_bundle(flow_picture(self._run.graph, self._run)))
        while not self.over.wait(PLAIN_S):
            self._place.update(mime_bundle(flow_picture(self._run.graph, self._run)), raw=True)

    def _open(self, dot: str) -> None:
        if "anywidget" not in sys.modules:
            # It takes a while to come, and its part in the browser, too: the first time a still picture comes first.
            self._show(mime_bundle(_uncounted(self._progress.picture), dot))
        from nbflow.notebook.widget import LiveGraph, reference

        self._widget = LiveGraph(
            scene=self._scene(dot),
            css=style(ROOT, in_jupyter=True),
            texts=self._texts(),
            can_cancel=self._cancel is not None,
        )
        self._widget.on_msg(self._heard)
        words = f"{self._run.flow.name}: running"
        self._show({**reference(self._widget), "text/plain": words})
        self._step()
        self._lay_aside()

    def _lay_aside(self) -> None:
        """Makes the picture from left to right, while the other one goes on: nobody may ever ask for it."""
        widget, picture = self._widget, self._progress.picture

        def lay() -> None:
            turned = replace(picture, direction="LR")
            drawn = _drawn(to_dot(turned), turned)
            if widget is not None and picture is self._progress.picture and not self.over.is_set():
                widget.aside = drawn

        threading.Thread(target=contextvars.copy_context().run, args=(lay,), name="nbflow-aside", daemon=True).start()

    def _scene(self, dot: str) -> dict[str, Any]:
        picture = self._progress.picture
        self._laid_out_at = self._progress.seconds
        self._numbers = {box.name: i for i, box in enumerate(picture.boxes)}
        boxes = [
            {
                "name": b.name,
                "label": b.label,
                "kind": b.kind,
                "mapped": b.mapped,
                "cluster": b.cluster,
                "state": b.state,
            }
            for b in picture.boxes
        ]
        arrows = [
            (self._numbers[a.tail], self._numbers[a.head])
            for a in picture.arrows
            if a.tail in self._numbers and a.head in self._numbers
        ]
        looks = {name: look.symbol for name, look in LOOKS.items()}
        parts = {"boxes": boxes, "arrows": arrows, "clusters": clusters(picture), "drawn": _drawn(dot, picture)}
        return {"name": picture.name, "looks": looks, **parts}

    def _texts(self) -> dict[str, Any]:
        sources = {name: source_of(nodes[0], self._run.parameters) for name, nodes in self._progress.members.items()}
        return {str(self._numbers[name]): text for name, text in sources.items() if text}

    def _step(self) -> None:
        changes = self._progress.changes()
        if self._progress.outgrown and self._progress.seconds - self._laid_out_at > LAYOUT_S:
            self._progress.redraw()
            assert self._widget is not None
            self._widget.aside = ""
            self._widget.scene = self._scene(to_dot(self._progress.picture))
            self._widget.texts = self._texts()
            self._lay_aside()
            changes = self._progress.changes()
        self._tell(changes)

    def _tell(self, changes: dict[str, Any]) -> None:
        assert self._widget is not None
        if not changes and not self._ended:
            return
        rows, told = [], {}
        for name, now in changes.items():
            number = self._numbers[name]
            if not isinstance(self._progress.members[name][0], Parameter):
                rows.append((number, now.state, now.done, now.total, now.failed, now.running, now.retries))
            finished = now.state in _FINISHED
            kind = "called" if now.state in _CALLED else now.state
            if (finished and now.total > 1) or (name, kind) not in self._explained:
                # Counts change far more often than reasons do.
                self._explained.add((name, kind))
                told[number] = {"reason": self._glances.reason(self._progress.members[name][0])}
            if finished:
                self._ended[name] = None
        for name in list(self._ended)[:MOST_ENDED]:
            del self._ended[name]
            told.setdefault(self._numbers[name], {}).update(self._glances.ended(self._progress.members[name][0]))
        self._widget.tell({"seconds": round(self._progress.seconds, 3), "rows": rows, "told": told})

    def _heard(self, widget: object, message: dict[str, Any], buffers: object) -> None:
        """What the browser says; it gets through while no cell runs."""
        if message.get("do") == "cancel" and self._cancel is not None:
            self._cancel()
        if message.get("do") == "hello":
            self._progress.tell_all()

    def _show(self, bundle: dict[str, Any]) -> None:
        if self._line is not None:
            self._place = self._line.place(bundle)
        elif self._place is not None:
            self._place.update(bundle, raw=True)
        else:
            self._place = place_of(self._run, bundle)

    def conclude(self) -> None:
        """Puts the static picture in the place of the live one, or leaves the place to the cell's line."""
        if self._place is None:
            return
        if self._line is not None:
            if self._run.overall is not State.CANCELLED and self._run.broken is None:
                self._line.close = self._close
                return
            self._line.handle = None
        leave_picture(self._run, self._place)
        self._close()

    def _close(self) -> None:
        if self._widget is not None:
            self._widget.layout.close()
            self._widget.close()


def speaks_widgets() -> bool:
    """Whether the front end that sent the cell shows widgets.

    It cannot be asked while the cell runs. Clients written in Python (nbclient, papermill, the consoles) show none;
    they number their messages, those in a browser do not.
    """
    return not re.search(r"_\d+_\d+$", message_id())


def _uncounted(picture: Picture) -> Picture:
    """As it is before anything has run."""
    return replace(picture, boxes=tuple(replace(box, done=None, total=None) for box in picture.boxes))


def _drawn(dot: str, picture: Picture) -> str:
    """The SVG that the browser changes; empty where there is no Graphviz."""
    layout = lay_out(dot)
    return "" if layout is None else to_svg(layout, dot, picture)
