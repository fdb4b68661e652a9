"""The audit hook: what the code of the current context opens, lists and connects to."""

from __future__ import annotations

import os
import sys
import sysconfig
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Listener(Protocol):
    """What is told of events in its context."""

    def opened(self, path: str, *, writes: bool) -> None: ...
    def listed(self, path: str) -> None: ...
    def connected(self, host: str) -> None: ...


LISTENER: ContextVar[Listener | None] = ContextVar("nbflow_listener", default=None)
_WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
_state = {"installed": False}


def install() -> None:
    """Adds the hook to this process, once; hooks cannot be taken out again."""
    if not _state["installed"]:
        _state["installed"] = True
        sys.addaudithook(_hook)


def leave_out(folder: str) -> None:
    """Nothing below this folder is told of any more: a store."""
    LEFT_OUT.add(os.path.join(os.path.realpath(folder), ""))


def is_left_out(path: str) -> bool:
    """Whether a path belongs to the interpreter, installed packages, the system or a store."""
    return path.startswith(tuple(LEFT_OUT)) or "/site-packages/" in path or path.endswith((".pyc", "__pycache__"))


def _hook(event: str, args: tuple[Any, ...]) -> None:
    tell = _EVENTS.get(event)
    if tell is None:
        return
    listener = LISTENER.get()
    if listener is None or _by_machinery():
        return
    # What the listener itself opens is not the task's.
    token = LISTENER.set(None)
    try:
        tell(listener, args)
    finally:
        LISTENER.reset(token)


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
