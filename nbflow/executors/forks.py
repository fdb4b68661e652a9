"""Tasks that fork: a child ends where the task's function does, and never goes on as the worker it is a copy of."""

from __future__ import annotations

import functools
import os
import sys
import traceback
from contextlib import suppress
from types import CoroutineType
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


def ending_forks(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The function; a process that was forked in it, and comes back out of it, ends there."""

    @functools.wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        worker = os.getpid()
        try:
            value = fn(*args, **kwargs)
        except BaseException as error:
            end_fork(worker, error)
            raise
        end_fork(worker)
        return _awaited(value, worker) if type(value) is CoroutineType else value

    return call


async def _awaited(coroutine: Coroutine[Any, Any, Any], worker: int) -> Any:
    try:
        value = await coroutine
    except BaseException as error:
        end_fork(worker, error)
        raise
    end_fork(worker)
    return value


def end_fork(worker: int, error: BaseException | None = None) -> None:
    """Ends this process where it is not the worker but a fork of it. error: what it ended with."""
    if os.getpid() != worker:
        _leave(error)


def _leave(error: BaseException | None) -> NoReturn:
    """Ends this process as Python would end a script, without what the worker has registered for its own end."""
    code: Any = 0
    try:
        if isinstance(error, SystemExit):
            code = error.code or 0
            if not isinstance(code, int):
                print(code, file=sys.__stderr__)
        elif error is not None:
            code = 1
            # The first frame is one of nbflow's.
            frames = error.__traceback__ and error.__traceback__.tb_next
            traceback.print_exception(type(error), error, frames, file=sys.__stderr__)
    finally:
        for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
            with suppress(Exception):
                stream.flush()  # type: ignore[union-attr]  # there may be none
        os._exit(code & 0xFF if isinstance(code, int) else 1)
