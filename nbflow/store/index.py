"""The store: SQLite for what is small and for the index, files for what is large."""

from __future__ import annotations

import _thread
import time
import warnings
from typing import TYPE_CHECKING, Any

from nbflow.codecs import INLINE_BYTES, digest_of, unseal
from nbflow.errors import DamagedEntry
from nbflow.probe.machinery import leave_out
from nbflow.store.blobs import Blobs
from nbflow.store.live import LIVE, Live
from nbflow.store.location import make_folder
from nbflow.store.logs import DROP_LOG, PUT_LOG, SWEEP_LOGS, find_logs, packed
from nbflow.store.peace import undisturbed
from nbflow.store.records import Records
from nbflow.store.room import Room
from nbflow.store.rows import GONE, Entry, Row, row_digest
from nbflow.store.schema import INLINE_SIZE, LOAD, LOAD_MANY, LOOK_UP, PUT, TAKE_OUT, UNNAMED
from nbflow.store.sizes import most_bytes
from nbflow.store.traces import plain_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from nbflow.codecs import Sealed
    from nbflow.probe.pieces import Log
    from nbflow.store.rows import Last

# The forms of values that the database does not hold.
_ELSEWHERE = frozenset({LIVE, GONE})
COMMIT_S = 1.0
AT_ONCE = 900


class Store(Records):
    """Results under their keys. Any thread may call it; two kernels may share one.

    root: its folder. tell: called with what users should know. room: what is in use, and what may go.
    """

    def __init__(self, root: Path, tell: Callable[[str], None] = warnings.warn) -> None:
        super().__init__(root, tell)
        self.closed = False
        self._blobs = Blobs(root)
        self.live = Live()
        self.room = Room(self)
        # The value's bytes, where they do not lie in a file already; whether it replaces what is there.
        self._pending: dict[tuple[bytes, bytes], tuple[Row, Sealed | None, bool]] = {}
        self._pending_keys: dict[bytes, list[Row]] = {}
        self._pending_logs: dict[tuple[bytes, bytes], tuple[int, bytes]] = {}
        self._committed = time.monotonic()
        self._flushes_soon = False
        self._dropped: set[tuple[bytes, bytes, bytes]] = set()
        leave_out(str(root))

    @classmethod
    def open(cls, root: Path, tell: Callable[[str], None] = warnings.warn) -> Store:
        """The store in a folder, made where there is none. Raises StoreRefused."""
        make_folder(root)
        # A setting that is no size is told now, and not when there is something to lose.
        most_bytes(root)
        return cls(root, tell)

    def begin(self) -> None:
        """Told when a plan or run begins: files are looked at anew, and so are values that were let go."""
        self.memo.fresh()
        self.room.begin()

    def close(self) -> None:
        """Writes what is buffered, and closes the database."""
        self.flush()
        with self._lock:
            self.closed = True
            undisturbed(self._database.close)

    def look_up(self, keys: Sequence[bytes]) -> dict[bytes, list[Row]]:
        """The rows of each key, the newest first; keys without a row are left out."""
        found: dict[bytes, list[Row]] = {}
        with self._lock:
            for key in keys:
                if key in self._pending_keys:
                    rows = reversed(self._pending_keys[key])
                    # An interrupt in the middle of a put leaves one that is not pending.
                    found[key] = [row for row in rows if (key, row.trace) in self._pending]
                live = self.live.row(key) if self.live else None
                if live is not None:
                    found.setdefault(key, []).append(live)
            for start in range(0, len(keys), AT_ONCE):
                for row in self._rows_of(keys[start : start + AT_ONCE]):
                    # What could not be taken out, on a disk that is full or read-only, is gone all the same.
                    if not self._dropped or (row.key, row.trace, row.digest) not in self._dropped:
                        found.setdefault(row.key, []).append(row)
            self.room.looked_up(found)
        return found

    def load(self, row: Row) -> Any:
        """A row's value, a fresh object each time; its digest is checked first. Raises DamagedEntry."""
        return self._loaded(row, None)

    def load_many(self, rows: Sequence[Row]) -> Iterator[Any]:
        """The values of many rows, in their order; for one that is damaged or missing, the DamagedEntry itself."""
        for start in range(0, len(rows), AT_ONCE):
            some = rows[start : start + AT_ONCE]
            # In their order, which mostly is that in which they lie there.
            keys = list(dict.fromkeys(row.key for row in some if row.blob is None and row.codec not in _ELSEWHERE))
            with self._lock:
                found = self._read(LOAD_MANY.format(",".join("?" * len(keys))), keys) if keys else []
            payloads = {(key, trace): payload for key, trace, payload in found}
            for row in some:
                try:
                    yield self._loaded(row, payloads.get((row.key, row.trace)))
                except DamagedEntry as damage:
                    yield damage

    def _loaded(self, row: Row, payload: bytes | None) -> Any:
        """payload: what the database holds under the row's key and trace, where that was read already."""
        if row.codec == LIVE:
            return self.live.value(row)
        if row.codec == GONE:
            raise self._gone(row)
        if row.blob is None:
            codec, content = self._inline(row, payload)
        else:
            codec, content = row.codec, self._mapped(row)
        try:
            return unseal(codec, content)
        # What a class does when it is read is its own affair, and one that changed or is gone may raise anything.
        except Exception as error:
            self.drop(row)
            raise DamagedEntry(row.key, f"cannot be read here ({error})") from error

    def logs(self, rows: Iterable[Row]) -> dict[tuple[bytes, bytes], Log]:
        """What the making of results put out, by key and trace; those that put nothing out are left out."""
        self._commit()
        with self._lock:
            return find_logs(self._read, rows)

    def put(self, entries: Sequence[Entry], *, replace: bool = False) -> list[Row | None]:
        """Takes results in; they are written with the next flush, at least once a second.

        Gives a row for each, None for one that could not be written. replace: also where one is there already.
        """
        rows = [self._take(entry, replace=replace) for entry in entries]
        self._commit_soon()
        if time.monotonic() - self._committed > COMMIT_S:
            self._commit()
        return rows

    def flush(self) -> None:
        """Commits what is buffered, in one transaction, and makes room where the store holds more than it may."""
        self._commit()
        with self._lock:
            if not self.closed:
                self.room.make()

    def drop(self, row: Row) -> None:
        """Takes a result out."""
        with self._lock:
            self._forget_pending(row)
            self._dropped.add((row.key, row.trace, row.digest))
            self._write(
                [(TAKE_OUT + " AND digest = ?", [(row.key, row.trace, row.digest)]), (DROP_LOG, [(row.key, row.trace)])]
            )
            if row.blob is not None:
                # What is damaged must not be taken for written already.
                self._blobs.remove(row.blob)
            self.sweep()

    def clear(self, tasks: Iterable[str] | None = None) -> int:
        """Takes out the results of tasks by name, of all by default; gives the bytes that this frees."""
        self._commit()
        names = None if tasks is None else list(tasks)
        self.live.clear(names)
        self.history.clear(names)
        where, values = ("", [()]) if names is None else (" WHERE task = ?", [(plain_text(name),) for name in names])
        with self._lock:
            inline = sum(held for each in values for (held,) in self._read(INLINE_SIZE + where, each))
            self._write([("DELETE FROM entry" + where, values)])  # noqa: S608 (constants)
            self._write([(SWEEP_LOGS, [()])])
            return int(inline) + self.sweep()

    def sweep(self) -> int:
        """Takes away the files of rows that are no more; gives the bytes that this frees."""
        waiting = {row.blob for row, _, _ in self._pending.values()}
        blobs = [blob for (blob,) in self._read(UNNAMED) if blob not in waiting]
        if blobs:
            self._write([("DELETE FROM orphan WHERE blob = ?", [(blob,) for blob in blobs])])
        return sum(self._blobs.remove(blob) for blob in blobs)

    def put_last(self, flow: str, node: str, last: Last) -> None:
        """Remembers what a node was made of, which is in use from now on."""
        self.room.flow(flow)
        super().put_last(flow, node, last)

    def last(self, flow: str) -> dict[str, Last]:
        """What each node of a flow was made of when it last ran, which is in use from now on."""
        self.room.flow(flow)
        return super().last(flow)

    def size_bytes(self) -> int:
        """Bytes on disk: database and large values."""
        return self._blobs.size_bytes() + sum(path.stat().st_size for path in self.root.glob("index.sqlite*"))

    def _take(self, entry: Entry, *, replace: bool) -> Row | None:
        if self.read_only:
            return None
        sealed: Sealed | None = entry.sealed
        assert sealed is not None
        digest = sealed.digest(entry.key)
        blob = None
        codec, size_bytes = sealed.codec, sealed.size_bytes
        if size_bytes > INLINE_BYTES:
            blob = digest.hex()
            try:
                self._blobs.write(blob, sealed)
            except OSError as error:
                self._once(f"{entry.task}: its result could not be written ({error}); it is returned and not stored")
                return None
            sealed = None
        row = Row(
            entry.key, entry.trace, entry.out, entry.members, entry.kind, codec, digest, size_bytes, blob,
            float(entry.seconds), entry.made_ns, entry.expires_ns, entry.session, plain_text(entry.task),
        )  # fmt: skip
        with self._lock:
            self._forget_pending(row)
            self._dropped.discard((row.key, row.trace, row.digest))
            # In this order: what is pending can be looked up.
            self._pending_keys.setdefault(entry.key, []).append(row)
            self._pending[entry.key, entry.trace] = (row, sealed, replace)
            if entry.log:
                self._pending_logs[entry.key, entry.trace] = (row.made_ns, packed(row, entry.log))
            self.room.took(row)
        return row

    def _commit_soon(self) -> None:
        """Sees to it that what is buffered is written within a second, also when nothing else happens."""
        with self._lock:
            if self._flushes_soon or not self._pending:
                return
            try:
                # An interrupt would break a thread of `threading` that is about to start.
                _thread.start_new_thread(self._commit_later, ())
                self._flushes_soon = True
            except RuntimeError:
                # The interpreter is ending, and starts no threads any more.
                self._commit()

    def _commit_later(self) -> None:
        time.sleep(COMMIT_S)
        self._flushes_soon = False
        self._commit()

    def _commit(self) -> None:
        with self._lock:
            if not self.closed and (self._pending or self._pending_other or self.room.used):
                undisturbed(self._write_pending)
            self._committed = time.monotonic()

    def _write_pending(self) -> None:
        # Others may go on meanwhile: what they put in is left for the next time.
        pending, others = list(self._pending.items()), list(self._pending_other)
        rows: dict[bool, list[tuple[Any, ...]]] = {False: [], True: []}
        for _, (row, sealed, replace) in pending:
            payload = None if sealed is None else b"".join(sealed.parts)
            rows[replace].append((*row, row_digest((*row,)), payload))
        statements = [(statement, [values]) for statement, values in [*others, *self.room.notes()]]
        puts = [(PUT.format(replace=int(replace)), rows[replace]) for replace in rows]
        logs = list(self._pending_logs.items())
        # Only beside the very result that it belongs to: another kernel's may have been first.
        puts.append((PUT_LOG, [(*place, log, *place, made) for place, (made, log) in logs]))
        if not self._write([*statements, *puts]):
            self._forget_unwritten()
        del self._pending_other[: len(others)]
        for place, log in logs:
            if self._pending_logs.get(place) is log:
                del self._pending_logs[place]
        for key, value in pending:
            if self._pending.get(key) is value:
                self._forget_pending(value[0])
        self.sweep()

    def _forget_pending(self, row: Row) -> None:
        self._pending.pop((row.key, row.trace), None)
        left = [each for each in self._pending_keys.pop(row.key, ()) if each.trace != row.trace]
        if left:
            self._pending_keys[row.key] = left

    def _rows_of(self, keys: Sequence[bytes]) -> list[Row]:
        # As _make does, which takes twice as long to count the columns.
        return [tuple.__new__(Row, row) for row in self._read_proven(LOOK_UP.format(",".join("?" * len(keys))), keys)]

    def _inline(self, row: Row, payload: bytes | None) -> tuple[str, bytearray]:
        """The bytes of a small value, in the form in which they lie there, which another kernel may have written."""
        if payload is not None and digest_of(row.codec, row.key, payload) == row.digest:
            # The row proved itself when it was looked up, and these are the bytes it was written with.
            return row.codec, bytearray(payload)
        with self._lock:
            pending = self._pending.get((row.key, row.trace))
            if pending is not None and pending[1] is not None:
                return pending[1].codec, bytearray().join(pending[1].parts)
            found = self._read(LOAD, (row.key, row.trace))
        if not found:
            raise DamagedEntry(row.key, "is missing from the store")
        *columns, checked, payload = found[0]
        stored = Row._make(columns)
        if row_digest(tuple(columns)) == checked:
            if stored.codec == GONE:
                raise self._gone(row)
            if stored.out != row.out or payload is None:
                # Never another value under the id that was looked up.
                raise DamagedEntry(row.key, "was replaced by another kernel meanwhile")
            if digest_of(stored.codec, row.key, payload) == stored.digest:
                return stored.codec, bytearray(payload)
        self.drop(row)
        raise DamagedEntry(row.key, "does not match its digest")

    def _mapped(self, row: Row) -> Any:
        assert row.blob is not None
        try:
            return self._blobs.read(row.blob, row.key, row.codec, row.digest, row.size_bytes)
        except DamagedEntry:
            self.drop(row)
            raise

    def _gone(self, row: Row) -> DamagedEntry:
        """The error for a value that was let go; until it is there again, its row is no answer."""
        self.room.want(row)
        return DamagedEntry(row.key, "was let go to make room in the store")
