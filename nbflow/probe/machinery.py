"""What is no data of a task's: what Python, installed packages, the system and stores open and list for themselves."""

from __future__ import annotations

import os
import sysconfig
from importlib.machinery import all_suffixes
from typing import TYPE_CHECKING, Any

from nbflow.probe.listening import path_of

if TYPE_CHECKING:
    from types import FrameType


def leave_out(folder: str) -> None:
    """Nothing below this folder is told of any more: a store."""
    LEFT_OUT.add(os.path.join(os.path.realpath(folder), ""))


def is_left_out(path: str) -> bool:
    """Whether a path belongs to the interpreter, installed packages, the system or a store."""
    return path.startswith(tuple(LEFT_OUT)) or "/site-packages/" in path or path.endswith((".pyc", "__pycache__"))


def by_machinery(frame: FrameType, path: Any) -> bool:
    """Whether an import, or Python looking for source text to show, raised the event: of code, and of no data."""
    if not frame.f_code.co_filename.startswith(_MACHINERY):
        return False
    if frame.f_code.co_filename.startswith("<frozen zipimport"):
        return True
    name = path_of(path)
    if name is None or os.path.isdir(name):
        return True
    return name.endswith(_CODE_SUFFIXES) and not _loaded_by_path(frame)


def by_probe(frame: FrameType | None) -> bool:
    """Whether an import, or a module that asks about the machine, started another process."""
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith("<frozen importlib") or file.endswith(_PROBES):
            return True
        frame = frame.f_back
    return False


def _loaded_by_path(frame: FrameType | None) -> bool:
    """Whether code called a loader itself: no import statement stands for what it loads."""
    outermost = ""
    while frame is not None and frame.f_code.co_filename.startswith("<frozen importlib"):
        outermost = frame.f_code.co_name
        frame = frame.f_back
    return outermost in _LOADER_METHODS


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
