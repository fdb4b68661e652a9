"""Async tasks: many at once on one event loop, nbflow's own in a thread of its own, or the notebook's."""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING

from nbflow.errors import TaskCancelled
from nbflow.executors.waiting import too_long
from nbflow.executors.worker import noting, steps

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable

    from nbflow.executors.base import Batch, Outcome
    from nbflow.executors.inbox import Inbox
    from nbflow.probe.files import StatMemo


class LoopExecutor:
    """Runs each batch as a task of an event loop, in a copy of the context it was submitted in.

    loop: gives the loop, which runs in another thread, or on the one that waits for the run. slots: elements at once of
    tasks that do not bound themselves.
    """

    slots = 100

    def __init__(self, memo: StatMemo, inbox: Inbox, loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
        self._memo = memo
        self._inbox = inbox
        self._loop = loop
        self._tasks: dict[Batch, asyncio.Task[None]] = {}

    def submit(self, batch: Batch) -> None:
        context = contextvars.copy_context()
        self._loop().call_soon_threadsafe(self._start, batch, context, context=context)

    def cancel(self, batches: Iterable[Batch], *, kill: bool = False) -> None:
        for batch in batches:
            batch.cancelled = True
            self._loop().call_soon_threadsafe(self._end, batch)

    def close(self) -> None:
        """The loop goes on: others use it, too."""

    def _start(self, batch: Batch, context: contextvars.Context) -> None:
        if batch.begin():
            # The loop holds its tasks only weakly.
            self._tasks[batch] = self._loop().create_task(
                self._run(batch), name=f"nbflow {batch.label}", context=context
            )

    def _end(self, batch: Batch) -> None:
        if batch in self._tasks:
            self._tasks[batch].cancel()

    async def _run(self, batch: Batch) -> None:
        import asyncio

        try:
            pending = steps(batch, self._memo)
            try:
                for outcome in pending:
                    await _awaited(batch, outcome)
            finally:
                pending.close()
        except asyncio.CancelledError:
            # Told already where it was called off.
            return
        # A defect of ours must end the run and not hang it; what tasks raise is an Outcome already.
        except BaseException as error:  # noqa: BLE001 (handed to the thread that waits)
            self._inbox.put(error)
            return
        finally:
            self._tasks.pop(batch, None)
            batch.end()
        self._inbox.put(batch)


async def _awaited(batch: Batch, outcome: Outcome) -> None:
    """Awaits what a call gave, and puts what comes of it in its place."""
    import asyncio

    with noting(batch, outcome):
        try:
            async with asyncio.timeout(batch.timeout_s) as limit:
                outcome.value = await outcome.value
        except TimeoutError:
            if limit.expired():
                raise too_long(batch.label, batch.timeout_s) from None
            raise
        except asyncio.CancelledError:
            if batch.cancelled:
                raise
            raise TaskCancelled(
                f"{batch.label} was cancelled by its own code; catch asyncio.CancelledError there if that is no failure"
            ) from None
