"""Who is told of what code opens, lists and connects to: the listener of its context."""

from __future__ import annotations

import glob
import os
import threading
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

from nbflow.lean import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator


class Listener(Protocol):
    """What is told of events in its context."""

    def opened(self, path: str, *, reads: bool = True, writes: bool = False) -> None: ...
    def opened_below(self, name: str, *, reads: bool, writes: bool) -> None: ...
    def listed(self, path: str) -> None: ...
    def stood_here(self) -> None: ...
    def connected(self, host: str) -> None: ...
    def lost_sight(self, what: str) -> None: ...
    def ran_flow(self, name: str) -> None: ...
    def looked_up(self, name: str, value: str | None) -> None: ...
    def walked_environment(self) -> None: ...
    def set_variable(self, name: str) -> None: ...


# None where nbflow itself is at work; a thread that a task started has no value here at all.
LISTENER: ContextVar[Listener | None] = ContextVar("nbflow_listener")
# All that listen now: what a thread without a context does counts for each of them.
LISTENING: set[Listener] = set()
# Threads, by their ids, that work for nobody's task though they have no context of their own.
NOBODYS: set[int] = set()
OTHER_PROCESS = "started another process, in which nothing is seen"


@contextmanager
def apart() -> Iterator[None]:
    """What this thread opens in the block is nbflow's own, and no task's."""
    token = LISTENER.set(None)
    try:
        yield
    finally:
        LISTENER.reset(token)


class _Here(threading.local):
    """Of this thread: whether a listener is being told something, and what happens meanwhile is nobody's event."""

    busy = False


HERE = _Here()


def concerned() -> tuple[Listener, ...]:
    """Whose event this is: the context's; in a thread that has none, everybody's who listens now."""
    if HERE.busy:
        return ()
    try:
        listener = LISTENER.get()
    except LookupError:
        if threading.get_ident() == threading.main_thread().ident or threading.get_ident() in NOBODYS:
            return ()
        return tuple(_ReadsOnly(each) for each in LISTENING)
    return () if listener is None else (listener,)


@dataclass(frozen=True, slots=True)
class _ReadsOnly:
    """What a thread without a context writes may be anybody's: it makes no file a task's own."""

    listener: Listener

    def opened(self, path: str, *, reads: bool = True, writes: bool = False) -> None:
        if reads:
            self.listener.opened(path)

    def opened_below(self, name: str, *, reads: bool, writes: bool) -> None:
        if reads:
            self.listener.opened_below(name, reads=True, writes=False)

    def listed(self, path: str) -> None:
        self.listener.listed(path)

    def connected(self, host: str) -> None:
        self.listener.connected(host)

    def lost_sight(self, what: str) -> None:
        self.listener.lost_sight(what)

    def stood_here(self) -> None:
        self.listener.stood_here()

    def looked_up(self, name: str, value: str | None) -> None:
        self.listener.looked_up(name, value)

    def ran_flow(self, name: str) -> None:
        """It may be a run of its own, started beside the others."""

    def walked_environment(self) -> None:
        """What is held back of it lies with that thread."""

    def set_variable(self, name: str) -> None:
        """Of a variable that anybody set nothing is known."""


def tell_opened(path: str) -> None:
    """A file, a folder or a pattern of names that is read by code which raises no audit events."""
    for listener in concerned():
        with apart():
            if not os.path.isabs(path):
                listener.stood_here()
            for each in _files_of(os.path.abspath(path), listener):
                listener.opened(each)


def tell_connected(host: str) -> None:
    """A place on the network that is read by code which raises no audit events."""
    for listener in concerned():
        listener.connected(host)


def tell_lost_sight(what: str) -> None:
    """Something that nbflow cannot look into, where it raises no audit events."""
    for listener in concerned():
        listener.lost_sight(what)


def _files_of(path: str, listener: Listener) -> Iterator[str]:
    """The files that a path stands for; folders on the way are told as listed."""
    if any(sign in path for sign in "*?[") and not os.path.exists(path):
        folder = path
        while any(sign in folder for sign in "*?["):
            folder = os.path.dirname(folder)
        listener.listed(folder)
        for each in sorted(glob.glob(path, recursive=True)):
            yield from _files_of(each, listener)
    elif os.path.isdir(path):
        for folder, _, names in os.walk(path):
            listener.listed(folder)
            yield from (os.path.join(folder, name) for name in sorted(names))
    else:
        yield path


def path_of(path: Any) -> str | None:
    """The absolute path; None for file descriptors."""
    if isinstance(path, int) or path is None:
        return None
    try:
        return os.path.abspath(os.fsdecode(path))
    except TypeError:
        return None
