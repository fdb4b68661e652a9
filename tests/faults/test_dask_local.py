"""Faults on the Dask cluster that nbflow starts on this machine."""

import ctypes
import os
import signal

import pytest

from nbflow import Flow, task
from nbflow.errors import WorkerDied


@pytest.fixture
def flow(tmp_path):
    return Flow("dask", store=tmp_path / "store", executor="dask")


POISONS = {
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "left": lambda: os._exit(3),
    "crashed": lambda: ctypes.string_at(0),
}


@pytest.mark.parametrize("poison", POISONS.values(), ids=POISONS)
def test_what_a_worker_dies_of_fails_and_all_others_finish(flow, poison, tmp_path):
    path = str(tmp_path / "calls")

    def call(x):
        if x == 20:
            with open(path, "a") as stream:
                stream.write("x")
            poison()
        return -x

    with flow:
        task(call, cache=True).map(range(40))
    run = flow.run()
    assert run.values("call", failed="drop") == [-x for x in range(40) if x != 20]
    error = run.error("call")
    assert isinstance(error, WorkerDied)
    assert "died 3 times" in str(error)
    assert 3 <= os.path.getsize(path) <= 4


def test_several_poison_elements_fail_alone(flow):
    with flow:
        task(lambda x: os._exit(1) if x in {0, 7, 29} else x, name="call").map(range(30))
    run = flow.run()
    assert run.values("call", failed="drop") == [x for x in range(30) if x not in {0, 7, 29}]
    assert len(run.failed("call")) == 3
