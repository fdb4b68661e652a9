"""Where all executors of a run put what has ended, and the run's shell waits."""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbflow.executors.base import Batch


class Inbox:
    """Filled from any thread, emptied by one: it waits for all executors at once, and can be woken.

    >>> inbox = Inbox()
    >>> inbox.put(print)
    >>> inbox.take(0.0)
    [<built-in function print>]
    """

    def __init__(self) -> None:
        self._items: queue.SimpleQueue[Batch | Callable[[], None] | BaseException] = queue.SimpleQueue()
        self.empty = self._items.empty
        self._ending: BaseException | None = None

    def put(self, item: Batch | Callable[[], None] | BaseException) -> None:
        """A batch, something that the shell is to do, or an exception, which ends the run."""
        if isinstance(item, BaseException):
            self._ending = item
        self._items.put(item)

    def look(self) -> None:
        """Raises an exception that was put here, before its turn: for whoever is busy with something else."""
        if self._ending is not None:
            raise self._ending

    def take(self, wait_s: float) -> list[Batch | Callable[[], None]]:
        """What has come since the last time; waits at most wait_s for the first. Raises an exception put here."""
        taken: list[Batch | Callable[[], None]] = []
        try:
            item = self._items.get(timeout=wait_s) if wait_s > 0 else self._items.get_nowait()
            while True:
                if isinstance(item, BaseException):
                    raise item
                taken.append(item)
                item = self._items.get_nowait()
        except queue.Empty:
            return taken
