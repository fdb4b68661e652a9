"""Looking after a store: is all of it whole, what lies in it, and what may go."""

from __future__ import annotations

import contextlib
import sqlite3
import time
import warnings
from collections import Counter
from typing import TYPE_CHECKING, Any

from nbflow.codecs import digest_of
from nbflow.errors import DamagedEntry, NbflowWarning
from nbflow.lean import dataclass
from nbflow.model.task import seconds_of
from nbflow.store.database import DAMAGED
from nbflow.store.index import Store
from nbflow.store.location import find_store
from nbflow.store.logs import DROP_LOG, SWEEP_LOGS, unpacked
from nbflow.store.room import is_over
from nbflow.store.rows import GONE, Row, row_digest
from nbflow.store.schema import COLUMNS, TAKE_OUT
from nbflow.store.sizes import bytes_text, most_bytes, parse_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Results of a session are kept this long after their last use, in case that it still goes on.
SESSION_S = 7 * 86400.0


@dataclass(frozen=True, slots=True)
class Verified:
    """What `verify` found. results, size_bytes: how much was checked; damaged: what is not whole, a line each."""

    place: str
    results: int
    size_bytes: int
    damaged: tuple[str, ...]
    repaired: bool

    @property
    def ok(self) -> bool:
        """Whether all of it is whole."""
        return not self.damaged

    def __repr__(self) -> str:
        head = f"{self.place}: {self.results} results, {bytes_text(self.size_bytes)}, checked: "
        if self.ok:
            return head + "all whole"
        end = "; dropped, and computed again when they are needed" if self.repaired else ""
        return "\n".join([f"{head}{len(self.damaged)} damaged{end}", *(f"  {line}" for line in self.damaged)])


@dataclass(frozen=True, slots=True)
class Pruned:
    """What `prune` took out. results: whole ones; let_go: values of which the ids stay; files: that no row named."""

    results: int
    let_go: int
    files: int
    freed_bytes: int

    def __repr__(self) -> str:
        return (
            f"{bytes_text(self.freed_bytes)} freed: {self.results} results taken out, {self.let_go} values let go, "
            f"{self.files} files left behind"
        )


@dataclass(frozen=True, slots=True)
class Contents:
    """What lies in a store. tasks: number of results and bytes of each; going: what would be let go first, as tasks."""

    place: str
    size_bytes: int
    most_bytes: int
    tasks: dict[str, tuple[int, int]]
    gone: int
    may_go: dict[str, tuple[int, int]]

    def __repr__(self) -> str:
        lines = [f"{self.place}: {bytes_text(self.size_bytes)} of at most {bytes_text(self.most_bytes)}"]
        width = max((len(task) for task in self.tasks), default=0)
        for task, (count, size) in self.tasks.items():
            going = self.may_go.get(task)
            note = f"   {bytes_text(going[1])} not in use" if going else ""
            results = f"{count:>7} result{'s' if count != 1 else ' '}"
            lines.append(f"  {task:<{width}}  {results}  {bytes_text(size):>10}{note}".rstrip())
        if self.gone:
            lines.append(f"  {self.gone} values were let go to make room; their ids are kept")
        return "\n".join(lines)


def verify(place: str | Path | None = None, *, repair: bool = True) -> Verified:
    """Checks every row and every value of a store against its digest; unpickles none.

    place: the store's folder, by default the one that flows use here. repair: takes out what is damaged, which no
    run would ever use; without it a run that finds it does so. Raises StoreRefused.

    >>> import nbflow.store, tempfile
    >>> nbflow.store.verify(tempfile.mkdtemp()).ok
    True
    """
    with _opened(place) as store:
        damaged: list[str] = []
        count = size_bytes = 0
        for number, row, whole, payload in _all_rows(store):
            count, size_bytes = count + 1, size_bytes + row.size_bytes * (row.codec != GONE)
            why = "its row does not match its digest" if not whole else _damage(store, row, payload)
            if why is not None:
                damaged.append(f"{row.task} ({row.key.hex()[:8]}): {why}")
                if repair:
                    store._write([("DELETE FROM entry WHERE rowid = ?", [(number,)])])
                    store._blobs.remove(row.blob or "")
        damaged += _damaged_logs(store, repair=repair)
        damaged += _damage_of_database(store, repair=repair)
        store.sweep()
        return Verified(store.root.name, count, size_bytes, tuple(damaged), repair)


def prune(
    place: str | Path | None = None, *, max_bytes: str | int | None = None, unused_for: str | None = None
) -> Pruned:
    """Frees what nobody can use any more: expired results, those of sessions long over, files left behind.

    place: the store's folder, by default the one that flows use here. max_bytes: lets values go, what was cheap to
    make and long unused first, until no more than that is left, such as "5GB"; their ids stay, so that nothing runs
    again only for that. unused_for: takes out results not used for so long, such as "30d". Raises StoreRefused.

    >>> import nbflow.store, tempfile
    >>> nbflow.store.prune(tempfile.mkdtemp()).results
    0
    """
    most = None if max_bytes is None else parse_bytes(max_bytes)
    idle_s = None if unused_for is None else seconds_of(unused_for)
    with _opened(place) as store:
        before = store.size_bytes()
        results = _take_out_over(store, idle_s)
        let_go = 0
        if most is not None:
            let_go = store.room.let_go(store.room.held_bytes() - most)[0]
        named = {blob for (blob,) in store._read("SELECT blob FROM entry WHERE blob IS NOT NULL")}
        files, _ = store._blobs.remove_unnamed(named)
        with contextlib.suppress(sqlite3.OperationalError):
            # Another kernel is at work: the room inside the file is used again all the same.
            store._database.read("VACUUM")
            store._database.read("PRAGMA wal_checkpoint(TRUNCATE)")
        return Pruned(results, let_go, files, max(0, before - store.size_bytes()))


def contents(store: Store) -> Contents:
    """What lies in a store, by task."""
    store.flush()
    rows = store._read("SELECT task, count(*), total(size * (codec <> 'gone')) AS held FROM entry GROUP BY task")
    sizes = sorted(((task, count, int(held)) for task, count, held in rows), key=lambda row: (-row[2], row[0]))
    gone = store._read("SELECT count(*) FROM entry WHERE codec = 'gone'")
    counts: Counter[str] = Counter()
    going: Counter[str] = Counter()
    for each in store.room.candidates():
        counts[each.row.task] += 1
        going[each.row.task] += each.row.size_bytes
    return Contents(
        place=str(store.root),
        size_bytes=store.size_bytes(),
        most_bytes=most_bytes(store.root),
        tasks={task: (count, held) for task, count, held in sizes},
        gone=gone[0][0] if gone else 0,
        may_go={task: (counts[task], size) for task, size in going.items()},
    )


@contextlib.contextmanager
def _opened(place: str | Path | None) -> Iterator[Store]:
    store = Store.open(find_store(place), lambda message: warnings.warn(message, NbflowWarning, stacklevel=4))
    try:
        yield store
    finally:
        store.close()


def _all_rows(store: Store) -> Iterator[tuple[int, Row, bool, bytes | None]]:
    """Each row with its number, whether it is whole, and its payload where it lies in the database."""
    # One by one, so that a row that cannot be read hides no other, and a large store fits into memory.
    for (number,) in store._read("SELECT rowid FROM entry"):
        found = store._read(f"SELECT {COLUMNS}, payload FROM entry WHERE rowid = ?", (number,))  # noqa: S608 (constants)
        for *columns, checked, payload in found:
            yield number, Row._make(columns), row_digest(tuple(columns)) == checked, payload


def _damage(store: Store, row: Row, payload: bytes | None) -> str | None:
    """What is wrong with a row's value; None when it is whole, or was let go."""
    if row.codec == GONE:
        return None
    if row.blob is None:
        whole = payload is not None and digest_of(row.codec, row.key, payload) == row.digest
        return None if whole else "its value does not match its digest"
    try:
        store._blobs.read(row.blob, row.key, row.codec, row.digest, row.size_bytes)
    except DamagedEntry as damage:
        return f"its value {damage.why}"
    return None


def _damaged_logs(store: Store, *, repair: bool) -> list[str]:
    """Logs that are not what was written with their result; those of results that are no more just go."""
    damaged: list[str] = []
    if repair:
        store._write([(SWEEP_LOGS, [()])])
    for key, trace in store._read("SELECT key, trace FROM log"):
        query = (
            f"SELECT {COLUMNS}, (SELECT CAST(text AS BLOB) FROM log WHERE log.key = ? AND log.trace = ?) "  # noqa: S608 (constants)
            "FROM entry WHERE key = ? AND trace = ?"
        )
        for *columns, _, content in store._read(query, (key, trace, key, trace)):
            row = Row._make(columns)
            if unpacked(row, content) is None:
                damaged.append(f"{row.task} ({row.key.hex()[:8]}): its log does not match its digest")
                if repair:
                    store._write([(DROP_LOG, [(key, trace)])])
    return damaged


def _damage_of_database(store: Store, *, repair: bool) -> list[str]:
    whole = store._read("PRAGMA integrity_check") == [("ok",)]
    if store._database.replaced:
        return [f"the database itself was {store._database.replaced}; it is set aside, and a new one begun"]
    if whole:
        return []
    if repair and store._write([("REINDEX", [()])]) and store._read("PRAGMA integrity_check") == [("ok",)]:
        return ["an index of the database was damaged; it is made anew"]
    if repair:
        (store.root / DAMAGED).touch(mode=0o600)
    return ["the database itself is damaged; it is set aside, and a new one begun, when the store is opened next"]


def _take_out_over(store: Store, idle_s: float | None) -> int:
    """Takes out what has expired, belongs to a session that is over, or was not used for so long."""
    now_ns = time.time_ns()
    query = (
        "SELECT entry.key, entry.trace, expires, session, max(made, coalesce(used.used, 0)) "
        "FROM entry LEFT JOIN used ON used.key = entry.key"
    )
    over: list[tuple[Any, ...]] = []
    for key, trace, expires, session, used_ns in store._read(query):
        idle = (now_ns - used_ns) / 1e9
        ended = session is not None and idle > SESSION_S
        if is_over(expires, now_ns) or ended or (idle_s is not None and idle > idle_s):
            over.append((key, trace))
    store._write(
        [
            (TAKE_OUT, over),
            ("DELETE FROM used WHERE key NOT IN (SELECT key FROM entry)", [()]),
            (SWEEP_LOGS, [()]),
        ]
    )
    store.sweep()
    return len(over)
