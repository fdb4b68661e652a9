"""Takes over what is sound in a damaged database: every row that proves itself."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from nbflow.store.rows import row_digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


def rescue(path: Path, database: sqlite3.Connection) -> int:
    """Copies the sound results and traces of a damaged database into a new one; gives the number of results.

    The caller opens and ends the transaction.
    """
    source = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)
    # What is no text any more fails its proof, and ends the reading of no other.
    source.text_factory = lambda content: content.decode(errors="replace")
    with contextlib.closing(source):
        for (salt,) in _readable(source, "SELECT value FROM meta WHERE name = 'salt'", ("",)):
            if isinstance(salt, bytes) and len(salt) == 32:
                database.execute("UPDATE meta SET value = ? WHERE name = 'salt'", (salt,))
        count = 0
        for row in _readable(source, "SELECT * FROM entry NOT INDEXED ORDER BY rowid", ("", " DESC")):
            if is_sound(row[:-1]):
                marks = ",".join("?" * len(row))
                count += database.execute(f"INSERT OR IGNORE INTO entry VALUES ({marks})", row).rowcount  # noqa: S608 (only question marks are filled in)
        for row in _readable(source, "SELECT * FROM trace ORDER BY trace, path, kind", ("",)):
            # Whether a trace is complete is looked at whenever it is read.
            database.execute("INSERT OR IGNORE INTO trace VALUES (?, ?, ?, ?, ?)", row)
        for row in _readable(source, "SELECT key, trace, CAST(text AS BLOB) FROM log ORDER BY key, trace", ("",)):
            # And so is whether a log is whole.
            database.execute("INSERT OR IGNORE INTO log VALUES (?, ?, ?)", row)
    return count


def is_sound(row: tuple[Any, ...]) -> bool:
    """Whether a row's last column is the digest of the others."""
    try:
        return bool(row_digest(row[:-1]) == row[-1])
    except ValueError:
        return False


def _readable(source: sqlite3.Connection, query: str, orders: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """The rows that can be read, from either end up to the damage; some of them twice."""
    for order in orders:
        # Names and messages of SQLite may be damaged, too, and then they cannot be decoded.
        with contextlib.suppress(sqlite3.Error, UnicodeDecodeError):
            yield from source.execute(query + order)
