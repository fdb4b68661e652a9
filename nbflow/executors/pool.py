"""Worker processes, as the kernel sees them: started when they are needed, kept for the next run."""

from __future__ import annotations

import atexit
import errno
import mmap
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from nbflow.executors import hatch, wire
from nbflow.executors.flags import environment, python
from nbflow.executors.nursery import PAGE, PAGE_BYTES, PID, SPAWN, STATUS, end_process
from nbflow.executors.order import IDLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbflow.executors.order import Order, Surroundings, Unit


class Lost(Exception):
    """A worker process has ended. status: its exit code, or minus the number of the signal; place: where it was."""

    def __init__(self, status: int, place: int) -> None:
        self.status = status
        self.place = place
        super().__init__(f"a worker process ended (status {status})")


class WorkerProcess:
    """One worker process. held: the units it has, oldest use first; around: what it was told of its surroundings."""

    def __init__(self, pool: Pool, pid: int, connection: socket.socket, page: mmap.mmap) -> None:
        self.pid = pid
        self.held: dict[Unit, None] = {}
        self.around: Surroundings | None = None
        self.owner: object = None
        self._number = 0
        self._pool = pool
        self._connection = connection
        self._page = page

    def send(self, order: Order) -> None:
        """Gives it something to do. Raises Lost."""
        PAGE.pack_into(self._page, 0, IDLE, 0.0, 0.0, False)
        self._number += 1
        try:
            wire.send(self._connection, (self._number, order))
        except OSError:
            raise self._lost() from None

    def receive(self, wait_s: float) -> Any:
        """The next message; None where none came in that time. Raises Lost."""
        try:
            if not wire.has_come(self._connection, wait_s):
                return None
            number, message = wire.receive(self._connection)
        except (EOFError, OSError):
            raise self._lost() from None
        # What came of another order is no answer to this one.
        return message if number == self._number else None

    def _lost(self) -> Lost:
        place, _ = self.at_work
        return Lost(self._pool.end(self), place)

    @property
    def at_work(self) -> tuple[int, float]:
        """The place of the element at work, below 0 for none, and until when its call must end, 0 for no limit."""
        place, _, until, _ = PAGE.unpack_from(self._page)
        return place, until

    def cancel(self) -> None:
        """It is to stop before the next element."""
        self._page[PAGE.size - 1] = 1

    def kill(self) -> int:
        """Ends it, whatever it does; gives how it ended."""
        end_process(self.pid)
        return self._pool.end(self)

    def close(self) -> None:
        self._connection.close()
        self._page.close()


class Pool:
    """All worker processes of this process. They live as long as it does; who needs one borrows it."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Also in a fork of the kernel: the workers are its parent's, and so is who held the lock just then."""
        self._idle: list[WorkerProcess] = []
        self._nursery: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._lock = threading.Lock()

    def borrow(self) -> WorkerProcess:
        """A worker that nobody else uses, started where there is none."""
        with self._lock:
            return self._idle.pop() if self._idle else self._spawn()

    def give_back(self, worker: WorkerProcess) -> None:
        """Nobody needs it for now: it is kept, as long as those that wait do not hold much memory."""
        # It would keep in memory what a run sent that is over.
        worker.owner = None
        with self._lock:
            held = sum(resident_bytes(each.pid) for each in [worker, *self._idle])
            if held <= MOST_IDLE_BYTES:
                self._idle.append(worker)
                return
        self.end(worker)

    def end(self, worker: WorkerProcess) -> int:
        """A worker has ended, or is to: gives how."""
        with self._lock:
            worker.close()
            if self._control is None:
                return 0
            try:
                self._control.sendall(STATUS + PID.pack(worker.pid))
                (status,) = PID.unpack(self._control.recv(PID.size))
            except (OSError, ValueError):
                self._forget_nursery()
                end_process(worker.pid)
                return -signal.SIGKILL
            return int(status)

    def close(self) -> None:
        """Ends all workers."""
        with self._lock:
            for worker in self._idle:
                worker.close()
            self._idle.clear()
            self._forget_nursery()

    def _forget_nursery(self) -> None:
        if self._control is not None and self._nursery is not None:
            # It ends when nobody holds the other end any more, and its workers with it.
            self._control.close()
            try:
                self._nursery.wait(_END_S)
            except subprocess.TimeoutExpired:
                self._nursery.kill()
                self._nursery.wait()
        self._control = self._nursery = None

    def _spawn(self) -> WorkerProcess:
        if self._control is None:
            self._start_nursery()
        with _shared_page() as shared:
            ours, theirs = wire.pair()
            page = mmap.mmap(shared, PAGE_BYTES)
            assert self._control is not None
            try:
                socket.send_fds(self._control, [SPAWN], [theirs.fileno(), shared])
                (pid,) = PID.unpack(self._control.recv(PID.size))
            except (OSError, ValueError):
                # Somebody ended the nursery.
                self._forget_nursery()
                ours.close()
                page.close()
                return self._spawn()
            finally:
                theirs.close()
        return WorkerProcess(self, pid, ours, page)

    def _start_nursery(self) -> None:
        ours, theirs = wire.pair()
        # The kernel may have found nbflow, or what it needs, where a new process would not look.
        command = [*python(), hatch.__file__, os.path.dirname(os.path.dirname(hatch.__file__)), *sys.path]
        with theirs:
            # In a session of its own: an interrupt in a terminal goes to all processes of one.
            self._nursery = subprocess.Popen(  # noqa: S603 (ours)
                command, stdin=theirs.fileno(), start_new_session=True, env=environment()
            )
        self._control = ours


@contextmanager
def _shared_page() -> Iterator[int]:
    """The descriptor of a page of memory that two processes can have. Raises OSError where there is no room for it."""
    # In memory, where the system has such files: a page of one on a full disk ends who writes into it.
    in_memory = hasattr(os, "memfd_create")
    with os.fdopen(os.memfd_create("nbflow"), "r+b", 0) if in_memory else tempfile.TemporaryFile(buffering=0) as shared:
        try:
            if shared.write(bytes(PAGE_BYTES)) < PAGE_BYTES:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise OSError(error.errno, f"{_NO_ROOM} ({error.strerror})") from error
        yield shared.fileno()


def resident_bytes(pid: int) -> int:
    """How much memory a process has in use, in bytes; 0 where the system does not tell."""
    try:
        with open(f"/proc/{pid}/statm") as stream:
            return int(stream.read().split()[1]) * mmap.PAGESIZE
    except OSError:
        return 0


# What workers that wait may hold altogether. Another one is started in a hundredth of a second.
MOST_IDLE_BYTES = 2**30
_END_S = 2.0
_NO_ROOM = (
    f"no worker process can be started: the temporary folder has no room for the {PAGE_BYTES} bytes that it "
    'shares with the kernel; make room, or give the tasks executor="threads"'
)
POOL = Pool()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=POOL.begin)
atexit.register(POOL.close)
