"""What runs in a worker: opens what was sent, calls it as every executor does, and packs what comes of it."""

from __future__ import annotations

import copy
import functools
import logging
import os
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from cloudpickle import cloudpickle

from nbflow.codecs import seal
from nbflow.codecs.pickled import parts_of
from nbflow.errors import NotStorable
from nbflow.executors.base import Batch, LoopRule
from nbflow.executors.call import PACKAGES, SOURCES, Call, Watched, data_of, has_alarm, has_packed, state_of
from nbflow.executors.drift import Drift, suspect
from nbflow.executors.failures import failure_of
from nbflow.executors.forks import ending_forks
from nbflow.executors.nodes import packed_nodes
from nbflow.executors.order import Answer, Done, Held, Packed, PackedCode, Unit, brief_of
from nbflow.executors.patches import PATCHES
from nbflow.executors.settings import enter_settings, put_settings
from nbflow.executors.shipped import Shipped
from nbflow.executors.spaces import Space, enter, show
from nbflow.executors.stage import needs_stage, set_stage
from nbflow.executors.worker import run_batch
from nbflow.identity.code import CodeIds
from nbflow.identity.immutable import is_immutable
from nbflow.identity.origin import Origins
from nbflow.identity.value import Identifier, output_id
from nbflow.probe.files import StatMemo
from nbflow.probe.listening import apart
from nbflow.probe.machinery import leave_out

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nbflow.executors.base import Outcome
    from nbflow.executors.order import Brief, Order, Surroundings

# How long a worker keeps what it has finished to itself.
EARLY_S = 0.25


class Worker:
    """Carries out orders, and keeps what they share. watched: what it tells and is told while a call runs.

    early_s: how long it keeps what it has finished to itself. shipped: finds the user's modules.
    """

    def __init__(
        self,
        watched: Watched | None = None,
        *,
        name: str | None = None,
        early_s: float = EARLY_S,
        shipped: Shipped | None = None,
    ) -> None:
        self.name = name or f"process {os.getpid()}"
        self._early_s = early_s
        self._watched = watched or Watched()
        self._units: dict[Unit, Any] = {}
        self._ids: dict[Unit, bytes] = {}
        self._drifts: dict[Unit, Drift] = {}
        self._memo = StatMemo()
        self._shipped = shipped or Shipped(state_of)
        self._identifier = _installed_only()
        # What of the user's classes a unit holds, by their names in `__main__`.
        self._classes: dict[Unit, dict[str, type]] = {}
        self._spaces: dict[Unit, Space] = {}
        self.opened = False
        self._around: Surroundings | None = None
        self._held: Unit | None = None
        self.has_shell = False

    def watch(self, watched: Watched) -> None:
        """From now on it tells this one."""
        self._watched = watched

    def holds(self, unit: Unit) -> bool:
        """Whether it has a unit, opened."""
        return unit in self._units or unit == self._held

    def spare(self, needed: Sequence[Unit], most: int) -> tuple[Unit, ...]:
        """Units that it need not hold any more, so that there are not too many; the oldest ones first."""
        spare = [unit for unit in self._units if unit not in needed]
        return tuple(spare[: max(0, len(self._units) - most)])

    def perform(self, order: Order, hear: Callable[[list[Answer | Brief]], None]) -> Done:
        """Calls the elements of an order; `hear` gets what is finished, now and then."""
        self.opened = False
        with apart():
            self._prepare(order)
            drift = self._drift(order)
        self.opened = True
        fn, go_on = (each and ending_forks(each) for each in self._units[order.code])
        # What was made of a shared value is sent once that is known to be as it was.
        checked = any(column in self._ids for column in order.columns if isinstance(column, Unit))
        wait_s = EARLY_S if drift else 0.0 if order.timeout_s is not None else self._early_s
        outcomes = _Outgoing(hear, drift, early=not checked, wait_s=wait_s)
        call = Call(self._watched, order, fn)
        batch = Batch(
            label=order.label,
            fn=functools.wraps(fn)(call) if order.timeout_s is not None or has_packed(order) else fn,
            columns=tuple(self._column(order, column) for column in order.columns),
            keywords=order.keywords,
            count=len(order.places),
            identify=self._identify if order.keep else None,
            keep=order.keep,
            expected_files=order.expected_files,
            outputs=order.outputs,
            seeds=order.seeds,
            loop=LoopRule(order.most, order.times, go_on),
            starts=order.starts and {at: (count, value.open()) for at, (count, value) in order.starts.items()},
            timeout_s=None if has_alarm() else order.timeout_s,
            outcomes=outcomes,
            away=True,
        )

        def before(position: int) -> None:
            self._watched.begin(order.places[position])
            batch.cancelled = self._watched.cancelled

        batch.before = before
        _reset_peak()
        run_batch(batch, self._memo)
        return Done(
            outcomes.rest(),
            batch.moved_random,
            self._changed(order),
            tuple(call.touched),
            peak_bytes(),
            self.name,
            None if drift is None else drift.now(),
        )

    def _prepare(self, order: Order) -> None:
        for unit in order.forget:
            self._drop(unit)
        space = Space.of(order.run)
        enter(space)
        if order.surroundings is not None:
            self._around = order.surroundings
            self._shipped.update(self._around.modules)
            self.has_shell = self._around.has_shell
        if self._around is not None:
            # Wherever tasks have gone since.
            surround(self._around, anew=self._held is None or self._held in order.forget)
            PATCHES.put(self._around.patched)
            enter(space)
        enter_settings()
        held = order.units.pop(order.held, None)
        if isinstance(held, Held):
            # A new run begins with what the kernel has; within one, what tasks left in modules stays there.
            self._shipped.hold(held, anew=self._held is None or self._held in order.forget)
            self._held = order.held
        code = order.units.get(order.code)
        if self.has_shell and isinstance(code, Packed) and needs_stage(code.body):
            set_stage()
        names = {unit: name for name, unit in order.names.items()}
        # What it has of that is found by name while the rest is opened.
        self._install(order)
        for unit, packed in sorted(order.units.items(), key=lambda each: each[0] not in names):
            assert isinstance(packed, Packed)
            value = self._units[unit] = packed.open(shared=True)
            self._spaces[unit] = space
            if isinstance(packed, PackedCode):
                self._classes[unit] = _classes_in(packed)
            if unit in names:
                # What is opened next may tell it by name.
                show(names[unit], value)
        self._install(order)
        for column in order.columns:
            if isinstance(column, Unit) and column not in self._ids and not is_immutable(self._units[column]):
                state = data_of(self._units[column])
                if state is not None:
                    self._ids[column] = state

    def _install(self, order: Order) -> None:
        """What came by content is found by name while an order is at work: arguments and results name it."""
        for unit in (*order.names.values(), order.code):
            for name, cls in self._classes.get(unit, {}).items():
                show(name, cls)
        for name, unit in order.names.items():
            if unit in self._units:
                show(name, self._units[unit])

    def _drift(self, order: Order) -> Drift | None:
        """Looks whether calls change what their function reaches; None where they cannot, or nobody stores anything."""
        if not order.keep or not order.reached:
            suspect(order.reached)
            return None
        if order.code not in self._drifts:
            self._drifts[order.code] = Drift(self._units[order.code][0], order.reached, order.ignored)
        return self._drifts[order.code]

    def _column(self, order: Order, column: Unit | list[Any]) -> Sequence[Any]:
        return [self._units[column]] * len(order.places) if isinstance(column, Unit) else column

    def _identify(self, value: Any) -> tuple[bytes, tuple[bytes, ...] | None]:
        """The id of a result; none where it depends on the user's code, which only the kernel can look at."""
        try:
            return output_id(self._identifier, value)
        except _UsersCode:
            return b"", None

    def _changed(self, order: Order) -> tuple[int, ...]:
        """The shared arguments that a call changed in place; they are not used again."""
        changed = []
        for number, column in enumerate(order.columns):
            if not isinstance(column, Unit) or column not in self._ids:
                continue
            if data_of(self._units[column]) != self._ids[column]:
                changed.append(number)
                self._drop(column)
        return tuple(changed)

    def _drop(self, unit: Unit) -> None:
        for held in (self._units, self._ids, self._classes, self._spaces, self._drifts):
            held.pop(unit, None)


def _classes_in(packed: PackedCode) -> dict[str, type]:
    known = cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID
    return {name: known[id_] for name, id_ in packed.classes if id_ in known}


def surround(around: Surroundings, *, anew: bool) -> None:
    """Puts this process where the kernel is. anew: a new run begins."""
    # A folder that is nowhere else, or is not there any more, is no reason not to work.
    with suppress(OSError):
        os.chdir(around.folder)
    sys.path[:] = around.path
    for name in set(os.environ) - set(around.environment):
        del os.environ[name]
    os.environ.update(around.environment)
    for folder in around.left_out:
        leave_out(folder)
    logging.getLogger().setLevel(around.log_level)
    put_settings(around.settings, anew=anew)


class _UsersCode(BaseException):
    """An id would depend on code of the user's."""


def _installed_only() -> Identifier:
    codes, origins = CodeIds(SOURCES, PACKAGES), Origins(PACKAGES)

    def resolve(thing: Any) -> bytes:
        if origins.of(thing) is None:
            raise _UsersCode
        return codes.resolve(thing)

    return Identifier(resolve)


class _Outgoing(list["Outcome"]):
    """The outcomes of a batch, packed as they come, and sent now and then."""

    def __init__(
        self, hear: Callable[[list[Answer | Brief]], None], drift: Drift | None, *, early: bool, wait_s: float
    ) -> None:
        super().__init__()
        self._hear = hear
        self._drift = drift
        self._early = early
        self._wait_s = wait_s
        self._ready: list[Answer | Brief] = []
        self._sent = time.monotonic()

    def append(self, outcome: Outcome) -> None:
        self._ready.append(brief_of(outcome) or _answer(outcome))
        if self._early and time.monotonic() - self._sent >= self._wait_s:
            # What nobody may store is sent with the word that tells so.
            self._early = self._drift is None or self._drift.now() is None
            if self._early:
                self._hear(self.rest())

    def rest(self) -> list[Answer | Brief]:
        """What was not sent so far."""
        rest, self._ready, self._sent = self._ready, [], time.monotonic()
        return rest


def _answer(outcome: Outcome) -> Answer:
    # The next iteration of a loop starts from this one's value.
    outcome = copy.copy(outcome) if outcome.step else outcome
    answer = Answer(outcome)
    if outcome.error is not None:
        answer.failure = failure_of(outcome.error)
        outcome.error = None
    elif outcome.nodes:
        try:
            answer.nodes = packed_nodes(outcome.value)
        except NotStorable as reason:
            answer.refused, outcome.nodes, outcome.step = str(reason), False, False
    elif outcome.sealed is not None:
        outcome.apart = True
    else:
        try:
            outcome.sealed, outcome.apart = seal(outcome.value), True
        except NotStorable as reason:
            answer.refused = str(reason)
    if outcome.previous is not None and (answer.failure is not None or outcome.nodes):
        body, buffers = parts_of(outcome.previous)
        answer.previous = Packed(body, tuple(buffers))
    outcome.value = outcome.previous = None
    return answer


def _reset_peak() -> None:
    """From now on the system counts anew how much memory this process had in use at most, where it can."""
    try:
        with apart(), open("/proc/self/clear_refs", "w") as stream:
            stream.write("5")
    except OSError:
        return


def peak_bytes() -> int:
    """The most memory that this process had in use, in bytes: on Linux since it began with its last order."""
    try:
        with apart(), open("/proc/self/status") as stream:
            return next(int(line.split()[1]) * 1024 for line in stream if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        import resource

        # macOS counts bytes.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
