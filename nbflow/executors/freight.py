"""What is carried between a kernel and the workers of a Dask cluster."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any, NamedTuple

from nbflow.executors import wire
from nbflow.lean import dataclass

if TYPE_CHECKING:
    from nbflow.executors.order import Answer, Brief, Done, Refused, Unit, Unlike


class Freight:
    """A message for Dask to carry: its large buffers travel beside it, and are copied by nobody on the way."""

    __slots__ = ("body", "buffers")

    def __init__(self, body: Any, buffers: tuple[Any, ...]) -> None:
        self.body = body
        self.buffers = buffers

    @staticmethod
    def of(message: Any) -> Freight:
        buffers: list[memoryview[int]] = []
        return Freight(wire.packed(message, buffers), tuple(buffers))

    def open(self) -> Any:
        """The message. Its buffers are those that Dask holds."""
        return pickle.loads(self.body, buffers=self.buffers)

    @property
    def size_bytes(self) -> int:
        return memoryview(self.body).nbytes + sum(memoryview(buffer).nbytes for buffer in self.buffers)

    def __sizeof__(self) -> int:
        # Dask asks for it to tell how full a worker is.
        return self.size_bytes

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        # What schedulers ask of workers in person travels in the older one.
        carried: Any = _carried if protocol >= 5 else bytes
        return Freight, (carried(self.body), tuple(map(carried, self.buffers)))


def _carried(part: Any) -> pickle.PickleBuffer:
    return wire.buffer_of(part) if isinstance(part, memoryview) else pickle.PickleBuffer(part)


class Around(NamedTuple):
    """Names the surroundings of a run in a kernel. content: the same name for equal ones of other runs."""

    content: str
    run: str


@dataclass(frozen=True, slots=True)
class Waybill:
    """What goes along with an order. around: names the kernel's surroundings; units: those that travel by themselves.

    watched: whether the scheduler is told of each element before it is called, so that it is known which one a worker
    died of. alone: whether no other call may be at work in the same process, whose random numbers or figures it uses.
    own: whether nbflow started the worker.
    """

    session: str
    key: str
    machine: str
    around: Around
    units: tuple[Unit, ...]
    watched: bool
    alone: bool
    own: bool


@dataclass(slots=True)
class Report:
    """What came of an order. answers: what was finished; end: how it ended, None where it was stopped."""

    answers: list[Answer | Brief]
    end: Done | Refused | Unlike | None
