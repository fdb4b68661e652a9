"""Executor on a Dask cluster: for what needs more than one machine."""

from __future__ import annotations

import contextvars
import queue
import threading
import time
import uuid
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from distributed.scheduler import KilledWorker

from nbflow.errors import NotSendable
from nbflow.executors import afar
from nbflow.executors.cluster import lost, uncallable
from nbflow.executors.depot import CalledOff, Depot, Undeliverable, on_loop
from nbflow.executors.errand import left_of
from nbflow.executors.flights import Clock, Desertion, Flight, Mission
from nbflow.executors.freight import Waybill
from nbflow.executors.order import IDLE, Done, Refused, Unlike
from nbflow.executors.parcel import Packer
from nbflow.executors.verdicts import death, loss, refusal, take_note
from nbflow.executors.waiting import too_long
from nbflow.probe.imported import IMPORTED

if TYPE_CHECKING:
    import concurrent.futures
    from collections.abc import Callable, Iterable, Sequence

    from nbflow.executors.base import Batch
    from nbflow.executors.cluster import DaskExecutor
    from nbflow.executors.freight import Freight
    from nbflow.executors.inbox import Inbox

# How often an order is sent anew while nothing comes of any: data that was lost, workers that died before they began.
_MOST_LOSSES = 30
# A batch should take about this long there: the scheduler spends a millisecond on each.
_BATCH_S = 0.5
# How often it looks which workers there are.
_LOOK_S = 1.0
# How long it waits for workers without a word.
_DESERTED_S = 10.0
_OWN_DESERTED_S = 60.0
# Of how many elements at most, where each has its time, the scheduler is told one by one: that takes a millisecond.
_MOST_TIMED = 50
# How long what was stopped may take to tell what it has finished.
_GRACE_S = 2.0
# Tells this process's orders from those of others who use the same workers.
_SESSION = f"nbflow-{uuid.uuid4().hex}"


class ClusterRun:
    """Runs the batches of one run on a Dask cluster. All that is decided is decided on one thread of its own."""

    def __init__(self, inbox: Inbox, cluster: DaskExecutor, tell: Callable[[str], None]) -> None:
        self._client = cluster.connect()
        self._inbox = inbox
        self._tell = tell
        self._cluster = cluster
        self._packer = Packer()
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._flights: dict[str, Flight] = {}
        self._open: set[Mission] = set()
        self._depot = Depot(cluster, self._client, self._packer.surroundings, self._look_now_and_then)
        self._clock = Clock(_GRACE_S)
        # Counts what happens only so often in a run: answers, and deaths of workers that are put down to something.
        self._gained = 0
        # Workers of this machine are on their way.
        self._desertion = Desertion(_OWN_DESERTED_S if cluster.is_own else _DESERTED_S)
        self._thread: threading.Thread | None = None
        self._machine = afar.machine()
        self._looked = time.monotonic()

    @property
    def slots(self) -> int:
        """How many calls the cluster can do at once, by now."""
        return self._cluster.slots

    def submit(self, batch: Batch) -> None:
        batch.away, batch.target_s = True, _BATCH_S
        IMPORTED.note()
        if self._thread is None:
            self._thread = threading.Thread(
                target=contextvars.copy_context().run, args=(self._work,), name="nbflow-dask", daemon=True
            )
            self._thread.start()
        self._jobs.put(partial(contextvars.copy_context().run, self._begin, batch))

    def cancel(self, batches: Iterable[Batch], *, kill: bool = False) -> None:
        for batch in batches:
            batch.cancelled = True
        self._jobs.put(self._stop)

    def close(self) -> None:
        self._jobs.put(None)

    def _work(self) -> None:
        closed = False
        try:
            while not closed or self._open:
                try:
                    job = self._jobs.get(timeout=_LOOK_S)
                except queue.Empty:
                    job = self._look
                closed = closed or job is None
                if job is not None:
                    job()
                self._look_now_and_then()
        # The cluster has gone, or a defect of ours: the run must end and not hang.
        except BaseException as error:  # noqa: BLE001 (handed to the thread that waits)
            self._inbox.put(lost(self._cluster, error) if isinstance(error, OSError) else error)
        finally:
            for mission in list(self._open):
                self._end(mission)
            self._depot.clear()

    def _begin(self, batch: Batch) -> None:
        mission = Mission(batch, left_of(batch))
        self._open.add(mission)
        if batch.begin():
            self._send(mission, list(mission.left))
        self._end_if_done(mission)

    def _send(self, mission: Mission, places: Sequence[int], *, suspect: bool = False, losses: int = 0) -> None:
        """Has some elements of a batch called. losses: how often in succession that was done for nothing."""
        batch = mission.batch
        if batch.cancelled:
            return
        try:
            order, refused = self._packer.order(batch, places)
        except NotSendable as error:
            mission.fail(places, error)
            return
        for place, why in refused.items():
            mission.fail([place], why)
        if not order.places:
            return
        # What takes long travels alone, and the scheduler may well be told of it.
        bounded = batch.timeout_s is not None and len(order.places) <= _MOST_TIMED
        watched = suspect or bounded or len(order.places) == 1
        key = f"{batch.label}-{uuid.uuid4().hex}"
        self._packer.supply(order, {})
        try:
            units = self._depot.units(order, batch)
            around, freight = self._depot.surroundings(batch)
            body = self._depot.body(order, batch)
        except CalledOff:
            return
        except Undeliverable as error:
            mission.fail(order.places, loss(batch, error.times, error.size_bytes))
            return
        waybill = Waybill(
            _SESSION, key, self._machine, around, tuple(units), watched, batch.alone, self._cluster.is_own
        )
        future = self._client.submit(
            afar.perform,
            waybill,
            body,
            freight,
            *units.values(),
            key=key,
            pure=False,
            retries=0,
            resources=batch.resources or None,
        )
        self._flights[key] = Flight(mission, order.places, future, watched, losses, self._gained)
        mission.flights += 1
        # By its key: what knew the flight would keep all of it for as long as Dask keeps the future. Dask's own
        # callbacks complain at length where Python ends while something is on its way.
        landing = on_loop(self._client, future._state.wait())
        landing.add_done_callback(lambda _: self._jobs.put(partial(self._landed, key)))

    def _landed(self, key: str) -> None:
        """An order has ended, in whatever way."""
        flight = self._flights.get(key)
        if flight is None:
            return
        match flight.future.status:
            case "finished":
                # Where its worker stands still this takes as long as that does.
                # If it is not to be had any more, None comes of it: what Dask raises for that it may raise to nobody.
                gathering = self._client.gather(
                    flight.future, errors="skip", direct=self._cluster.is_near, asynchronous=True
                )
                flight.report = on_loop(self._client, gathering)
                flight.report.add_done_callback(lambda report: self._jobs.put(partial(self._arrived, key, report)))
            case _:
                self._over(flight, partial(self._failed, flight))

    def _arrived(self, key: str, report: concurrent.futures.Future[Freight]) -> None:
        """What came of an order is here, or is not to be had."""
        flight = self._flights.get(key)
        if flight is None:
            return
        arrived = None if report.cancelled() else report.result()
        # Without it, its worker has gone since, with what it held; it was to be called again elsewhere.
        go_on = partial(self._failed, flight) if arrived is None else partial(self._take, flight, arrived)
        self._over(flight, go_on)

    def _over(self, flight: Flight, go_on: Callable[[], None]) -> None:
        del self._flights[flight.key]
        flight.mission.flights -= 1
        go_on()
        self._end_if_done(flight.mission)

    def _take(self, flight: Flight, freight: Freight) -> None:
        report = freight.open()
        mission, batch = flight.mission, flight.mission.batch
        answers = report.answers
        match report.end:
            case Done() as done:
                take_note(batch, done)
                answers = [*answers, *done.answers]
            case Refused() | Unlike() as refused:
                mission.fail(
                    flight.places,
                    refusal(batch, refused, "on a worker of the cluster", "install there what is missing, or "),
                )
        if answers:
            mission.opened = True
            self._gained += 1
        for answer in answers:
            mission.take(self._packer.outcome(batch, flight.places, answer))

    def _failed(self, flight: Flight) -> None:
        """Nothing came of an order: its worker died, or what was there of it is lost."""
        if flight.future.status != "error":
            self._lost(flight)
            return
        error = flight.future.exception()
        if not isinstance(error, KilledWorker):
            raise uncallable(self._cluster, flight.mission.batch.label, error) from error
        mission = flight.mission
        # Nobody was told where a worker was that had an order for the first time.
        if mission.died(self._died_at(flight)) or not flight.watched:
            self._gained += 1
        if dead := mission.dead(flight.places):
            mission.fail(dead, death(mission.batch, self._cluster.ending_of(error.last_worker.address)))
        self._again(flight, suspect=True)

    def _died_at(self, flight: Flight) -> list[int]:
        """The elements at which workers died that had this order, as far as the scheduler was told."""
        if not flight.watched:
            return []
        return [place for key, place in self._told() if key == flight.key and place != IDLE]

    def _lost(self, flight: Flight) -> None:
        """An order was called off, or something that it needs is nowhere any more."""
        mission = flight.mission
        if mission.batch.cancelled:
            return
        if self._client.status != "running" or flight.future.client is not self._client:
            raise lost(self._cluster)
        reason = getattr(flight.future._state.exception, "reason", None)
        if reason == "scheduler-connection-lost":
            raise lost(self._cluster)
        self._depot.clear()
        self._again(flight, suspect=flight.watched)

    def _again(self, flight: Flight, *, suspect: bool) -> None:
        """Sends what is left of an order once more; what a worker has died of goes alone."""
        mission = flight.mission
        left = [place for place in flight.places if place in mission.left]
        losses = flight.losses + 1 if flight.gained == self._gained else 0
        if losses > _MOST_LOSSES:
            mission.fail(left, loss(mission.batch, losses))
            return
        others = [place for place in left if not mission.deaths[place]]
        if others:
            self._send(mission, others, suspect=suspect, losses=losses)
        for place in left:
            if mission.deaths[place]:
                self._send(mission, [place], losses=losses)

    def _stop(self) -> None:
        """Calls off the orders of batches that were cancelled; those at work tell what they have finished."""
        flights = [each for each in self._flights.values() if each.mission.batch.cancelled and not each.stopped_at]
        if not flights:
            return
        keys = [each.key for each in flights]
        at_work = set(keys)
        # A worker that stands still says nothing: then all have their time to tell what they have finished.
        with suppress(TimeoutError):
            run = self._client._run
            told = self._client.sync(run, afar.stop, keys, on_error="ignore", callback_timeout=_GRACE_S)
            at_work = {key for some in told.values() for key in some}
        for flight in flights:
            flight.stopped_at = time.monotonic()
            if flight.key not in at_work and flight.future.status == "pending":
                self._drop(flight)

    def _drop(self, flight: Flight) -> None:
        if self._flights.pop(flight.key, None) is not None:
            flight.mission.flights -= 1
            flight.future.cancel()
            self._end_if_done(flight.mission)

    def _look_now_and_then(self) -> None:
        if time.monotonic() - self._looked > _LOOK_S:
            self._look()

    def _look(self) -> None:
        self._looked = now = time.monotonic()
        for flight in list(self._flights.values()):
            if flight.stopped_at and now > flight.stopped_at + _GRACE_S:
                self._cluster.end_worker(flight.key)
                self._drop(flight)
            elif flight.report and flight.future.status != "finished":
                # The worker that had it has gone, and Dask would ask for it there half a minute more.
                flight.report.cancel()
        if not self._open:
            return
        self._cluster.look()
        if self._desertion.begins(now, deserted=not self._cluster.workers):
            message = f"{self._cluster!r} has no workers; the run waits for one, until it is interrupted"
            self._inbox.put(partial(self._tell, message))
        if self._cluster.is_own:
            self._mind_time(now)

    def _mind_time(self, now: float) -> None:
        """Ends workers whose call is beyond its time: the worker's own clock stands still while one computes in C."""
        timed = {key: each for key, each in self._flights.items() if each.watched and each.mission.batch.timeout_s}
        told = dict(self._told()) if timed else {}
        for flight, place in self._clock.overdue(timed, told, now):
            batch = flight.mission.batch
            flight.mission.fail([place], too_long(batch.label, batch.timeout_s))
            self._cluster.end_worker(flight.key)

    def _told(self) -> Iterable[tuple[str, int]]:
        """Where the workers that tell of it are, or were when they died: an order's key, and a place in its batch."""
        told: dict[str, tuple[str, int]] = self._client.get_metadata([_SESSION], default={})
        return told.values()

    def _end_if_done(self, mission: Mission) -> None:
        if not mission.flights:
            self._end(mission)

    def _end(self, mission: Mission) -> None:
        if mission in self._open:
            self._open.remove(mission)
            mission.batch.end()
            self._inbox.put(mission.batch)
