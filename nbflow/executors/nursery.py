"""The process that worker processes are forked from: small, with one thread, and with nothing of the user's in it.

It is started by the kernel, in a session of its own, so that no interrupt from a terminal reaches it or its children.
When the kernel is gone, whatever ended it, all of them end at once.
"""

from __future__ import annotations

import gc
import mmap
import os
import signal
import socket
import struct
import sys
import time
from contextlib import suppress
from types import ModuleType
from typing import Any

from nbflow.executors import wire
from nbflow.executors.call import Watched
from nbflow.executors.failures import failure_of
from nbflow.executors.forks import end_fork
from nbflow.executors.ground import Ground
from nbflow.executors.order import IDLE, OPENING, Done, Order, Refused
from nbflow.executors.remote import Worker

SPAWN, STATUS = b"+", b"?"
# What kernel and worker share: the element at work, when its call began and when it must end, whether to stop.
PAGE = struct.Struct("<qdd?")
PAGE_BYTES = mmap.PAGESIZE
PID = struct.Struct("<i")
# How long a worker may take to be gone, once it has closed its connection.
_GONE_S = 1.0


def main() -> None:
    """Forks workers when it is told to, and tells how they ended. The control socket is its standard input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    control = wire.opened(os.dup(0))
    children = _Children()
    signal.signal(signal.SIGCHLD, lambda *_: children.look())
    gc.freeze()
    while True:
        try:
            message, descriptors, _, _ = socket.recv_fds(control, 16, 2)
        except ConnectionError:
            message, descriptors = b"", []
        if not message:
            break
        if message == SPAWN:
            pid = os.fork()
            connection, page = descriptors
            if not pid:
                control.close()
                children.leave()
                _work(connection, page)
            os.close(page)
            children.add(pid, connection)
            children.look()
            control.sendall(PID.pack(pid))
        else:
            (pid,) = PID.unpack(message[1:])
            control.sendall(PID.pack(children.status(pid)))
    control.close()
    for pid in tuple(children.alive):
        end_process(pid)


def end_process(pid: int) -> None:
    """Kills a worker and all that it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


class _Children:
    """The workers that live, each with its connection; and how those ended that nobody has asked for yet."""

    def __init__(self) -> None:
        self.alive: dict[int, socket.socket] = {}
        self._ended: dict[int, int] = {}

    def add(self, pid: int, descriptor: int) -> None:
        """A worker has begun. descriptor: its connection to the kernel."""
        self.alive[pid] = wire.opened(descriptor)

    def leave(self) -> None:
        """In a worker: what its siblings have is none of its own."""
        for connection in self.alive.values():
            connection.close()
        self.alive.clear()

    def look(self) -> None:
        """Notes who has ended, and ends what it forked, and its connection: else the kernel waits for who holds that.

        It may be somebody in a session of its own.
        """
        for pid in tuple(self.alive):
            try:
                gone, status = os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                continue
            if gone:
                self._ended[pid] = os.waitstatus_to_exitcode(status)
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, signal.SIGKILL)
                with self.alive.pop(pid) as connection, suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def status(self, pid: int) -> int:
        """How a worker ended, which it does soon: its exit code, or minus the number of the signal."""
        until = time.monotonic() + _GONE_S
        while pid in self.alive:
            self.look()
            if time.monotonic() > until:
                end_process(pid)
            time.sleep(0.005)
        return self._ended.pop(pid, 0)


def _work(connection_fd: int, page_fd: int) -> None:
    """Carries out orders until nobody sends any more. Never returns."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # A group of its own, so that what a task starts ends with it.
    os.setpgid(0, 0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.modules["__main__"] = ModuleType("__main__")
    line = _Line(wire.opened(connection_fd))
    page = _Page(mmap.mmap(page_fd, PAGE_BYTES))
    worker = Worker(page)
    os.close(page_fd)
    ground = Ground()
    try:
        while True:
            order = line.receive()
            page.begin(OPENING)
            answer = _performed(worker, order, line)
            is_sound = ground.restore()
            line.send(answer)
            page.begin(IDLE)
            if not is_sound:
                # The kernel starts another one for what comes next.
                os._exit(0)
    finally:
        # Whatever happened, it must not go on in the nursery's loop.
        os._exit(70)


def _performed(worker: Worker, order: Order, line: _Line) -> Done | Refused:
    try:
        return worker.perform(order, line.send)
    # What unpickling the user's values raises is any exception; a defect of ours is told in the same way.
    except BaseException as error:  # noqa: BLE001 (raised again in the kernel)
        return Refused(failure_of(error), opened=worker.opened)


class _Line:
    """The connection to the kernel. Where that, or who runs the flow there, has gone, the worker ends at once."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._pid = os.getpid()
        self._number = 0

    def receive(self) -> Order:
        try:
            self._number, order = wire.receive(self._connection)
        except (EOFError, OSError):
            os._exit(0)
        assert isinstance(order, Order)
        return order

    def send(self, message: Any) -> None:
        """Sends something that came of the last order, whose number it bears."""
        end_fork(self._pid)
        try:
            wire.send(self._connection, (self._number, message))
        except OSError:
            os._exit(0)


class _Page(Watched):
    """Tells the kernel through memory that both see."""

    def __init__(self, page: mmap.mmap) -> None:
        self._page = page

    @property
    def cancelled(self) -> bool:  # type: ignore[override]  # a plain attribute where nobody watches
        return bool(PAGE.unpack_from(self._page)[3])

    def begin(self, place: int) -> None:
        struct.pack_into("<q", self._page, 0, place)

    def call(self, timeout_s: float | None) -> None:
        now = time.monotonic()
        struct.pack_into("<dd", self._page, 8, now, now + timeout_s if timeout_s is not None else 0.0)


if __name__ == "__main__":
    main()
