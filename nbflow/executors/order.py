"""What travels to a worker, and what comes back: plain data, whatever carries it."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nbflow.codecs import Sealed
from nbflow.executors.base import Outcome

if TYPE_CHECKING:
    from nbflow.executors.failures import Failure


@dataclass(frozen=True, slots=True)
class Packed:
    """A value as a pickle with its large buffers apart; each opening gives another object."""

    body: bytes
    buffers: tuple[Any, ...] = ()

    def open(self, *, shared: bool = False) -> Any:
        """The value. shared: nobody else opens it, so that its arrays may use the memory that came with it."""
        if not self.buffers:
            return pickle.loads(self.body)
        return pickle.loads(self.body, buffers=self.buffers if shared else [bytearray(b) for b in self.buffers])

    @property
    def size_bytes(self) -> int:
        return len(self.body) + sum(memoryview(buffer).nbytes for buffer in self.buffers)


@dataclass(frozen=True, slots=True)
class Unit:
    """Stands for a value that a worker gets once, and keeps: a function, or an argument that elements share."""

    token: int


@dataclass(frozen=True, slots=True)
class Module:
    """A module of the user's as the kernel imported it."""

    source: bytes
    file: str
    is_package: bool


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a worker has around it, as the kernel has it. modules: the user's own, by name."""

    folder: str
    path: tuple[str, ...]
    environment: dict[str, str]
    modules: dict[str, Module]
    left_out: frozenset[str]
    log_level: int


@dataclass(slots=True)
class Order:
    """A batch for a worker. code: (function, whether a loop goes on); columns: a Unit, or what each element gets.

    names: what the worker's `__main__` has to have under a name before anything is opened. units: what it lacks so far;
    forget: what it does not need any more. places: of the elements in their batch.
    """

    label: str
    code: Unit
    columns: list[Unit | list[Any]]
    keywords: tuple[str | None, ...]
    places: list[int]
    keep: bool
    expected_files: list[Any] | None
    outputs: list[Any] | None
    seeds: list[int] | None
    most: int
    times: int | None
    starts: dict[int, tuple[int, Packed]] | None
    timeout_s: float | None
    names: dict[str, Unit] = field(default_factory=dict)
    units: dict[Unit, Packed] = field(default_factory=dict)
    forget: tuple[Unit, ...] = ()
    surroundings: Surroundings | None = None


@dataclass(slots=True)
class Answer:
    """An outcome on its way back: its value is sealed, its error plain data. refused: why the value cannot travel."""

    outcome: Outcome
    failure: Failure | None = None
    previous: Any = None
    refused: str | None = None

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Most are a small value and nothing else: those travel as few plain things, in a fifth of the time."""
        outcome, sealed = self.outcome, self.outcome.sealed
        if sealed is not None and outcome.apart and len(sealed.parts) == 1 and type(sealed.parts[0]) is bytes:
            plain = (outcome.position, outcome.seconds, outcome.out, sealed.codec, sealed.parts[0])
            if self == _plain(*plain):
                return _plain, plain
        return object.__reduce_ex__(self, protocol)


def _plain(position: int, seconds: float, out: bytes | None, codec: str, part: bytes) -> Answer:
    sealed = Sealed(codec, (part,), len(part))
    return Answer(Outcome(position, None, None, seconds, out, None, sealed, apart=True))


@dataclass(slots=True)
class Done:
    """The end of an order. answers: those not sent before; changed: columns whose shared values a call changed."""

    answers: list[Answer]
    moved_random: bool
    changed: tuple[int, ...]
    peak_bytes: int
    worker: str


@dataclass(frozen=True, slots=True)
class Refused:
    """An order that could not be carried out. opened: whether all that was sent could be opened."""

    failure: Failure
    opened: bool
