"""Executors in this process: on the calling thread, or on a few worker threads."""

from __future__ import annotations

import contextvars
import os
import queue
import threading
import time
from typing import TYPE_CHECKING, Any

from nbflow.executors.worker import run_batch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nbflow.executors.base import Batch
    from nbflow.executors.inbox import Inbox
    from nbflow.probe.files import StatMemo


class SyncExecutor:
    """Runs each batch where it is submitted: interruptible, debuggable, at home with connections.

    A batch has ended when `submit` returns, and does not go through the inbox.
    """

    slots = 1

    def __init__(self, memo: StatMemo) -> None:
        self._memo = memo

    def submit(self, batch: Batch) -> None:
        batch.begun.append(time.monotonic())
        run_batch(batch, self._memo)

    def cancel(self, batches: Iterable[Batch], *, kill: bool = False) -> None:
        for batch in batches:
            batch.cancelled = True

    def close(self) -> None:
        """Nothing is held."""


class Crew:
    """Daemon threads that carry out batches, each in a copy of the context it was submitted in.

    The copy keeps prints under the right cell. slots: threads at most, started when they are needed; batches that are
    bounded elsewhere have threads beside these.
    """

    def __init__(self, inbox: Inbox, slots: int) -> None:
        self.slots = slots
        self._inbox = inbox
        self._todo: queue.SimpleQueue[tuple[contextvars.Context, Batch] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._open = 0
        self._extra = 0
        self._lock = threading.Lock()

    def submit(self, batch: Batch) -> None:
        with self._lock:
            self._open += 1
            self._extra += batch.extra
            lacking = len(self._threads) < min(self.slots + self._extra, self._open)
        if lacking:
            thread = threading.Thread(target=self._work, name=f"nbflow-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._todo.put((contextvars.copy_context(), batch))

    def cancel(self, batches: Iterable[Batch], *, kill: bool = False) -> None:
        for batch in batches:
            batch.cancelled = True

    def close(self) -> None:
        for _ in self._threads:
            self._todo.put(None)
        self._threads.clear()

    def carry_out(self, batch: Batch, tool: Any) -> Any:
        """Does a batch. tool: what this thread holds for it, None at first; gives what it is to hold from now on."""
        raise NotImplementedError

    def put_back(self, tool: Any) -> None:
        """A thread needs what it holds no more."""

    def _work(self) -> None:
        tool: Any = None
        while (job := self._todo.get()) is not None:
            context, batch = job
            try:
                if batch.begin():
                    tool = context.run(self.carry_out, batch, tool)
            # A defect of ours must end the run and not hang it; what tasks raise is an Outcome already.
            except BaseException as error:  # noqa: BLE001 (handed to the thread that waits)
                tool = None
                self._inbox.put(error)
            with self._lock:
                self._open -= 1
                self._extra -= batch.extra
            batch.end()
            self._inbox.put(batch)
        if tool is not None:
            self.put_back(tool)


class ThreadExecutor(Crew):
    """Runs batches on the threads themselves."""

    def __init__(self, memo: StatMemo, inbox: Inbox, slots: int | None = None) -> None:
        super().__init__(inbox, slots or min(32, (os.cpu_count() or 1) + 4))
        self._memo = memo

    def carry_out(self, batch: Batch, tool: Any) -> None:
        run_batch(batch, self._memo)
