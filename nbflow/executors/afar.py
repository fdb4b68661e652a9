"""What runs on the workers of a Dask cluster: they carry out the same orders as processes of this machine do."""

from __future__ import annotations

import contextvars
import ctypes
import multiprocessing
import os
import platform
import random
import signal
import sys
import threading
from collections import deque
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from distributed import WorkerPlugin, get_worker
from distributed.gc import disable_gc_diagnosis
from distributed.utils import sync

from nbflow.executors.base import Stopped
from nbflow.executors.call import Watched, state_of
from nbflow.executors.failures import failure_of
from nbflow.executors.freight import Freight, Report
from nbflow.executors.order import IDLE, OPENING, Answer, Brief, Done, Held, Refused, Unlike
from nbflow.executors.parcel import MOST_HELD
from nbflow.executors.patches import PATCHES
from nbflow.executors.remote import Worker, surround
from nbflow.executors.shipped import Shipped
from nbflow.executors.spaces import leave
from nbflow.lean import replace
from nbflow.probe.listening import apart
from nbflow.probe.versions import unlike_here

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nbflow.executors.freight import Around, Waybill
    from nbflow.executors.order import Order, Packed, Surroundings

# How long a call may go on after its run was ended, before it is told so by an exception.
_GRACE_S = 0.5
_MOST_STOPPED = 10_000


def perform(waybill: Waybill, order: Freight, around: Freight, *units: Freight) -> Freight:
    """Carries out an order on this worker."""
    # In a context of its own: what Dask notes in its is none of the task's.
    return contextvars.Context().run(_perform, _Watch(waybill), order, around, units)


def _perform(watch: _Watch, order: Freight, around: Freight, units: tuple[Freight, ...]) -> Freight:
    with apart(), HERE.turn(watch, around) as worker:
        return Freight.of(Report([], None) if worker is None else _performed(worker, watch, order, units))


def stop(keys: Iterable[str]) -> list[str]:
    """These orders are to stop before their next element; gives those that are at work here."""
    return HERE.stop(keys)


def versions() -> dict[str, Any]:
    """What results here depend on."""
    return {
        "machine": machine(),
        "python": platform.python_version(),
        "optimize": sys.flags.optimize,
        "nbflow": sys.modules["nbflow"].__version__,
        "cloudpickle": sys.modules["cloudpickle"].__version__,
    }


def machine() -> str:
    """Names this machine, so that two processes can tell whether they are on the same one."""
    boot = ""
    with suppress(OSError), open("/proc/sys/kernel/random/boot_id") as stream:
        boot = stream.read().strip()
    return f"{platform.node()} {boot}"


def leave_alone() -> None:
    """Has Dask keep off what is the user's: the numbers of `random`, and what is told of the files that are opened."""
    # What Dask measures at each garbage collection opens files, of which listeners are told: setting their context
    # variable while another one is being set frees what Python is at work on, and ends the process.
    disable_gc_diagnosis(force=True)  # type: ignore[no-untyped-call]  # it ships no types
    own = _Random()
    for full_name, module in list(sys.modules.items()):
        if full_name.partition(".")[0] not in {"dask", "distributed", "tornado"}:
            continue
        for name, value in list(module.__dict__.items()):
            if value is random:
                setattr(module, name, own)
            elif getattr(value, "__self__", None) is random.random.__self__:  # type: ignore[attr-defined]  # a method
                setattr(module, name, getattr(own, value.__name__))


class _Random(random.Random):
    Random = random.Random


class Undisturbed(WorkerPlugin):
    """An interrupt of the kernel goes to all that it has started: workers of its own are not to end of it."""

    def __init__(self, kernel_pid: int, machine: str) -> None:
        self.kernel_pid = kernel_pid
        self.machine = machine

    def setup(self, worker: Any) -> None:
        if machine() != self.machine or os.getppid() != self.kernel_pid:
            return
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)


class _Watch(Watched):
    """Tells of one order."""

    def __init__(self, waybill: Waybill) -> None:
        self.waybill = waybill
        self.thread = threading.get_ident()
        self.worker = get_worker()
        self.stopped = False
        self.over = threading.Event()

    @property
    def cancelled(self) -> bool:  # type: ignore[override]  # a plain attribute where nobody watches
        if self.stopped:
            return True
        task = self.worker.state.tasks.get(self.waybill.key)
        return task is None or task.state == "cancelled"

    def begin(self, place: int) -> None:
        """The scheduler knows it before anything is called: a worker that dies tells nothing any more."""
        if self.waybill.watched:
            keys = [self.waybill.session, f"{self.worker.address} {self.thread}"]
            with apart():
                # What is listened to is the user's code, and all that is done for it.
                sync(self.worker.loop, self.worker.scheduler.set_metadata, keys=keys, value=[self.waybill.key, place])

    def end_early(self) -> None:
        """Has the call at work end, in whatever way it does."""
        self.stopped = True
        threading.Thread(target=self._end, name="nbflow-stop", daemon=True).start()

    def _end(self) -> None:
        if not self.over.wait(_GRACE_S):
            HERE.interrupt(self)

    def interrupt(self) -> None:
        """What waits or computes in C hears nothing of it; the kernel ends a worker of its own for that."""
        if not self.over.is_set():
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.thread), ctypes.py_object(Stopped))


class _Here:
    """What one process of a cluster has for nbflow: a Worker for each thread, and the kernel's surroundings for all."""

    def __init__(self) -> None:
        self._around: Around | None = None
        self._has_shell = False
        # Why what the user has put into installed modules is not there.
        self.unopened: Exception | None = None
        self._shipped: Shipped | None = None
        # As it was when nbflow first came.
        self._environment: dict[str, str] = {}
        self._workers: dict[int, Worker] = {}
        self._at_work: dict[str, _Watch] = {}
        self._stopped: dict[str, None] = {}
        # Who waits for others to end, in the order in which they came, and who is alone.
        self._queue: deque[_Watch] = deque()
        self._alone: _Watch | None = None
        self._free = threading.Condition()

    @contextmanager
    def turn(self, watch: _Watch, around: Freight) -> Iterator[Worker | None]:
        """The Worker of this thread, once nobody is in its way; None where it is too late."""
        waybill = watch.waybill
        with self._free:
            self._queue.append(watch)
            try:
                self._free.wait_for(lambda: self._queue[0] is watch and self._may_begin(waybill))
            finally:
                self._queue.remove(watch)
                self._free.notify_all()
            self._alone = watch if waybill.alone else None
            if waybill.around != self._around and not self._at_work:
                # What was unpickled before leads to the modules as they were.
                self._workers.clear()
                self._around = None
                self._surround(around.open(), waybill)
                self._around = waybill.around
            late = waybill.key in self._stopped
            worker = self._workers.get(watch.thread)
            if worker is None:
                worker = self._workers[watch.thread] = Worker(
                    name=_name(watch.worker), early_s=0.0, shipped=self._shipped
                )
            worker.watch(watch)
            worker.has_shell = self._has_shell
            self._at_work[waybill.key] = watch
        try:
            yield None if late else worker
        finally:
            try:
                self._leave(watch)
            except Stopped:
                # It was told to end just when it did.
                self._leave(watch)

    def interrupt(self, watch: _Watch) -> None:
        """Has the call of an order end, unless it has."""
        with self._free:
            watch.interrupt()

    def _leave(self, watch: _Watch) -> None:
        with self._free:
            watch.over.set()
            self._at_work.pop(watch.waybill.key, None)
            self._alone = None if self._alone is watch else self._alone
            self._free.notify_all()

    def serves(self, scheduler: str) -> bool:
        """Whether a call is at work in this process that came from the scheduler at an address."""
        with self._free:
            return any(watch.worker.scheduler.address == scheduler for watch in self._at_work.values())

    def _may_begin(self, waybill: Waybill) -> bool:
        if not self._at_work:
            return True
        # Beside those of another run with the same surroundings it finds what that one's tasks left in modules.
        alike = self._around is not None and waybill.around.content == self._around.content
        return alike and self._alone is None and not waybill.alone

    def stop(self, keys: Iterable[str]) -> list[str]:
        with self._free:
            # Some may be on their way here.
            self._stopped.update(dict.fromkeys(keys))
            while len(self._stopped) > _MOST_STOPPED:
                del self._stopped[next(iter(self._stopped))]
            found = [self._at_work[key] for key in keys if key in self._at_work]
        for watch in found:
            watch.end_early()
        return [watch.waybill.key for watch in found]

    def _surround(self, around: Surroundings, waybill: Waybill) -> None:
        if self._shipped is None:
            self._shipped = Shipped(state_of)
            self._environment = dict(os.environ)
            # Dask has started this process in a way that would be that of all that tasks start.
            multiprocessing.set_start_method(None, force=True)
            leave_alone()
        if not waybill.own:
            # Who started the worker has given it its devices and threads.
            sent = {name: value for name, value in around.environment.items() if not _is_of_a_machine(name)}
            around = replace(around, environment={**self._environment, **sent})
        if waybill.machine != machine():
            around = replace(around, folder="", path=tuple(sys.path))
        self._shipped.update(around.modules)
        surround(around, anew=True)
        self._has_shell = around.has_shell
        self.unopened = None
        try:
            with apart():
                PATCHES.put(around.patched)
        # What it needs may be missing here, and what the user's own way to rebuild it raises is any exception.
        except Exception as error:  # noqa: BLE001 (each order tells it)
            self.unopened = error


def _performed(worker: Worker, watch: _Watch, freight: Freight, units: tuple[Freight, ...]) -> Report:
    answers: list[Answer | Brief] = []
    try:
        worker.opened = False
        watch.begin(OPENING)
        if HERE.unopened is not None:
            raise HERE.unopened
        order: Order = freight.open()
        unlike = {} if watch.waybill.own else unlike_here(order.packages)
        if unlike:
            return Report([], Unlike(unlike, worker.name))
        for unit, each in zip(watch.waybill.units, units, strict=True):
            if not worker.holds(unit):
                content = each.open()
                order.units[unit] = content if isinstance(content, Held) else _own(content)
        needed = [order.code, *(each for each in order.columns if not isinstance(each, list)), *order.names.values()]
        order.units = {unit: packed for unit, packed in order.units.items() if not worker.holds(unit)}
        order.forget = worker.spare(needed, MOST_HELD)
        end: Done | Refused | None = worker.perform(order, answers.extend)
        watch.begin(IDLE)
    except Stopped:
        end = None
    # What unpickling the user's values raises is any exception; a defect of ours is told in the same way.
    except Exception as error:  # noqa: BLE001 (raised again in the kernel)
        end = Refused(failure_of(error), opened=worker.opened)
    finally:
        leave()
    return Report(answers, end)


def _own(packed: Packed) -> Packed:
    """A unit in memory of its own: what Dask holds is for all threads of a worker, and for others to fetch."""
    return replace(packed, buffers=tuple(map(bytearray, packed.buffers)))


def _name(worker: Any) -> str:
    return f"dask {worker.address.rpartition('://')[2] if str(worker.name) == worker.address else worker.name}"


def _is_of_a_machine(name: str) -> bool:
    """Whether an environment variable tells of a machine, of who works there or of its Python, and not of the work."""
    return name in _MACHINES or name.startswith(_OF_MACHINES)


HERE = _Here()
_MACHINES = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "PWD", "OLDPWD", "SHELL", "HOSTNAME", "TMPDIR", "TEMP", "TMP", "TERM"),
        *("DISPLAY", "VIRTUAL_ENV", "_"),
    }
)
_OF_MACHINES = (
    *("LD_", "DYLD_", "PYTHON", "CONDA", "XDG_", "SSH_", "DBUS_", "JPY_", "DASK_", "SLURM_", "PBS_", "KUBERNETES_"),
    *("OMP_", "MKL_", "OPENBLAS_", "NVIDIA_", "CUDA_"),
)
