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
from importlib.machinery import all_suffixes
from importlib.util import source_from_cache
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote, urlsplit

from nbflow.probe.environment import watch_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType


class Listener(Protocol):
    """What is told of events in its context."""

    def opened(self, path: str, *, reads: bool = True, writes: bool = False) -> None: ...
    def opened_below(self, name: str, *, reads: bool, writes: bool) -> None: ...
    def listed(self, path: str) -> None: ...
    def connected(self, host: str) -> None: ...
    def lost_sight(self, what: str) -> None: ...
    def looked_up(self, name: str, value: str | None) -> None: ...
    def set_variable(self, name: str) -> None: ...


# None where nbflow itself is at work; a thread that a task started has no value here at all.
LISTENER: ContextVar[Listener | None] = ContextVar("nbflow_listener")
# All that listen now: what a thread without a context does counts for each of them.
LISTENING: set[Listener] = set()
_WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
# What is opened so has none of its content from before, or gives none.
_BLIND_FLAGS = os.O_WRONLY | os.O_TRUNC | os.O_EXCL
_state = {"installed": False}
# The end of the name of a SQLite database's write-ahead log.
WAL = "-wal"


def install() -> None:
    """Adds the hook to this process, once; hooks cannot be taken out again."""
    if not _state["installed"]:
        _state["installed"] = True
        sys.addaudithook(_hook)
        watch_environment(_looked_up_variable)


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
    if not listeners or (event in _BY_IMPORTS and _by_machinery(args[0])):
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

    def looked_up(self, name: str, value: str | None) -> None:
        self.listener.looked_up(name, value)

    def set_variable(self, name: str) -> None:
        """Of a variable that anybody set nothing is known."""


def tell_opened(path: str) -> None:
    """A file, a folder or a pattern of names that is read by code which raises no audit events."""
    for listener in _concerned():
        token = LISTENER.set(None)
        try:
            for each in _files_of(os.path.abspath(path), listener):
                listener.opened(each)
        finally:
            LISTENER.reset(token)


def tell_connected(host: str) -> None:
    """A place on the network that is read by code which raises no audit events."""
    for listener in _concerned():
        listener.connected(host)


def tell_lost_sight(what: str) -> None:
    """Something that nbflow cannot look into, where it raises no audit events."""
    for listener in _concerned():
        listener.lost_sight(what)


def _looked_up_variable(name: str, value: str | None) -> None:
    if LISTENING:
        for listener in _concerned():
            listener.looked_up(name, value)


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


def _by_machinery(path: Any) -> bool:
    """Whether an import, or Python looking for source text to show, raised the event: of code, and of no data."""
    frame: FrameType | None = sys._getframe(2)
    assert frame is not None
    if not frame.f_code.co_filename.startswith(_MACHINERY):
        return False
    if frame.f_code.co_filename.startswith("<frozen zipimport"):
        return True
    name = _path(path)
    if name is None or os.path.isdir(name):
        return True
    return name.endswith(_CODE_SUFFIXES) and not _loaded_by_path(frame)


def _loaded_by_path(frame: FrameType | None) -> bool:
    """Whether code called a loader itself: no import statement stands for what it loads."""
    outermost = ""
    while frame is not None and frame.f_code.co_filename.startswith("<frozen importlib"):
        outermost = frame.f_code.co_name
        frame = frame.f_back
    return outermost in _LOADER_METHODS


def _opened(listener: Listener, args: tuple[Any, ...]) -> None:
    path, mode, flags = args
    name = _path(path)
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
    if mode is None and not os.path.isabs(text := os.fsdecode(path)):
        # By `dir_fd=` it may lie below another folder, which no event tells.
        listener.opened_below(text, reads=reads, writes=writes)


def _listed(listener: Listener, args: tuple[Any, ...]) -> None:
    name = _path(args[0] if args and args[0] is not None else ".")
    if name is not None:
        listener.listed(name)


def _database(listener: Listener, args: tuple[Any, ...]) -> None:
    if isinstance(args[0], (str, bytes, os.PathLike)):
        _tell_database(listener, os.fsdecode(args[0]))


def _tell_database(listener: Listener, text: str) -> None:
    name = os.path.abspath(_file_of_uri(text))
    if text and not name.endswith(":memory:"):
        listener.opened(name)
        # What is written in WAL mode lies here until a checkpoint.
        listener.opened(name + WAL)


def _file_of_uri(text: str) -> str:
    """The file that a URI of SQLite's names, or the text itself."""
    if not text.startswith("file:"):
        return text
    parts = urlsplit(text)
    return ":memory:" if "mode=memory" in parts.query else unquote(parts.path)


def watch_attached(connection: Any) -> None:
    """ATTACH raises no audit event, but has to be allowed."""

    def allow(action: int, first: str | None, *_: str | None) -> int:
        if action == _ATTACH and first is None:
            tell_lost_sight("attached a database by a name that is computed, of which the file is not seen")
        elif action == _ATTACH and first:
            for listener in _concerned():
                token = LISTENER.set(None)
                try:
                    _tell_database(listener, first)
                finally:
                    LISTENER.reset(token)
        return _ALLOWED

    if _concerned():
        connection.set_authorizer(allow)


def _started(listener: Listener, args: tuple[Any, ...]) -> None:
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith("<frozen importlib") or file.endswith(_PROBES):
            return
        frame = frame.f_back
    listener.lost_sight(OTHER_PROCESS)


def _set_variable(listener: Listener, args: tuple[Any, ...]) -> None:
    listener.set_variable(os.fsdecode(args[0]))


def _moved(listener: Listener, args: tuple[Any, ...]) -> None:
    for path in args[:2]:
        _removed(listener, (path,))


def _removed(listener: Listener, args: tuple[Any, ...]) -> None:
    name = _path(args[0])
    if name is not None:
        listener.opened(name, reads=False, writes=True)


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
    "os.putenv": _set_variable,
    "os.unsetenv": _set_variable,
    **dict.fromkeys(
        ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "os.exec"), _started
    ),
}
_BY_IMPORTS = frozenset({"open", "os.listdir", "os.scandir"})
OTHER_PROCESS = "started another process, in which nothing is seen"
# SQLite's numbers: SQLITE_ATTACH, SQLITE_OK.
_ATTACH, _ALLOWED = 24, 0
_STDLIB = sysconfig.get_paths()["stdlib"]
_MACHINERY = (
    "<frozen importlib",
    "<frozen zipimport",
    *(os.path.join(_STDLIB, name) for name in ("linecache.py", "tokenize.py", "inspect.py", "zipimport.py")),
)
_CODE_SUFFIXES = (*all_suffixes(), ".pyw", ".pyi")
# What a program calls itself to load a module from a file.
_LOADER_METHODS = frozenset({"exec_module", "load_module", "get_code", "get_data", "get_source", "create_module"})
# Modules that ask other programs about the machine, whatever a task computes.
_PROBES = tuple(
    os.path.join("", *parts)
    for parts in (
        (_STDLIB, "platform.py"),
        (_STDLIB, "uuid.py"),
        (_STDLIB, "ctypes", "util.py"),
        ("loky", "backend", "context.py"),
        ("matplotlib", "font_manager.py"),
    )
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
