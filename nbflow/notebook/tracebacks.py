"""An error of a task as one short block: which task and element, the user's own lines, and how to go on."""

from __future__ import annotations

import linecache
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from nbflow.errors import CellError, NbflowError
from nbflow.probe.secrets import redact

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

# Frames that are shown, the first and the last ones; with their lines and the message a block fits in 25 lines.
MOST_FRAMES = 4
_MESSAGE_LINES = 4
_LINE_LENGTH = 500
CONTEXT_LINES = 1
_OURS = str(Path(__file__).parent.parent)


class TaskFailed(NbflowError):
    """A task raised. blocks: what to show, a line each; the cause is the task's own exception."""

    def __init__(self, headline: str, cause: BaseException | None, hints: list[str]) -> None:
        super().__init__(headline)
        self.headline = headline
        self.hints = hints
        self.__cause__ = cause

    def _render_traceback_(self) -> list[str]:
        lines = [self.headline]
        if self.__cause__ is not None:
            lines += [f"  {line}" for line in describe_frames(self.__cause__.__traceback__)]
            message = traceback.format_exception_only(self.__cause__)[-1].rstrip().splitlines()[:_MESSAGE_LINES]
            lines += [line if len(line) <= _LINE_LENGTH else line[: _LINE_LENGTH - 1] + "…" for line in message]
            self._hand_on(self.__cause__)
        return [redact(line) for line in lines] + [f"→ {hint}" for hint in self.hints]

    def _hand_on(self, cause: BaseException) -> None:
        """Once this block was shown, `%tb` tells of the task's own exception, which is all that is left to tell."""
        if getattr(sys, "last_value", None) is self:
            sys.last_type, sys.last_value, sys.last_traceback = type(cause), cause, cause.__traceback__


class Interrupted(KeyboardInterrupt):
    """The user stopped a run: which frames of nbflow it was in says nothing to anybody."""

    def _render_traceback_(self) -> list[str]:
        return ["KeyboardInterrupt"]


class BodyUnreadable(CellError):
    """A body that is no Python; shown as Python shows it, with the cell's own line."""

    def __init__(self, error: SyntaxError, filename: str) -> None:
        self.error = error
        if error.text is None:
            # The compiler knows no source when it refuses a tree, such as one with a `return`.
            error.text = linecache.getline(filename, error.lineno or 1)
        super().__init__(f"{type(error).__name__}: {error.msg} (line {error.lineno} of the cell)")

    def _render_traceback_(self) -> list[str]:
        lines = "".join(traceback.format_exception_only(self.error)).splitlines()
        return [f"  cell, line {self.error.lineno}", *lines[1:]]


def describe_frames(trace: TracebackType | None) -> Iterator[str]:
    """The user's frames with the line that raised marked; frames of installed packages only by their last one."""
    frames = [frame for frame in traceback.extract_tb(trace) if not frame.filename.startswith(_OURS)]
    users = [frame for frame in frames if not _installed(frame.filename)] or frames[-1:]
    left_out = len(users) - MOST_FRAMES
    for place, frame in enumerate(users):
        if 0 < place <= left_out:
            if place == 1:
                yield f"  … {left_out} more frames"
            continue
        yield f"{_place(frame.filename)}, line {frame.lineno}, in {frame.name}"
        number = frame.lineno or 1
        for at in range(max(1, number - CONTEXT_LINES), number + CONTEXT_LINES + 1):
            line = linecache.getline(frame.filename, at).rstrip()
            if line:
                yield f"{'→' if at == number else ' '} {at:>4} {line}"
    if frames and frames[-1] not in users:
        last = frames[-1]
        yield f"  … raised in {Path(last.filename).name}, line {last.lineno}, in {last.name}"


def _installed(filename: str) -> bool:
    return "site-packages" in filename or filename.startswith("<frozen") or "/lib/python" in filename


def _place(filename: str) -> str:
    return "cell" if "ipykernel_" in filename or filename.startswith("<ipython-input") else filename
