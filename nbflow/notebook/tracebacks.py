"""An error of a task as one short block: which task and element, the user's own lines, and how to go on."""

from __future__ import annotations

import linecache
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from nbflow.errors import NbflowError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

MOST_FRAMES = 6
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
            lines += traceback.format_exception_only(self.__cause__)[-1].rstrip().splitlines()[:5]
        return lines + [f"→ {hint}" for hint in self.hints]


def describe_frames(trace: TracebackType | None) -> Iterator[str]:
    """The user's frames with the line that raised marked; frames of installed packages only by their last one."""
    frames = [frame for frame in traceback.extract_tb(trace) if not frame.filename.startswith(_OURS)]
    users = [frame for frame in frames if not _installed(frame.filename)] or frames[-1:]
    for frame in users[-MOST_FRAMES:]:
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
