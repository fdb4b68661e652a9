"""The history of a store: its runs, what each node gave in them, what was accepted and what was cleared."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from xxhash import xxh3_128_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    Query = Callable[[str, tuple[Any, ...]], list[tuple[Any, ...]]]
    Queue = Callable[[str, tuple[Any, ...]], None]

ID_BYTES = 16
NO_ID = bytes(ID_BYTES)
# Set in an element's state where its result was made and could not be kept.
UNSTORED = 0x80
# Runs of a flow that are kept; older ones go once so many more have gathered.
MOST_RUNS, SLACK = 200, 50


class NodeRecord(NamedTuple):
    """How one node ended in one run.

    state: its label; seconds: of work in that run. keys: 16 bytes an element, where its value is
    kept; outs: 16 bytes an element, its value's id, NO_ID where it has none; states: a byte an element. why: the
    reasons why it ran, in short; error: that of the first element that failed. named: JSON of a name an element, empty
    where only their numbers tell them apart.
    """

    node: str
    task: str
    mapped: bool
    state: str
    elements: int
    ran: int
    reused: int
    failed: int
    seconds: float
    code: bytes
    keys: bytes
    outs: bytes
    states: bytes
    why: str
    error: str
    named: bytes = b""

    @property
    def names(self) -> list[str]:
        """A name an element; empty where there are none, or they are damaged."""
        try:
            names: list[str] = json.loads(self.named or b"[]")
        except ValueError:
            return []
        return names if len(names) == self.elements else []


class RunRecord(NamedTuple):
    """One run. started_ns: Unix time; state: success, failed, paused, cancelled or accepted; parameters: as texts.

    whole: whether all of the flow took part; nodes: where the records of its nodes lie.
    """

    id: int
    flow: str
    started_ns: int
    seconds: float
    ran: int
    reused: int
    failed: int
    state: str
    parameters: dict[str, str]
    whole: bool
    nodes: bytes


class Acceptance(NamedTuple):
    """Old results that were adopted after an edit. at_ns: Unix time; note: what was edited."""

    at_ns: int
    results: int
    note: str


class History:
    """What happened in a store. query: reads rows, queue: writes with the next flush."""

    def __init__(self, query: Query, queue: Queue) -> None:
        self._query = query
        self._queue = queue
        self._parsed: dict[bytes, dict[str, NodeRecord]] = {}

    def add(
        self,
        flow: str,
        started_ns: int,
        nodes: Iterable[NodeRecord],
        *,
        state: str,
        parameters: Mapping[str, str],
        whole: bool,
        members: Iterable[str],
    ) -> None:
        """Adds what a run's nodes gave. Equal lists of ids, and equal lists of nodes, are kept once.

        members: the names of all nodes that the flow had then, also of those that took no part.
        """
        known = [self._list(json.dumps(list(members)).encode()).hex()]
        body = json.dumps([known, *map(self._packed, nodes)]).encode()
        values = (flow, started_ns, state, json.dumps(dict(parameters)), int(whole), self._chunk(body))
        self._queue("INSERT OR REPLACE INTO run_more VALUES (?, ?, ?, ?, ?, ?)", values)

    def runs(self, flow: str) -> list[RunRecord]:
        """The runs of a flow, the oldest first."""
        found = (_run(row) for row in self._query(_RUNS, (flow,)))
        return [run for run in found if run is not None]

    def nodes(self, run: RunRecord) -> dict[str, NodeRecord]:
        """The nodes of a run by name; empty for runs of which only the counts are known."""
        if run.nodes not in self._parsed:
            rows = [row for row in self._loaded(run.nodes) if len(row) > 1]
            self._parsed[run.nodes] = {each.node: each for each in map(self._unpacked, rows)}
        return self._parsed[run.nodes]

    def members(self, run: RunRecord) -> frozenset[str] | None:
        """The names of all nodes that the flow had when a run ended; None where that is not known."""
        known = next((row for row in self._loaded(run.nodes)[:1] if len(row) == 1), None)
        body = b"" if known is None else self._body(bytes.fromhex(known[0]))
        return frozenset(json.loads(body)) if body else None

    def last(self, flow: str, node: str) -> tuple[RunRecord, NodeRecord] | None:
        """The newest run in which a node took part, and how it ended there; without what was accepted."""
        for run in reversed(self.runs(flow)):
            found = self.nodes(run).get(node)
            if found is not None and run.state != "accepted":
                return run, found
        return None

    def maker(self, made_ns: int, task: str) -> RunRecord | None:
        """The run, of any flow, in which a task of that name was called at that time; None when not known."""
        for (flow,) in self._query("SELECT DISTINCT flow FROM run WHERE started <= ?", (made_ns,)):
            for run in self.runs(flow):
                if run.started_ns <= made_ns <= run.started_ns + (run.seconds + 1) * 1e9 and any(
                    node.task == task and node.ran for node in self.nodes(run).values()
                ):
                    return run
        return None

    def id_of(self, flow: str, started_ns: int) -> int | None:
        """The number of a run; None where it could not be written."""
        rows = self._query("SELECT id FROM run WHERE flow = ? AND started = ?", (flow, started_ns))
        return rows[0][0] if rows else None

    def accept(self, prefix: bytes, acceptance: Acceptance) -> None:
        """Notes that results of earlier code stand for those whose keys begin so."""
        self._queue(_NOTE, ("accepted", prefix, *acceptance))

    def accepted(self, prefix: bytes) -> Acceptance | None:
        rows = self._query("SELECT at, count, note FROM noted WHERE kind = 'accepted' AND name = ?", (prefix,))
        return Acceptance(*rows[0]) if rows and _are(rows[0], int, int, str) else None

    def clear(self, tasks: Iterable[str] | None) -> None:
        """Notes that results of tasks were taken out; None: of all."""
        for task in [""] if tasks is None else tasks:
            self._queue(_NOTE, ("cleared", task.encode(), time.time_ns(), 0, ""))

    def cleared_ns(self, task: str) -> int:
        """When results of a task were last taken out; 0 for never."""
        query = "SELECT at FROM noted WHERE kind = 'cleared' AND name IN (?, ?)"
        return max((at for (at,) in self._query(query, (b"", task.encode())) if _are((at,), int)), default=0)

    def trim(self, flow: str, most: int = MOST_RUNS, slack: int = SLACK) -> None:
        """Lets the oldest runs of a flow go, once there are more than `most` and `slack`."""
        count = self._query("SELECT count(*) FROM run WHERE flow = ?", (flow,))
        if not count or count[0][0] <= most + slack:
            return
        oldest = "SELECT started FROM run WHERE flow = ? ORDER BY id DESC LIMIT 1 OFFSET ?"
        ((before,),) = self._query(oldest, (flow, most - 1))
        for table in ("run", "run_more"):
            self._queue(f"DELETE FROM {table} WHERE flow = ? AND started < ?", (flow, before))  # noqa: S608 (from the line above)
        used = self._used()
        for (digest,) in self._query("SELECT digest FROM chunk", ()):
            if digest not in used:
                self._queue("DELETE FROM chunk WHERE digest = ?", (digest,))

    def _used(self) -> set[bytes]:
        bodies = {row[0] for row in self._query("SELECT DISTINCT nodes FROM run_more", ())}
        rows = [row for body in bodies for row in self._loaded(body)]
        return bodies | {bytes.fromhex(text)[1:] for row in rows for text in _places(row)}

    def _packed(self, node: NodeRecord) -> list[Any]:
        keys, ends = self._list(node.keys), self._list(node.outs + node.states)
        named = self._list(node.named)
        return [*node[:9], node.code.hex(), keys.hex(), ends.hex(), node.why, node.error, named.hex()]

    def _unpacked(self, row: Sequence[Any]) -> NodeRecord:
        *head, code, keys, ends, why, error = row[:_NAMED]
        both = self._body(bytes.fromhex(ends))
        at = len(both) // (ID_BYTES + 1) * ID_BYTES
        keys = self._body(bytes.fromhex(keys))
        named = self._body(bytes.fromhex(row[_NAMED])) if len(row) > _NAMED else b""
        return NodeRecord._make((*head, bytes.fromhex(code), keys, both[:at], both[at:], why, error, named))

    def _list(self, ids: bytes) -> bytes:
        """One id as it is; of more the place where they lie, which is marked by its first byte."""
        return b"\0" + ids if len(ids) <= ID_BYTES + 1 else b"\1" + self._chunk(ids)

    def _body(self, place: bytes) -> bytes:
        if place[:1] == b"\0":
            return place[1:]
        return self._read(place[1:])

    def _read(self, digest: bytes) -> bytes:
        """A list as it was written; empty where it is gone or damaged."""
        rows = self._query("SELECT body FROM chunk WHERE digest = ?", (digest,)) if digest else []
        body = rows[0][0] if rows else b""
        return body if isinstance(body, bytes) and xxh3_128_digest(body) == digest else b""

    def _chunk(self, body: bytes) -> bytes:
        digest = xxh3_128_digest(body)
        self._queue("INSERT OR IGNORE INTO chunk VALUES (?, ?)", (digest, body))
        return digest

    def _loaded(self, digest: bytes) -> list[list[Any]]:
        rows: list[list[Any]] = json.loads(self._read(digest) or b"[]")
        return rows


def _places(row: Sequence[Any]) -> Sequence[str]:
    """Where the lists of a row lie: of a node its keys, ends and names, or the one of the flow's members."""
    return [*row[10:12], *row[_NAMED:]] if len(row) > 1 else row


def _run(row: tuple[Any, ...]) -> RunRecord | None:
    """A run from its rows; None where they are damaged. Of old runs only the counts are known."""
    if not _are(row[:7], int, str, int, float, int, int, int):
        return None
    state, parameters, whole, nodes = row[7:]
    if _are(row[7:], str, str, int, bytes):
        try:
            return RunRecord._make((*row[:7], state, json.loads(parameters), bool(whole), nodes))
        except ValueError:
            # A flipped bit; the counts are good all the same.
            pass
    return RunRecord._make((*row[:7], "", {}, False, b""))


def _are(values: Sequence[Any], *kinds: type) -> bool:
    """Whether values are of these types: in a damaged database they may be any."""
    return len(values) == len(kinds) and all(isinstance(v, kind) for v, kind in zip(values, kinds, strict=True))


# Where the names of elements stand in a node's row; those of older versions end before.
_NAMED = 14
_NOTE = "INSERT OR REPLACE INTO noted VALUES (?, ?, ?, ?, ?)"
_RUNS = (
    "SELECT run.id, run.flow, run.started, seconds, ran, reused, failed, state, parameters, whole, nodes "
    "FROM run LEFT JOIN run_more ON run_more.flow = run.flow AND run_more.started = run.started "
    "WHERE run.flow = ? ORDER BY run.id"
)
