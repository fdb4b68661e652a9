"""A scheduler and workers as processes of their own, over TCP: what a run makes of it when they end, or stand still."""

import importlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from nbflow import DaskExecutor, Flow, task, unmapped
from nbflow.errors import ClusterError, MissingExtra, NbflowWarning
from nbflow.executors.dask import ClusterRun

BOUND_S = 60


class Servers:
    """Starts `dask scheduler` and `dask worker`, and ends them by their own ids."""

    def __init__(self, folder):
        self.folder = folder
        self.started = []

    def start(self, *words, env=None):
        log = open(self.folder / f"{words[0]}-{len(self.started)}.log", "w")
        process = subprocess.Popen(
            [sys.executable, "-m", "dask", *map(str, words)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            cwd=self.folder,
            start_new_session=True,
        )
        log.close()
        self.started.append(process)
        return process

    def scheduler(self, *words, port=0):
        file = self.folder / f"scheduler-{len(self.started)}.json"
        self.process = self.start(
            *("scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard"),
            *("--dashboard-address", "127.0.0.1:0", "--scheduler-file", file, *words),
        )
        wait_for(lambda: file.exists() and file.read_text().strip().endswith("}"))
        import json

        self.address = json.loads(file.read_text())["address"]
        return self.address

    def worker(self, name, *words, env=None):
        return self.start(
            *("worker", self.address, "--host", "127.0.0.1", "--nthreads", 1, "--no-dashboard", "--no-nanny"),
            *(
                "--dashboard-address",
                "127.0.0.1:0",
                "--name",
                name,
                "--local-directory",
                self.folder / "scratch",
                *words,
            ),
            env=env,
        )

    def close(self):
        for process in self.started:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()


def wait_for(condition, bound_s=BOUND_S):
    until = time.monotonic() + bound_s
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)


@pytest.fixture
def servers(tmp_path):
    servers = Servers(tmp_path)
    yield servers
    servers.close()


@pytest.fixture
def cluster(servers):
    """Two workers, and what connects to them."""
    yield two_workers(servers)
    servers.executor.close()


@pytest.fixture(scope="module")
def lasting(tmp_path_factory):
    """Two workers for all tests that leave them alive."""
    servers = two_workers(Servers(tmp_path_factory.mktemp("cluster")))
    yield servers
    servers.executor.close()
    servers.close()


def two_workers(servers):
    servers.scheduler()
    servers.workers = [servers.worker("one"), servers.worker("two")]
    servers.executor = DaskExecutor(servers.address)
    wait_for(lambda: servers.executor.connect() and servers.executor.slots == 2)
    return servers


def flow_on(executor, tmp_path, name="tcp"):
    return Flow(name, store=tmp_path / "store", executor=executor)


def beginning(folder, seconds):
    """A function that tells in a folder which arguments it was called with, and takes some time."""
    folder.mkdir()

    def slow(x):
        (folder / str(x)).touch()
        time.sleep(seconds)
        return x

    return slow


def no_thread_is_left():
    return not any(thread.name == "nbflow-dask" for thread in threading.enumerate())


def at_first_result(monkeypatch, cluster, do):
    """Does something to the process that holds the first result, before that is fetched."""
    landed = ClusterRun._landed
    done = threading.Event()

    def first(self, key):
        if not done.is_set():
            done.set()
            client = cluster.executor.connect()
            [address] = client.who_has(self._flights[key].future)[key]
            do(client.run(os.getpid, workers=[address])[address])
        landed(self, key)

    monkeypatch.setattr(ClusterRun, "_landed", first)


def test_a_flow_runs_on_workers_over_tcp_and_is_a_full_hit_for_threads(lasting, tmp_path):
    shared = np.arange(100_000)
    with flow_on(lasting.executor, tmp_path) as flow:
        parts = task(lambda x, a: a[x : x + 3], name="parts").map(range(6), unmapped(shared))
        task(lambda parts: int(sum(part.sum() for part in parts)), name="total")(parts)
    run = flow.run()
    assert run["total"] == sum(3 * x + 3 for x in range(6))
    with flow_on("threads", tmp_path) as flow:
        parts = task(lambda x, a: a[x : x + 3], name="parts").map(range(6), unmapped(shared))
        task(lambda parts: int(sum(part.sum() for part in parts)), name="total")(parts)
    ran, reused, failed = flow.run().counts()
    assert (ran, failed) == (0, 0)


def test_all_goes_through_the_scheduler_where_workers_are_far_away(lasting, tmp_path, monkeypatch):
    monkeypatch.setattr(DaskExecutor, "is_near", False)
    shared = np.arange(400_000.0)
    with flow_on(lasting.executor, tmp_path) as flow:
        task(lambda x, a: a[x:] + x, name="shifted").map(range(3), unmapped(shared))
    run = flow.run()
    for x, result in enumerate(run["shifted"]):
        assert (result == shared[x:] + x).all()
    assert run.counts() == (3, 0, 0)


def test_a_worker_that_is_killed_while_it_works_loses_nothing(cluster, tmp_path):
    begun = tmp_path / "begun"
    begun.mkdir()

    def slow(x, a):
        (begun / str(x)).touch()
        time.sleep(0.2)
        return x + int(a[0])

    with flow_on(cluster.executor, tmp_path) as flow:
        task(slow, cache=True).map(range(30), unmapped(np.ones(100_000)))
    handle = flow.start()
    wait_for(lambda: len(list(begun.iterdir())) > 5)
    cluster.workers[0].kill()
    assert handle.wait()["slow"] == [x + 1 for x in range(30)]


def test_a_worker_that_is_killed_while_idle_is_not_missed(cluster, tmp_path):
    with flow_on(cluster.executor, tmp_path) as flow:
        task(lambda x: -x, name="minus").map(range(10))
    assert flow.run()["minus"] == [-x for x in range(10)]
    cluster.workers[1].kill()
    with flow_on(cluster.executor, tmp_path, "other") as flow:
        task(lambda x: x + 1, name="plus").map(range(10))
    assert flow.run()["plus"] == list(range(1, 11))


def test_a_worker_that_stands_still_for_three_seconds_loses_nothing(lasting, tmp_path):
    begun = tmp_path / "begun"
    with flow_on(lasting.executor, tmp_path) as flow:
        task(beginning(begun, 0.1), cache=True).map(range(30))
    handle = flow.start()
    wait_for(lambda: len(list(begun.iterdir())) > 3)
    lasting.workers[0].send_signal(signal.SIGSTOP)
    threading.Timer(3, lasting.workers[0].send_signal, [signal.SIGCONT]).start()
    run = handle.wait()
    assert run["slow"] == list(range(30))
    assert run.counts()[2] == 0


def test_a_scheduler_that_is_killed_ends_the_run_and_the_next_one_goes_on(cluster, tmp_path):
    done = tmp_path / "done"
    done.mkdir()

    def slow(x):
        time.sleep(0.1)
        with open(done / str(x), "a") as stream:
            stream.write("x")
        return x

    with flow_on(cluster.executor, tmp_path) as flow:
        task(slow, cache=True).map(range(40))
    threading.Thread(
        target=lambda: (wait_for(lambda: len(list(done.iterdir())) > 15), cluster.process.kill()), daemon=True
    ).start()
    with pytest.raises(ClusterError, match="does not answer any more.*what has finished is kept"):
        flow.run()
    kept = flow.last_run.counts()[0]
    port = cluster.address.rpartition(":")[2]
    cluster.scheduler(port=port)
    cluster.worker("three")
    again = DaskExecutor(cluster.address)
    with flow_on(again, tmp_path) as flow:
        task(slow, cache=True).map(range(40))
    run = flow.run()
    # A client that is left behind looks for its scheduler for half a minute.
    again.close()
    assert run["slow"] == list(range(40))
    assert run.counts()[1] >= kept > 0


def test_what_was_cancelled_ends_and_what_had_finished_is_kept(lasting, tmp_path):
    beats = tmp_path / "beats"

    def slow(x):
        for _ in range(20):
            with open(beats, "a") as stream:
                stream.write(".")
            time.sleep(0.02 if x < 10 else 0.5)
        return x

    with flow_on(lasting.executor, tmp_path) as flow:
        task(slow, cache=True).map(range(30))
    handle = flow.start()
    wait_for(lambda: beats.exists() and beats.stat().st_size > 205)
    handle.cancel()
    with pytest.warns(NbflowWarning, match="cancelled; .* finished results are kept"):
        wait_for(lambda: handle.done)
    time.sleep(3)
    size = beats.stat().st_size
    time.sleep(1.5)
    assert beats.stat().st_size == size, "something goes on"
    with flow_on(lasting.executor, tmp_path) as flow:
        task(lambda x: x, name="next").map(range(4))
    assert flow.run()["next"] == list(range(4))
    assert handle.run.counts()[0] >= 8


def test_resources_that_no_worker_has_are_told_before_anything_is_sent(cluster, tmp_path):
    called = tmp_path / "called"
    with flow_on(cluster.executor, tmp_path) as flow:
        task(lambda: called.touch(), name="first")()
        task(lambda x: x, name="fit", resources={"GPU": 1}).map(range(3))
    with pytest.raises(ClusterError, match="fit needs resources GPU=1.*its 2 workers have no resources.*--resources"):
        flow.run()
    assert not called.exists()
    cluster.worker("graphics", "--resources", "GPU=2")
    wait_for(lambda: cluster.executor.connect() and cluster.executor.slots == 3)
    assert flow.run()["fit"] == [0, 1, 2]
    assert list(flow.run(force=["fit"]).table.index)
    with flow_on(cluster.executor, tmp_path) as flow:
        task(lambda x: -x, name="fit", resources={"GPU": 4, "MEMORY": 4e9}).map(range(3))
    with pytest.raises(ClusterError, match=r'has: 1 of its 3 workers has GPU=2; .* --resources "GPU=4 MEMORY=4e\+09"`'):
        flow.run()


def test_a_worker_with_another_nbflow_is_refused(servers, tmp_path):
    servers.scheduler()
    (tmp_path / "older.py").write_text("import nbflow\nnbflow.__version__ = '0.0.1'\n")
    servers.worker("old", "--preload", tmp_path / "older.py")
    executor = DaskExecutor(servers.address)
    with flow_on(executor, tmp_path) as flow:
        task(lambda: 1, name="one")()
    wait_for(lambda: executor.slots and "Registered" in (tmp_path / "worker-1.log").read_text())
    with pytest.raises(ClusterError, match=r"has nbflow 0\.0\.1, and this kernel .*results could differ.*pip install"):
        executor.connect()
    with pytest.raises(ClusterError, match="results could differ"):
        flow.run()
    executor.close()


def test_a_scheduler_without_nbflow_is_told(servers, tmp_path):
    (tmp_path / "without.py").write_text("import sys\nsys.modules['nbflow'] = None\n")
    servers.scheduler("--preload", tmp_path / "without.py")
    servers.worker("one")
    executor = DaskExecutor(servers.address)
    with flow_on(executor, tmp_path) as flow:
        task(lambda: 1, name="one")()
    with pytest.raises(ClusterError, match=r"its scheduler cannot read .* `pip install 'nbflow\[dask\]=="):
        flow.run()
    executor.close()


def test_an_address_that_nobody_answers_at_is_told(tmp_path, monkeypatch):
    import dask

    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        flow_on(DaskExecutor("tcp://127.0.0.1:9"), tmp_path) as flow,
    ):
        task(lambda: 1, name="one")()
        with pytest.raises(ClusterError, match=r"tcp://127\.0\.0\.1:9 cannot be reached"):
            flow.run()


def test_a_connection_that_is_lost_for_good_is_no_line_in_the_logs_of_another_cell(servers):
    import dask

    records = []
    handler = logging.Handler()
    handler.emit = records.append
    servers.scheduler()
    servers.worker("one")
    with dask.config.set({"distributed.comm.timeouts.connect": "1s"}):
        executor = DaskExecutor(servers.address)
        client = executor.connect()
    logging.getLogger("distributed.client").addHandler(handler)
    try:
        os.killpg(servers.process.pid, signal.SIGKILL)
        wait_for(lambda: client.status == "closed")
    finally:
        logging.getLogger("distributed.client").removeHandler(handler)
    assert [record.getMessage() for record in records] == []
    executor.close()


def test_without_the_package_the_way_to_install_it_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with flow_on(DaskExecutor("tcp://127.0.0.1:9"), tmp_path) as flow:
        task(lambda: 1, name="one")()
    with pytest.raises(MissingExtra, match=r"pip install 'nbflow\[dask\]'"):
        flow.run()


def test_certificates_are_used_and_nobody_without_them_gets_in(servers, tmp_path):
    from distributed.security import Security

    made = Security.temporary()
    files = {}
    for name in ("tls_ca_file", "tls_client_cert", "tls_client_key"):
        files[name] = tmp_path / f"{name}.pem"
        files[name].write_text(getattr(made, name))
    tls = [
        "--tls-ca-file",
        files["tls_ca_file"],
        "--tls-cert",
        files["tls_client_cert"],
        "--tls-key",
        files["tls_client_key"],
    ]
    servers.scheduler("--protocol", "tls", *tls)
    assert servers.address.startswith("tls://")
    servers.worker("safe", "--protocol", "tls", *tls)
    paths = {name: str(path) for name, path in files.items()}
    executor = DaskExecutor(servers.address, security=Security(require_encryption=True, **paths))
    with flow_on(executor, tmp_path) as flow:
        task(lambda x: x + 1, name="plus").map(range(5))
    assert flow.run()["plus"] == [1, 2, 3, 4, 5]
    executor.close()
    with flow_on(DaskExecutor(servers.address), tmp_path) as flow:
        task(lambda x: x + 2, name="plus").map(range(5))
    with pytest.raises(ClusterError, match="cannot be reached.*security="):
        flow.run()


def test_on_another_machine_modules_travel_and_its_own_surroundings_stay(cluster, tmp_path, monkeypatch):
    # To the workers, this kernel is somewhere else.
    monkeypatch.setattr("nbflow.executors.afar.machine", lambda: "elsewhere")
    code = tmp_path / "code"
    code.mkdir()
    (code / "travelling.py").write_text("def times(x):\n    return 3 * x\n")
    monkeypatch.syspath_prepend(str(code))
    monkeypatch.chdir(code)
    monkeypatch.setenv("FLOW_SAYS", "hello")
    monkeypatch.setenv("HOME", "/nowhere")
    travelling = importlib.import_module("travelling")

    def look(x):
        return travelling.times(x), os.getcwd(), dict(os.environ), list(sys.path)

    with flow_on(cluster.executor, tmp_path) as flow:
        task(look, cache=False).map([1])
    [(value, folder, environment, path)] = flow.run()["look"]
    assert value == 3
    assert folder == str(tmp_path)
    assert environment["FLOW_SAYS"] == "hello"
    assert environment["HOME"] != "/nowhere"
    assert str(code) not in path
    sys.modules.pop("travelling")


def test_data_that_was_lost_with_its_workers_is_sent_again(cluster, tmp_path):
    begun = tmp_path / "begun"
    begun.mkdir()

    def slow(x, a):
        (begun / f"{x}-{os.getpid()}").touch()
        time.sleep(0.2)
        return x + int(a[0])

    with flow_on(cluster.executor, tmp_path) as flow:
        task(slow, cache=True).map(range(20), unmapped(np.ones(100_000)))
    handle = flow.start()
    wait_for(lambda: len(list(begun.iterdir())) > 5)
    # All that hold the shared argument, and results that nobody fetched so far.
    for worker in cluster.workers:
        worker.kill()
    cluster.worker("later")
    assert handle.wait()["slow"] == [x + 1 for x in range(20)]


def test_a_run_can_be_cancelled_while_a_worker_stands_still(lasting, tmp_path):
    begun = tmp_path / "begun"
    with flow_on(lasting.executor, tmp_path) as flow:
        task(beginning(begun, 0.1), cache=True).map(range(200))
    handle = flow.start()
    wait_for(lambda: len(list(begun.iterdir())) > 8)
    lasting.workers[0].send_signal(signal.SIGSTOP)
    handle.cancel()
    with pytest.warns(NbflowWarning, match="cancelled"):
        wait_for(lambda: handle.done)
    wait_for(no_thread_is_left, bound_s=15)
    lasting.workers[0].send_signal(signal.SIGCONT)
    assert flow.run()["slow"] == list(range(200))


def test_a_worker_that_stands_still_with_a_result_keeps_nobody_from_ending(lasting, tmp_path, monkeypatch):
    held = threading.Event()

    def stop(pid):
        os.kill(pid, signal.SIGSTOP)
        held.set()

    at_first_result(monkeypatch, lasting, stop)
    with flow_on(lasting.executor, tmp_path) as flow:
        task(lambda x: -x, name="minus", cache=True).map(range(20))
    handle = flow.start()
    assert held.wait(BOUND_S)
    handle.cancel()
    with pytest.warns(NbflowWarning, match="cancelled"):
        wait_for(lambda: handle.done)
    wait_for(no_thread_is_left, bound_s=15)
    for worker in lasting.workers:
        worker.send_signal(signal.SIGCONT)
    assert flow.run()["minus"] == [-x for x in range(20)]


def test_a_worker_that_is_killed_while_it_holds_results_loses_nothing(cluster, tmp_path, monkeypatch):
    killed = []

    def kill(pid):
        os.kill(pid, signal.SIGKILL)
        killed.append(pid)

    at_first_result(monkeypatch, cluster, kill)
    with flow_on(cluster.executor, tmp_path) as flow:
        task(lambda x, a: x + int(a[0]), name="plus", cache=True).map(range(20), unmapped(np.ones(100_000)))
    run = flow.run()
    assert killed
    assert run["plus"] == [x + 1 for x in range(20)]
    assert run.counts() == (20, 0, 0)


def test_a_cluster_without_workers_is_told_and_waited_for(servers, tmp_path, monkeypatch):
    monkeypatch.setattr("nbflow.executors.dask._DESERTED_S", 0.5)
    # All that goes along with an order has to wait for a worker as well.
    monkeypatch.setattr("nbflow.executors.depot._APART_BYTES", 0)
    servers.scheduler()
    executor = DaskExecutor(servers.address)
    with flow_on(executor, tmp_path) as flow:
        task(lambda: 7, name="seven")()
    told = threading.Event()
    monkeypatch.setattr(
        flow, "tell", lambda message: told.set() if "has no workers; the run waits" in message else None
    )
    late = threading.Thread(target=lambda: told.wait(BOUND_S) and servers.worker("late"))
    late.start()
    assert flow.run()["seven"] == 7
    assert told.is_set()
    late.join()
    executor.close()
