"""Who looks on while a run goes: front ends register here, and hear of each run when it begins and ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbflow.flow.finished import Run

Cancel = Callable[[], None]
Watcher = Callable[["Run", Cancel | None], AbstractContextManager[None]]

# Each is entered before a run starts and left when it has ended, also by an error or an interrupt.
WATCHERS: list[Watcher] = []


@contextmanager
def watched(run: Run, cancel: Cancel | None = None) -> Iterator[None]:
    """The time of a run, for all that watch. cancel: ends a run that goes on in the background.

    >>> from contextlib import nullcontext
    >>> from nbflow import Flow
    >>> run = Flow("looked at").run()
    >>> WATCHERS.append(lambda run, cancel: nullcontext(print("begins:", run.flow.name)))
    >>> with watched(run):
    ...     print("goes on")
    begins: looked at
    goes on
    >>> watcher = WATCHERS.pop()
    """
    with ExitStack() as stack:
        for watcher in WATCHERS:
            stack.enter_context(watcher(run, cancel))
        yield
