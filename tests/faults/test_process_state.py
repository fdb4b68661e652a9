"""What the notebook, tasks and the machine do to processes as such costs nobody else anything."""

import os
import resource
import signal
import socket
import subprocess
import tempfile
import time

import numpy as np
import pytest
from test_workers import gone

from nbflow import Flow, task
from nbflow.executors.pool import POOL


@pytest.fixture
def flow(tmp_path):
    return Flow("state", store=tmp_path / "store", executor="processes")


@pytest.fixture
def anew():
    """Nothing was started so far, and nothing of this is kept."""
    POOL.close()
    yield
    POOL.close()


def test_a_default_timeout_of_sockets_is_not_for_workers(flow, anew, capfd):
    with flow:
        task(lambda x: os.getppid(), name="parents", cache=False).map(range(4))
        task(lambda a, x: float(a[0]) + x, name="large").map(a=[np.ones(20_000_000)], x=[1])
    socket.setdefaulttimeout(0.1)
    try:
        first = flow.run()
        time.sleep(0.4)
        second = flow.run()
    finally:
        socket.setdefaulttimeout(None)
    assert first["large"] == [2.0]
    assert set(second["parents"]) == set(first["parents"])
    assert capfd.readouterr().err == ""


def test_workers_need_no_room_in_the_temporary_folder(flow, anew, monkeypatch):
    with flow:
        task(lambda x: x, name="same").map(range(2))
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    assert flow.run()["same"] == [0, 1]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no file of this system is always full")
def test_no_room_for_what_a_worker_shares_is_told(flow, anew, monkeypatch):
    with flow:
        task(lambda x: x, name="same").map(range(2))
    monkeypatch.delattr(os, "memfd_create", raising=False)
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: open("/dev/full", "r+b", 0))
    with pytest.raises(OSError, match=r"no worker process.*make room.*No space left on device"):
        flow.run()


def forked():
    child = os.fork()
    if not child:
        os.setsid()
        time.sleep(15)
        os._exit(0)
    # Before that it belongs to the worker, and ends with it.
    while os.getsid(child) == os.getsid(0):
        time.sleep(0.01)
    return child


def started():
    return subprocess.Popen(["sleep", "15"], close_fds=False, start_new_session=True).pid


@pytest.mark.parametrize("begin", [forked, started])
def test_what_a_dead_worker_left_in_a_session_of_its_own_does_not_keep_the_run_waiting(flow, tmp_path, begin):
    note = str(tmp_path / "pid")

    def leave(x):
        if x == 2 and not os.path.exists(note):
            child = begin()
            with open(note, "w") as stream:
                stream.write(str(child))
            os.kill(os.getpid(), signal.SIGKILL)
        return x

    with flow:
        task(leave, ignore=["note"]).map(range(4))
    assert flow.run()["leave"] == [0, 1, 2, 3]
    with open(note) as stream:
        child = int(stream.read())
    assert not gone(child, 0.2)
    os.kill(child, signal.SIGKILL)


def ring(_number, _frame):
    raise TimeoutError("of another task")


def opened_many():
    descriptors = [os.open(os.devnull, os.O_RDONLY) for _ in range(100)]
    for descriptor in descriptors:
        os.close(descriptor)
    return len(descriptors)


def mode_of_a_new_file():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "new")
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o666))
        return os.stat(path).st_mode & 0o600


# What a task does to its process, and what another one gives whose process is as it should be.
LEFT = {
    "a soft limit": (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (50, 4096)), opened_many, 100),
    "a hard limit": (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (50, 50)), opened_many, 100),
    "a closed stream": (lambda: os.close(1), lambda: os.write(1, b""), 0),
    "another stream": (
        lambda: os.dup2(os.open(os.devnull, os.O_RDONLY), 2),
        lambda: os.readlink("/proc/self/fd/2") == os.devnull,
        False,
    ),
    "a file mode": (lambda: os.umask(0o777), mode_of_a_new_file, 0o600),
    "an alarm": (
        lambda: (signal.signal(signal.SIGALRM, ring), signal.setitimer(signal.ITIMER_REAL, 1)),
        lambda: time.sleep(1.5),
        None,
    ),
}


@pytest.mark.parametrize("what", LEFT)
def test_what_a_task_did_to_its_process_is_not_for_later_runs(tmp_path, anew, what):
    spoil, look, sound = LEFT[what]
    with Flow("first", store=tmp_path / "store", executor="processes") as first:
        task(lambda x: spoil() and None, name="spoils", cache=False).map(range(2))
    first.run(check=True)
    with Flow("second", store=tmp_path / "store", executor="processes") as second:
        task(lambda x: look(), name="looks", cache=False).map(range(2))
    assert second.run()["looks"] == [sound] * 2


def test_a_worker_whose_limit_a_task_raised_goes_on(flow, anew):
    def raises(x):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft + 1, hard), hard))
        return os.getpid()

    with flow:
        task(raises, cache=False)(1)
    assert len({flow.run()["raises"] for _ in range(3)}) == 1
