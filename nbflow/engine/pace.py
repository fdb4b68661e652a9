"""Pace: how fast the elements of a task may begin, in all runs of this process together."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from nbflow.model.rate import read_rate

if TYPE_CHECKING:
    from nbflow.model.task import Task


class Pace:
    """The bounds of one task. concurrency: elements at once; rate: elements in a time, as `read_rate` reads it."""

    def __init__(self, concurrency: int | None, rate: str | None) -> None:
        self._concurrency = concurrency
        self._rate = None if rate is None else read_rate(rate)
        self._running = 0
        # When the last ones began, each an empty list until it has.
        self._begun: deque[list[float]] = deque(maxlen=0 if self._rate is None else self._rate.most)
        self._lock = threading.Lock()

    @property
    def one_by_one(self) -> bool:
        """Whether each element must be handed over at the moment when it begins."""
        return self._rate is not None

    @property
    def bounds_running(self) -> bool:
        """Whether it says how many run at once."""
        return self._concurrency is not None

    def wait_s(self, now: float) -> float | None:
        """Seconds until another may begin, 0.0 for now; None when that depends on the others.

        >>> Pace(1, None).wait_s(0.0), Pace(None, "1/s").wait_s(0.0)
        (0.0, 0.0)
        """
        with self._lock:
            if self._concurrency is not None and self._running >= self._concurrency:
                return None
            if self._rate is None or len(self._begun) < self._rate.most:
                return 0.0
            first = self._begun[0]
            return max(0.0, first[0] + self._rate.seconds - now) if first else None

    def begin(self, begun: list[float]) -> None:
        """One is handed over. begun: gets the time at which it begins."""
        with self._lock:
            self._running += 1
            self._begun.append(begun)

    def end(self) -> None:
        """One has ended."""
        with self._lock:
            self._running -= 1


def pace_of(task: Task) -> Pace | None:
    """The pace of a task, the same in all runs; None where it has no bounds."""
    options = task.options
    if options.concurrency is None and options.rate is None:
        return None
    with _LOCK:
        if task not in _PACES:
            _PACES[task] = Pace(options.concurrency, options.rate)
        return _PACES[task]


_PACES: WeakKeyDictionary[Task, Pace] = WeakKeyDictionary()
_LOCK = threading.Lock()
