"""Traces as they lie in the database: paths that go with the project, and whether all of a trace is there."""

from __future__ import annotations

import marshal
import os
from typing import TYPE_CHECKING

from xxhash import xxh3_128_digest

from nbflow.probe.files import VARIABLE, FileMark

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Stored = tuple[str | bytes, str, bytes]


def trace_digest(trace: bytes, rows: Sequence[Stored]) -> bytes:
    """16 bytes over all rows of a trace: one that lost a row would hold although a file changed."""
    # By the texts' bytes: which paths are stored as bytes makes no difference to the order.
    return xxh3_128_digest(trace + marshal.dumps(sorted(rows, key=lambda row: (_bytes(row[0]), row[1])), 2))


def to_rows(marks: Sequence[FileMark], base: Path) -> list[Stored]:
    """Marks with their paths relative to a folder where they lie below it."""
    below = str(base) + os.sep
    return [(storable(mark.path.removeprefix(below)), mark.kind, mark.digest) for mark in marks]


def from_rows(rows: Sequence[Stored], base: Path) -> tuple[FileMark, ...]:
    """The marks that were stored, with paths as they are now."""
    return tuple(
        FileMark(readable(path) if kind == VARIABLE else os.path.join(base, readable(path)), kind, digest)
        for path, kind, digest in rows
    )


def storable(text: str) -> str | bytes:
    """A text for SQLite, which takes no lone surrogates: file names that are no UTF-8 have some."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return text


def readable(stored: str | bytes) -> str:
    return stored if isinstance(stored, str) else stored.decode("utf-8", "surrogatepass")


def plain_text(text: str) -> str:
    """A name without the lone surrogates that SQLite does not take."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()
