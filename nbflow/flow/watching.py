"""Front ends that show a run while it goes on: each registers here what it wraps around every run."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from nbflow.flow.finished import Run

# Each is called with a run and with what cancels it, None where nothing can.
WATCHERS: list[Callable[[Run, Callable[[], None] | None], AbstractContextManager[None]]] = []


@contextmanager
def watched(run: Run, cancel: Callable[[], None] | None = None) -> Iterator[None]:
    """All that watch are told of a run, for the time of the block."""
    with ExitStack() as stack:
        for watch in WATCHERS:
            stack.enter_context(watch(run, cancel))
        yield
