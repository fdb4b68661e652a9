"""Who looks on while a run goes: front ends register here, and hear of each run when it begins and ends."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from nbflow.seams import WATCHERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nbflow.flow.finished import Run


@contextmanager
def watched(run: Run, cancel: Callable[[], None] | None = None) -> Iterator[None]:
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
