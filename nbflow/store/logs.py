"""What tasks put out, as it lies in the database: bound to the result that it was made with."""

from __future__ import annotations

import json
import zlib
from base64 import b64encode
from typing import TYPE_CHECKING, Any

from xxhash import xxh3_128_digest

from nbflow.probe.pieces import Log, Piece
from nbflow.probe.secrets import redact_long

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from nbflow.store.rows import Row

    Read = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]

DIGEST_BYTES = 16
AT_ONCE = 900
PUT_LOG = (
    "INSERT OR REPLACE INTO log SELECT ?, ?, ? "
    "WHERE EXISTS (SELECT 1 FROM entry WHERE key = ? AND trace = ? AND made = ?)"
)
# What is no blob any more is damaged, and must not keep others from being read.
GET_LOGS = "SELECT key, trace, CAST(text AS BLOB) FROM log WHERE key IN ({})"
DROP_LOG = "DELETE FROM log WHERE key = ? AND trace = ?"
SWEEP_LOGS = (
    "DELETE FROM log WHERE NOT EXISTS (SELECT 1 FROM entry WHERE entry.key = log.key AND entry.trace = log.trace)"
)
# Those that show nothing without the kernel that made them.
_OF_ONE_KERNEL = frozenset({"application/vnd.jupyter.widget-view+json"})


def packed(row: Row, log: Log) -> bytes:
    """A log as it is stored, without secrets: a digest over it and what it belongs to, and behind it JSON."""
    body = zlib.compress(json.dumps([_plain(piece) for piece in log]).encode(), 1)
    return _digest(row, body) + body


def unpacked(row: Row, content: object) -> Log | None:
    """The log of a row; None where it is damaged, or belongs to an earlier result."""
    if not isinstance(content, bytes) or content[:DIGEST_BYTES] != _digest(row, content[DIGEST_BYTES:]):
        return None
    return tuple(Piece._make(each) for each in json.loads(zlib.decompress(content[DIGEST_BYTES:])))


def find_logs(read: Read, rows: Iterable[Row]) -> dict[tuple[bytes, bytes], Log]:
    """The logs of rows, by key and trace."""
    if not read("SELECT 1 FROM log LIMIT 1", ()):
        return {}
    by_place = {(row.key, row.trace): row for row in rows}
    keys = list(dict.fromkeys(key for key, _ in by_place))
    found: dict[tuple[bytes, bytes], Log] = {}
    for start in range(0, len(keys), AT_ONCE):
        some = keys[start : start + AT_ONCE]
        for key, trace, content in read(GET_LOGS.format(",".join("?" * len(some))), some):
            row = by_place.get((key, trace))
            log = None if row is None else unpacked(row, content)
            if log is not None:
                found[key, trace] = log
    return found


def _digest(row: Row, body: bytes) -> bytes:
    # When the result was made tells it from another one of the same key.
    return xxh3_128_digest(row.key + row.trace + row.made_ns.to_bytes(8, "little") + body)


def _plain(piece: Piece) -> list[Any]:
    data = None if piece.data is None else dict(_lasting(piece.data))
    metadata = None if piece.metadata is None else json.loads(json.dumps(piece.metadata, default=repr))
    return [piece.kind, redact_long(piece.text), piece.detail, piece.where, data, metadata]


def _lasting(data: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """What of a display can be stored: texts, pictures, and plain data."""
    for mime, content in data.items():
        if mime in _OF_ONE_KERNEL:
            continue
        if isinstance(content, bytes):
            yield mime, b64encode(content).decode()
        elif isinstance(content, str):
            yield mime, redact_long(content) if mime.startswith("text/") else content
        else:
            yield mime, json.loads(json.dumps(content, default=repr))
