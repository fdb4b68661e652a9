"""Background: a run that goes on by itself, and its handle."""

from __future__ import annotations

import contextvars
import threading
from typing import TYPE_CHECKING, Any

from nbflow.errors import Interrupted
from nbflow.executors.home import Home, running_loop
from nbflow.flow.displays import Displayed
from nbflow.flow.unrun import broken_text
from nbflow.lean import dataclass
from nbflow.model.state import State
from nbflow.results.report import is_visible

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from concurrent.futures import Future

    from nbflow.flow.finished import Run
    from nbflow.flow.running import Job

# As long as a run takes that ends at once. How often who awaits a run looks whether it was interrupted.
_ENDING_S, _LOOK_S = 0.3, 0.1


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is, in elements. total: as far as it is known; maps are counted when their sources are there.

    >>> Progress(37, 100, 2)
    37 of 100 done, 2 failed
    """

    done: int
    total: int
    failed: int

    def __repr__(self) -> str:
        failed = f", {self.failed} failed" if self.failed else ""
        return f"{self.done} of {self.total} done{failed}"


class Background(Displayed):
    """The handle of a run in the background. `await handle` gives its Run, too."""

    def __init__(self, job: Job, home: Home) -> None:
        from concurrent.futures import Future  # brings in logging, which runs in the foreground do without

        self._job = job
        self._home = home
        # Set when it is over: for those who look on.
        self.ended = threading.Event()
        self._over: Future[Run] = Future()

    @property
    def run(self) -> Run:
        """The Run, also while it goes on: states and finished values are there already."""
        return self._job.run

    @property
    def done(self) -> bool:
        """Whether it has ended, in whichever way."""
        return self._over.done()

    @property
    def progress(self) -> Progress:
        """How many elements have ended (failed ones among them), of how many, and how many failed."""
        return progress_of(self._job.run)

    def cancel(self) -> None:
        """Ends the run at once. What has finished is kept, and the next run goes on from there."""
        self._job.cancel()

    def wait(self, timeout_s: float | None = None) -> Run:
        """The Run, once it has ended. Raises TimeoutError after timeout_s; the run goes on then."""
        left_s = timeout_s
        try:
            if threading.get_ident() == self._home.thread:
                self._home.serve(timeout_s)
                left_s = None if timeout_s is None else 0.0
            return self._over.result(left_s)
        except TimeoutError:
            if self._over.done():
                raise
            raise TimeoutError(f"{self!r}: still at it after {timeout_s} s; it goes on") from None
        except KeyboardInterrupt as stop:
            # One that met a task of the run on this thread ends the run.
            if not self.ended.wait(_ENDING_S):
                name = self._job.flow.name
                self._job.flow.tell(
                    f"{name}: only the waiting has ended, the run goes on in the background ({self.progress}); "
                    f"cancel() of its handle ends it"
                )
            raise Interrupted from stop

    def when_over(self, act: Callable[[], None]) -> None:
        """Calls something when it has ended, in whichever way; at once where it has."""
        self._over.add_done_callback(lambda _: act())

    def _work(self) -> None:
        if self._home.away:
            self._home.reach()
        else:
            self._home.thread = threading.get_ident()
        try:
            self._job.work(self._home, watchable=True)
        except KeyboardInterrupt:
            # While one of its tasks ran on the main thread.
            self._job.cancelled = True
        # Raised again in `wait`: here nobody would see it.
        except BaseException as error:  # noqa: BLE001 (handed over)
            self._over.set_exception(error)
        finally:
            if not self._over.done():
                self._over.set_result(self._job.run)
            self._home.end()
            self.ended.set()

    def __await__(self) -> Generator[Any, None, Run]:
        return self._awaited().__await__()

    async def _awaited(self) -> Run:
        import asyncio

        over = asyncio.wrap_future(self._over)
        try:
            while not over.done():
                # A kernel's interrupt cancels the cell, and wakes up no loop that sleeps.
                await asyncio.wait([over], timeout=_LOOK_S)
        except asyncio.CancelledError as stop:
            self.cancel()
            # What it says of that stands above the error.
            self.ended.wait(_ENDING_S)
            vars(stop)["_render_traceback_"] = Interrupted()._render_traceback_
            raise
        return over.result()

    @property
    def how(self) -> str:
        """How it stands, in a word: running, ended, cancelled, or broken off by an error of the run itself."""
        if self._job.cancelled:
            return "cancelled"
        return "running" if not self.done else "ended" if self.run.broken is None else "broken off"

    def __repr__(self) -> str:
        error = f"; {broken_text(self.run)}" if self.done and self.run.broken is not None else ""
        return f"<{self._job.flow.name!r} in the background: {self.how}, {self.progress}{error}>"


def progress_of(run: Run) -> Progress:
    """How far a run is."""
    done = total = failed = 0
    undone = {State.CANCELLED} if run.broken is None else {State.CANCELLED, State.TRIGGER_FAILED}
    for node, track in list(run.tracks.items()):
        if is_visible(node):
            counts = track.counts()
            total += sum(counts.values())
            done += sum(count for state, count in counts.items() if state.finished and state not in undone)
            failed += counts.get(State.FAILED, 0)
    return Progress(done, total, failed)


def start(job: Job) -> Background:
    """Begins a run in the background; what must be called on this thread comes back to it where a loop runs here."""
    loop = running_loop()
    # Where nobody is there to be called back, as in a script, the run's own thread is its home.
    home = Home(loop, away=loop is not None, attended=False)
    handle = Background(job, home)
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(handle._work,), name="nbflow-background", daemon=True).start()
    return handle
