"""What a store remembers beside results: files that were read, what keys were made of, runs."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from typing import TYPE_CHECKING, Any

from nbflow.probe.file import remember_in
from nbflow.probe.files import Memo, StatMemo
from nbflow.store.access import Access
from nbflow.store.database import SALT_BYTES
from nbflow.store.rows import Last, RunRow
from nbflow.store.runs import History
from nbflow.store.traces import from_rows, storable, to_rows, trace_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from nbflow.probe.files import FileMark


class Records(Access):
    """The database of a store, with all that is kept in it beside results. Any thread may call it.

    root: the store's folder. memo: digests of files, kept from process to process. history: its runs.
    """

    def __init__(self, root: Path, tell: Callable[[str], None] = warnings.warn) -> None:
        super().__init__(root, tell)
        self._pending_other: list[tuple[str, tuple[Any, ...]]] = []
        self._known_traces: dict[bytes, tuple[FileMark, ...]] = {}
        self._known_recipes: set[bytes] = set()
        self._salt = self._meta_salt()
        self.history = History(self.query, self.queue)
        self.memo = StatMemo(self._load_stat, self._save_stat, self.salted)
        remember_in(self.memo)

    def flush(self) -> None:
        """Commits what is buffered, in one transaction."""
        raise NotImplementedError

    def query(self, query: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """Rows of any table, with what is buffered written before."""
        self.flush()
        with self._lock:
            return self._read(query, values)

    def queue(self, statement: str, values: tuple[Any, ...]) -> None:
        """A row that is written with the next flush."""
        with self._lock:
            self._pending_other.append((statement, values))

    def salted(self, id_: bytes) -> bytes:
        """An id that tells nothing of a secret to who does not have this store."""
        return hashlib.blake2b(id_, key=self._salt, digest_size=16).digest()

    def put_trace(self, trace: bytes, marks: Sequence[FileMark]) -> None:
        """Keeps what a trace consists of; paths below the store's folder's parent are kept relative to it."""
        if trace in self._known_traces:
            return
        self._known_traces[trace] = tuple(marks)
        rows = to_rows(marks, self.root.parent)
        total = trace_digest(trace, rows)
        with self._lock:
            # What was there may be damaged.
            self._pending_other.append(("DELETE FROM trace WHERE trace = ?", (trace,)))
            put = "INSERT OR REPLACE INTO trace VALUES (?, ?, ?, ?, ?)"
            self._pending_other.extend((put, (trace, *row, total)) for row in rows)

    def traces(self, traces: Sequence[bytes]) -> dict[bytes, tuple[FileMark, ...]]:
        """The files of each trace; unknown ones, and those of which something is missing, are left out."""
        missing = [trace for trace in traces if trace not in self._known_traces]
        with self._lock:
            for trace in missing:
                found = self._read("SELECT path, kind, digest, trace_digest FROM trace WHERE trace = ?", (trace,))
                rows = [row[:3] for row in found]
                if rows and all(row[3] == trace_digest(trace, rows) for row in found):
                    self._known_traces[trace] = from_rows(rows, self.root.parent)
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
        return (_from_json(rows[0][0]) if rows else None) or []

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
        found = ((row, _from_json(row[3])) for row in rows)
        return {node: Last(d, code, tuple(a), k, s, n) for (node, d, code, _, k, s, n), a in found if a is not None}

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

    def _meta_salt(self) -> bytes:
        rows = self._read("SELECT value FROM meta WHERE name = 'salt'")
        # Without its salt a store tells secrets by other ids than before, which only ever means to compute again.
        return rows[0][0] if rows and isinstance(rows[0][0], bytes) else os.urandom(SALT_BYTES)

    def _forget_unwritten(self) -> None:
        """What was thought to be written was not: it is written again with what needs it."""
        self._known_traces.clear()
        self._known_recipes.clear()

    def _load_stat(self, path: str) -> Memo | None:
        with self._lock:
            rows = self._read("SELECT size, mtime, inode, digest, hashed FROM stat WHERE path = ?", (storable(path),))
        if not rows or [type(value) for value in rows[0]] != [int, int, int, bytes, int]:
            return None
        return Memo((rows[0][0], rows[0][1], rows[0][2]), rows[0][3], rows[0][4])

    def _save_stat(self, path: str, memo: Memo) -> None:
        values = (storable(path), *memo.stamp, memo.digest, memo.hashed_ns)
        with self._lock:
            self._pending_other.append(("INSERT OR REPLACE INTO stat VALUES (?, ?, ?, ?, ?, ?)", values))


def _to_json(parts: Iterable[tuple[str, str, bytes, str]]) -> str:
    return json.dumps([(kind, name, id_.hex(), text) for kind, name, id_, text in parts])


def _from_json(text: str) -> list[tuple[str, str, bytes, str]] | None:
    try:
        return [(kind, name, bytes.fromhex(id_), shown) for kind, name, id_, shown in json.loads(text)]
    except (ValueError, TypeError):
        # Damaged: nothing is known of it.
        return None
