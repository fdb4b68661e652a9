"""The store: SQLite for what is small and for the index, files for what is large."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any

from xxhash import xxh3_128_digest

from nbflow.codecs import INLINE_BYTES, Sealed, unseal
from nbflow.errors import DamagedEntry
from nbflow.probe.file import remember_in
from nbflow.probe.files import FileMark, Memo, StatMemo
from nbflow.probe.hook import leave_out
from nbflow.store.blobs import Blobs
from nbflow.store.database import open_database, transaction
from nbflow.store.location import make_folder
from nbflow.store.rows import Entry, Last, Row, RunRow
from nbflow.store.runs import History
from nbflow.store.schema import LOOK_UP, PAYLOAD, PUT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

COMMIT_S = 1.0
AT_ONCE = 900


class Store:
    """Results under their keys. Any thread may call it; two kernels may share one.

    root: its folder. memo: digests of files, kept from process to process. history: its runs.
    """

    def __init__(self, root: Path, tell: Callable[[str], None] = warnings.warn) -> None:
        self.root = root
        self.closed = False
        self._tell = tell
        self._told: set[str] = set()
        self._lock = threading.RLock()
        self._blobs = Blobs(root)
        self._pending: dict[tuple[bytes, bytes], tuple[Row, Sealed, bool]] = {}
        self._pending_keys: dict[bytes, list[Row]] = {}
        self._pending_other: list[tuple[str, tuple[Any, ...]]] = []
        self._known_traces: dict[bytes, tuple[FileMark, ...]] = {}
        self._known_recipes: set[bytes] = set()
        self._committed = time.monotonic()
        self._timer: threading.Timer | None = None
        self._database = open_database(root, tell)
        self._salt = self._meta("salt")
        self.history = History(self.query, self.queue)
        self.memo = StatMemo(self._load_stat, self._save_stat)
        remember_in(self.memo)
        leave_out(str(root))

    @classmethod
    def open(cls, root: Path, tell: Callable[[str], None] = warnings.warn) -> Store:
        """The store in a folder, made where there is none. Raises StoreRefused."""
        make_folder(root)
        return cls(root, tell)

    def close(self) -> None:
        """Writes what is buffered, and closes the database."""
        self.flush()
        with self._lock:
            self.closed = True
            self._database.close()

    def look_up(self, keys: Sequence[bytes]) -> dict[bytes, list[Row]]:
        """The rows of each key, the newest first; keys without a row are left out."""
        found: dict[bytes, list[Row]] = {}
        with self._lock:
            for key in keys:
                if key in self._pending_keys:
                    found[key] = list(reversed(self._pending_keys[key]))
            for start in range(0, len(keys), AT_ONCE):
                part = keys[start : start + AT_ONCE]
                marks = ",".join("?" * len(part))
                for row in self._read(LOOK_UP.format(marks), tuple(part)):
                    found.setdefault(row[0], []).append(Row._make(row))
        return found

    def load(self, row: Row) -> Any:
        """A row's value, a fresh object each time; its digest is checked first. Raises DamagedEntry."""
        with self._lock:
            pending = self._pending.get((row.key, row.trace))
            # Large values are in their files already; what made them may have been changed in memory since.
            if pending is not None and row.blob is None:
                return unseal(pending[1].codec, bytearray().join(pending[1].parts))
            stored = [(row.codec, row.digest, row.size_bytes, row.blob, None)]
            if pending is None:
                stored = self._read(PAYLOAD, (row.key, row.trace))
        try:
            if not stored:
                raise DamagedEntry(row.key, "is missing from the store")
            return self._value(row.key, *stored[0])
        except DamagedEntry:
            self.drop(row)
            raise

    def put(self, entries: Sequence[Entry], *, replace: bool = False) -> list[Row | None]:
        """Takes results in; they are written with the next flush, at least once a second.

        Gives a row for each, None for one that could not be written. replace: also where one is there already.
        """
        rows = [self._take(entry, replace=replace) for entry in entries]
        self._commit_soon()
        if time.monotonic() - self._committed > COMMIT_S:
            self.flush()
        return rows

    def _commit_soon(self) -> None:
        """Sees to it that what is buffered is written within a second, also when nothing else happens."""
        with self._lock:
            if self._timer is None and self._pending:
                self._timer = threading.Timer(COMMIT_S, self.flush)
                self._timer.daemon = True
                self._timer.start()

    def flush(self) -> None:
        """Commits what is buffered, in one transaction; an interrupt leaves none open."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if not self.closed and (self._pending or self._pending_other):
                self._commit()
            self._committed = time.monotonic()

    def drop(self, row: Row) -> None:
        """Takes a result out."""
        with self._lock:
            self._forget_pending(row)
            self._write([("DELETE FROM entry WHERE key = ? AND trace = ?", [(row.key, row.trace)])])
        if row.blob is not None:
            self._blobs.remove(row.blob)

    def clear(self, tasks: Iterable[str] | None = None) -> None:
        """Takes out the results of tasks by name; of all, by default."""
        self.flush()
        names = None if tasks is None else list(tasks)
        self.history.clear(names)
        where, values = ("", ()) if names is None else (f" WHERE task IN ({','.join('?' * len(names))})", tuple(names))
        with self._lock:
            blobs = self._read(f"SELECT blob FROM entry{where}", values)  # noqa: S608 (only question marks are filled in)
            self._write([(f"DELETE FROM entry{where}", [values])])  # noqa: S608 (as above)
        for (blob,) in blobs:
            if blob is not None:
                self._blobs.remove(blob)

    def query(self, query: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """Rows of any table, with what is buffered written before."""
        self.flush()
        with self._lock:
            return self._read(query, values)

    def queue(self, statement: str, values: tuple[Any, ...]) -> None:
        """A row that is written with the next flush."""
        with self._lock:
            self._pending_other.append((statement, values))

    def size_bytes(self) -> int:
        """Bytes on disk: database and large values."""
        return self._blobs.size_bytes() + sum(path.stat().st_size for path in self.root.glob("index.sqlite*"))

    def salted(self, id_: bytes) -> bytes:
        """An id that tells nothing of a secret to who does not have this store."""
        return hashlib.blake2b(id_, key=self._salt, digest_size=16).digest()

    def put_trace(self, trace: bytes, marks: Sequence[FileMark]) -> None:
        """Keeps what a trace consists of; paths below the store's folder's parent are kept relative to it."""
        if trace in self._known_traces:
            return
        self._known_traces[trace] = tuple(marks)
        with self._lock:
            for mark in marks:
                values = (trace, self._relative(mark.path), mark.kind, mark.digest)
                self._pending_other.append(("INSERT OR IGNORE INTO trace VALUES (?, ?, ?, ?)", values))

    def traces(self, traces: Sequence[bytes]) -> dict[bytes, tuple[FileMark, ...]]:
        """The files of each trace; unknown ones are left out."""
        missing = [trace for trace in traces if trace not in self._known_traces]
        with self._lock:
            for trace in missing:
                rows = self._read("SELECT path, kind, digest FROM trace WHERE trace = ?", (trace,))
                if rows:
                    self._known_traces[trace] = tuple(FileMark(self._absolute(p), kind, d) for p, kind, d in rows)
        return {trace: self._known_traces[trace] for trace in traces if trace in self._known_traces}

    def put_recipe(self, code: bytes, parts: Iterable[tuple[str, str, bytes, str]]) -> None:
        """Keeps what a code id was made of, for `why`; without secrets."""
        if code in self._known_recipes:
            return
        self._known_recipes.add(code)
        text = _to_json(parts)
        with self._lock:
            self._pending_other.append(("INSERT OR IGNORE INTO component VALUES (?, ?)", (code, text)))

    def recipe(self, code: bytes) -> list[tuple[str, str, bytes, str]]:
        """What a code id was made of; empty when that is not known."""
        self.flush()
        with self._lock:
            rows = self._read("SELECT parts FROM component WHERE code = ?", (code,))
        return _from_json(rows[0][0]) if rows else []

    def put_last(self, flow: str, node: str, last: Last) -> None:
        """Remembers what a node was made of."""
        values = (flow, node, last.digest, last.code, _to_json(last.arguments), last.keys, last.seconds, last.count)
        with self._lock:
            self._pending_other.append(("INSERT OR REPLACE INTO last VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values))

    def last(self, flow: str) -> dict[str, Last]:
        """What each node of a flow was made of when it last ran."""
        self.flush()
        query = "SELECT node, digest, code, arguments, keys, seconds, count FROM last WHERE flow = ?"
        with self._lock:
            rows = self._read(query, (flow,))
        return {node: Last(d, code, tuple(_from_json(a)), k, s, n) for node, d, code, a, k, s, n in rows}

    def add_run(self, *, flow: str, started_ns: int, seconds: float, ran: int, reused: int, failed: int) -> None:
        """Adds a run to the history."""
        with self._lock:
            values = (None, flow, started_ns, seconds, ran, reused, failed)
            self._pending_other.append(("INSERT INTO run VALUES (?, ?, ?, ?, ?, ?, ?)", values))

    def runs(self) -> list[RunRow]:
        """All runs, the oldest first."""
        self.flush()
        with self._lock:
            return [RunRow._make(row) for row in self._read("SELECT * FROM run ORDER BY id", ())]

    def _take(self, entry: Entry, *, replace: bool) -> Row | None:
        sealed = entry.sealed
        digest = sealed.digest(entry.key)
        blob = None
        if sealed.size_bytes > INLINE_BYTES:
            blob = digest.hex()
            try:
                self._blobs.write(blob, sealed)
            except OSError as error:
                self._once(f"{entry.task}: its result could not be written ({error}); it is returned and not stored")
                return None
        row = Row(
            entry.key, entry.trace, entry.out, entry.members, entry.kind, sealed.codec, digest, sealed.size_bytes, blob,
            entry.seconds, entry.made_ns, entry.expires_ns, entry.session, entry.task,
        )  # fmt: skip
        with self._lock:
            self._forget_pending(row)
            self._pending[entry.key, entry.trace] = (row, sealed, replace)
            self._pending_keys.setdefault(entry.key, []).append(row)
        return row

    def _forget_pending(self, row: Row) -> None:
        old = self._pending.pop((row.key, row.trace), None)
        if old is not None:
            self._pending_keys[row.key].remove(old[0])

    def _commit(self) -> None:
        rows: dict[bool, list[tuple[Any, ...]]] = {False: [], True: []}
        for row, sealed, replace in self._pending.values():
            rows[replace].append((*row, None if row.blob else b"".join(sealed.parts)))
        others = [(statement, [values]) for statement, values in self._pending_other]
        self._write([*others, *((PUT.format(replace=int(replace)), rows[replace]) for replace in rows)])
        self._pending.clear()
        self._pending_keys.clear()
        self._pending_other.clear()

    def _write(self, statements: Iterable[tuple[str, list[tuple[Any, ...]]]]) -> None:
        """One transaction; what cannot be written is told and let go, since results are in memory, too."""
        try:
            with transaction(self._database):
                for statement, rows in statements:
                    self._database.executemany(statement, rows)
        except sqlite3.Error as error:
            self._once(f"the store {self.root.name} could not be written ({error}); results are returned, not stored")

    def _value(self, key: bytes, codec: str, digest: bytes, size: int, blob: str | None, payload: bytes | None) -> Any:
        if blob is not None:
            return unseal(codec, self._blobs.read(blob, key, digest, size))
        if payload is None or xxh3_128_digest(key + payload) != digest:
            raise DamagedEntry(key, "does not match its digest")
        try:
            return unseal(codec, bytearray(payload))
        # A class that this kernel does not have, or has with other fields: it is computed again.
        except (AttributeError, ImportError, TypeError, IndexError, KeyError) as error:
            raise DamagedEntry(key, f"cannot be read here ({error})") from error

    def _read(self, query: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        try:
            return self._database.execute(query, values).fetchall()
        except sqlite3.DatabaseError as error:
            self._once(f"the store {self.root.name} could not be read ({error}); results are computed again")
            return []

    def _once(self, message: str) -> None:
        if message not in self._told:
            self._told.add(message)
            self._tell(message)

    def _meta(self, name: str) -> bytes:
        value: bytes = self._read("SELECT value FROM meta WHERE name = ?", (name,))[0][0]
        return value

    def _load_stat(self, path: str) -> Memo | None:
        with self._lock:
            rows = self._read("SELECT size, mtime, inode, digest, hashed FROM stat WHERE path = ?", (path,))
        return Memo((rows[0][0], rows[0][1], rows[0][2]), rows[0][3], rows[0][4]) if rows else None

    def _save_stat(self, path: str, memo: Memo) -> None:
        values = (path, *memo.stamp, memo.digest, memo.hashed_ns)
        with self._lock:
            self._pending_other.append(("INSERT OR REPLACE INTO stat VALUES (?, ?, ?, ?, ?, ?)", values))

    def _relative(self, path: str) -> str:
        base = str(self.root.parent) + os.sep
        return path.removeprefix(base) if path.startswith(base) else path

    def _absolute(self, path: str) -> str:
        return path if os.path.isabs(path) else str(self.root.parent / path)


def _to_json(parts: Iterable[tuple[str, str, bytes, str]]) -> str:
    return json.dumps([(kind, name, id_.hex(), text) for kind, name, id_, text in parts])


def _from_json(text: str) -> list[tuple[str, str, bytes, str]]:
    return [(kind, name, bytes.fromhex(id_), shown) for kind, name, id_, shown in json.loads(text)]
