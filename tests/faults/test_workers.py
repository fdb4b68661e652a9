"""Worker processes that die, hang, or get and give what cannot travel: one element is lost, and nothing else."""

import asyncio
import contextlib
import mmap
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
import warnings

import numpy as np
import pytest
from poison import POISON, die_by_signal

from nbflow import Flow, task
from nbflow.errors import RunFailed
from nbflow.executors import wire
from nbflow.executors.nursery import PAGE_BYTES
from nbflow.executors.pool import WorkerProcess


@pytest.fixture
def flow(tmp_path):
    return Flow("faults", store=tmp_path / "store", executor="processes")


@pytest.mark.parametrize("how", POISON)
def test_poison_costs_its_element_alone(flow, how, capfd):
    poison = POISON[how]
    with flow:
        task(lambda x: poison(x) if x == 7 else x * 2, name="work").map(range(12))
    run = flow.run()
    assert run.values("work", failed="drop") == [x * 2 for x in range(12) if x != 7]
    (error,) = run.failed("work").error
    assert "WorkerDied" in error
    assert "died 3 times" in error


def test_the_error_of_a_dead_worker_says_what_killed_it_and_what_to_do(flow):
    with flow:
        task(lambda: die_by_signal(signal.SIGKILL), name="big")()
    with pytest.raises(RunFailed, match=r"(?s)killed by SIGKILL.*memory"):
        flow.run(check=True)


def test_a_worker_that_dies_once_is_not_noticed(flow, tmp_path):
    marker = str(tmp_path / "died")

    def once(x):
        if x == 3 and not os.path.exists(marker):
            os.close(os.open(marker, os.O_CREAT))
            os._exit(1)
        return x

    with flow:
        task(once, ignore=["marker"]).map(range(6))
    assert flow.run()["once"] == list(range(6))


def test_workers_killed_while_idle_are_replaced(flow):
    with flow:
        task(lambda x: os.getpid(), name="pids", cache=False).map(range(20))
    for pid in set(flow.run()["pids"]):
        os.kill(pid, signal.SIGKILL)
    assert len(flow.run()["pids"]) == 20


def test_a_killed_nursery_is_replaced(flow):
    with flow:
        task(lambda x: (os.getpid(), os.getppid()), name="pids", cache=False).map(range(8))
    before = flow.run()["pids"]
    (nursery,) = {parent for _, parent in before}
    os.kill(nursery, signal.SIGKILL)
    assert len(flow.run()["pids"]) == 8
    for pid, _ in set(before):
        os.kill(pid, signal.SIGKILL)
    assert nursery not in {parent for _, parent in flow.run()["pids"]}


class Awaited:
    """Ways of an async call not to listen to its timeout."""

    async def blocks(self):
        time.sleep(60)  # noqa: ASYNC251 (it is the fault)

    async def goes_on(self):
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60)


@pytest.mark.parametrize("how", ["blocks", "goes_on"])
def test_an_async_call_that_does_not_listen_to_its_timeout_is_killed(flow, how):
    async def deaf(x):
        if x == 1:
            await getattr(Awaited(), how)()
        return x

    with flow:
        task(deaf, timeout_s=0.5).map(range(4))
    started = time.monotonic()
    run = flow.run()
    assert time.monotonic() - started < 20
    assert run.values("deaf", failed="drop") == [0, 2, 3]
    assert "timeout_s=0.5" in run.failed("deaf").error.iloc[0]


def test_a_call_that_does_not_listen_to_its_timeout_is_killed(flow):
    def deaf(x):
        if x == 1:
            # No signal handler of Python's runs in here.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
            time.sleep(60)
        return x

    with flow:
        task(deaf, timeout_s=0.5).map(range(4))
    started = time.monotonic()
    run = flow.run()
    assert time.monotonic() - started < 20
    assert run.values("deaf", failed="drop") == [0, 2, 3]
    assert "timeout_s=0.5" in run.failed("deaf").error.iloc[0]


def test_what_a_call_started_ends_with_it(flow, tmp_path):
    note = str(tmp_path / "pid")

    def start():
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
        child = subprocess.Popen(["sleep", "600"])
        with open(note, "w") as stream:
            stream.write(str(child.pid))
        time.sleep(60)

    with flow:
        task(start, timeout_s=1.0, cache=False)()
    flow.run()
    with open(note) as stream:
        assert gone(int(stream.read()))


def test_what_a_dead_worker_forked_neither_keeps_the_run_waiting_nor_stays(flow, tmp_path):
    note = str(tmp_path / "forked")

    def fork_and_die(x):
        if x == 1:
            child = os.fork()
            if not child:
                time.sleep(600)
            fd = os.open(note, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
            os.write(fd, f"{child} ".encode())
            os.kill(os.getpid(), signal.SIGKILL)
        return x

    with flow:
        task(fork_and_die, ignore=["note"]).map(range(4))
    run = flow.run()
    assert run.values("fork_and_die", failed="drop") == [0, 2, 3]
    with open(note) as stream:
        assert all(gone(int(pid)) for pid in stream.read().split())


def test_workers_that_wait_do_not_hold_much_memory(flow):
    kept = []

    def grow(x):
        kept.append(np.ones(2**27))
        return os.getpid()

    with flow:
        task(grow, cache=False, ignore=["kept"]).map(range(2))
    assert all(gone(pid) for pid in flow.run()["grow"])


def test_a_run_that_is_over_is_not_kept_by_its_workers(flow):
    from nbflow.executors.pool import POOL

    with flow:
        task(lambda x: x, name="same", cache=False).map(range(4))
    flow.run()
    until = time.monotonic() + 5
    while not POOL._idle and time.monotonic() < until:
        time.sleep(0.01)
    assert {worker.owner for worker in POOL._idle} == {None}


def test_a_worker_that_dies_of_what_it_is_sent_is_not_tried_for_ever(flow, monkeypatch):
    from nbflow.executors import pool

    def send_nonsense(connection, order):
        connection.sendall(b"\x01" + bytes(15) + b"x")

    monkeypatch.setattr(pool.wire, "send", send_nonsense)
    pool.POOL.close()
    with flow:
        task(lambda x: x, name="same").map(range(3))
    assert "died 3 times" in flow.run().failed("same").error.iloc[0]


def test_the_memory_that_workers_used_is_told(flow):
    with flow:
        task(lambda: int(np.ones(40_000_000).sum()), name="big")()
    run = flow.run()
    ((name, peak),) = run.workers("big").items()
    assert name.startswith("process ")
    assert 300e6 < peak < 2e9


def gone(pid, bound_s=5.0):
    """Whether a process has ended, or does so soon."""
    until = time.monotonic() + bound_s
    while time.monotonic() < until:
        try:
            with open(f"/proc/{pid}/stat") as stream:
                if stream.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


SCENE = """
    import os, sys, time
    from nbflow import Flow, task

    def slow(x):
        time.sleep(0.3 if x < 4 else 60)
        return x

    def pid_of(x):
        time.sleep(0.2)
        return os.getpid()

    if __name__ == "__main__":
        with Flow("pids", store="store", executor="processes") as flow:
            task(pid_of, cache=False).map(range(4))
        run = flow.run()
        print(*set(run["pid_of"]), flush=True)
        print(open(f"/proc/{run['pid_of'][0]}/stat").read().rpartition(")")[2].split()[1], flush=True)
        with Flow("scene", store="store", executor="processes") as flow:
            task(slow).map(range(6))
        print("begin", flush=True)
        try:
            flow.run()
        except KeyboardInterrupt:
            print("interrupted", flush=True)
            with Flow("pids", store="store", executor="processes") as flow:
                task(pid_of, cache=False).map(range(4))
            print(*set(flow.run()["pid_of"]), flush=True)
"""


@pytest.fixture
def kernel(place):
    """A program with workers, in a session of its own; gives it, and the pids of workers and nursery."""
    with open(os.path.join(place, "scene.py"), "w") as stream:
        stream.write(textwrap.dedent(SCENE))
    process = subprocess.Popen(
        [sys.executable, "scene.py"], cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    workers = [int(pid) for pid in process.stdout.readline().split()]
    nursery = int(process.stdout.readline())
    assert process.stdout.readline() == "begin\n", process.stderr.read()
    yield process, workers, nursery
    if process.poll() is None:
        process.kill()
    process.communicate()


def test_a_killed_kernel_leaves_no_child_after_two_seconds(kernel):
    process, workers, nursery = kernel
    time.sleep(0.5)
    process.kill()
    process.wait()
    assert all(gone(pid, 2.0) for pid in [*workers, nursery])


def test_an_interrupt_keeps_what_finished_ends_what_runs_and_leaves_workers_for_the_next_run(kernel, place):
    process, workers, _ = kernel
    time.sleep(1.5)
    # As a terminal does: to all processes of the group.
    os.killpg(process.pid, signal.SIGINT)
    started = time.monotonic()
    out, err = process.communicate(timeout=30)
    assert time.monotonic() - started < 10
    assert out.startswith("interrupted"), err
    assert "4 finished results are kept" in err
    assert len(out.splitlines()[1].split()) >= 1
    assert all(gone(pid) for pid in workers)


def test_an_interrupt_while_workers_start_leaves_no_orphans(place):
    with open(os.path.join(place, "scene.py"), "w") as stream:
        stream.write(textwrap.dedent(SCENE))
    for delay_s in (0.6, 0.9, 1.2, 1.5):
        process = subprocess.Popen(
            [sys.executable, "scene.py"], cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
        time.sleep(delay_s)
        group = process.pid
        os.killpg(group, signal.SIGINT)
        process.wait(30)
        process.communicate()
        assert all(gone(pid) for pid in children_of(group))


def children_of(pid):
    """The processes whose parent, or whose nursery's parent, was this one; by the environment nothing is told."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as stream:
                    if int(stream.read().rpartition(")")[2].split()[1]) == pid:
                        found.append(int(entry))
            except OSError:
                continue
    return found


def test_a_fork_of_the_kernel_has_workers_of_its_own(flow, tmp_path):
    with flow:
        task(lambda x: os.getpid(), name="pids", cache=False).map(range(8))
    before = set(flow.run()["pids"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        ok = not before & set(flow.run()["pids"])
        os._exit(0 if ok else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert flow.run()["pids"]


def test_a_fork_in_the_middle_of_a_start_of_workers_waits_for_nobody(flow):
    from nbflow.executors.pool import POOL

    with flow:
        task(lambda x: x, name="same", cache=False).map(range(2))
    flow.run()
    # As a thread does that fetches or puts back a worker just then.
    with POOL._lock, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
        if not child:
            signal.alarm(20)
            os._exit(0 if flow.run()["same"] == [0, 1] else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def test_the_pane_of_a_node_names_its_workers_and_shows_what_they_made(flow):
    from nbflow.flow.glance import Glances

    with flow:
        node = task(lambda: [1, 2, 3], name="made")()
    told = Glances(flow.run()).ended(node)
    assert told["workers"].startswith("process ")
    assert told["workers"].endswith(" MB)")
    assert told["output"] == {"kind": "text", "text": "[1, 2, 3]"}


def test_what_came_of_another_order_is_no_answer():
    ours, theirs = socket.socketpair()
    worker = WorkerProcess(None, 0, ours, mmap.mmap(-1, PAGE_BYTES))
    with theirs:
        for order in ("first", "second"):
            worker.send(order)
            number, what = wire.receive(theirs)
            assert what == order
            if order == "first":
                late = (number, "of the first")
        wire.send(theirs, late)
        wire.send(theirs, (number, "of the second"))
        assert worker.receive(1) is None
        assert worker.receive(1) == "of the second"
    worker.close()
