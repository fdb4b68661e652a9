"""Pieces of what a task puts out, and bounded heaps of them: the first and the last are kept, in between they count."""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

STDOUT, STDERR, LOG, WARNING, DISPLAY, NOTE = "stdout", "stderr", "log", "warning", "display", "note"


class Piece(NamedTuple):
    """One thing that a task put out; plain data, for any process.

    kind: "stdout", "stderr", "log", "warning", "display", or "note", which tells what was left out. text: as it is
    shown; of a display its plain text. detail: level of a logging record, category of a warning. where: file and line
    of a warning, the stream that a logging record's handler writes to. data, metadata: of a display, by MIME type.
    """

    kind: str
    text: str
    detail: str = ""
    where: str = ""
    data: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None

    @property
    def stream(self) -> str:
        """The stream that its text belongs to."""
        return STDOUT if STDOUT in {self.kind, self.where} else STDERR


Log = tuple[Piece, ...]
Numbered = tuple[int, Piece]


class Texts:
    """Texts up to `first` characters, and the last `last` of what comes behind."""

    def __init__(self, first: int, last: int) -> None:
        self._room = first
        self._most_last = last
        self._first: list[_Run] = []
        self._last: deque[_Run] = deque()
        self._last_size = 0
        self._dropped = 0
        # The number of the first text that had no room; None as long as all had.
        self.over_at: int | None = None

    def add(self, number: int, piece: Piece) -> str:
        """Takes a text in; gives the part of it that is among the first. number: the same for texts that go on."""
        if self.over_at is None:
            fitting = piece.text[: self._room]
            self._room -= _append(self._first, number, piece._replace(text=fitting))
            if len(fitting) == len(piece.text):
                return fitting
            self.over_at = number
            piece = piece._replace(text=piece.text[len(fitting) :])
        else:
            fitting = ""
        self._dropped += max(0, len(piece.text) - self._most_last)
        self._last_size += _append(self._last, number, piece._replace(text=piece.text[-self._most_last :]))
        while self._last_size > self._most_last:
            self._drop_oldest()
        return fitting

    def _drop_oldest(self) -> None:
        oldest = self._last[0]
        excess = self._last_size - self._most_last
        part = oldest.parts.popleft()
        if len(part) > excess:
            oldest.parts.appendleft(part[excess:])
        elif not oldest.parts:
            self._last.popleft()
        gone = min(len(part), excess)
        self._dropped += gone
        self._last_size -= gone

    def finish(self) -> tuple[list[Numbered], list[Numbered]]:
        """The first, and the rest with a note before it."""
        rest: list[Numbered] = []
        if self.over_at is not None:
            if self._dropped:
                note = f"\n… {self._dropped:,} characters left out here: the first and the last are kept …\n"
                rest.append((self.over_at, Piece(NOTE, note)))
            rest += [run.whole() for run in self._last]
        return [run.whole() for run in self._first], rest


class Displays:
    """The first and the last displays, as many as are given, and no larger than so many characters together."""

    def __init__(self, first: int, last: int, first_size: int, last_size: int) -> None:
        self._room, self._room_size = first, first_size
        self._most_last, self._most_last_size = last, last_size
        self._first: list[tuple[int, Piece]] = []
        self._last: deque[tuple[int, Piece, int]] = deque()
        self._places: dict[str, int] = {}
        self._count = 0
        self._over_at: int | None = None

    def add(self, number: int, piece: Piece, display_id: str | None = None) -> bool:
        """Takes a display in; gives whether it is among the first. display_id: by which it may be replaced."""
        self._count += 1
        size = size_of(piece)
        if self._over_at is None and self._room > 0 and size <= self._room_size:
            self._room, self._room_size = self._room - 1, self._room_size - size
            if display_id is not None:
                self._places[display_id] = len(self._first)
            self._first.append((number, piece))
            return True
        if self._over_at is None:
            self._over_at = number
        if size <= self._most_last_size:
            self._last.append((number, piece, size))
        while len(self._last) > self._most_last or sum(each[2] for each in self._last) > self._most_last_size:
            self._last.popleft()
        return False

    def replace(self, display_id: str, piece: Piece) -> bool:
        """Puts a display in the place of an earlier one; False where there is none, or no room for it."""
        place = self._places.get(display_id)
        if place is None:
            return False
        number, before = self._first[place]
        growth = size_of(piece) - size_of(before)
        if growth <= self._room_size:
            self._room_size -= growth
            self._first[place] = (number, piece)
        return True

    def finish(self) -> tuple[list[Numbered], list[Numbered]]:
        """The first, and the rest with a note before it."""
        rest: list[Numbered] = [(number, piece) for number, piece, _ in self._last]
        dropped = self._count - len(self._first) - len(rest)
        if dropped and self._over_at is not None:
            kept = f"the first {len(self._first)} and the last {len(rest)} are kept"
            note = f"… {dropped:,} of {self._count:,} displays left out here: {kept} …\n"
            rest.insert(0, (self._over_at, Piece(NOTE, note)))
        return self._first, rest


def size_of(piece: Piece) -> int:
    """About how many characters a display takes up."""
    return sum(len(each) if isinstance(each, (str, bytes)) else len(repr(each)) for each in (piece.data or {}).values())


class _Run:
    """Texts of one kind that follow each other; they become one piece."""

    def __init__(self, number: int, piece: Piece) -> None:
        self.number = number
        self._piece = piece
        self.parts: deque[str] = deque([piece.text])

    def whole(self) -> Numbered:
        return self.number, self._piece._replace(text=overwritten("".join(self.parts)))


def _append(runs: list[_Run] | deque[_Run], number: int, piece: Piece) -> int:
    """Appends a text; gives how many characters there are more."""
    if not piece.text:
        return 0
    if not runs or runs[-1].number != number:
        runs.append(_Run(number, piece))
        return len(piece.text)
    parts, grown = runs[-1].parts, len(piece.text)
    # A progress bar writes the same line again and again.
    if piece.text[0] == "\r" and parts and parts[-1][0] == "\r" and "\n" not in parts[-1]:
        grown -= len(parts.pop())
    parts.append(piece.text)
    return grown


def overwritten(text: str) -> str:
    r"""A text as it stands in a terminal: what follows a carriage return replaces the line before it.

    >>> overwritten("10 %\r50 %\rdone\nnext\r\n")
    'done\nnext\n'
    """
    if "\r" not in text:
        return text
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
