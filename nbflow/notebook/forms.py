"""The ways to write a task's cell, made into the one that IPython knows: `%%task` on the first line.

An input transformer: IPython calls it twice for each cell, so it only rewrites lines. Each line keeps its number.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from nbflow.lean import pattern
from nbflow.notebook.comment import is_task_comment
from nbflow.notebook.header import split_head

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAGICS = ("%%task", "%%flow")
_QUESTION = pattern(r"(%flow[ \t]+[a-z]+)[ \t]*\?{1,2}[ \t]*(\n?)$")
_NO_BODY = "# no body\n"


class CellForms:
    """Rewrites the lines of a cell, except where nbflow has IPython transform the body of a task."""

    def __init__(self) -> None:
        self._resting = False

    def __call__(self, lines: list[str]) -> list[str]:
        if self._resting or not any(line.strip() for line in lines):
            return lines
        lines = asked_for_help(lines)
        first = next(line for line in lines if line.strip())
        if is_task_comment(first):
            at = lines.index(first)
            return _with_body([f"%%task {first.strip()}\n", *lines[:at], *lines[at + 1 :]])
        return magic_first(lines)

    @contextlib.contextmanager
    def resting(self) -> Iterator[None]:
        """Leaves all as it is: what stands in the body of a task is no cell."""
        before, self._resting = self._resting, True
        try:
            yield
        finally:
            self._resting = before


def asked_for_help(lines: list[str]) -> list[str]:
    r"""`%flow run?` asks for the help of the command; IPython would look for an object of that name.

    >>> asked_for_help(["%flow run?\n", "%flow why daily"])
    ['%flow run -h\n', '%flow why daily']
    """
    if not all(line.startswith("%flow ") or not line.strip() for line in lines):
        # Elsewhere a line like it may be a part of a text.
        return lines
    return [_QUESTION.sub(r"\1 -h\2", line) for line in lines]


def magic_first(lines: list[str]) -> list[str]:
    r"""The lines with the `%%task` head above the comments that stood over it, or as they are.

    IPython takes no cell magic without a body, and `%%task c --merge a,b` needs none.

    >>> magic_first(["# the weather\n", "%%task w\n", "read()\n"])
    ['%%task w\n', '# the weather\n', 'read()\n']
    >>> magic_first(["%%task c --merge a,b"])
    ['%%task c --merge a,b\n', '# no body\n']
    """
    at = next((i for i, line in enumerate(lines) if not _is_comment(line)), None)
    if at is None or not _is_ours(lines[at]):
        return lines
    above, head_line, below = lines[:at], lines[at], lines[at + 1 :]
    _, _, head_lines = split_head(head_line.rstrip("\n"), "".join(below))
    more = head_lines - 1
    return _with_body([head_line, *below[:more], *above, *below[more:]])


def _with_body(lines: list[str]) -> list[str]:
    if any(line.strip() for line in lines[1:]):
        return lines
    return [lines[0].rstrip("\n") + "\n", _NO_BODY]


def _is_comment(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#")


def _is_ours(line: str) -> bool:
    return line.startswith(_MAGICS) and (line.split() or [""])[0] in _MAGICS
