"""Brings the tables of older versions up to the present one."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from nbflow.store.rows import row_digest
from nbflow.store.schema import COLUMNS, VERSION
from nbflow.store.traces import trace_digest

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

FIRST = "1"


def move_aside(database: sqlite3.Connection, version: str) -> Callable[[], None] | None:
    """Renames the tables that changed since a version; gives what fills the new ones, None for an unknown version.

    Both belong into one transaction, with the making of the new tables between them.
    """
    if version != FIRST:
        return None
    database.execute("ALTER TABLE entry RENAME TO entry_1")
    database.execute("DROP INDEX entry_key")
    database.execute("ALTER TABLE trace RENAME TO trace_1")
    return lambda: _from_first(database)


def _from_first(database: sqlite3.Connection) -> None:
    """Version 2 told of rows and traces whether they are whole."""
    old = COLUMNS.removesuffix(", row_digest")
    database.create_function("row_digest", -1, lambda *row: row_digest(row), deterministic=True)
    database.execute(f"INSERT INTO entry SELECT {old}, row_digest({old}), payload FROM entry_1")  # noqa: S608 (constants)
    rows = database.execute("SELECT trace, path, kind, digest FROM trace_1 ORDER BY trace").fetchall()
    for trace, each in itertools.groupby(rows, key=lambda row: row[0]):
        marks = [row[1:] for row in each]
        total = trace_digest(trace, marks)
        database.executemany("INSERT INTO trace VALUES (?, ?, ?, ?, ?)", [(trace, *mark, total) for mark in marks])
    database.execute("DROP TABLE entry_1")
    database.execute("DROP TABLE trace_1")
    database.execute("UPDATE meta SET value = ? WHERE name = 'schema'", (VERSION,))
