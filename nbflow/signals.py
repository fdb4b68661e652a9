"""What a task raises to say how it ends: another iteration, skipped, failed, paused, ended early.

>>> from nbflow import task, signals
>>> @task
... def halve(x):
...     if x % 2:
...         raise signals.SKIP("odd")
...     return x // 2
"""

from __future__ import annotations

from typing import Any


class Signal(BaseException):
    """Base of all signals. No Exception, so that a task's own `except Exception` lets it through."""

    def __init__(self, message: str = "", *, result: Any = None) -> None:
        self.message = message
        self.result = result
        super().__init__(message)


class LOOP(Signal):
    """Runs the task again, with `nbflow.loop.count` one higher and `nbflow.loop.result` the result given here.

    A result that holds nodes has their values in their place. Inside `with Flow(...)`, a plain function
    that raises it ends the block; the nodes made so far stay part of the flow.
    """

    def __init__(self, message: str = "", *, result: Any = None) -> None:
        super().__init__(message, result=result)


class SKIP(Signal):
    """Ends the task as skipped."""


class FAIL(Signal):
    """Ends the task as failed, with no further attempt."""


class RETRY(Signal):
    """Asks for another attempt. delay_s: seconds before it; the task's own delay by default."""

    def __init__(self, message: str = "", *, delay_s: float | None = None) -> None:
        self.delay_s = delay_s
        super().__init__(message)


class PAUSE(Signal):
    """Ends the run as paused at this task, until `flow.run(approve=["name"])`; then its value is `result`."""


class SUCCESS(Signal):
    """Ends the task early, with `result` as its value."""
