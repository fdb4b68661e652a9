"""Executor in other processes of this machine: for what computes in Python, and for what may crash."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, cast

from nbflow.errors import NotSendable
from nbflow.executors.errand import Errand, left_of
from nbflow.executors.order import IDLE, MOST_DEATHS, Done, Refused
from nbflow.executors.parcel import Packer
from nbflow.executors.pool import POOL, Lost
from nbflow.executors.threads import Crew
from nbflow.executors.verdicts import death, ending, refusal, take_note
from nbflow.executors.waiting import too_long
from nbflow.probe.imported import IMPORTED

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nbflow.executors.base import Batch
    from nbflow.executors.inbox import Inbox
    from nbflow.executors.order import Answer, Brief, Order, Unit
    from nbflow.executors.pool import WorkerProcess

# How often the thread that waits for a worker looks whether it is to go on waiting.
_LOOK_S = 0.1
# How long a call may go on after the end of its time, and after its run was ended.
_GRACE_S = 0.5


class ProcessExecutor(Crew):
    """Runs batches in worker processes, which live on for later runs. slots: how many at once; default: the cores."""

    def __init__(self, inbox: Inbox, slots: int | None = None) -> None:
        super().__init__(inbox, slots or os.cpu_count() or 1)
        self._packer = Packer()
        IMPORTED.note()

    def submit(self, batch: Batch) -> None:
        # More processes than cores are of no use, whatever a task's own bound.
        batch.away, batch.extra = True, False
        super().submit(batch)

    def carry_out(self, batch: Batch, tool: WorkerProcess | None) -> WorkerProcess | None:
        return _Carrier(batch, self._packer).run(tool)

    def put_back(self, tool: WorkerProcess) -> None:
        POOL.give_back(tool)


class _Carrier:
    """One batch, carried to a worker; and to others, where that dies, with what is not done yet."""

    def __init__(self, batch: Batch, packer: Packer) -> None:
        self._batch = batch
        self._packer = packer
        self._errand = Errand(batch, left_of(batch))

    def run(self, worker: WorkerProcess | None) -> WorkerProcess | None:
        """Does all of it; gives the worker for the next batch, None where there is none any more."""
        errand = self._errand
        while errand.left and not self._batch.cancelled:
            # What a worker has died of is tried alone.
            places = [i for i in errand.left if not errand.deaths[i]] or [next(iter(errand.left))]
            try:
                order, refused = self._packer.order(self._batch, places)
            except NotSendable as error:
                errand.fail(places, error)
                continue
            for place, why in refused.items():
                errand.fail([place], why)
            if not order.places:
                continue
            worker = self._fit(worker or POOL.borrow())
            is_new = worker.around is None
            self._furnish(worker, order)
            try:
                worker.send(order)
                lives = self._follow(worker, order)
            except Lost as lost:
                lives = False
                self._mourn(lost, is_new=is_new)
            except BaseException:
                # It may have more to say, which the next one who gives it something to do would take for an answer.
                worker.kill()
                raise
            worker = worker if lives else None
        return worker

    def _fit(self, worker: WorkerProcess) -> WorkerProcess:
        """A worker, or another one: what it imported while something was put into a module may hold that for good."""
        patched = self._packer.patched
        while worker.around is not None and worker.around.patched not in (None, patched):
            POOL.end(worker)
            worker = POOL.borrow()
        return worker

    def _furnish(self, worker: WorkerProcess, order: Order) -> None:
        """Adds to an order what its worker lacks."""
        around = self._packer.surroundings()
        known, worker.around = worker.around, around
        if around != known:
            order.surroundings = around
        # What was opened before leads to modules as they were, or belongs to a run that is over.
        outdated: tuple[Unit, ...] = ()
        if worker.owner is not self._packer or known is None or known.modules != around.modules:
            worker.owner = self._packer
            outdated = tuple(worker.held)
            worker.held.clear()
        self._packer.supply(order, worker.held)
        order.forget += outdated

    def _follow(self, worker: WorkerProcess, order: Order) -> bool:
        """Takes in what a worker sends until it is done; False where it had to be ended. Raises Lost."""
        cancelled_at: float | None = None
        while True:
            message = worker.receive(_LOOK_S)
            match message:
                case Done():
                    take_note(self._batch, message)
                    for number in message.changed:
                        # It has thrown away what was changed there.
                        worker.held.pop(cast("Unit", order.columns[number]), None)
                    self._receive(message.answers, order.places)
                    return True
                case Refused():
                    self._errand.fail(list(self._errand.left), refusal(self._batch, message, "in a worker process"))
                    return True
                case list():
                    self._receive(message, order.places)
            now = time.monotonic()
            place, until = worker.at_work
            if until and now > until + _GRACE_S and place >= 0:
                worker.kill()
                self._errand.fail([place], too_long(self._batch.label, self._batch.timeout_s))
                return False
            if self._batch.cancelled:
                worker.cancel()
                cancelled_at = cancelled_at or now
                if now > cancelled_at + _GRACE_S:
                    worker.kill()
                    return False

    def _receive(self, answers: Iterable[Answer | Brief], places: Sequence[int]) -> None:
        for answer in answers:
            self._errand.take(self._packer.outcome(self._batch, places, answer))

    def _mourn(self, lost: Lost, *, is_new: bool) -> None:
        """A worker has died: the element that it was at is tried again, but not for ever."""
        if lost.place == IDLE and not is_new:
            # Somebody ended it while it waited. A new one has died of what it was sent.
            return
        errand = self._errand
        errand.deaths[lost.place] += 1
        if errand.deaths[lost.place] >= MOST_DEATHS:
            dead = [lost.place] if lost.place >= 0 else list(errand.left)
            errand.fail(dead, death(self._batch, ending(lost.status)))
