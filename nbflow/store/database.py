"""The SQLite database of a store: opened, checked, written in transactions."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from typing import TYPE_CHECKING

from nbflow.errors import StoreRefused
from nbflow.store.location import WAY_OUT
from nbflow.store.schema import TABLES, VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

BUSY_S = 30.0


def open_database(root: Path, tell: Callable[[str], None]) -> sqlite3.Connection:
    path = root / "index.sqlite"
    try:
        version = _version(path)
        if version == VERSION:
            return _connect(path)
    except sqlite3.OperationalError as error:
        raise StoreRefused(f"the store {root} cannot be opened ({error}); {WAY_OUT}") from error
    aside = root / f"set-aside-{time.time_ns()}"
    aside.mkdir()
    for each in root.glob("index.sqlite*"):
        each.rename(aside / each.name)
    tell(f"the store {root.name} is {version}; it is set aside as {aside.name}, and a new one is begun")
    return _connect(path)


def _version(path: Path) -> str:
    """The version of a store's tables, which for a new one is ours; or what is wrong with it."""
    if not path.exists():
        return VERSION
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=BUSY_S)) as database:
            rows = database.execute("SELECT value FROM meta WHERE name = 'schema'").fetchall()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            # Another kernel is making it just now, or was stopped while it did.
            return VERSION
        raise
    except sqlite3.DatabaseError:
        return "damaged"
    return VERSION if not rows or rows[0][0] == VERSION else f"of version {rows[0][0]}, this is {VERSION}"


def _connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=NORMAL")
    with transaction(database):
        for statement in TABLES.split(";"):
            database.execute(statement)
        database.execute("INSERT OR IGNORE INTO meta VALUES ('schema', ?)", (VERSION,))
        database.execute("INSERT OR IGNORE INTO meta VALUES ('salt', ?)", (os.urandom(32),))
    return database


@contextlib.contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """All or nothing, also when an interrupt comes in the middle."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        database.rollback()
        raise
    database.commit()
