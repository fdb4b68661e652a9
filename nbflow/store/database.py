"""The SQLite database of a store: opened, checked, written in transactions, replaced when it is damaged."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from nbflow.errors import StoreRefused
from nbflow.store.location import WAY_OUT, is_remote, is_writable
from nbflow.store.rescue import rescue
from nbflow.store.schema import TABLES, TRIGGERS, VERSION
from nbflow.store.upgrade import FIRST, move_aside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

BUSY_S = 30.0
FILE = "index.sqlite"
# Stands in a store whose database proved damaged: the next one to open it begins a new one.
DAMAGED = "damaged"
SALT_BYTES = 32
# How long opening waits for another kernel that opens the same store.
_TURN_S = 10.0
# Primary result codes of SQLite that only damage gives to a file that may be written: ERROR (such as a table that is
# missing), READONLY (by its header), CORRUPT, TOOBIG, CONSTRAINT, MISMATCH, FORMAT, NOTADB.
_DAMAGE = frozenset({1, 8, 11, 18, 19, 20, 24, 26})
# IOERR, FULL, CANTOPEN: there is no room for what SQLite writes when it opens a database.
_NO_ROOM = frozenset({10, 13, 14})


class OtherVersion(Exception):
    """A database with the tables of another version of nbflow."""


class Illegible(sqlite3.DatabaseError):
    """A text in the database is none: a name of a column, a message, a value."""


class Database:
    """A connection that any thread may use; one transaction at a time.

    why_read_only: what keeps it from being written, such as missing rights or a full disk; else "". replaced: why a
    new database was begun in place of what was there; else "".
    """

    def __init__(self, root: Path, tell: Callable[[str], None]) -> None:
        """Opens the database of a store, or makes one. Raises StoreRefused."""
        self._root = root
        self._tell = tell
        self._lock = threading.Lock()
        self.replaced = ""
        self.why_read_only = "" if is_writable(root, root / FILE) else "no right to write there"
        self._connection, self._inode = self._open()

    def read(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query. Raises sqlite3.Error."""
        with _legible():
            return self._connection.execute(query, values).fetchall()

    def write(self, statements: Iterable[tuple[str, Sequence[Sequence[Any]]]]) -> None:
        """One transaction: all or nothing, also when an interrupt comes in the middle. Raises sqlite3.Error."""
        with self._lock:
            self._follow()
            with _legible(), transaction(self._connection):
                for statement, rows in statements:
                    self._connection.executemany(statement, rows)

    def mend(self) -> None:
        """Replaces a damaged database by a new one with all of it that is sound.

        Raises StoreRefused, OSError, sqlite3.Error; the next write tries again then.
        """
        with self._lock, _turn(self._root):
            self._connection.close()
            self._connection, self._inode = self._open_or_renew(self._inode, damaged=True)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def _follow(self) -> None:
        """Goes over to the database that another kernel began in place of the one that is open, or that was deleted."""
        if not self.why_read_only and _inode(self._root / FILE) != self._inode:
            self._connection.close()
            self._connection, self._inode = self._open()

    def _open(self) -> tuple[sqlite3.Connection, int]:
        path = self._root / FILE
        if not self.why_read_only:
            try:
                self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
                with _turn(self._root):
                    return self._open_or_renew(_inode(path), damaged=(self._root / DAMAGED).exists())
            except (sqlite3.Error, OSError) as error:
                if isinstance(error, sqlite3.Error) and _primary_code(error) not in _NO_ROOM:
                    raise StoreRefused(f"the store {self._root} cannot be opened ({error}); {WAY_OUT}") from error
                self.why_read_only = str(error)
        return _connect_read_only(path), _inode(path)

    def _open_or_renew(self, inode: int, *, damaged: bool) -> tuple[sqlite3.Connection, int]:
        """Raises sqlite3.Error, OSError."""
        path = self._root / FILE
        what = "damaged"
        if not damaged or _inode(path) != inode:
            try:
                with _legible():
                    return _connect(path), _inode(path)
            except OtherVersion as other:
                what = str(other)
            except sqlite3.Error as error:
                if not is_damage(error):
                    raise
        return self._renewed(what), _inode(path)

    def _renewed(self, what: str) -> sqlite3.Connection:
        """A new database; the one that was there is set aside, and what is sound in a damaged one is taken over."""
        aside = self._root / f"set-aside-{time.time_ns()}"
        aside.mkdir(mode=0o700)
        # The database first: without it, SQLite takes its journal for nobody's.
        for each in (*sorted(self._root.glob(FILE + "*")), *self._root.glob(DAMAGED)):
            each.rename(aside / each.name)
        database = _connect(self._root / FILE)
        self.replaced = what
        kept = 0
        with contextlib.suppress(sqlite3.Error), transaction(database):
            kept = rescue(aside / FILE, database) if what == "damaged" else 0
        taken = f"; {kept} sound results are taken over" if kept else ""
        self._tell(
            f"the store {self._root.name} is {what}; it is set aside as {aside.name}, and a new one is begun{taken}"
        )
        return database


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error tells of damage to a file that may be written, and not of a full disk, a lock or the like."""
    code = _primary_code(error)
    if code is None:
        return isinstance(error, Illegible) or "decode to UTF-8" in str(error)
    return code in _DAMAGE


def _primary_code(error: sqlite3.Error) -> int | None:
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


@contextlib.contextmanager
def _legible() -> Iterator[None]:
    """Raises Illegible where Python cannot decode what SQLite gives."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise Illegible(f"a text cannot be read: {error}") from error


@contextlib.contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """All or nothing, also when an interrupt comes in the middle."""
    try:
        database.execute("BEGIN IMMEDIATE")
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            # On some errors SQLite has rolled back itself.
            with contextlib.suppress(sqlite3.Error):
                database.execute("ROLLBACK")
        raise


def _connect(path: Path) -> sqlite3.Connection:
    """Raises OtherVersion, sqlite3.Error."""
    database = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        meta = _meta(database)
        version = meta.get("schema", VERSION)
        if version not in {VERSION, FIRST}:
            raise OtherVersion(f"of version {version}, this is {VERSION}")
        # The log beside the database needs memory that is shared, which machines do not share.
        database.execute(f"PRAGMA journal_mode={'DELETE' if is_remote(path.parent) else 'WAL'}")
        database.execute("PRAGMA synchronous=NORMAL")
        salt = meta.get("salt")
        if "schema" not in meta or version != VERSION or not isinstance(salt, bytes) or len(salt) != SALT_BYTES:
            _make_tables(database)
    except BaseException:
        database.close()
        raise
    return database


def _make_tables(database: sqlite3.Connection) -> None:
    """Makes what is missing, and brings older tables up to date."""
    with transaction(database):
        # Asked anew: another kernel may have done it meanwhile.
        meta = _meta(database)
        fill = move_aside(database, str(meta.get("schema", VERSION)))
        for statement in (*TABLES.split(";"), *TRIGGERS):
            database.execute(statement)
        if fill is not None:
            fill()
        database.execute("INSERT OR IGNORE INTO meta VALUES ('schema', ?)", (VERSION,))
        salt = meta.get("salt")
        if not isinstance(salt, bytes) or len(salt) != SALT_BYTES:
            database.execute("INSERT OR REPLACE INTO meta VALUES ('salt', ?)", (os.urandom(SALT_BYTES),))


def _connect_read_only(path: Path) -> sqlite3.Connection:
    """What can be read of a database in a folder that cannot be written; an empty one where there is none."""
    uri = f"file:{quote(str(path))}?mode=ro"
    # With a journal SQLite wants to write beside it; without one it can be told that nobody writes.
    for each in (uri, uri + "&immutable=1"):
        with contextlib.suppress(sqlite3.Error), _legible():
            database = sqlite3.connect(each, uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
            if _meta(database).get("schema") == VERSION:
                return database
            database.close()
    empty = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    _make_tables(empty)
    return empty


def _meta(database: sqlite3.Connection) -> dict[str, object]:
    try:
        return dict(database.execute("SELECT name, value FROM meta").fetchall())
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            # It is new, or another kernel is making it just now.
            return {}
        raise


def _inode(path: Path) -> int:
    """The file's number; 0 where there is none."""
    try:
        return path.stat().st_ino
    except OSError:
        return 0


@contextlib.contextmanager
def _turn(root: Path) -> Iterator[None]:
    """Kernels open and replace a database one after the other; where locks do not work, all at once."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    folder = os.open(root, os.O_RDONLY)
    try:
        bound = time.monotonic() + _TURN_S
        while time.monotonic() < bound:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.01)
            except OSError:
                break
        yield
    finally:
        os.close(folder)
