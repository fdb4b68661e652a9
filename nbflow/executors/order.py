"""What travels to a worker, and what comes back: plain data, whatever carries it."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

from nbflow.lean import dataclass, field

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nbflow.executors.base import Outcome
    from nbflow.executors.failures import Failure
    from nbflow.executors.settings import Settings

# In place of an element: a worker that waits, or has done all; one that opens what it was sent.
IDLE, OPENING = -1, -2
# Of how many workers an element may be the death before it fails.
MOST_DEATHS = 3


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
class PackedCode(Packed):
    """Code by content. classes: (name, cloudpickle's id) of those in it that the kernel finds in `__main__` by name."""

    classes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Held:
    """What the user's modules hold in the kernel, by module: opened where a worker has imported that."""

    modules: dict[str, Packed]

    @property
    def size_bytes(self) -> int:
        return sum(packed.size_bytes for packed in self.modules.values())


@dataclass(frozen=True, slots=True)
class Patched:
    """What a run finds put into installed modules, by module. run: in whose namespace that lives."""

    run: str
    modules: dict[str, Packed]


@dataclass(frozen=True, slots=True)
class Unit:
    """Stands for a value that a worker gets once, and keeps: a function, or an argument that elements share."""

    token: int


@dataclass(frozen=True, slots=True)
class Module:
    """A module of the user's as the kernel imported it.

    outdated: its source is no longer what the kernel runs. optimize: what the kernel leaves out of it, as by -O.
    """

    source: bytes
    file: str
    is_package: bool
    outdated: bool
    optimize: int


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a worker has around it, as the kernel has it. modules: the user's own, by name."""

    folder: str
    path: tuple[str, ...]
    environment: dict[str, str]
    modules: dict[str, Module]
    left_out: frozenset[str]
    log_level: int
    has_shell: bool
    settings: Settings
    patched: Patched | None


@dataclass(slots=True)
class Order:
    """A batch for a worker. code: (function, whether a loop goes on); columns: a Unit, or what each element gets.

    run: in whose namespace all of it lives. names: what the worker's `__main__` has to have under a name before
    anything is opened. held: what the user's modules hold. units: all of that; what the worker lacks of it when it is
    sent. forget: what it does not need any more. places: of the elements in their batch. reached, ignored, packages: as
    a Batch has them.
    """

    label: str
    run: str
    code: Unit
    held: Unit
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
    units: dict[Unit, Packed | Held] = field(default_factory=dict)
    forget: tuple[Unit, ...] = ()
    surroundings: Surroundings | None = None
    reached: Mapping[str, bytes] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    packages: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Answer:
    """An outcome on its way back: its value is sealed, its error plain data.

    nodes: a result that consists of nodes. refused: why the value cannot travel.
    """

    outcome: Outcome
    failure: Failure | None = None
    previous: Packed | None = None
    nodes: bytes | None = None
    refused: str | None = None


# What most elements send back, and what costs a fraction of an Answer: place among the elements of the order, seconds,
# id, ids of members, (codec, bytes) of the sealed value, and in its place a small value that is not to be stored.
Brief = tuple[int, float, bytes | None, tuple[bytes, ...] | None, tuple[str, Any] | None, Any]


def brief_of(outcome: Outcome) -> Brief | None:
    """An outcome with nothing to tell but its value; None for any other."""
    if (
        outcome.error is not None
        or outcome.observed is not None
        or outcome.log
        or outcome.count != 1
        or outcome.step
        or outcome.last
        or outcome.nodes
        or outcome.note
        or outcome.unstored is not None
    ):
        return None
    sealed = outcome.sealed
    if sealed is None:
        return (outcome.position, outcome.seconds, None, None, None, outcome.value) if is_plain(outcome.value) else None
    if len(sealed.parts) > 1 or sealed.content is not None:
        return None
    return outcome.position, outcome.seconds, outcome.out, outcome.members, (sealed.codec, sealed.parts[0]), None


def is_plain(value: Any) -> bool:
    """Whether a value is its own pickle, as good as, told by its type alone."""
    return type(value) in PLAIN


PLAIN = frozenset({int, str, float, bool, bytes, type(None), complex})


@dataclass(slots=True)
class Done:
    """The end of an order. answers: those not sent before; changed: columns whose shared values a call changed.

    touched: columns of which the first call changed its own value. drifted: a global that a call changed.
    """

    answers: list[Answer | Brief]
    moved_random: bool
    changed: tuple[int, ...]
    touched: tuple[int, ...]
    peak_bytes: int
    worker: str
    drifted: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """An order that could not be carried out. opened: whether all that was sent could be opened."""

    failure: Failure
    opened: bool


@dataclass(frozen=True, slots=True)
class Unlike:
    """An order that would give something else here. packages: those that differ, with their versions here."""

    packages: dict[str, str | None]
    worker: str
