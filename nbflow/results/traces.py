"""An exception as a few lines: the user's own frames with the line marked, its message, and what it came from."""

from __future__ import annotations

import linecache
import os
import sysconfig
import traceback
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from nbflow.errors import cut_lines, in_words, is_cell
from nbflow.probe.secrets import redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

# How many frames are shown, and how many lines around each: the first that fits is taken.
_FORMS = ((4, 1), (4, 0), (2, 0), (1, 0))
_MESSAGE_LINES = 4
_CAUSES = 2
_LONGEST_SOURCE = 160
_LONGEST_CAUSE = 200
_OURS = str(Path(__file__).parent.parent)
_INSTALLED = tuple(sysconfig.get_paths()[each] for each in ("stdlib", "platstdlib", "purelib", "platlib"))


def exception_lines(error: BaseException, most: int) -> list[str]:
    """The lines that tell of an exception, no more than `most`, without secrets.

    >>> exception_lines(ValueError("no such year"), 10)
    ['ValueError: no such year']
    """
    behind = [*_group_lines(error), *_cause_lines(error)]
    message = _message(error)
    for frames, context in _FORMS:
        lines = [f"  {line}" for line in frame_lines(error.__traceback__, frames, context)]
        if len(lines) + len(message) + len(behind) <= most:
            break
    return [redact(line) for line in (*lines, *message, *behind)][:most]


def _message(error: BaseException) -> list[str]:
    """What Python shows below a traceback: of a SyntaxError with the line and the mark below it."""
    try:
        text = "".join(traceback.format_exception_only(error))
    # The message of a user's exception may do anything.
    except Exception:  # noqa: BLE001 (told in its place)
        text = in_words(error)
    return cut_lines(text.rstrip().removeprefix("nbflow.errors."), _MESSAGE_LINES)


def _group_lines(error: BaseException) -> Iterator[str]:
    """Of an exception group: how many it holds of each kind, and the first of them."""
    if not isinstance(error, BaseExceptionGroup):
        return
    held = list(_held(error))
    yield f"  it holds {kinds(held)}; the first:"
    first = next(iter(held))
    for line in (*frame_lines(first.__traceback__, 2, 0), *cut_lines(in_words(first), 2, _LONGEST_CAUSE)):
        yield f"    {line}"


def _held(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """The exceptions of a group and of the groups in it, in their order."""
    todo: list[BaseException] = [group]
    while todo:
        each = todo.pop()
        if isinstance(each, BaseExceptionGroup):
            todo.extend(reversed(each.exceptions))
        else:
            yield each


def kinds(errors: Iterable[BaseException]) -> str:
    """How many there are of each type, the most frequent first.

    >>> kinds([KeyError(1), ValueError(2), KeyError(3)])
    '2 × KeyError, 1 × ValueError'
    """
    counts = Counter(type(error).__name__ for error in errors).most_common()
    shown = ", ".join(f"{count:,} × {name}" for name, count in counts[:4])
    return shown + (f" and {len(counts) - 4} more kinds" if len(counts) > 4 else "")


def _cause_lines(error: BaseException) -> Iterator[str]:
    """What an exception was raised from, or while what was handled; a line each."""
    seen = {id(error)}
    left: list[str] = []
    told: set[str] = set()
    while True:
        direct = error.__cause__
        behind = direct or (None if error.__suppress_context__ else error.__context__)
        if behind is None or id(behind) in seen:
            break
        seen.add(id(behind))
        where = next(iter(frame_lines(behind.__traceback__, 1, -1)), "")
        word = "caused by" if direct is not None else "while handling"
        (line, *_) = cut_lines(in_words(behind), 1, _LONGEST_CAUSE)
        text = line + (f" ({where})" if where else "")
        # What is tried in two ways often fails in the same one.
        if text not in told:
            left.append(f"  {word} {text}")
        told.add(text)
        error = behind
    yield from left[:_CAUSES]
    if len(left) > _CAUSES:
        yield f"  … and {len(left) - _CAUSES} more behind that"


def frame_lines(trace: TracebackType | None, most: int, context: int) -> Iterator[str]:
    """The user's frames, the first and the last ones; of installed packages only the one that raised.

    context: lines shown before and behind the one that is marked; -1 for no line at all.
    """
    frames = [frame for frame in traceback.extract_tb(trace) if not frame.filename.startswith(_OURS)]
    users = [frame for frame in frames if not _installed(frame.filename)] or frames[-1:]
    left_out = len(users) - most
    for place, frame in enumerate(users):
        # With room for one, it is the last that counts.
        if (0 if most > 1 else -1) < place < left_out + (most > 1):
            if place == (most > 1):
                yield f"… {left_out} more frame{'s' if left_out > 1 else ''}"
            continue
        yield f"{_place(frame.filename)}, line {frame.lineno}, in {frame.name}"
        yield from _marked(frame.filename, frame.lineno or 1, context)
    if frames and frames[-1] not in users and context >= 0:
        last = frames[-1]
        yield f"… raised in {Path(last.filename).name}, line {last.lineno}, in {last.name}"


def _marked(filename: str, number: int, context: int) -> Iterator[str]:
    for at in range(max(1, number - context), number + context + 1):
        line = linecache.getline(filename, at).rstrip()
        if is_cell(filename) and line.startswith("# %%task"):
            # The head stands in as a comment, in what Python reads.
            line = line[2:]
        if line:
            shown = line if len(line) <= _LONGEST_SOURCE else line[: _LONGEST_SOURCE - 1] + "…"
            yield f"{'→' if at == number else ' '} {at:>4} {shown}"


def _installed(filename: str) -> bool:
    return "site-packages" in filename or filename.startswith(("<frozen", *_INSTALLED))


def _place(filename: str) -> str:
    """A cell, or a file by its path from the working directory, where it lies below that."""
    if is_cell(filename):
        return "cell"
    below = os.getcwd() + os.sep
    return filename.removeprefix(below)
