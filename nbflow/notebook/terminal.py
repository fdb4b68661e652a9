"""A run in a terminal: one line that is rewritten in place, and a table when it has ended."""

from __future__ import annotations

import shutil
import sys
import threading
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from nbflow.draw.dot import shown
from nbflow.draw.theme import LOOKS, words
from nbflow.flow.progress import Progress, Standing
from nbflow.flow.screen import ROOMS
from nbflow.model.state import State
from nbflow.probe.listening import apart
from nbflow.results.report import duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbflow.flow.finished import Run

QUIET_S, STEP_S, MOST_ROWS = 0.3, 0.1, 40
_FINISHED = {state.label for state in State if state.finished}


@contextmanager
def terminal(run: Run, stream: TextIO | None = None) -> Iterator[None]:
    """Shows a run that lasts. stream: where to; standard error by default, so that results can be piped."""
    line = Line(run, stream or sys.stderr)
    over = threading.Event()
    ROOMS.append(line.room)
    thread = threading.Thread(target=line.follow, args=(over,), name="nbflow-line", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        ROOMS.remove(line.room)
        line.conclude()


class Line:
    """The line of one run, and its table."""

    def __init__(self, run: Run, stream: TextIO) -> None:
        self._run = run
        self._progress: Progress
        self._stream = stream
        self._standing: dict[str, Standing] = {}
        self._written = False
        self._stands = self._held = False
        self._writing = threading.Lock()

    @apart()
    def follow(self, over: threading.Event) -> None:
        """What the thread does until the run is over."""
        if over.wait(QUIET_S):
            return
        self._progress = Progress(self._run)
        while not over.wait(STEP_S):
            if self._progress.outgrown:
                self._progress.redraw()
            self._standing.update(self._progress.changes())
            width = shutil.get_terminal_size().columns - 1
            with self._writing:
                if not self._held:
                    self._stream.write("\r\x1b[K" + self.text()[:width])
                    self._stream.flush()
                    self._written = self._stands = True

    @contextmanager
    def room(self, text: str) -> Iterator[None]:
        """Makes room for what a task writes. Until that has ended its line, this one does not come back."""
        with self._writing:
            if self._stands:
                self._stream.write("\r\x1b[K")
                self._stream.flush()
            self._stands = False
            yield
            self._held = not text.endswith("\n")

    def text(self) -> str:
        """The line: how many tasks are done, the time, and what runs."""
        states = [each.state for each in self._standing.values()]
        done = sum(state in _FINISHED for state in states)
        running = [name for name, each in self._standing.items() if each.state == "running"]
        failed = states.count("failed")
        parts = [
            f"{shown(self._run.flow.name)}: {done}/{len(states)} tasks",
            f"{failed} failed" if failed else "",
            duration(self._progress.seconds),
            "▶ " + ", ".join(self._counted(name) for name in running[:3]) if running else "",
        ]
        return " · ".join(filter(None, parts))

    def _counted(self, name: str) -> str:
        now = self._standing[name]
        return shown(name) + (f" {now.done}/{now.total}" if now.total > 1 else "")

    def conclude(self) -> None:
        """The table takes the place of the line."""
        if not self._written:
            return
        self._standing.update(self._progress.changes())
        self._stream.write(("\r\x1b[K" if self._stands else "") + "\n".join(self.rows()) + "\n")
        self._stream.flush()

    def rows(self) -> list[str]:
        """A line a task: symbol, name, elements, state; of many only those that did not go well."""
        places = {box.name: place for place, box in enumerate(self._progress.picture.boxes)}
        items = sorted(self._standing.items(), key=lambda item: places.get(item[0], len(places)))
        if len(items) > MOST_ROWS:
            counts = Counter(now.state for _, now in items)
            summary = ", ".join(f"{number} {words(state)}" for state, number in counts.items())
            bad = [(name, now) for name, now in items if now.state not in {"success", "cached", "skipped"}]
            return [f"{len(items)} tasks: {summary}", *(self._row(name, now, 30) for name, now in bad[:MOST_ROWS])]
        width = max((len(shown(name)) for name, _ in items), default=0)
        return [self._row(name, now, width) for name, now in items]

    def _row(self, name: str, now: Standing, width: int) -> str:
        elements = f"{now.done}/{now.total}" if now.total > 1 else ""
        return f"{LOOKS[now.state].symbol} {shown(name):<{width}}  {elements:>9}  {words(now.state)}"
