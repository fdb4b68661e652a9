"""The audit hook: what the code of the current context opens, lists and connects to."""

from __future__ import annotations

import os
import sys
from importlib.util import source_from_cache
from typing import TYPE_CHECKING, Any

from nbflow.probe.databases import database_opened
from nbflow.probe.environment import watch_environment
from nbflow.probe.listening import HERE, LISTENING, OTHER_PROCESS, concerned, path_of
from nbflow.probe.machinery import by_machinery, by_probe

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbflow.probe.listening import Listener


def install() -> None:
    """Adds the hook to this process, once; hooks cannot be taken out again."""
    if not _state["installed"]:
        _state["installed"] = True
        sys.addaudithook(_hook)
        watch_environment(LISTENING.__len__, _looked_up_variable, _walked_environment)


def _hook(event: str, args: tuple[Any, ...]) -> None:
    tell = _EVENTS.get(event)
    if tell is None or not LISTENING or HERE.busy:
        return
    listeners = concerned()
    if not listeners or (event in _BY_IMPORTS and by_machinery(sys._getframe(1), args[0])):
        return
    # What the listener itself opens is not the task's. No variable of the context tells so: the hook may be called by a
    # garbage collection in the middle of setting one, and Python ends with a fault when two are set within each other.
    HERE.busy = True
    try:
        for listener in listeners:
            tell(listener, args)
    finally:
        HERE.busy = False


def _looked_up_variable(name: str, value: str | None) -> None:
    for listener in concerned():
        listener.looked_up(name, value)


def _walked_environment() -> None:
    for listener in concerned():
        listener.walked_environment()


def _opened(listener: Listener, args: tuple[Any, ...]) -> None:
    path, mode, flags = args
    name = path_of(path)
    if name is None:
        return
    if name.endswith(".pyc") and sys._getframe(2).f_code.co_filename.startswith("<frozen importlib"):
        # The compiled form of a module that is loaded by its path.
        name = source_from_cache(name)
    if isinstance(mode, str):
        reads, writes = "r" in mode or ("+" in mode and "a" in mode), any(letter in mode for letter in "wax+")
    else:
        writes = bool((flags or 0) & _WRITE_FLAGS)
        reads = not writes or not flags & _BLIND_FLAGS
    listener.opened(name, reads=reads, writes=writes)
    if reads and not os.path.isabs(os.fsdecode(path)):
        listener.stood_here()
    if mode is None and not os.path.isabs(text := os.fsdecode(path)):
        # By `dir_fd=` it may lie below another folder, which no event tells.
        listener.opened_below(text, reads=reads, writes=writes)


def _listed(listener: Listener, args: tuple[Any, ...]) -> None:
    given = args[0] if args and args[0] is not None else "."
    name = path_of(given)
    if name is not None:
        if not os.path.isabs(os.fsdecode(given)):
            listener.stood_here()
        listener.listed(name)


def _started(listener: Listener, args: tuple[Any, ...]) -> None:
    if not by_probe(sys._getframe(2)):
        listener.lost_sight(OTHER_PROCESS)


def _set_variable(listener: Listener, args: tuple[Any, ...]) -> None:
    listener.set_variable(os.fsdecode(args[0]))


def _moved(listener: Listener, args: tuple[Any, ...]) -> None:
    for path in args[:2]:
        _removed(listener, (path,))


def _removed(listener: Listener, args: tuple[Any, ...]) -> None:
    name = path_of(args[0])
    if name is not None:
        listener.opened(name, reads=False, writes=True)


def _connected(listener: Listener, args: tuple[Any, ...]) -> None:
    address = args[1]
    # Unix sockets, whose address is a text, stay on this machine.
    if isinstance(address, tuple) and address:
        listener.connected(str(address[0]))


def _looked_up(listener: Listener, args: tuple[Any, ...]) -> None:
    listener.connected(str(args[0]))


_EVENTS: dict[str, Callable[[Listener, tuple[Any, ...]], None]] = {
    "open": _opened,
    "os.listdir": _listed,
    "os.scandir": _listed,
    "sqlite3.connect": database_opened,
    "os.rename": _moved,
    "os.link": _moved,
    "os.symlink": _moved,
    "os.remove": _removed,
    "os.truncate": _removed,
    "socket.connect": _connected,
    "socket.getaddrinfo": _looked_up,
    "os.putenv": _set_variable,
    "os.unsetenv": _set_variable,
    **dict.fromkeys(
        ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "os.exec"), _started
    ),
}
_BY_IMPORTS = frozenset({"open", "os.listdir", "os.scandir"})
_WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
# What is opened so has none of its content from before, or gives none.
_BLIND_FLAGS = os.O_WRONLY | os.O_TRUNC | os.O_EXCL
_state = {"installed": False}
