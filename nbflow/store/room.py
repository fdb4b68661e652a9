"""How much a store holds, what of it is in use, and what goes first when it is too much."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from nbflow.store.rows import GONE, LOOP_STEP, VALUE, Row, row_digest
from nbflow.store.schema import COLUMNS, LET_GO, TAKE_OUT, USED
from nbflow.store.sizes import SETTING, bytes_text, most_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nbflow.store.index import Store

# Smaller values are not worth the keeping of books.
COUNTED_BYTES = 4096
# When a value was used last is known to the hour: noting it costs something, too.
GRAIN_NS = 3600 * 10**9
DAY_NS = 86400 * 10**9
# Room is made down to this part of what the store may hold, so that it is not made anew for each result.
DOWN_TO = 0.9
# Looked at again when this part of what the store may hold was added.
LOOK_AFTER = 0.01


class Going(NamedTuple):
    """A value that may go. rank: the lower, the sooner.

    First what has expired (0), then what no flow uses any more: of earlier sessions (1), of this one (2); then what
    other flows use (3); among equals what costs the fewest seconds a byte and idle day.
    """

    rank: tuple[int, float]
    row: Row


class Room:
    """Lets values of a store go, so that it holds no more than it may; their ids stay.

    What was cheap to make, is large and long unused goes first; never what the session's flows use at present.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._in_use: set[bytes] = set()
        self._seen: set[bytes] = set()
        self._flows: set[str] = set()
        # Values that were asked for and are gone: since the present run began, and since the one before.
        self._wanted: set[tuple[bytes, bytes]] = set()
        self._wanted_before: set[tuple[bytes, bytes]] = set()
        self._noted: dict[bytes, int] = {}
        self._added: float = 0.0
        # Keys whose last use is to be noted.
        self.used: set[bytes] = set()

    def begin(self) -> None:
        """Told when a plan or run begins: what an earlier one used, and no flow has any more, may go."""
        self._seen |= self._in_use
        self._in_use.clear()
        # One run's remains: who looks at a result after a run has it made again by the next.
        self._wanted, self._wanted_before = set(), self._wanted

    def flow(self, name: str) -> None:
        """Notes that a flow belongs to this session."""
        self._flows.add(name)

    def looked_up(self, found: Mapping[bytes, list[Row]]) -> None:
        """Notes the use of rows; takes out those whose value was asked for and is gone."""
        now_ns = time.time_ns()
        for row in [row for rows in found.values() for row in rows if row.size_bytes >= COUNTED_BYTES]:
            self._in_use.add(row.key)
            if now_ns - max(row.made_ns, self._noted.get(row.key, 0)) > GRAIN_NS:
                self.used.add(row.key)
        if self._wanted or self._wanted_before:
            for rows in found.values():
                rows[:] = [row for row in rows if row.codec != GONE or not self._is_wanted(row)]

    def took(self, row: Row) -> None:
        """Notes a result that was put into the store."""
        if self._wanted or self._wanted_before:
            self._wanted.discard((row.key, row.trace))
            self._wanted_before.discard((row.key, row.trace))
        if row.size_bytes >= COUNTED_BYTES:
            self._in_use.add(row.key)
        self._added += row.size_bytes

    def want(self, row: Row) -> None:
        """Notes that a value is needed that was let go: its row is no answer until it is made again."""
        self._wanted.add((row.key, row.trace))

    def _is_wanted(self, row: Row) -> bool:
        return (row.key, row.trace) in self._wanted or (row.key, row.trace) in self._wanted_before

    def notes(self) -> list[tuple[str, tuple[Any, ...]]]:
        """The statements that note what was used since they were asked for last."""
        now_ns = time.time_ns()
        keys, self.used = self.used, set()
        self._noted.update(dict.fromkeys(keys, now_ns))
        return [(USED, (key, now_ns)) for key in keys]

    def held_bytes(self) -> int:
        """Bytes of the values and of all that is written about them."""
        queries = ("SELECT total(size) FROM entry WHERE blob IS NOT NULL", *(f"PRAGMA {name}" for name in _PAGES))
        files, pages, free, page_bytes = (int((self._store._read(query) or [(0,)])[0][0]) for query in queries)
        return files + (pages - free) * page_bytes

    def make(self) -> int:
        """Lets values go if the store holds more than it may; gives the bytes that this frees."""
        if not self._added:
            return 0
        most = most_bytes(self._store.root)
        if self._added < LOOK_AFTER * most:
            return 0
        self._added = 0.0
        held = self.held_bytes()
        if held <= most:
            return 0
        _, freed = self.let_go(held - int(DOWN_TO * most))
        if held - freed > most:
            self._store._once(
                f"the store {self._store.root.name} holds {bytes_text(held - freed)}, more than its "
                f"{bytes_text(most)}, since all of it is in use; {SETTING} allows more"
            )
        return freed

    def let_go(self, excess_bytes: int) -> tuple[int, int]:
        """Lets values go until that many bytes are free, if there are so many; gives how many values, and bytes."""
        going: list[Row] = []
        freed, now_ns = 0, time.time_ns()
        for each in self.candidates():
            if freed >= excess_bytes:
                break
            going.append(each.row)
            freed += each.row.size_bytes
        over = [row for row in going if is_over(row.expires_ns, now_ns)]
        stays = [gone(row) for row in going if not is_over(row.expires_ns, now_ns)]
        self._store._write(
            [
                (LET_GO, [(row_digest((*row,)), row.key, row.trace) for row in stays]),
                (TAKE_OUT, [(row.key, row.trace) for row in over]),
            ]
        )
        self._store.sweep()
        return len(going), freed

    def candidates(self) -> list[Going]:
        """The values that may go, those first that go first."""
        current, mine = self._current()
        now_ns = time.time_ns()
        query = (
            f"SELECT {', '.join(f'entry.{name}' for name in COLUMNS.split(', '))}, coalesce(used.used, 0) "  # noqa: S608 (constants)
            "FROM entry LEFT JOIN used ON used.key = entry.key "
            f"WHERE size >= {COUNTED_BYTES} AND codec <> '{GONE}' AND kind IN ({VALUE}, {LOOP_STEP})"
        )
        going: list[Going] = []
        for *columns, _, used_ns in self._store._read(query):
            row = Row._make(columns)
            if row.key not in mine and row.key not in self._in_use:
                rank = 3 if row.key in current else 2 if row.key in self._seen else 1
                if is_over(row.expires_ns, now_ns):
                    rank = 0
                going.append(Going((rank, _worth(row, used_ns, now_ns)), row))
        going.sort(key=lambda each: each.rank)
        return going

    def _current(self) -> tuple[set[bytes], set[bytes]]:
        """The keys that flows had when they last ran: of all flows, and of those of this session."""
        current: set[bytes] = set()
        mine: set[bytes] = set()
        for flow, keys in self._store._read("SELECT flow, keys FROM last"):
            each = {keys[at : at + 16] for at in range(0, len(keys), 16)}
            current |= each
            if flow in self._flows:
                mine |= each
        return current, mine


_PAGES = ("page_count", "freelist_count", "page_size")


def gone(row: Row) -> Row:
    """The row of a value that was let go."""
    return row._replace(codec=GONE, blob=None)


def _worth(row: Row, used_ns: int, now_ns: int) -> float:
    """Seconds that it would take to make a value again, for each byte it takes up and each day it lay idle."""
    idle_days = max(0, now_ns - max(row.made_ns, used_ns)) / DAY_NS
    return (row.seconds + 1e-3) / row.size_bytes / (1.0 + idle_days)


def is_over(expires_ns: int | None, now_ns: int) -> bool:
    """Whether a result has expired."""
    return expires_ns is not None and expires_ns <= now_ns
