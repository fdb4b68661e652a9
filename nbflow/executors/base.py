"""The contract between the engine and whatever calls functions."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

from nbflow.codecs import unseal
from nbflow.lean import dataclass, field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from nbflow.codecs import Sealed
    from nbflow.probe.capture import Live
    from nbflow.probe.files import Observed
    from nbflow.probe.pieces import Log

# A batch should take about this long: short enough to keep what is finished, long enough to pay its way.
BATCH_S = 0.05


class Stopped(BaseException):
    """Raised in the thread of a call whose run has ended."""


@dataclass(slots=True)
class Outcome:
    """What came back for one element of a batch.

    position: its place in the batch. out: value id, where asked for. sealed: the encoded value, where it is
    to be stored; unstored tells why it is not. observed: files, network, where anything was seen. log: what it put out.
    apart: whether the value came from another process, and is in `sealed` alone as long as nobody opens it.
    """

    position: int
    value: Any = None
    error: BaseException | None = None
    seconds: float = 0.0
    out: bytes | None = None
    members: tuple[bytes, ...] | None = None
    sealed: Sealed | None = None
    unstored: str | None = None
    observed: Observed | None = None
    count: int = 1
    step: bool = False
    nodes: bool = False
    previous: Any = None
    last: bool = False
    note: str = ""
    log: Log = ()
    apart: bool = False

    def open(self) -> Any:
        """The value; one that came from another process is decoded now."""
        if self.apart:
            assert self.sealed is not None
            # In memory of its own, which may be written: what was sealed is stored as it is.
            self.value, self.apart = unseal(self.sealed.codec, bytearray().join(self.sealed.parts)), False
        return self.value


@dataclass(frozen=True, slots=True)
class LoopRule:
    """When loops end. most: iterations before one is taken for a runaway. times, go_on: ends decided from outside."""

    most: int = 1000
    times: int | None = None
    go_on: Callable[[Any], Any] | None = None

    @property
    def bounded(self) -> bool:
        return self.times is not None or self.go_on is not None

    def over(self, count: int, result: Any) -> bool:
        """Whether a loop that is bounded from outside ends with this iteration."""
        if self.times is not None and count >= self.times:
            return True
        return self.go_on is not None and not self.go_on(result)


@dataclass(slots=True, eq=False)
class Batch:
    """A slice of elements handed to an executor.

    columns: one sequence an argument, each as long as the batch; names: one an argument, None for positional
    ones. identify: gives the id of a value, None where nobody asks. keep: whether values are encoded.
    late: told when a batch ends that nobody waits for any more. starts: where loops go on, by position: the number
    of the iteration and the result before it. fresh: whether each iteration of a loop gets copies of its arguments.
    timeout_s: seconds after which a call fails.
    extra: whether it is bounded elsewhere, and is not counted among its executor's slots.
    outputs: paths that each call is to write. exclusive: whether nothing else may run beside it.
    report: called after each iteration, on the thread that runs it. live: shows at once what the elements put out.
    before: called with the position of each element before it is. shared: the columns whose elements are one and the
    same value, in each batch of the node. away: whether it is called in another process, on values of its own; changed:
    the columns whose shared values a call changed in place there; touched: those of which an element changed its own
    value, which nobody else has. workers: who called it, with the most memory that each had in use, in bytes.
    alone: whether no other call may be at work in the process that does it.
    reached: the names of globals that a call may change, with the digests of what they meant, but for those that are
    ignored; drifted: one that a call changed in another process. packages: the versions of those that its
    key counts.
    resources: what of a cluster each call needs, by name. target_s: how long a batch of the same node should take
    where this one is called.
    """

    label: str
    fn: Callable[..., Any]
    columns: tuple[Sequence[Any], ...]
    keywords: tuple[str | None, ...]
    count: int
    identify: Callable[[Any], tuple[bytes, tuple[bytes, ...] | None]] | None = None
    keep: bool = False
    expected_files: Sequence[Sequence[str]] | None = None
    outputs: Sequence[Sequence[str]] | None = None
    seeds: Sequence[int] | None = None
    loop: LoopRule = LoopRule()
    starts: dict[int, tuple[int, Any]] | None = None
    fresh: bool = False
    timeout_s: float | None = None
    exclusive: bool = False
    extra: bool = False
    tag: Any = None
    outcomes: list[Outcome] = field(default_factory=list)
    cancelled: bool = False
    moved_random: bool = False
    late: Callable[[Batch], None] | None = None
    report: Callable[[Batch], None] | None = None
    live: Live | None = None
    before: Callable[[int], None] | None = None
    shared: frozenset[int] = frozenset()
    away: bool = False
    alone: bool = False
    changed: set[int] = field(default_factory=set)
    touched: set[int] = field(default_factory=set)
    reached: Mapping[str, bytes] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    packages: Mapping[str, str] = field(default_factory=dict)
    drifted: str | None = None
    workers: dict[str, int] = field(default_factory=dict)
    resources: Mapping[str, float] = field(default_factory=dict)
    target_s: float = BATCH_S
    begun: list[float] = field(default_factory=list)
    """When it began, by the monotonic clock; empty as long as it waits."""
    _ended: bool = False
    _taken: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self) -> list[Outcome]:
        """The outcomes that nobody took before; each is given out once, whoever asks."""
        with self._lock:
            fresh = self.outcomes[self._taken :]
            self._taken += len(fresh)
        return fresh

    def begin(self) -> bool:
        """Whether the caller may begin with it: the first one may, be it to run it or to call it off."""
        with self._lock:
            first = not self.begun
            self.begun.append(time.monotonic())
        return first

    def end(self) -> None:
        """It has ended, or goes on no more: who keeps what comes late is told."""
        with self._lock:
            self._ended = True
        if self.late is not None:
            self.late(self)

    def leave(self, late: Callable[[Batch], None]) -> bool:
        """Nobody waits for it any more: `late` is told when it ends. False where it has ended already."""
        with self._lock:
            if not self._ended:
                self.late = late
            return not self._ended


class Executor(Protocol):
    """Calls functions. One element's error never fails its batch; what has ended goes into the run's inbox.

    slots: how many batches it works on at once.
    """

    @property
    def slots(self) -> int: ...

    def submit(self, batch: Batch) -> None:
        """Takes a batch; returns at once, or after it ran."""

    def cancel(self, batches: Iterable[Batch], *, kill: bool = False) -> None:
        """Ends batches at the next element."""

    def close(self) -> None:
        """Gives back what it holds."""
