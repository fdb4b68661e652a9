"""One call in a worker: with what was sent for it, in the time that it may take, and watched from outside."""

from __future__ import annotations

import inspect
import signal
import threading
from contextlib import contextmanager, nullcontext
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from nbflow.errors import NotSendable, in_words
from nbflow.executors.order import Packed
from nbflow.executors.values import parameter
from nbflow.executors.waiting import too_long
from nbflow.identity.code import CodeIds
from nbflow.identity.encoding import framed
from nbflow.identity.immutable import is_immutable
from nbflow.identity.value import ANONYMOUS, Identifier, output_id
from nbflow.probe.listening import apart
from nbflow.probe.packages import Packages
from nbflow.probe.sources import Sources

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from contextlib import AbstractContextManager
    from types import FrameType

    from nbflow.executors.order import Order


class Watched:
    """What a worker tells of itself while it works, and is told: here nobody watches."""

    cancelled = False

    def begin(self, place: int) -> None:
        """An element is about to be called."""

    def call(self, timeout_s: float | None) -> None:
        """A call begins that may take so long; None: it has ended."""


class Call:
    """Calls a function with what was sent for one element, opened only now: each call has values of its own.

    touched: the columns of which the first call changed its value in place: nobody sees it, and the user should know.
    """

    def __init__(self, watched: Watched, order: Order, fn: Callable[..., Any]) -> None:
        self.touched: list[int] = []
        self._watched = watched
        self._order = order
        self._fn = fn
        self._is_first = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with apart():
            opened = tuple(self._opened(each, at) for at, each in enumerate(args))
            named = {name: self._opened(each, name) for name, each in kwargs.items()}
            states = self._states(args, kwargs, opened, named) if self._is_first else []
        self._is_first = False
        self._watched.call(self._order.timeout_s)
        value = None
        try:
            with self._alarm():
                value = self._fn(*opened, **named)
        finally:
            # The call of an async function goes on where its coroutine is awaited.
            if type(value) is not CoroutineType:
                self._end(states)
        return self._awaited(value, states) if type(value) is CoroutineType else value

    def _opened(self, sent: Any, argument: str | int) -> Any:
        if type(sent) is not Packed:
            return sent
        try:
            return sent.open()
        except MemoryError:
            raise
        # What it is made of may be missing here, and what the user's own way to rebuild it raises is any exception.
        except Exception as error:
            missing = "install there what is missing, or " if isinstance(error, (ImportError, AttributeError)) else ""
            name = parameter(inspect.unwrap(self._fn), argument) if isinstance(argument, int) else argument
            raise NotSendable(
                f"{self._order.label}: its argument {name!r} cannot be opened in the worker: {in_words(error)}; "
                f'{missing}give the task executor="threads"'
            ) from error

    def _alarm(self) -> AbstractContextManager[None]:
        timeout_s = self._order.timeout_s
        return _NO_ALARM if timeout_s is None or not has_alarm() else _alarm(timeout_s, self._order.label)

    async def _awaited(self, coroutine: Coroutine[Any, Any, Any], states: list[tuple[int, Any, bytes]]) -> Any:
        import asyncio

        try:
            # Nothing rings where it waits, and what never gives way to it the kernel ends.
            async with asyncio.timeout(self._order.timeout_s) as limit:
                return await coroutine
        except TimeoutError:
            if self._order.timeout_s is not None and limit.expired():
                raise too_long(self._order.label, self._order.timeout_s) from None
            raise
        finally:
            self._end(states)

    def _end(self, states: list[tuple[int, Any, bytes]]) -> None:
        self._watched.call(None)
        with apart():
            self.touched += [number for number, value, state in states if data_of(value) not in {state, None}]

    def _states(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], opened: tuple[Any, ...], named: dict[str, Any]
    ) -> list[tuple[int, Any, bytes]]:
        """The values that a call has for itself and can change: their columns, and what they are before it."""
        found = []
        values = iter(zip(args, opened, strict=True))
        for number, name in enumerate(self._order.keywords):
            sent, value = next(values) if name is None else (kwargs[name], named[name])
            if type(sent) is Packed and not is_immutable(value) and (state := data_of(value)) is not None:
                found.append((number, value, state))
        return found


def has_packed(order: Order) -> bool:
    return any(type(each) is Packed for column in order.columns if isinstance(column, list) for each in column)


@contextmanager
def _alarm(timeout_s: float, label: str) -> Iterator[None]:
    """Raises TaskTimeout in the block after a time, at the next step of Python code."""

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise too_long(label, timeout_s)

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, timeout_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def has_alarm() -> bool:
    return hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()


def state_of(value: Any) -> bytes | None:
    """Something that is another when a value was changed in place; None where nothing tells."""
    return _state(CodeIds(SOURCES, PACKAGES).identifier, value)


def data_of(value: Any) -> bytes | None:
    """The same, where a class is as good as unchanged: a method that puts something into a global changes no object."""
    codes = CodeIds(SOURCES, PACKAGES)

    def resolve(thing: Any) -> bytes:
        return framed("class", str(id(thing)).encode()) if isinstance(thing, type) else codes.resolve(thing)

    return _state(Identifier(resolve), value)


def _state(identifier: Identifier, value: Any) -> bytes | None:
    id_ = output_id(identifier, value)[0]
    return None if id_.startswith(ANONYMOUS) else id_


PACKAGES = Packages()
_NO_ALARM = nullcontext()
# One: what is compiled of each is kept.
SOURCES = Sources()
