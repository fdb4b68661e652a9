"""What a running task knows of its loop: `nbflow.loop.count` and `nbflow.loop.result`."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

ITERATION: ContextVar[tuple[int, Any]] = ContextVar("nbflow_iteration", default=(1, None))


class _Loop:
    """The iteration that is running here."""

    __slots__ = ()

    @property
    def count(self) -> int:
        """The number of the iteration, from 1; 1 outside of loops."""
        return ITERATION.get()[0]

    @property
    def result(self) -> Any:
        """What the iteration before gave to LOOP(result=...); None in the first."""
        return ITERATION.get()[1]

    def __repr__(self) -> str:
        return f"<loop: iteration {self.count}>"


loop = _Loop()
