"""What the notebook, tasks and the machine do to processes as such costs nobody else anything."""

import os
import socket
import time

import numpy as np
import pytest

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
