"""Who sees a run: a notebook gets the live graph, a terminal one line, anything else nothing."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from IPython.core.getipython import get_ipython

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from nbflow.flow.finished import Run
    from nbflow.model.node import Node


def watch(run: Run, cancel: Callable[[], None] | None) -> AbstractContextManager[None]:
    """What shows a run here. cancel: ends a run in the background."""
    shell: Any = get_ipython()
    if shell is None:
        return nullcontext()
    if getattr(shell, "kernel", None) is not None:
        from nbflow.notebook.live import live
        from nbflow.notebook.places import show_run

        # A run that ends a cell is drawn once, not beside its own picture.
        shell.display_formatter.ipython_display_formatter.for_type(type(run), show_run)
        return live(run, cancel)
    # At a prompt that is free to type, and where a task asks something, a line that is rewritten is in the way.
    if sys.stderr.isatty() and cancel is None and not any(map(_asks, run.nodes())):
        from nbflow.notebook.terminal import terminal

        return terminal(run)
    return nullcontext()


def _asks(node: Node) -> bool:
    """Whether a task's function asks the person at the keyboard."""
    code = getattr(node.task.fn, "__code__", None)
    return code is not None and not {"input", "breakpoint", "set_trace"}.isdisjoint(code.co_names)
