"""The store: SQLite for what is small and for the index, files for what is large."""

from __future__ import annotations

import _thread
import time
import warnings
from typing import TYPE_CHECKING, Any

from xxhash import xxh3_128_digest

from nbflow.codecs import INLINE_BYTES, Sealed, unseal
from nbflow.errors import DamagedEntry
from nbflow.probe.hook import leave_out
from nbflow.store.blobs import Blobs
from nbflow.store.location import make_folder
from nbflow.store.peace import undisturbed
from nbflow.store.records import Records
from nbflow.store.rescue import proof
from nbflow.store.rows import Entry, Row
from nbflow.store.schema import LOOK_UP, PAYLOAD, PUT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

COMMIT_S = 1.0
AT_ONCE = 900


class Store(Records):
    """Results under their keys. Any thread may call it; two kernels may share one.

    root: its folder. tell: called with what users should know.
    """

    def __init__(self, root: Path, tell: Callable[[str], None] = warnings.warn) -> None:
        super().__init__(root, tell)
        self.closed = False
        self._blobs = Blobs(root)
        self._pending: dict[tuple[bytes, bytes], tuple[Row, Sealed, bool]] = {}
        self._pending_keys: dict[bytes, list[Row]] = {}
        self._dropped: set[tuple[bytes, bytes, bytes]] = set()
        self._committed = time.monotonic()
        self._flushes_soon = False
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
                    rows = reversed(self._pending_keys[key])
                    # An interrupt in the middle of a put leaves one that is not pending.
                    found[key] = [row for row in rows if (key, row.trace) in self._pending]
            for start in range(0, len(keys), AT_ONCE):
                part = keys[start : start + AT_ONCE]
                marks = ",".join("?" * len(part))
                for row in map(Row._make, self._read_proven(LOOK_UP.format(marks), part)):
                    # What could not be taken out, on a disk that is full or read-only, is gone all the same.
                    if not self._dropped or (row.key, row.trace, row.digest) not in self._dropped:
                        found.setdefault(row.key, []).append(row)
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
            if stored[0][1] != row.digest:
                # The row tells the id of another value.
                raise DamagedEntry(row.key, "was replaced by another kernel")
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
            if self._flushes_soon or not self._pending:
                return
            try:
                # An interrupt would break a thread of `threading` that is about to start.
                _thread.start_new_thread(self._flush_later, ())
                self._flushes_soon = True
            except RuntimeError:
                # The interpreter is ending, and starts no threads any more.
                self.flush()

    def _flush_later(self) -> None:
        time.sleep(COMMIT_S)
        self._flushes_soon = False
        self.flush()

    def flush(self) -> None:
        """Commits what is buffered, in one transaction; an interrupt leaves none open."""
        with self._lock:
            if not self.closed and (self._pending or self._pending_other):
                undisturbed(self._commit)
            self._committed = time.monotonic()

    def drop(self, row: Row) -> None:
        """Takes a result out."""
        with self._lock:
            self._forget_pending(row)
            self._dropped.add((row.key, row.trace, row.digest))
            statement = "DELETE FROM entry WHERE key = ? AND trace = ? AND digest = ?"
            self._write([(statement, [(row.key, row.trace, row.digest)])])
        if row.blob is not None:
            self._blobs.remove(row.blob)

    def clear(self, tasks: Iterable[str] | None = None) -> None:
        """Takes out the results of tasks by name; of all, by default."""
        self.flush()
        names = None if tasks is None else list(tasks)
        where, values = ("", ()) if names is None else (f" WHERE task IN ({','.join('?' * len(names))})", tuple(names))
        with self._lock:
            blobs = self._read(f"SELECT blob FROM entry{where}", values)  # noqa: S608 (only question marks are filled in)
            self._write([(f"DELETE FROM entry{where}", [values])])  # noqa: S608 (as above)
        for (blob,) in blobs:
            if blob is not None:
                self._blobs.remove(blob)

    def size_bytes(self) -> int:
        """Bytes on disk: database and large values."""
        return self._blobs.size_bytes() + sum(path.stat().st_size for path in self.root.glob("index.sqlite*"))

    def _take(self, entry: Entry, *, replace: bool) -> Row | None:
        if self.read_only:
            return None
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
            self._dropped.discard((row.key, row.trace, row.digest))
            # In this order: what is pending can be looked up.
            self._pending_keys.setdefault(entry.key, []).append(row)
            self._pending[entry.key, entry.trace] = (row, sealed, replace)
        return row

    def _forget_pending(self, row: Row) -> None:
        self._pending.pop((row.key, row.trace), None)
        left = [each for each in self._pending_keys.pop(row.key, ()) if each.trace != row.trace]
        if left:
            self._pending_keys[row.key] = left

    def _commit(self) -> None:
        # Others may go on meanwhile: what they put in is left for the next time.
        pending, others = list(self._pending.items()), list(self._pending_other)
        rows: dict[bool, list[tuple[Any, ...]]] = {False: [], True: []}
        for _, (row, sealed, replace) in pending:
            rows[replace].append((*row, proof(tuple(row)), None if row.blob else b"".join(sealed.parts)))
        statements = [(statement, [values]) for statement, values in others]
        puts = [(PUT.format(replace=int(replace)), rows[replace]) for replace in rows]
        if not self._write([*statements, *puts]):
            self._forget_unwritten()
        del self._pending_other[: len(others)]
        for key, value in pending:
            if self._pending.get(key) is value:
                self._forget_pending(value[0])

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
