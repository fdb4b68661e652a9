"""How this Python was started, for those that it starts: what code does may depend on it."""

from __future__ import annotations

import os
import sys


def python() -> list[str]:
    """The beginning of a command line that starts another one alike.

    Where modules are found, and which warnings are shown, the other one is told in other ways.
    """
    letters = [letter * getattr(sys.flags, name) for name, letter in _LETTERS.items()]
    options = [name if value is True else f"{name}={value}" for name in _OPTIONS if (value := _given(name))]
    # Whatever the environment says by now.
    options.append(f"utf8={sys.flags.utf8_mode}")
    flags = [f"-{each}" for each in letters if each] + [part for each in options for part in ("-X", each)]
    return [sys.executable, *flags]


def environment(**more: str) -> dict[str, str]:
    """What is to be around it, in which nothing contradicts its flags. more: put there, too."""
    return {**os.environ, "PYTHONOPTIMIZE": "", **more}


def optimized(level: int) -> str:
    """How a Python was started that leaves out asserts (1), and docstrings (2).

    >>> optimized(0), optimized(2)
    ('python', 'python -OO')
    """
    return f"python -{'O' * level}" if level else "python"


def _given(option: str) -> str | bool | None:
    return sys._xoptions.get(option)


_LETTERS = {"optimize": "O", "bytes_warning": "b", "dont_write_bytecode": "B"}
_OPTIONS = ("dev", "tracemalloc", "warn_default_encoding", "gil", "thread_inherit_context", "context_aware_warnings")
