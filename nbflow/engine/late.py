"""Elements of runs that were ended early, which go on in their threads: nobody starts them twice."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from nbflow.executors.base import Batch


class LateElements:
    """The keys of elements that are still being computed, and what is to happen when their batch has ended."""

    def __init__(self) -> None:
        self.batches: dict[bytes, Batch] = {}
        self._waiting: dict[Batch, list[Callable[[], None]]] = {}
        self._lock = threading.Lock()

    def add(self, batch: Batch, keys: Iterable[bytes]) -> None:
        """Elements of a batch whose run has ended go on."""
        with self._lock:
            self.batches.update(dict.fromkeys(keys, batch))
            self._waiting[batch] = []

    def end(self, batch: Batch) -> None:
        """A batch has ended, and what was worth it is kept."""
        with self._lock:
            self.batches = {key: each for key, each in self.batches.items() if each is not batch}
            waiting = self._waiting.pop(batch, [])
        for tell in waiting:
            tell()

    def wait(self, key: bytes, tell: Callable[[], None]) -> bool:
        """Whether the key is being computed; then `tell` is called, on another thread, when that has ended."""
        with self._lock:
            batch = self.batches.get(key)
            if batch is None:
                return False
            self._waiting[batch].append(tell)
        return True


# One a process: a run waits for what an earlier one left behind.
LATE = LateElements()
