"""What goes into the store and comes out of it."""

from __future__ import annotations

import marshal
from typing import TYPE_CHECKING, Any, NamedTuple

from xxhash import xxh3_64_digest

from nbflow.lean import dataclass

if TYPE_CHECKING:
    from nbflow.codecs import Sealed
    from nbflow.probe.pieces import Log

# What a result is: a value; nodes that give it; one iteration of a loop; one that gave nodes; a skip.
VALUE, EXPRESSION, LOOP_STEP, LOOP_EXPRESSION, SKIP = 0, 1, 2, 3, 4
# The form of a value that was let go: the row tells its id all the same.
GONE = "gone"


@dataclass(frozen=True, slots=True)
class Entry:
    """A result to be stored.

    key: 16 bytes; trace: 16, or none when no file was read. out: the value's id; members: the ids of a list's
    members one after the other. kind: VALUE, EXPRESSION … session: the only one that may use it. log: what its making
    put out.
    """

    key: bytes
    trace: bytes
    out: bytes
    members: bytes
    kind: int
    sealed: Sealed
    seconds: float
    made_ns: int
    expires_ns: int | None
    session: str | None
    task: str
    log: Log = ()


class Row(NamedTuple):
    """What a look-up gives: everything but the value."""

    key: bytes
    trace: bytes
    out: bytes
    members: bytes
    kind: int
    codec: str
    digest: bytes
    size_bytes: int
    blob: str | None
    seconds: float
    made_ns: int
    expires_ns: int | None
    session: str | None
    task: str


def row_digest(row: tuple[Any, ...]) -> bytes:
    """8 bytes over all columns of a row but its payload: a flipped kind or expiry would serve something wrong.

    >>> row_digest((b"k", 1)) == row_digest((b"k", 2))
    False
    """
    # Version 2 of marshal writes equal values as equal bytes; later ones tell shared objects from equal ones.
    return xxh3_64_digest(marshal.dumps(row, 2))


@dataclass(frozen=True, slots=True)
class Last:
    """What a node was made of when it last ran. keys: of its elements, 16 bytes each."""

    digest: bytes
    code: bytes
    arguments: tuple[tuple[str, str, bytes, str], ...]
    keys: bytes
    seconds: float
    count: int


class RunRow(NamedTuple):
    """One run of a flow. started_ns: Unix time; seconds: wall time."""

    id: int
    flow: str
    started_ns: int
    seconds: float
    ran: int
    reused: int
    failed: int
