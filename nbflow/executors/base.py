"""The contract between the engine and whatever calls functions."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from nbflow.codecs import Sealed
    from nbflow.probe.files import Observed


@dataclass(slots=True)
class Outcome:
    """What came back for one element of a batch.

    position: its place in the batch. out: value id, where asked for. sealed: the encoded value, where it is
    to be stored; unstored tells why it is not. observed: files, network, where anything was seen.
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


@dataclass(slots=True, eq=False)
class Batch:
    """A slice of elements handed to an executor.

    columns: one sequence an argument, each as long as the batch; names: one an argument, None for positional
    ones. identify: gives the id of a value, None where nobody asks. keep: whether values are encoded.
    late: told when a batch ends that nobody waits for any more.
    """

    label: str
    fn: Callable[..., Any]
    columns: tuple[Sequence[Any], ...]
    keywords: tuple[str | None, ...]
    count: int
    identify: Callable[[Any], tuple[bytes, tuple[bytes, ...] | None]] | None = None
    keep: bool = False
    expected_files: Sequence[Sequence[str]] | None = None
    seeds: Sequence[int] | None = None
    tag: Any = None
    outcomes: list[Outcome] = field(default_factory=list)
    cancelled: bool = False
    moved_random: bool = False
    late: Callable[[Batch], None] | None = None
    _taken: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self) -> list[Outcome]:
        """The outcomes that nobody took before; each is given out once, whoever asks."""
        with self._lock:
            fresh = self.outcomes[self._taken :]
            self._taken += len(fresh)
        return fresh


class Executor(Protocol):
    """Calls functions. One element's error never fails its batch."""

    slots: int

    def submit(self, batch: Batch) -> None:
        """Takes a batch; returns at once, or after it ran."""

    def outcomes(self, wait_s: float) -> Iterable[Batch]:
        """The batches finished since the last call; waits at most wait_s for the first."""

    def cancel(self, batches: Iterable[Batch], *, kill: bool = False) -> None:
        """Ends batches at the next element."""

    def close(self) -> None:
        """Gives back what it holds."""
