"""Executors in this process: on the calling thread, or on a few worker threads."""

from __future__ import annotations

import contextvars
import os
import queue
import threading
from typing import TYPE_CHECKING

from nbflow.executors.worker import run_batch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nbflow.executors.base import Batch
    from nbflow.probe.files import StatMemo


class SyncExecutor:
    """Runs each batch where it is submitted: interruptible, debuggable, at home with connections."""

    slots = 1

    def __init__(self, memo: StatMemo) -> None:
        self._memo = memo
        self._done: list[Batch] = []

    def submit(self, batch: Batch) -> None:
        run_batch(batch, self._memo)
        self._done.append(batch)

    def outcomes(self, wait_s: float) -> Iterable[Batch]:
        done, self._done = self._done, []
        return done

    def cancel(self, batches: Iterable[Batch], *, kill: bool = False) -> None:
        for batch in batches:
            batch.cancelled = True

    def close(self) -> None:
        self._done.clear()


class ThreadExecutor:
    """Runs batches on daemon threads, each in a copy of the context it was submitted in.

    The copy keeps prints under the right cell. slots: threads at most, started when they are needed.
    """

    def __init__(self, memo: StatMemo, slots: int | None = None) -> None:
        self.slots = slots or min(32, (os.cpu_count() or 1) + 4)
        self._memo = memo
        self._todo: queue.SimpleQueue[tuple[contextvars.Context, Batch] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Batch | BaseException] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._open = 0

    def submit(self, batch: Batch) -> None:
        self._open += 1
        if len(self._threads) < min(self.slots, self._open):
            thread = threading.Thread(target=self._work, name=f"nbflow-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._todo.put((contextvars.copy_context(), batch))

    def outcomes(self, wait_s: float) -> Iterable[Batch]:
        finished: list[Batch] = []
        try:
            finished.append(self._taken(self._done.get(timeout=wait_s)))
            while True:
                finished.append(self._taken(self._done.get_nowait()))
        except queue.Empty:
            return finished

    def cancel(self, batches: Iterable[Batch], *, kill: bool = False) -> None:
        for batch in batches:
            batch.cancelled = True

    def close(self) -> None:
        for _ in self._threads:
            self._todo.put(None)
        self._threads.clear()

    def _taken(self, done: Batch | BaseException) -> Batch:
        if isinstance(done, BaseException):
            raise done
        self._open -= 1
        return done

    def _work(self) -> None:
        while (job := self._todo.get()) is not None:
            context, batch = job
            try:
                context.run(run_batch, batch, self._memo)
            # A defect of ours must end the run and not hang it; what tasks raise is an Outcome already.
            except BaseException as error:  # noqa: BLE001 (handed to the thread that waits)
                self._done.put(error)
            else:
                self._finish(batch)

    def _finish(self, batch: Batch) -> None:
        if batch.late is not None:
            batch.late(batch)
        self._done.put(batch)
