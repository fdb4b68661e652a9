"""The audit hook: what the code of the current context opens, lists and connects to."""

from __future__ import annotations

import glob
import os
import sys
import sysconfig
import threading
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Listener(Protocol):
    """What is told of events in its context."""

    def opened(self, path: str, *, writes: bool) -> None: ...
    def listed(self, path: str) -> None: ...
    def connected(self, host: str) -> None: ...


# None where nbflow itself is at work; a thread that a task started has no value here at all.
LISTENER: ContextVar[Listener | None] = ContextVar("nbflow_listener")
# All that listen now: what a thread without a context does counts for each of them.
LISTENING: set[Listener] = set()
_WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
_state = {"installed": False}
# The end of the name of a SQLite database's write-ahead log.
WAL = "-wal"


def install() -> None:
    """Adds the hook to this process, once; hooks cannot be taken out again."""
    if not _state["installed"]:
        _state["installed"] = True
        sys.addaudithook(_hook)


@contextmanager
def apart() -> Iterator[None]:
    """What this thread opens in the block is nbflow's own, and no task's."""
    token = LISTENER.set(None)
    try:
        yield
    finally:
        LISTENER.reset(token)


def leave_out(folder: str) -> None:
    """Nothing below this folder is told of any more: a store."""
    LEFT_OUT.add(os.path.join(os.path.realpath(folder), ""))


def is_left_out(path: str) -> bool:
    """Whether a path belongs to the interpreter, installed packages, the system or a store."""
    return path.startswith(tuple(LEFT_OUT)) or "/site-packages/" in path or path.endswith((".pyc", "__pycache__"))


def _hook(event: str, args: tuple[Any, ...]) -> None:
    tell = _EVENTS.get(event)
    if tell is None or not LISTENING:
        return
    listeners = _concerned()
    if not listeners or _by_machinery():
        return
    # What the listener itself opens is not the task's.
    token = LISTENER.set(None)
    try:
        for listener in listeners:
            tell(listener, args)
    finally:
        LISTENER.reset(token)


def _concerned() -> tuple[Listener, ...]:
    """Whose event this is: the context's; in a thread that has none, everybody's who listens now."""
    try:
        listener = LISTENER.get()
    except LookupError:
        if threading.get_ident() == threading.main_thread().ident:
            return ()
        return tuple(_ReadsOnly(each) for each in LISTENING)
    return () if listener is None else (listener,)


@dataclass(frozen=True, slots=True)
class _ReadsOnly:
    """What a thread without a context writes may be anybody's: it makes no file a task's own."""

    listener: Listener

    def opened(self, path: str, *, writes: bool) -> None:
        if not writes:
            self.listener.opened(path, writes=False)

    def listed(self, path: str) -> None:
        self.listener.listed(path)

    def connected(self, host: str) -> None:
        self.listener.connected(host)


def tell_opened(path: str) -> None:
    """A file, a folder or a pattern of names that is read by code which raises no audit events."""
    for listener in _concerned():
        token = LISTENER.set(None)
        try:
            for each in _files_of(os.path.abspath(path), listener):
                listener.opened(each, writes=False)
        finally:
            LISTENER.reset(token)


def tell_connected(host: str) -> None:
    """A place on the network that is read by code which raises no audit events."""
    for listener in _concerned():
        listener.connected(host)


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


def _by_machinery() -> bool:
    """Whether an import, or Python looking for source text to show, raised the event."""
    frame = sys._getframe(2)
    return frame.f_code.co_filename.startswith(_MACHINERY)


def _opened(listener: Listener, args: tuple[Any, ...]) -> None:
    path, mode, flags = args
    name = _path(path)
    if name is not None:
        writes = (
            any(letter in mode for letter in "wax+") if isinstance(mode, str) else bool((flags or 0) & _WRITE_FLAGS)
        )
        listener.opened(name, writes=writes)


def _listed(listener: Listener, args: tuple[Any, ...]) -> None:
    name = _path(args[0] if args and args[0] is not None else ".")
    if name is not None:
        listener.listed(name)


def _database(listener: Listener, args: tuple[Any, ...]) -> None:
    name = _path(args[0])
    if name is not None and not name.endswith(":memory:"):
        listener.opened(name, writes=False)
        # What is written in WAL mode lies here until a checkpoint.
        listener.opened(name + WAL, writes=False)


def _moved(listener: Listener, args: tuple[Any, ...]) -> None:
    for path in args[:2]:
        _removed(listener, (path,))


def _removed(listener: Listener, args: tuple[Any, ...]) -> None:
    name = _path(args[0])
    if name is not None:
        listener.opened(name, writes=True)


def _connected(listener: Listener, args: tuple[Any, ...]) -> None:
    address = args[1]
    # Unix sockets, whose address is a text, stay on this machine.
    if isinstance(address, tuple) and address:
        listener.connected(str(address[0]))


def _looked_up(listener: Listener, args: tuple[Any, ...]) -> None:
    listener.connected(str(args[0]))


def _path(path: Any) -> str | None:
    """The absolute path; None for file descriptors."""
    if isinstance(path, int) or path is None:
        return None
    try:
        return os.path.abspath(os.fsdecode(path))
    except TypeError:
        return None


_EVENTS: dict[str, Callable[[Listener, tuple[Any, ...]], None]] = {
    "open": _opened,
    "os.listdir": _listed,
    "os.scandir": _listed,
    "sqlite3.connect": _database,
    "os.rename": _moved,
    "os.link": _moved,
    "os.symlink": _moved,
    "os.remove": _removed,
    "os.truncate": _removed,
    "socket.connect": _connected,
    "socket.getaddrinfo": _looked_up,
}
_STDLIB = sysconfig.get_paths()["stdlib"]
_MACHINERY = (
    "<frozen importlib",
    "<frozen zipimport",
    *(os.path.join(_STDLIB, name) for name in ("linecache.py", "tokenize.py", "inspect.py", "zipimport.py")),
)
LEFT_OUT: set[str] = {
    os.path.join(path, "")
    for path in (
        _STDLIB,
        *(sysconfig.get_paths()[name] for name in ("purelib", "platlib", "platstdlib")),
        "/proc",
        "/sys",
        "/dev",
    )
}
