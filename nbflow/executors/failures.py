"""Exceptions on their way from a worker: with their cause, and with a traceback that names the user's lines."""

from __future__ import annotations

import builtins
import os
import pickle
from typing import TYPE_CHECKING, Any

from nbflow.errors import in_words
from nbflow.lean import dataclass

if TYPE_CHECKING:
    from types import TracebackType

# Of an endless recursion its beginning and its end say all.
_FIRST_FRAMES, _LAST_FRAMES = 60, 60
# Causes of causes of causes.
_MOST_CAUSES = 20
_HERE = os.path.dirname(__file__) + os.sep


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception as plain data. body: its pickle, empty where it has none; then name, base and text stand for it."""

    body: bytes
    name: str
    module: str
    base: str
    text: str
    notes: tuple[str, ...]
    traceback: dict[str, Any] | None
    cause: Failure | None
    context: Failure | None
    suppresses: bool


def failure_of(error: BaseException, depth: int = 0) -> Failure:
    """An exception as data that any process can read."""
    kind = type(error)
    deeper = depth < _MOST_CAUSES
    return Failure(
        body=_pickled(error),
        name=kind.__name__,
        module=kind.__module__,
        base=next(base.__name__ for base in kind.__mro__ if base.__module__ == "builtins"),
        text=in_words(error).removeprefix(f"{kind.__name__}: "),
        notes=tuple(note for note in getattr(error, "__notes__", ()) if isinstance(note, str)),
        traceback=_described(error.__traceback__),
        cause=failure_of(error.__cause__, depth + 1) if error.__cause__ is not None and deeper else None,
        context=failure_of(error.__context__, depth + 1) if error.__context__ is not None and deeper else None,
        suppresses=error.__suppress_context__,
    )


def error_of(failure: Failure) -> BaseException:
    """The exception again; one that nobody can pickle is told by its name and text, and is of the same base."""
    error: BaseException
    try:
        error = pickle.loads(failure.body) if failure.body else _stand_in(failure)
    # A class's own way to be rebuilt may raise anything, also where it did not in the worker.
    except Exception:  # noqa: BLE001 (a stand-in tells of it)
        error = _stand_in(failure)
    error.__cause__ = error_of(failure.cause) if failure.cause is not None else None
    error.__context__ = error_of(failure.context) if failure.context is not None else None
    error.__suppress_context__ = failure.suppresses
    if failure.notes:
        error.__notes__ = list(failure.notes)
    return error.with_traceback(_rebuilt(failure.traceback))


def _pickled(error: BaseException) -> bytes:
    """The pickle of an exception that can be read again; empty where there is none."""
    try:
        body = pickle.dumps(error)
        again = pickle.loads(body)
    # Its own __reduce__ or __init__ may raise anything.
    except Exception:  # noqa: BLE001 (a stand-in tells of it)
        return b""
    return body if type(again) is type(error) else b""


def _stand_in(failure: Failure) -> BaseException:
    base = getattr(builtins, failure.base)
    members = {"__str__": lambda self: failure.text, "__module__": failure.module}
    kind: type[BaseException] = type(failure.name, (base,), members)
    return kind.__new__(kind)


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


def _rebuilt(described: dict[str, Any] | None) -> TracebackType | None:
    if described is None:
        return None
    import tblib  # only where something failed

    rebuilt: TracebackType | None = tblib.Traceback.from_dict(described).as_traceback()
    return rebuilt
