"""Environment variables that code reads while it runs, by whatever name: looked at where `os.environ` gives them."""

from __future__ import annotations

import os
import sys
import sysconfig
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

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
    """A walk over the whole environment in one thread.

    left: the names that are still to come, the next one last. held: what was read along it, in case it is no copy.
    """

    def __init__(self) -> None:
        self.left: list[Any] = []
        self.held: list[tuple[str, str | None]] = []


_walk = _Passing()


def watch_environment(
    listens: Callable[[], object], tell: Callable[[str, str | None], None], walks: Callable[[], None]
) -> None:
    """From now on each variable that code of the user's reads is told, with its value; None for one that is not set.

    listens: whether anybody wants to hear of it; walks: called when somebody begins to walk over all of it. Where all
    of it is copied (`dict(os.environ)`) nothing is told: there is always something that has changed.
    """
    get, walk = _Plain.__getitem__, _Plain.__iter__

    def __getitem__(self: Any, key: Any) -> Any:  # noqa: N807 (takes its place)
        if self is not os.environ or not listens():
            return get(self, key)
        try:
            value = get(self, key)
        except KeyError:
            note(key, None)
            raise
        note(key, value)
        return value

    def __iter__(self: Any) -> Iterator[Any]:  # noqa: N807 (takes its place)
        names = list(walk(self))
        if listens():
            for each in held_back():
                tell(*each)
            walks()
            _walk.left = names[::-1]
        return iter(names)

    def note(key: Any, value: str | None) -> None:
        if not isinstance(key, str) or not _is_users(sys._getframe(2)):
            return
        if _walk.left and _walk.left[-1] == key:
            _walk.left.pop()
            _walk.held = [*_walk.held, (key, value)] if _walk.left else []
            return
        for each in (*held_back(), (key, value)):
            tell(*each)

    _Plain.__getitem__, _Plain.__iter__ = __getitem__, __iter__


def held_back() -> list[tuple[str, str | None]]:
    """What was read along a walk that did not come to its end: single reads, after all."""
    held, _walk.held, _walk.left = _walk.held, [], []
    return held


def _is_users(frame: FrameType | None) -> bool:
    """Whether code of the user's reads here, and not a library for purposes of its own."""
    while frame is not None and frame.f_code.co_filename.startswith(_PASSING):
        if frame.f_code.co_name in {"expanduser", "get_exec_path"}:
            return False
        frame = frame.f_back
    file = "<frozen" if frame is None else frame.f_code.co_filename
    return not file.startswith(_LIBRARIES) and "/site-packages/" not in file
