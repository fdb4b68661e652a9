"""Calls that are waited for: coroutines, and functions that may take only so long."""

from __future__ import annotations

import contextvars
import threading
from typing import TYPE_CHECKING, Any

from nbflow.errors import TaskTimeout

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


def run_coroutine(coroutine: Any, timeout_s: float | None = None, label: str = "") -> Any:
    """The result of a coroutine, run on nbflow's own event loop, so that a running loop is no hindrance."""
    import asyncio  # 0.06 s of CPU that only async tasks should cost

    raised: list[BaseException] = []
    future = asyncio.run_coroutine_threadsafe(_contained(coroutine, raised), own_loop())
    try:
        result = future.result(timeout_s)
    except TimeoutError:
        if not future.cancel():
            raise
        raise too_long(label, timeout_s) from None
    except KeyboardInterrupt:
        future.cancel()
        raise
    if raised:
        raise raised[0]
    return result


async def _contained(coroutine: Any, raised: list[BaseException]) -> Any:
    """What a coroutine gives. What it raises is put into `raised`: some would end the loop, with all who use it.

    Others would arrive with frames of the loop's, which say nothing to anybody.
    """
    import asyncio

    try:
        return await coroutine
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001 (raised again where it is waited for)
        raised.append(error)


def bounded_call(
    fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], timeout_s: float, label: str
) -> Any:
    """What fn gives, on a thread of its own; TaskTimeout after timeout_s seconds.

    The thread is told to end, which Python code does at its next step; code that waits inside C, as in a
    long query, ends when that does, and what it gives then is dropped.
    """
    box: list[tuple[bool, Any]] = []
    over = threading.Event()
    context = contextvars.copy_context()

    def call() -> None:
        try:
            box.append((True, context.run(fn, *args, **kwargs)))
        # Whatever it raises is raised again where it is waited for.
        except BaseException as error:  # noqa: BLE001 (handed over)
            box.append((False, error))
        finally:
            over.set()

    thread = threading.Thread(target=call, name=f"nbflow-{label}", daemon=True)
    thread.start()
    if not over.wait(timeout_s):
        _end(thread)
        raise too_long(label, timeout_s)
    good, what = box[0]
    if good:
        return what
    raise what


def too_long(label: str, timeout_s: float | None) -> TaskTimeout:
    """The error of a call that took longer than it may."""
    return TaskTimeout(f"{label} took longer than timeout_s={timeout_s:g}; raise the limit, or give it less to do")


def _end(thread: threading.Thread) -> None:
    """Raises TaskTimeout inside a thread, at its next step of Python code."""
    import ctypes

    if thread.ident is not None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(TaskTimeout))


def own_loop() -> asyncio.AbstractEventLoop:
    """The event loop of nbflow's own, which runs in a thread of its own as long as the process lives."""
    import asyncio

    with _LOOP_LOCK:
        if not _LOOPS:
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name=_LOOP_THREAD, daemon=True).start()
            _LOOPS.append(loop)
        return _LOOPS[0]


def is_on_own_loop() -> bool:
    """Whether the code that asks runs on nbflow's own loop, which nothing may block."""
    return threading.current_thread().name == _LOOP_THREAD


_LOOP_THREAD = "nbflow-async"
_LOOPS: list[asyncio.AbstractEventLoop] = []
_LOOP_LOCK = threading.Lock()
