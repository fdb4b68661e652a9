"""The SQLite database of a store: opened, checked, written in transactions."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from typing import TYPE_CHECKING

from nbflow.errors import StoreRefused
from nbflow.store.location import WAY_OUT, is_remote
from nbflow.store.schema import TABLES, TRIGGERS, VERSION
from nbflow.store.upgrade import FIRST, move_aside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

BUSY_S = 30.0
FILE = "index.sqlite"
# Stands in a store whose database proved damaged while it was used: the next one to open it begins a new one.
DAMAGED = "damaged"


def open_database(root: Path, tell: Callable[[str], None]) -> sqlite3.Connection:
    try:
        state = _state(root)
        if state in {VERSION, FIRST}:
            return _connect(root)
    except sqlite3.OperationalError as error:
        raise StoreRefused(f"the store {root} cannot be opened ({error}); {WAY_OUT}") from error
    except sqlite3.DatabaseError:
        state = "damaged"
    aside = root / f"set-aside-{time.time_ns()}"
    aside.mkdir(mode=0o700)
    for each in (*root.glob(f"{FILE}*"), *root.glob(DAMAGED)):
        each.rename(aside / each.name)
    tell(f"the store {root.name} is {state}; it is set aside as {aside.name}, and a new one is begun")
    return _connect(root)


def _state(root: Path) -> str:
    """The version of a store's tables, which for a new one is ours; or what is wrong with it."""
    path = root / FILE
    if (root / DAMAGED).exists():
        return "damaged"
    if not path.exists():
        return VERSION
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=BUSY_S)) as database:
            version = _version(database)
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            # Another kernel is making it just now, or was stopped while it did.
            return VERSION
        raise
    except sqlite3.DatabaseError:
        return "damaged"
    return version if version in {VERSION, FIRST} else f"of version {version}, this is {VERSION}"


def _version(database: sqlite3.Connection) -> str:
    rows = database.execute("SELECT value FROM meta WHERE name = 'schema'").fetchall()
    return str(rows[0][0]) if rows else VERSION


def _connect(root: Path) -> sqlite3.Connection:
    database = sqlite3.connect(root / FILE, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        # The log beside the database needs memory that is shared, which machines do not share.
        database.execute(f"PRAGMA journal_mode={'DELETE' if is_remote(root) else 'WAL'}")
        database.execute("PRAGMA synchronous=NORMAL")
        with transaction(database):
            fill = _moved_aside(database)
            for statement in (*TABLES.split(";"), *TRIGGERS):
                database.execute(statement)
            if fill is not None:
                fill()
            database.execute("INSERT OR IGNORE INTO meta VALUES ('schema', ?)", (VERSION,))
            database.execute("INSERT OR IGNORE INTO meta VALUES ('salt', ?)", (os.urandom(32),))
    except BaseException:
        database.close()
        raise
    return database


def _moved_aside(database: sqlite3.Connection) -> Callable[[], None] | None:
    """What brings older tables up to date; asked anew, since another kernel may have done it meanwhile."""
    made = database.execute("SELECT count(*) FROM sqlite_master WHERE name = 'meta'").fetchone()
    return move_aside(database, _version(database)) if made[0] else None


@contextlib.contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """All or nothing, also when an interrupt comes in the middle."""
    if database.in_transaction:
        # An interrupt that came while another was being handled left it behind.
        database.rollback()
    try:
        database.execute("BEGIN IMMEDIATE")
        yield
        database.commit()
    except BaseException:
        if database.in_transaction:
            database.rollback()
        raise


def is_damage(error: sqlite3.Error) -> bool:
    """Whether SQLite says that the file is not, or no longer, a database."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
