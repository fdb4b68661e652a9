"""Environment variables that code reads while it runs, by whatever name: looked at where `os.environ` gives them."""

from __future__ import annotations

import os
import sys
import sysconfig
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_STDLIB = sysconfig.get_paths()["stdlib"]
# Code that passes a name on: who called it reads the variable.
_PASSING = (
    *(os.path.join(_STDLIB, name) for name in ("os.py", "_collections_abc.py", "posixpath.py", "ntpath.py")),
    *("<frozen os>", "<frozen _collections_abc>", "<frozen posixpath>", "<frozen ntpath>"),
    __file__,
    os.path.join(os.path.dirname(__file__), "secrets.py"),
)
# Whose reads say nothing of what a task computes: where files for the time being go, which language is spoken.
_LIBRARIES = (_STDLIB + os.sep, "<frozen")
_Plain: Any = type(os.environ)


class _Passing(threading.local):
    """The names that are still to come where all of the environment is copied, the next one last."""

    names: list[Any] = []  # noqa: RUF012 (replaced, never changed in place, until a thread has its own)


_copied = _Passing()


def watch_environment(tell: Callable[[str, str | None], None]) -> None:
    """From now on each variable that code of the user's reads is told, with its value; None for one that is not set.

    Where all of it is copied (`dict(os.environ)`) nothing is told: there is always something that has changed.
    """
    get, walk = _Plain.__getitem__, _Plain.__iter__

    def __getitem__(self: Any, key: Any) -> Any:  # noqa: N807 (takes its place)
        try:
            value = get(self, key)
        except KeyError:
            if self is os.environ and _reads(key):
                tell(key, None)
            raise
        if self is os.environ and _reads(key):
            tell(key, value)
        return value

    def __iter__(self: Any) -> Iterator[Any]:  # noqa: N807 (takes its place)
        names = list(walk(self))
        _copied.names = names[::-1]
        return iter(names)

    _Plain.__getitem__, _Plain.__iter__ = __getitem__, __iter__


def _reads(key: Any) -> bool:
    if not isinstance(key, str):
        return False
    names = _copied.names
    if names:
        if names[-1] == key:
            names.pop()
            return False
        _copied.names = []
    frame = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename.startswith(_PASSING):
        if frame.f_code.co_name in {"expanduser", "get_exec_path"}:
            return False
        frame = frame.f_back  # type: ignore[assignment]  # None ends it
    file = "<frozen" if frame is None else frame.f_code.co_filename
    return not file.startswith(_LIBRARIES) and "/site-packages/" not in file
