"""Home: the thread that asked for a run, and what is called there while the run goes on elsewhere."""

from __future__ import annotations

import contextvars
import queue
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from nbflow.executors.worker import run_batch
from nbflow.identity.handles import AT_HOME

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable

    from nbflow.executors.base import Batch
    from nbflow.executors.inbox import Inbox
    from nbflow.probe.files import StatMemo


class HomeLeft(RuntimeError):
    """The thread that asked for a run waits for it no more."""


class Home:
    """The thread that asked for a run, at the service of what has to be called there.

    loop: its event loop, where one is running: a notebook's. away: whether the run goes on in another thread. attended:
    whether somebody waits here for the end of the run, so that nothing is held up by calling things here.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop | None = None, *, away: bool = False, attended: bool = True
    ) -> None:
        self.loop = loop
        self.away = away
        self.attended = attended
        self.stopping = False
        self.thread = threading.get_ident()
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._ended = threading.Event()
        # The future that a loop which runs inside a blocking call waits for.
        self._inside: asyncio.Future[None] | None = None
        self._wants_loop = False

    @property
    def has_loop(self) -> bool:
        """Whether tasks can run on this thread's loop; while somebody waits here, it has to be one of asyncio's own."""
        if self.loop is None or not self.attended:
            return self.loop is not None
        import asyncio

        return isinstance(self.loop, asyncio.BaseEventLoop)

    def post(self, job: Callable[[], None]) -> None:
        """Has a job done on this thread: when it waits for the run, or when its loop comes to it."""
        self._jobs.put(job)
        self._call_soon()

    def call(self, function: Callable[[], Any]) -> Any:
        """What a function gives or raises, called on this thread; it is waited for. Raises HomeLeft after the end."""
        if threading.get_ident() == self.thread:
            return function()
        from concurrent.futures import Future  # brings in logging, which nobody else here needs

        answer: Future[Any] = Future()
        context = contextvars.copy_context()

        def job() -> None:
            try:
                answer.set_result(context.run(function))
            # Whatever it raises is raised again where it is waited for.
            except BaseException as error:  # noqa: BLE001 (handed over)
                answer.set_exception(error)

        self.post(job)
        while True:
            try:
                return answer.result(_LOOK_S)
            except TimeoutError:
                if answer.done():
                    raise
                if self._ended.is_set():
                    raise HomeLeft("the run has ended; nothing is called on its thread any more") from None

    def tell(self, tell: Callable[[str], None], message: str) -> None:
        """Tells something here, where a warning finds the line that asked for the run."""
        if self.away and self.attended and threading.get_ident() != self.thread:
            self.post(partial(tell, message))
        else:
            tell(message)

    def reach(self) -> None:
        """From now on the code of this context calls back here what only this thread can do."""
        AT_HOME.set(self.call)

    def end(self) -> None:
        """The run is over: nobody needs this thread any more."""
        self._ended.set()
        self.post(_nothing)

    def leave(self, work: Callable[[], None], stop: Callable[[], None]) -> None:
        """Goes on with the work on another thread, while this one does what is asked of it; raises what that raised.

        stop: makes the work end soon; called when this thread is interrupted.
        """
        self.away = True
        raised: list[BaseException] = []

        def go() -> None:
            self.reach()
            try:
                work()
            # Whatever ends the work is raised where it was asked for.
            except BaseException as error:  # noqa: BLE001 (handed over)
                raised.append(error)
            finally:
                self.end()

        thread = threading.Thread(target=contextvars.copy_context().run, args=(go,), name="nbflow-run", daemon=True)
        thread.start()
        try:
            self.serve()
        except BaseException:
            self.stopping = True
            stop()
            # What is under way may still need this thread before it can end.
            self.serve()
            raise
        finally:
            thread.join()
            self.away = False
        while self._do_next():
            # Something it had to tell at its end.
            pass
        if raised:
            raise raised[0]

    def serve(self, timeout_s: float | None = None) -> None:
        """Does what is asked of this thread until the run has ended, or the time is over."""
        self.attended, attended = True, self.attended
        until = None if timeout_s is None else time.monotonic() + timeout_s
        try:
            while not self._ended.is_set():
                if self._wants_loop and self.has_loop:
                    self._run_loop(until)
                    return
                try:
                    job = self._jobs.get(timeout=None if until is None else max(0.0, until - time.monotonic()))
                except queue.Empty:
                    return
                job()
        finally:
            self.attended = attended

    def want_loop(self) -> None:
        """From now on the loop of this thread is needed: a blocking call here lets it run inside."""
        if not self._wants_loop:
            self._wants_loop = True
            self.post(_nothing)

    def _run_loop(self, until: float | None) -> None:
        import nest_asyncio2  # patches asyncio, which only those who ask for the notebook's loop should get

        loop = self.loop
        assert loop is not None
        nest_asyncio2.apply(loop)
        self._inside = loop.create_future()
        timer = None if until is None else loop.call_later(max(0.0, until - time.monotonic()), self._leave_loop)
        try:
            while self._do_next():
                pass
            if not self._ended.is_set():
                loop.run_until_complete(self._inside)
        finally:
            self._inside = None
            if timer is not None:
                timer.cancel()

    def _leave_loop(self) -> None:
        if self._inside is not None and not self._inside.done():
            self._inside.set_result(None)

    def _call_soon(self) -> None:
        if self.loop is not None:
            # A loop that has been closed does nothing any more; who waits here still does.
            with suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self._do_next)

    def _do_next(self) -> bool:
        """Does one job, if there is one; gives whether there was."""
        try:
            job = self._jobs.get_nowait()
        except queue.Empty:
            return False
        try:
            job()
        finally:
            if self._ended.is_set():
                self._leave_loop()
        return True


class HomeExecutor:
    """Runs batches on the thread that asked for the run, one after the other."""

    slots = 1

    def __init__(self, memo: StatMemo, inbox: Inbox, home: Home) -> None:
        self._memo = memo
        self._inbox = inbox
        self._home = home

    def submit(self, batch: Batch) -> None:
        self._home.post(partial(self._run, contextvars.copy_context(), batch))

    def cancel(self, batches: Iterable[Batch], *, kill: bool = False) -> None:
        for batch in batches:
            batch.cancelled = True

    def close(self) -> None:
        """Nothing is held."""

    def _run(self, context: contextvars.Context, batch: Batch) -> None:
        try:
            if batch.begin() and not self._home.stopping:
                context.run(run_batch, batch, self._memo)
        except BaseException as error:
            # An interrupt, or a defect of ours: the run ends.
            self._inbox.put(error)
            raise
        finally:
            batch.end()
        self._inbox.put(batch)


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop that runs on this thread; None where there is none. Does not import asyncio."""
    asyncio = sys.modules.get("asyncio")
    return None if asyncio is None else asyncio._get_running_loop()


# How often who waits for an answer looks whether there is still somebody to give it.
_LOOK_S = 0.5


def _nothing() -> None:
    """Wakes up whoever waits for a job."""
