"""Exceptions on their way from a worker: with their cause, and with a traceback that names the user's lines."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from nbflow.errors import in_words
from nbflow.executors.rebuilding import Parts, opened_pickle, parts_of, plain_pickle, rebuilt
from nbflow.lean import dataclass

if TYPE_CHECKING:
    from types import TracebackType

# Of an endless recursion its beginning and its end say all.
_FIRST_FRAMES, _LAST_FRAMES = 60, 60
# Causes of causes of causes, and groups in groups in groups.
_MOST_CAUSES, _MOST_LEVELS = 20, 100
_HERE = os.path.dirname(__file__) + os.sep


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception as plain data. body: its pickle, empty where that gives another one; then it is made of its parts.

    members: what a group holds.
    """

    body: bytes
    parts: Parts
    members: tuple[Failure, ...]
    notes: tuple[str, ...]
    traceback: dict[str, Any] | None
    cause: Failure | None
    context: Failure | None
    suppresses: bool


def failure_of(error: BaseException) -> Failure:
    """An exception as data that any process can read."""
    try:
        failure = _Teller().failure(error, 0)
    # What a class has in place of `args` or `__cause__` may raise anything, and chains may be too deep for a recursion.
    except Exception:  # noqa: BLE001 (its name and text tell of it)
        failure = _Teller().failure(Exception(in_words(error)), 0)
    assert failure is not None
    return failure


class _Teller:
    """Tells of each exception once: the cause of one is often its context, too, or among its arguments."""

    def __init__(self) -> None:
        # With the exceptions themselves, so that no others get their addresses.
        self._told: dict[int, tuple[BaseException, Failure | None]] = {}

    def failure(self, error: BaseException | None, depth: int, most: int = _MOST_CAUSES) -> Failure | None:
        """None for none, for one behind too many others, and for one that it is a cause of itself."""
        if error is None or depth > most:
            return None
        if id(error) not in self._told:
            self._told[id(error)] = error, None
            self._told[id(error)] = error, self._new(error, depth)
        return self._told[id(error)][1]

    def _new(self, error: BaseException, depth: int) -> Failure:
        group = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
        # What its members were raised with would be lost.
        body = b"" if group else plain_pickle(error)
        members = [self.failure(each, depth + 1, _MOST_LEVELS) for each in group]
        return Failure(
            body=body,
            parts=parts_of(error, lambda value: self.failure(value, depth + 1), in_full=not body),
            members=tuple(each for each in members if each is not None),
            notes=_notes(error),
            traceback=_described(error.__traceback__),
            cause=self.failure(error.__cause__, depth + 1),
            context=self.failure(error.__context__, depth + 1),
            suppresses=error.__suppress_context__,
        )


def error_of(failure: Failure) -> BaseException:
    """The exception again: of its own class where that is found here, else of the next of its bases that is."""
    return _opened(failure, {})


def _opened(failure: Failure, known: dict[int, BaseException]) -> BaseException:
    if id(failure) in known:
        return known[id(failure)]

    def inner(each: Failure) -> BaseException:
        return _opened(each, known)

    error = opened_pickle(failure.body) if failure.body else None
    if not isinstance(error, BaseException):
        error = rebuilt(failure.parts, [inner(each) for each in failure.members], inner)
    known[id(failure)] = error
    told = {
        "__cause__": inner(failure.cause) if failure.cause is not None else None,
        "__context__": inner(failure.context) if failure.context is not None else None,
        "__suppress_context__": failure.suppresses,
        "__traceback__": _rebuilt_traceback(failure.traceback),
        **({"__notes__": list(failure.notes)} if failure.notes else {}),
    }
    for name, value in told.items():
        # Not by the class's own __setattr__; and it may have something else of that name.
        with suppress(Exception):
            object.__setattr__(error, name, value)
    return error


def _notes(error: BaseException) -> tuple[str, ...]:
    # Not by getattr: a class's own __getattr__ may raise anything.
    notes = object.__getattribute__(error, "__dict__").get("__notes__")
    return tuple(note for note in notes if isinstance(note, str)) if isinstance(notes, (list, tuple)) else ()


def _described(traceback: TracebackType | None) -> dict[str, Any] | None:
    """The frames of a traceback that are the user's, outermost first, as tblib writes them."""
    frames: list[dict[str, Any]] = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if frames or not code.co_filename.startswith(_HERE):
            frames.append(_frame(traceback))
        traceback = traceback.tb_next
    if len(frames) > _FIRST_FRAMES + _LAST_FRAMES:
        frames = [*frames[:_FIRST_FRAMES], *frames[-_LAST_FRAMES:]]
    described: dict[str, Any] | None = None
    for frame in reversed(frames):
        described = {**frame, "tb_next": described}
    return described


def _frame(traceback: TracebackType) -> dict[str, Any]:
    frame, code = traceback.tb_frame, traceback.tb_frame.f_code
    return {
        "tb_lineno": traceback.tb_lineno,
        "tb_frame": {
            "f_lineno": traceback.tb_lineno,
            "f_globals": {name: frame.f_globals[name] for name in ("__file__", "__name__") if name in frame.f_globals},
            "f_code": {"co_filename": code.co_filename, "co_name": code.co_name},
        },
    }


def _rebuilt_traceback(described: dict[str, Any] | None) -> TracebackType | None:
    if described is None:
        return None
    import tblib  # only where something failed

    rebuilt: TracebackType | None = tblib.Traceback.from_dict(described).as_traceback()
    return rebuilt
