"""Workers over TCP that somebody started: what is around a task there."""

import os

import pytest
from test_dask_tcp import Servers, wait_for

from nbflow import DaskExecutor, Flow, task


@pytest.fixture
def servers(tmp_path):
    servers = Servers(tmp_path)
    servers.scheduler()
    yield servers
    servers.executor.close()
    servers.close()


def worker(servers, env):
    servers.worker("one", env=env)
    servers.executor = DaskExecutor(servers.address)
    wait_for(lambda: servers.executor.connect() and servers.executor.slots == 1)
    return servers.executor


def test_workers_keep_their_own_environment_under_the_kernels(servers, tmp_path, monkeypatch):
    names = ["CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "SHARD", "SHARED", "SENT"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("SHARD", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    own = {"CUDA_VISIBLE_DEVICES": "0", "OMP_NUM_THREADS": "1", "SHARD": "3", "SHARED": "worker"}
    executor = worker(servers, own)
    monkeypatch.setenv("SHARED", "kernel")
    monkeypatch.setenv("SENT", "kernel")

    def seen():
        return [os.environ.get(name) for name in names]

    def in_a_task():
        with Flow("env", store=tmp_path / "store", executor=executor) as flow:
            task(seen, name="seen", cache=False)()
        return flow.run()["seen"]

    assert in_a_task() == ["0", "1", "3", "kernel", "kernel"]
    # What the kernel had sent and has no more goes; the worker's own comes back.
    monkeypatch.delenv("SHARED")
    monkeypatch.delenv("SENT")
    assert in_a_task() == ["0", "1", "3", "worker", None]
    assert next(iter(executor.connect().run(seen).values()))[:3] == ["0", "1", "3"]
