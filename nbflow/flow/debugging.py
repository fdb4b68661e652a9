"""`run.debug("daily", 3)`: a task's function called again, with the same arguments, under the debugger."""

from __future__ import annotations

import sys
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from nbflow.engine.batching import Batcher, LostArguments
from nbflow.engine.ledger import LostValue
from nbflow.errors import NotSuccessful
from nbflow.executors.waiting import run_coroutine
from nbflow.executors.worker import calls_of, seeded
from nbflow.flow.failing import inputs_text
from nbflow.flow.whys import position_of
from nbflow.loop import ITERATION
from nbflow.model.making import BLOCK, Block
from nbflow.model.node import BUILDING, MAKING
from nbflow.model.state import State
from nbflow.probe.secrets import short_text
from nbflow.signals import Signal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from nbflow.executors.base import Batch
    from nbflow.flow.finished import Run
    from nbflow.model.node import Node

_CALLED = frozenset({State.SUCCESS, State.CACHED, State.FAILED})


def debug(run: Run, node: Node, element: Any = None) -> None:
    """Calls one element's function again, here and now, on copies of its arguments; nothing is stored.

    One that failed is looked at where it raised; any other from its first line on. element: by default the first that
    failed, or the first. Raises UnknownName, NotSuccessful.
    """
    index = _index(run, node, element)
    name = f"{node.name}[{index}]" if node.mapped else node.name
    state = State(run.track(node).column(index + 1)[index])
    if state not in _CALLED or node.task.fn is None:
        raise NotSuccessful(f"{name} was not called, it is {state.label.replace('_', ' ')}; there is nothing to debug")
    try:
        batch = Batcher(run.ledger, run._workshop.resolver).make(node, [index], private=True)
    except (LostArguments, LostValue):
        raise NotSuccessful(f"the arguments of {name} are not stored any more; run it again, then debug it") from None
    ((args, kwargs),) = list(calls_of(batch))
    arguments = inputs_text(run, node, index)
    print(f"{name}{f' with {arguments}' if arguments else ''} is called again; `q` leaves the debugger")
    with _as_in_a_run(batch):
        if state is State.FAILED:
            _post_mortem(name, lambda: _result(batch, batch.fn(*args, **kwargs)))
        else:
            _from_the_first_line(name, batch, args, kwargs)


def _index(run: Run, node: Node, element: Any) -> int:
    if element is not None:
        return position_of(node, run.ledger, run.track(node).count, element)
    errors = run.ledger.books[node].errors
    return min(errors, default=0)


def _post_mortem(name: str, call: Callable[[], Any]) -> None:
    try:
        value = call()
    # A task may raise anything, also SystemExit and signals.
    except (Exception, SystemExit, Signal) as error:  # noqa: BLE001 (what it raised is what the debugger shows)
        print(f"{type(error).__name__}: {error}")
        debugger = _debugger()
        debugger.reset()
        debugger.interaction(None, _users(error.__traceback__))
    else:
        print(f"{name} did not fail this time; it gave {short_text(value, 'result')}")


def _from_the_first_line(name: str, batch: Batch, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    import bdb

    debugger, left = _debugger(), list[bool]()
    leave = debugger.set_quit

    def note_and_leave() -> None:
        left.append(True)
        leave()

    debugger.set_quit = note_and_leave
    with suppress(bdb.BdbQuit):
        value = debugger.runcall(batch.fn, *args, **kwargs)
    # A function that was left looks like one that gave None.
    if left:
        return
    print(f"{name} gave {short_text(_result(batch, value), 'result')}")


def _result(batch: Batch, value: Any) -> Any:
    """A value, awaited where it has to be."""
    return run_coroutine(value, batch.timeout_s, batch.label) if hasattr(value, "cr_frame") else value


def _debugger() -> Any:
    """IPython's where there is one, else Python's own."""
    import pdb  # noqa: T100 (0.02 s of CPU that only those who debug should cost)

    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return pdb.Pdb() if shell is None else shell.debugger_cls()


def _users(trace: TracebackType | None) -> TracebackType | None:
    """The traceback from the task's own first frame on."""
    while trace is not None and trace.tb_next is not None and trace.tb_frame.f_globals.get("__name__") == __name__:
        trace = trace.tb_next
    return trace


@contextmanager
def _as_in_a_run(batch: Batch) -> Iterator[None]:
    """What a task finds around itself: its seed, its place in a loop, no flow that is being built."""
    start = batch.starts.get(0) if batch.starts else None
    with ExitStack() as stack:
        stack.callback(MAKING.reset, MAKING.set([]))
        stack.callback(BUILDING.reset, BUILDING.set(None))
        stack.callback(BLOCK.reset, BLOCK.set(Block()))
        stack.callback(ITERATION.reset, ITERATION.set(start or (1, None)))
        if batch.seeds is not None:
            stack.enter_context(seeded(batch.seeds[0] + (start or (1, None))[0] - 1))
        yield
