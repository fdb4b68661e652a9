"""Workers over TCP that somebody started: what is around a task there."""

import importlib
import os
import sys

import pandas as pd
import pytest
from test_dask_tcp import Servers, wait_for

from nbflow import DaskExecutor, Flow, task
from nbflow.errors import ClusterError
from nbflow.executors import afar


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


def test_packages_of_other_versions_are_told_with_what_to_install(servers, tmp_path, monkeypatch):
    other = tmp_path / "site-packages" / "pandas-1.0.7.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: pandas\nVersion: 1.0.7\n")
    executor = worker(servers, {"PYTHONPATH": os.pathsep.join([str(other.parent), *filter(None, sys.path)])})
    # There the worker's own path stays.
    monkeypatch.setattr(afar, "machine", lambda: "elsewhere")
    with Flow("versions", store=tmp_path / "store", executor=executor) as flow:
        task(lambda x: pd.Series([x]).sum(), name="summed").map(range(2))
        task(lambda x: x + 1, name="plain").map(range(2))
    run = flow.run()
    assert run["plain"] == [1, 2]
    message = str(run.failed("summed").error.iloc[0])
    assert "summed (" in message
    assert f"this kernel has pandas {pd.__version__}, and the worker dask one has 1.0.7" in message
    assert f"`pip install pandas=={pd.__version__}`" in message


def test_workers_that_leave_out_asserts_are_refused(servers):
    with pytest.raises(ClusterError) as refused:
        executor = worker(servers, {"PYTHONOPTIMIZE": "1"})
        wait_for(lambda: executor.connect() and executor.workers)
    message = str(refused.value)
    assert "runs as `python -O`, and this kernel as `python`: results could differ" in message
    assert message.endswith("start it without -O and PYTHONOPTIMIZE")


def test_modules_of_the_users_are_compiled_as_in_the_kernel(servers, tmp_path, monkeypatch):
    (tmp_path / "scales.py").write_text("def scale(x):\n    return x if __debug__ else 1000 * x\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    scales = importlib.import_module("scales")
    # A worker that comes in the middle of a run may get something to do before it is known.
    monkeypatch.setattr(DaskExecutor, "_compare", lambda self, address, _: self._known.add(address))
    executor = worker(servers, {"PYTHONOPTIMIZE": "1"})
    with Flow("scaled", store=tmp_path / "store", executor=executor) as flow:
        task(lambda: (scales.scale(1), sys.flags.optimize), name="scaled", cache=False)()
    assert flow.run()["scaled"] == (1, 1)
