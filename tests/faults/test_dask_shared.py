"""Workers with several threads, that several runs use at once, and clusters that grow on demand."""

import random
import subprocess
import sys
import threading
import time

import matplotlib as mpl
import numpy as np
import pytest
from distributed import LocalCluster

from nbflow import DaskExecutor, Flow, task, unmapped
from nbflow.errors import ClusterError
from tests.faults.test_dask_tcp import Servers, flow_on, wait_for


@pytest.fixture(scope="module")
def executor(tmp_path_factory):
    """One worker with four threads."""
    servers = Servers(tmp_path_factory.mktemp("cluster"))
    servers.scheduler()
    servers.worker("wide", "--nthreads", 4)
    executor = DaskExecutor(servers.address)
    executor.address = servers.address
    wait_for(lambda: executor.connect() and executor.slots == 4)
    yield executor
    executor.close()
    servers.close()


def test_a_seed_gives_the_same_numbers_beside_other_threads(executor, tmp_path):
    def draw(x):
        numbers = []
        for _ in range(4):
            numbers.append((random.random(), np.random.rand()))
            time.sleep(0.01)
        return numbers

    results = []
    for where in (executor, "threads"):
        with Flow("draw", store=tmp_path / str(len(results)), executor=where) as flow:
            task(draw, seed=1).map(range(8))
        results.append(flow.run()["draw"])
    assert results[0] == results[1]


def test_a_figure_is_drawn_by_one_element_alone(executor, tmp_path):
    mpl.use("agg")
    import matplotlib.pyplot as plt

    def draw(x):
        plt.figure()
        for _ in range(3):
            plt.plot([x] * 3)
            time.sleep(0.02)
        lines = [line.get_ydata()[0] for line in plt.gca().lines]
        plt.close()
        return lines

    with flow_on(executor, tmp_path) as flow:
        task(draw).map(range(8))
    assert flow.run()["draw"] == [[x] * 3 for x in range(8)]


def test_calls_without_a_seed_are_at_work_at_once(executor, tmp_path):
    def meet(x, folder):
        (folder / str(x)).touch()
        until = time.monotonic() + 20
        while len(list(folder.iterdir())) < 4 and time.monotonic() < until:
            time.sleep(0.01)
        return len(list(folder.iterdir()))

    folder = tmp_path / "met"
    folder.mkdir()
    with flow_on(executor, tmp_path) as flow:
        task(meet, cache=False).map(range(4), unmapped(folder))
    assert flow.run()["meet"] == [4] * 4


def test_a_run_waits_for_no_other_one_on_the_same_worker(executor, tmp_path):
    begun, may_end = tmp_path / "begun", tmp_path / "may_end"

    def hold():
        begun.touch()
        until = time.monotonic() + 30
        while not may_end.exists() and time.monotonic() < until:
            time.sleep(0.01)
        return may_end.exists()

    with Flow("long", store=tmp_path / "long", executor=executor) as long:
        task(hold, cache=False, ignore=["begun", "may_end"])()
    with Flow("short", store=tmp_path / "short", executor=executor) as short:
        task(lambda x: x, name="same", cache=False).map(range(2))
    run = long.start()
    wait_for(begun.exists)
    assert short.run()["same"] == [0, 1]
    may_end.touch()
    assert run.wait()["hold"]


def test_a_flow_inside_a_task_of_the_same_cluster_is_refused(executor, tmp_path):
    address, folder = executor.address, str(tmp_path)

    def outer(x):
        with Flow("inner", store=f"{folder}/inner", executor=DaskExecutor(address)) as inner:
            task(lambda y: y, name="same").map([x, x + 1])
        return inner.run()["same"]

    with flow_on(executor, tmp_path) as flow:
        task(outer, cache=False).map([1])
    error = flow.run().error("outer")
    assert isinstance(error, ClusterError)
    assert 'give that flow executor="threads"' in str(error)


REDEFINED = """
import sys, time
from nbflow import DaskExecutor, Flow, task

class Point:
    def __init__(self, x):
        self.x = x
    def version(self):
        return "old"

executor = DaskExecutor(sys.argv[1])
with Flow("long", store="store", executor=executor) as long:
    task(lambda p: time.sleep(0.002 if p.x < 300 else 0.02) or p.version(), name="f", concurrency=1).map(
        [Point(i) for i in range(500)]
    )
run = long.start()
time.sleep(1)

class Point(Point):
    def version(self):
        return "new"

for k in range(8):
    with Flow("short", store="store", executor=executor) as short:
        task(lambda p: p.version(), name="g").map([Point(1000 * k + i) for i in range(3)])
    assert short.run()["g"] == ["new"] * 3
    time.sleep(0.2)
print(set(run.wait()["f"]))
executor.close()
"""


def test_a_class_that_is_edited_while_a_run_goes_on_is_the_old_one_there(executor, tmp_path):
    (tmp_path / "notebook.py").write_text(REDEFINED)
    command = [sys.executable, "-W", "ignore", "notebook.py", executor.address]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert done.stdout == "{'old'}\n", done.stderr


@pytest.fixture
def growing():
    """A cluster without workers, which starts them for tasks that wait."""
    with LocalCluster(n_workers=0, threads_per_worker=1, dashboard_address="127.0.0.1:0", host="127.0.0.1") as cluster:
        cluster.adapt(minimum=0, maximum=1, interval="100ms")
        yield cluster


def test_a_cluster_that_grows_on_demand_does_so_for_large_data(growing, tmp_path):
    executor = DaskExecutor(growing)
    with flow_on(executor, tmp_path) as flow:
        task(lambda x, a: float(a.sum()) + x, name="total").map([1, 2], unmapped(np.zeros(100_000)))
    results = []
    running = threading.Thread(target=lambda: results.append(flow.run()["total"]))
    running.start()
    running.join(60)
    assert results == [[1.0, 2.0]]
    executor.close()
