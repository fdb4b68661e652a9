"""Resources: set up when first needed, cleaned up whatever happened."""

import os
import signal
import subprocess
import sys
import time

import pytest

from nbflow import Flow, State, merge, resource, task


@pytest.fixture
def cluster(calls):
    @resource
    def cluster(workers):
        calls.append(("up", workers))
        yield {"workers": workers}
        calls.append(("down", workers))

    return cluster


def build(cluster, noted, store, body=lambda client, x: (client["workers"], x), numbers=(1, 2)):
    noted_body = noted(body)

    with Flow("uses", store=store) as flow:
        with cluster(4) as client:
            used = noted_body.map(client=_whole(client), x=list(numbers), name="used")
        noted(len, name="count")(used)
    return flow


def _whole(value):
    from nbflow import unmapped

    return unmapped(value)


def test_a_resource_is_up_while_its_users_run_and_down_after_them(cluster, noted, store, calls):
    run = build(cluster, noted, store).run()
    assert run["used"] == [(4, 1), (4, 2)]
    assert calls[0] == ("up", 4)
    assert calls.index(("down", 4)) < next(i for i, call in enumerate(calls) if call[0] == "len")
    assert len([call for call in calls if call[0] in {"up", "down"}]) == 2


def test_when_all_is_reused_it_is_not_set_up_at_all(cluster, noted, store, calls):
    build(cluster, noted, store).run()
    calls.clear()
    run = build(cluster, noted, store).run()
    assert run["used"] == [(4, 1), (4, 2)]
    assert calls == []


def test_another_argument_of_the_resource_is_another_computation(cluster, noted, store, calls):
    build(cluster, noted, store).run()
    calls.clear()
    body = noted(lambda client, x: (client["workers"], x))
    with Flow("uses", store=store) as flow, cluster(8) as client:
        body(client, 1)
    flow.run()
    assert [call for call in calls if call[0] in {"up", "down"}] == [("up", 8), ("down", 8)]


def test_it_is_cleaned_up_after_a_failure(cluster, noted, store, calls):
    def fails(client, x):
        raise ValueError("no")

    run = build(cluster, noted, store, fails).run()
    assert run.state("used") is State.FAILED
    assert ("down", 4) in calls


def test_a_set_up_that_fails_fails_its_users_and_says_so(noted, store):
    @resource
    def broken():
        raise ConnectionError("no cluster here")
        yield

    @task
    def use(client):
        return 1

    with Flow("broken", store=store) as flow, broken() as client:
        use(client)
    error = flow.run().error("use")
    assert "resource 'broken' could not be set up: ConnectionError: no cluster here" in str(error)


def test_a_clean_up_that_fails_is_told_and_results_stand(noted, store):
    @resource
    def broken():
        yield 5
        raise ConnectionError("gone already")

    @task
    def use(client):
        return client + 1

    with Flow("broken", store=store) as flow, broken() as client:
        use(client)
    with pytest.warns(match="clean-up raised ConnectionError: gone already"):
        assert flow.run()["use"] == 6


def test_a_class_with_setup_and_cleanup(store, calls):
    @resource
    class Database:
        def __init__(self, name):
            self.name = name

        def setup(self):
            calls.append("setup")
            return f"connection to {self.name}"

        def cleanup(self, value):
            calls.append(f"closed {value}")

    @task
    def query(connection):
        return connection.upper()

    with Flow("class", store=store) as flow, Database("sales") as db:
        query(db)
    assert flow.run()["query"] == "CONNECTION TO SALES"
    assert calls == ["setup", "closed connection to sales"]


def test_a_task_in_the_block_that_does_not_take_the_resource_holds_it_open(cluster, noted, store, calls):
    @noted
    def free():
        return 1

    @noted
    def use(client):
        return client["workers"]

    with Flow("holds", store=store) as flow:
        with cluster(2) as client:
            first = use(client)
            free(upstream=[first])
        merge(first)
    flow.run()
    assert calls == [("up", 2), ("use", {"workers": 2}), ("free",), ("down", 2)]


def test_two_resources_nest_and_close_in_the_other_order(store, calls):
    @resource
    def outer():
        calls.append("outer up")
        yield 1
        calls.append("outer down")

    @resource
    def inner(base):
        calls.append("inner up")
        yield base + 1
        calls.append("inner down")

    @task
    def use(a, b):
        return a + b

    with Flow("nest", store=store) as flow, outer() as a, inner(a) as b:
        use(a, b)
    assert flow.run()["use"] == 3
    assert calls == ["outer up", "inner up", "inner down", "outer down"]


INTERRUPTED = """
import sys, time
from nbflow import Flow, resource, task
@resource
def cluster():
    print("UP", flush=True)
    yield 1
    print("DOWN", flush=True)
@task
def slow(client):
    print("WORKING", flush=True)
    time.sleep(60)
with Flow("f", store=sys.argv[1], executor=sys.argv[2]) as flow:
    with cluster() as client:
        slow(client), slow.with_options(name="other")(client)
flow.run()
"""


@pytest.mark.parametrize("executor", ["threads", "sync"])
def test_it_is_cleaned_up_after_an_interrupt(tmp_path, executor):
    script = tmp_path / "script.py"
    script.write_text(INTERRUPTED)
    process = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "store"), executor],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    while process.stdout.readline().strip() != "WORKING":
        assert process.poll() is None
    time.sleep(0.2)
    os.kill(process.pid, signal.SIGINT)
    rest, _ = process.communicate(timeout=30)
    assert "DOWN" in rest


def test_a_resource_can_be_used_without_a_flow(cluster, calls):
    with cluster.open(3) as value:
        assert value == {"workers": 3}
    assert calls == [("up", 3), ("down", 3)]
