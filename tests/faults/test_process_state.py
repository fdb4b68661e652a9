"""What the notebook, tasks and the machine do to processes as such costs nobody else anything."""

import os
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
