"""Faults on the Dask cluster that nbflow starts on this machine."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from poison import POISON

from nbflow import DaskExecutor, Flow, case, task, unmapped
from nbflow.errors import ClusterError, NbflowWarning, TaskTimeout, WorkerDied
from nbflow.executors.dask import ClusterRun


@pytest.fixture
def flow(tmp_path):
    return Flow("dask", store=tmp_path / "store", executor="dask")


# How each of them ends a worker, as its error tells it.
ENDINGS = {
    "SIGKILL": "killed by SIGKILL); the system does that when memory runs out",
    "SIGTERM": "killed by SIGTERM",
    "SIGABRT": "killed by SIGABRT",
    "SIGSEGV": "killed by SIGSEGV",
    "SIGBUS": "killed by SIGBUS",
    "SIGFPE": "killed by SIGFPE",
    "exit 3": "exit code 3",
    "exit 0": "exit code 0",
    "a thread exits": "exit code 5",
    "its group is killed": "killed by SIGKILL",
    "another program": "exit code 0",
    "no memory": "exit code 9",
    # One or the other comes first: it cannot go on, or nobody hears of it any more.
    "files closed": ("exit code 1", "it lost its connections"),
}


def test_whatever_workers_die_of_fails_after_three_deaths_and_all_others_finish(flow, tmp_path):
    notes = str(tmp_path / "calls")
    assert list(ENDINGS) == list(POISON)

    def call(x):
        if x in POISON:
            fd = os.open(notes, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
            os.write(fd, f"{x}\n".encode())
            os.close(fd)
            POISON[x](0)
        return x

    sound = list(range(26))
    with flow:
        task(call, ignore=["notes"]).map([*POISON, *sound])
    run = flow.run()
    assert run.values("call", failed="drop") == sound
    for place, (way, ending) in enumerate(ENDINGS.items()):
        error = run.error("call", place)
        assert isinstance(error, WorkerDied)
        assert "died 3 times" in str(error)
        assert any(each in str(error) for each in ([ending] if isinstance(ending, str) else ending))
        # One that a worker had before another element ended it may be called once more.
        assert 3 <= Path(notes).read_text().splitlines().count(way) <= 4


def test_several_poison_elements_fail_alone(flow, monkeypatch):
    # Each of them takes along what all orders need, and those that wait for the same worker.
    monkeypatch.setattr("nbflow.executors.depot._APART_BYTES", 0)
    monkeypatch.setattr("nbflow.executors.dask._MOST_LOSSES", 5)
    poison = set(range(0, 36, 4))
    with flow:
        task(lambda x: os._exit(1) if x in poison else x, name="call").map(range(36))
    run = flow.run()
    assert run.values("call", failed="drop") == [x for x in range(36) if x not in poison]
    assert all("died 3 times" in str(run.error("call", place)) for place in poison)


def test_a_task_that_names_the_cluster_of_its_flow_has_no_run_there_of_its_own(tmp_path, monkeypatch):
    made = []
    begin = ClusterRun.__init__
    monkeypatch.setattr(ClusterRun, "__init__", lambda self, *given: made.append(self) or begin(self, *given))
    cluster = DaskExecutor()
    with Flow("one", store=tmp_path / "store", executor=cluster) as flow:
        numbers = task(lambda: 1, name="a")(), task(lambda: 2, name="b", executor=cluster)()
        task(lambda a, b: a + b, name="sum", executor="dask")(*numbers)
    assert flow.run()["sum"] == 3
    assert len(made) == 1
    cluster.close()


def in_c(x):
    """Nothing in its own process is called meanwhile."""
    return sum(range(10**11)) if x == 2 else x


def test_the_time_of_a_call_ends_it_also_where_it_computes_in_c(flow):
    with flow:
        task(in_c, name="call", timeout_s=1).map(range(5))
    run = flow.run()
    assert run.values("call", failed="drop") == [0, 1, 3, 4]
    assert isinstance(run.error("call"), TaskTimeout)


def test_what_was_cancelled_holds_no_worker_also_where_it_computes_in_c(flow, tmp_path):
    begun = tmp_path / "begun"
    begun.mkdir()

    def stuck(x):
        (begun / str(os.getpid())).touch()
        return in_c(2)

    with flow:
        task(stuck, name="stuck")(1)
    handle = flow.start()
    wait_for(lambda: list(begun.iterdir()))
    [worker] = begun.iterdir()
    handle.cancel()
    with Flow("next", store=tmp_path / "store", executor="dask") as flow:
        task(lambda x: x, name="next").map(range(4))
    with pytest.warns(NbflowWarning, match="cancelled"):
        assert flow.run()["next"] == [0, 1, 2, 3]
    wait_for(lambda: not Path(f"/proc/{worker.name}").exists())


def wait_for(condition):
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)


INTERRUPTED = """
import os, sys, time
from nbflow import Flow, task
from nbflow.errors import Interrupted

def slow(x):
    open(f"begun-{x}-{os.getpid()}", "w").close()
    time.sleep(0.1)
    return x

with Flow("interrupted", store="store", executor="dask") as flow:
    task(slow, cache=True).map(range(60))
try:
    flow.run()
except KeyboardInterrupt:
    print("interrupted", flow.last_run.counts()[0] > 0)
run = flow.run()
print(run["slow"] == list(range(60)), run.counts()[1] > 0)
"""


def test_an_interrupt_from_a_terminal_ends_the_run_and_no_worker(tmp_path):
    (tmp_path / "program.py").write_text(INTERRUPTED)
    program = subprocess.Popen(
        [sys.executable, "-W", "ignore", "program.py"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    until = time.monotonic() + 60
    while len(list(tmp_path.glob("begun-*"))) < 12:
        assert time.monotonic() < until
        time.sleep(0.02)
    before = {path.name.rpartition("-")[2] for path in tmp_path.glob("begun-*")}
    os.killpg(program.pid, signal.SIGINT)
    told, _ = program.communicate(timeout=60)
    assert told.split() == ["interrupted", "True", "True", "True"]
    assert {path.name.rpartition("-")[2] for path in tmp_path.glob("begun-*")} == before


DEAF = """
import os, re
from nbflow import Flow, task

def deaf(x):
    with open(f"begun-{x}-{os.getppid()}-{os.getpid()}", "w"):
        pass
    # In here nothing else runs in this process, for years.
    re.match("(a+)+$", "a" * 60 + "b")

with Flow("deaf", store="store", executor="dask") as flow:
    task(deaf).map(range(2))
flow.run()
"""


def test_a_killed_kernel_leaves_no_worker_after_two_seconds_even_of_a_call_that_hears_nothing(tmp_path):
    (tmp_path / "program.py").write_text(DEAF)
    program = subprocess.Popen([sys.executable, "-W", "ignore", "program.py"], cwd=tmp_path)
    try:
        until = time.monotonic() + 60
        while not list(tmp_path.glob("begun-*")):
            assert time.monotonic() < until
            time.sleep(0.02)
    finally:
        program.kill()
        program.wait()
    pids = {int(pid) for path in tmp_path.glob("begun-*") for pid in path.name.split("-")[2:]}
    until = time.monotonic() + 2
    while left := {pid for pid in pids if is_alive(pid)}:
        if time.monotonic() > until:
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            pytest.fail("workers go on without a kernel")
        time.sleep(0.05)


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stream:
            return stream.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


IMPORTING = """
import importlib.abc, os, signal, sys
from nbflow import Flow, task

class Interrupts(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "yaml.nodes" and self in sys.meta_path:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupts())
with Flow("interrupted", store="store", executor="dask") as flow:
    task(lambda x: -x, name="minus").map(range(3))
try:
    flow.run()
except KeyboardInterrupt:
    print("interrupted")
print(flow.run()["minus"])
"""


def test_an_interrupt_while_dask_is_imported_leaves_it_whole_for_the_next_run(tmp_path):
    (tmp_path / "program.py").write_text(IMPORTING)
    command = [sys.executable, "-W", "ignore", "program.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == ["interrupted", "[0, -1, -2]"], done.stderr


def test_a_cluster_object_of_the_users_is_used_and_its_workers_survive_an_interrupt(tmp_path):
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address="127.0.0.1:0") as cluster:
        executor = DaskExecutor(cluster)
        with Flow("given", store=tmp_path / "store", executor=executor) as flow:
            task(lambda x: (x, os.getpid()), name="pids", cache=False).map(range(8))
        first = flow.run()["pids"]
        assert [x for x, _ in first] == list(range(8))
        (pid,) = {pid for _, pid in first}
        os.kill(pid, signal.SIGINT)
        assert {pid for _, pid in flow.run()["pids"]} == {pid}
        executor.close()


def test_a_cluster_whose_workers_are_threads_of_the_kernel_is_refused(tmp_path):
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, processes=False, dashboard_address="127.0.0.1:0") as cluster:
        with Flow("given", store=tmp_path / "store", executor=DaskExecutor(cluster)) as flow:
            task(lambda: 1, name="one")()
        with pytest.raises(ClusterError, match="workers in this process.*processes=True"):
            flow.run()
        flow.cluster.close()


def test_a_task_may_have_processes_of_its_own(flow):
    def pooled(x):
        import multiprocessing

        with multiprocessing.Pool(2) as pool:
            return multiprocessing.get_start_method(), pool.map(abs, [-x, x])

    with flow:
        task(pooled, cache=False).map([1, 2])
    assert flow.run()["pooled"] == [pooled(1), pooled(2)]


def test_who_looks_after_a_worker_and_is_killed_is_replaced(flow):
    with flow:
        task(lambda x: (os.getpid(), os.getppid()), name="pids", cache=False).map(range(4))
    before = {parent for _, parent in flow.run()["pids"]}
    for parent in before:
        os.kill(parent, signal.SIGKILL)
    after = {parent for _, parent in flow.run()["pids"]}
    assert after
    assert not before & after


@pytest.mark.parametrize("logs", ["", "import logging; logging.basicConfig(level=logging.INFO)"])
def test_a_script_runs_and_ends_without_a_word_of_dasks(tmp_path, logs):
    (tmp_path / "script.py").write_text(
        f"{logs}\n"
        + textwrap.dedent("""
            from nbflow import Flow, task
            if __name__ == "__main__":
                with Flow("f", store="store", executor="dask") as flow:
                    task(lambda x: x, name="same").map(range(20))
                print(flow.run()["same"][-1])
        """)
    )
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("19\n", "")


BESIDE = """
import logging
logging.basicConfig(level=logging.INFO)
from distributed import LocalCluster
from nbflow import DaskExecutor, Flow, task

def run(executor):
    with Flow("f", store="store", executor=executor) as flow:
        task(lambda x: x, name="same", cache=False).map(range(3))
    assert flow.run()["same"] == [0, 1, 2]

if __name__ == "__main__":
    run("dask")
    with LocalCluster(n_workers=1, dashboard_address="127.0.0.1:0", silence_logs=False) as cluster:
        executor = DaskExecutor(cluster.scheduler_address)
        run(executor)
        executor.close()
        print(cluster.scheduler_address)
"""


def test_the_logs_of_a_cluster_of_the_users_in_the_same_process_stay(tmp_path):
    (tmp_path / "script.py").write_text(BESIDE)
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    starts = [line for line in done.stderr.splitlines() if "Scheduler at:" in line]
    assert [line.split()[-1] for line in starts] == done.stdout.split()
    assert "Closing scheduler" in done.stderr


def test_resources_that_the_workers_of_this_machine_do_not_have_are_told(flow):
    with flow:
        task(lambda: 1, name="fit", resources={"GPU": 1})()
    with pytest.raises(ClusterError, match=r"fit needs resources GPU=1, .*DaskExecutor\(address\)"):
        flow.run()


def test_resources_that_are_nowhere_are_told_before_anything_is_called_elsewhere(tmp_path):
    called = tmp_path / "called"
    with Flow("mixed", store=tmp_path / "store") as flow:
        first = task(lambda: called.touch(), name="first", ignore=["called"])()
        task(lambda x: x, name="fit", executor="dask", resources={"GPU": 1})(first)
    with pytest.raises(ClusterError, match="fit needs resources GPU=1"):
        flow.run()
    assert not called.exists()
    flow.run(targets=["first"])
    assert called.exists()


def test_what_stands_in_a_branch_needs_its_resources_only_when_that_is_taken(tmp_path):
    def flow_where(has_gpu):
        with Flow("branch", store=tmp_path / f"{has_gpu}") as flow:
            has = task(lambda: has_gpu, name="has")()
            with case(has, True):
                on_gpu = task(lambda: "gpu", name="on_gpu", executor="dask", resources={"GPU": 1})()
                task(lambda x: x, name="after", executor="dask", resources={"GPU": 1})(on_gpu)
            with case(has, False):
                task(lambda: "cpu", name="on_cpu")()
        return flow

    assert flow_where(False).run()["on_cpu"] == "cpu"
    with pytest.raises(ClusterError, match="on_gpu needs resources GPU=1"):
        flow_where(True).run()


def test_an_input_beyond_the_memory_of_all_workers_fails_its_elements_and_the_run_goes_on(tmp_path, monkeypatch):
    from distributed import LocalCluster

    monkeypatch.setattr("nbflow.executors.depot._MOST_TRIES", 2)
    small = {"n_workers": 1, "threads_per_worker": 1, "memory_limit": "400MB", "dashboard_address": "127.0.0.1:0"}
    with LocalCluster(**small) as cluster:
        with Flow("large", store=tmp_path / "store", executor=DaskExecutor(cluster)) as flow:
            large = task(lambda: np.ones(50_000_000), name="large", executor="threads")()
            task(lambda x, large: x + len(large), name="call").map([1, 2], large=unmapped(large))
            task(lambda: 7, name="other")()
        run = flow.run()
    assert run["other"] == 7
    assert [type(run.error("call", place)) for place in (0, 1)] == [WorkerDied] * 2
    told = str(run.error("call", 1))
    assert "2 times in succession the workers that got 400.0 MB of what it needs were gone" in told
    assert "memory" in told


GUARDED = """
import pickle, sys
from nbflow import DaskExecutor, Flow, task

def square(x):
    return x * x

class Point:
    pass

def look(x):
    main = sys.modules["__main__"]
    return pickle.loads(pickle.dumps(square)) is square, main.square is square, main.Point is Point

if __name__ == "__main__":
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster:
        executor = DaskExecutor(cluster)
        with Flow("guarded", store="store", executor=executor) as flow:
            task(look).map([1])
        print(flow.run()["look"])
        executor.close()
"""


def test_in_workers_that_imported_the_script_once_more_main_is_what_it_is_in_the_kernel(tmp_path):
    (tmp_path / "script.py").write_text(GUARDED)
    command = [sys.executable, "-W", "ignore", "script.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stdout == "[(True, True, True)]\n", done.stderr
