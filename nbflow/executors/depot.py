"""What travels to a Dask cluster once, and is kept there for all orders of a run."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
import uuid
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any

from nbflow.executors.freight import Around, Freight
from nbflow.lean import replace

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbflow.executors.base import Batch
    from nbflow.executors.cluster import DaskExecutor
    from nbflow.executors.order import Order, Surroundings, Unit

# What is larger travels once, by itself; smaller things go along each time.
_APART_BYTES = 64 * 1024
# An order's own body, which one worker gets. Dask keeps the last thousand messages of less than a megabyte.
_LARGE_BODY_BYTES = 256 * 1024
_MOST_KEPT = 64
# How often data is sent anew that a worker died of getting.
_MOST_TRIES = 10
# How often who waits for the cluster looks whether it still has to.
_LOOK_S = 0.1
# How long a cluster may take to get something, beside what the slowest network needs.
_PATIENCE_S = 30.0
_SLOWEST_BYTES_S = 5e6


def on_loop(client: Any, awaitable: Any) -> concurrent.futures.Future[Any]:
    """Has a client do something while this thread goes on."""
    return asyncio.run_coroutine_threadsafe(awaitable, client.loop.asyncio_loop)


class CalledOff(Exception):
    """The batch that something was sent for has been cancelled meanwhile."""


class Undeliverable(Exception):
    """Workers that got it, or were about to, were gone each time. times: how often; size_bytes: how much it was."""

    def __init__(self, times: int, size_bytes: int) -> None:
        super().__init__(times, size_bytes)
        self.times = times
        self.size_bytes = size_bytes


class Depot:
    """The large data of a run on its cluster.

    surroundings: gives those of the run as they are now. meanwhile: called while it waits for workers.
    """

    def __init__(
        self,
        cluster: DaskExecutor,
        client: Any,
        surroundings: Callable[[], Surroundings],
        meanwhile: Callable[[], None],
    ) -> None:
        self._surroundings = surroundings
        self._cluster = cluster
        self._client = client
        self._meanwhile = meanwhile
        self._kept: OrderedDict[Unit | None, Any] = OrderedDict()
        self._undeliverable: dict[Unit | None, tuple[int, int]] = {}
        self._run = uuid.uuid4().hex
        self._around: tuple[Surroundings, Around, Freight] | None = None
        self._knock: Any = None

    def units(self, order: Order, batch: Batch) -> dict[Unit, Any]:
        """The large units of an order, which every worker gets once; the small ones stay in it.

        Raises CalledOff and Undeliverable, as all that sends something does.
        """
        large = {unit: each for unit, each in order.units.items() if each.size_bytes > _APART_BYTES}
        found = {}
        for unit, each in large.items():
            del order.units[unit]
            found[unit] = self._keep(unit, Freight.of(each), batch)
        while len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)
        return found

    def surroundings(self, batch: Batch) -> tuple[Around, Any]:
        """The name of what the kernel has around its functions, and that itself."""
        around = self._surroundings()
        if self._around is None or self._around[0] != around:
            self._around = (around, Around(_name(around), self._run), Freight.of(around))
            self._kept.pop(None, None)
            self._undeliverable.pop(None, None)
        _, name, freight = self._around
        return name, freight if freight.size_bytes <= _APART_BYTES else self._keep(None, freight, batch)

    def body(self, order: Order, batch: Batch) -> Any:
        """An order as it is sent: the scheduler does not want to pass on much."""
        freight = Freight.of(order)
        return freight if freight.size_bytes <= _LARGE_BODY_BYTES else self._placed(freight, batch)

    def clear(self) -> None:
        """Forgets what is there: some of it was lost."""
        self._kept.clear()
        self._knock = None

    def _keep(self, unit: Unit | None, freight: Freight, batch: Batch) -> Any:
        if unit in self._undeliverable:
            raise Undeliverable(*self._undeliverable[unit])
        if unit not in self._kept:
            try:
                self._kept[unit] = self._placed(freight, batch)
            except Undeliverable as error:
                self._undeliverable[unit] = (error.times, error.size_bytes)
                raise
        return self._kept[unit]

    def _placed(self, freight: Freight, batch: Batch) -> Any:
        """Data on the cluster; a worker that dies while it gets it is no reason to give up, nor that there is none."""
        tries = 0
        while True:
            self._cluster.look()
            if workers := self._cluster.workers:
                try:
                    return self._sent(freight, workers, batch)
                # The scheduler does not find its own worker any more.
                except (OSError, KeyError):
                    tries += 1
                    if self._client.status != "running":
                        raise
                    if tries == _MOST_TRIES:
                        raise Undeliverable(tries, freight.size_bytes) from None
            elif batch.cancelled:
                raise CalledOff
            elif self._knock is None:
                # A cluster that grows on demand starts workers for tasks, and for nothing else.
                self._knock = self._client.submit(bool, pure=False, resources=batch.resources or None)
            time.sleep(_LOOK_S)
            self._meanwhile()

    def _sent(self, freight: Freight, workers: frozenset[str], batch: Batch) -> Any:
        until = time.monotonic() + _PATIENCE_S + freight.size_bytes / _SLOWEST_BYTES_S
        # To workers that are known, so that it is seen when they go. One gets it, and the others from there: Dask's own
        # way to send to all waits half a minute for any that has gone, with all who send.
        sending = self._client.scatter(freight, workers=list(workers), hash=False, asynchronous=True)
        sent = on_loop(self._client, sending)
        while not concurrent.futures.wait([sent], _LOOK_S).done:
            if batch.cancelled:
                sent.cancel()
                raise CalledOff
            self._meanwhile()
            if workers - self._cluster.workers or time.monotonic() > until:
                # To a worker that has gone Dask may try to send for half a minute, or for ever.
                sent.cancel()
                raise ConnectionError("no worker took what it was sent")
        return sent.result()


def _name(around: Surroundings) -> str:
    """A name that tells the surroundings from all others of this process: equal ones have the same.

    Which stores this process has open does not matter on a cluster, where there are none.
    """
    around = replace(around, left_out=frozenset())
    with _NAMING:
        name = next((name for each, name in _NAMED if each == around), None)
        if name is None:
            _NAMED.append((around, name := uuid.uuid4().hex))
    return name


_NAMED: deque[tuple[Surroundings, str]] = deque(maxlen=8)
_NAMING = threading.Lock()
