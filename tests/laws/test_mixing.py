"""Tasks of one flow, each on the executor that it names."""

import os
import threading

import pytest

from nbflow import DaskExecutor, task
from nbflow.errors import GraphError


def test_each_task_is_called_where_it_says_in_one_run(flow_of, calls):
    kernel, note = os.getpid(), calls.note

    def where(name, x):
        note(name)
        return (name, os.getpid() == kernel, threading.current_thread() is threading.main_thread(), x)

    with flow_of("threads") as flow:
        fetched = task(lambda x: where("fetch", x), name="fetch").map(range(4))
        crunched = task(lambda f: where("crunch", f[3] * 10), name="crunch", executor="processes").map(fetched)
        fitted = task(lambda c: where("fit", c[3] + 1), name="fit", executor="dask").map(crunched)
        task(lambda all_: where("report", [f[3] for f in all_]), name="report", executor="sync")(fitted)
    run = flow.run()
    assert [each[1] for each in run["fetch"]] == [True] * 4
    assert [each[1] for each in run["crunch"]] == [False] * 4
    assert [each[1] for each in run["fit"]] == [False] * 4
    assert run["report"] == ("report", True, True, [1, 11, 21, 31])
    assert {name.split()[0] for name in run.workers("crunch")} == {"process"}
    assert {name.split()[0] for name in run.workers("fit")} == {"dask"}
    assert run.workers("fetch") == {}
    again = flow.run()
    assert again.table.ran.sum() == 0
    assert [calls.of(name) for name in ("fetch", "crunch", "fit", "report")] == [4, 4, 4, 1]


@pytest.mark.parametrize("executor", ["process", "dusk", "thread"])
def test_a_mistyped_executor_proposes_the_nearest(executor, flow_of):
    nearest = {"process": "processes", "dusk": "dask", "thread": "threads"}[executor]
    with pytest.raises(Exception, match=f"did you mean '{nearest}'"):
        flow_of(executor)
    with pytest.raises(Exception, match=f"did you mean '{nearest}'"):
        task(lambda: 1, executor=executor)


@pytest.mark.parametrize("executor", ["tcp://10.0.0.5:8786", DaskExecutor, None, 3, ["dask"]], ids=repr)
def test_what_is_no_executor_of_a_flow_is_told_how_a_cluster_is_given(executor, flow_of):
    with pytest.raises(GraphError, match=r'executor=DaskExecutor\(.*its tasks say executor="dask"'):
        flow_of(executor)


def test_what_is_no_executor_of_a_task_is_told_how_a_cluster_is_given():
    for executor in ("tcp://10.0.0.5:8786", ["dask"], DaskExecutor):
        with pytest.raises(GraphError, match=r'a flow takes a cluster as executor=DaskExecutor\(.*executor="dask"'):
            task(lambda: 1, executor=executor)


def test_a_task_takes_a_cluster_of_its_own_which_counts_in_no_key(flow_of):
    cluster = DaskExecutor("tcp://10.0.0.5:8786")

    def flow(executor):
        with flow_of("threads") as flow:
            task(lambda x: x + 1, name="fit", executor=executor).map(range(2))
        return flow

    assert flow("threads").run()["fit"] == [1, 2]
    # Nothing is called, so that nobody asks whether the cluster is there.
    assert flow(cluster).run().counts()[:2] == (0, 2)


def test_which_cluster_the_tasks_of_a_flow_name_tells_two_flows_not_apart(flow_of):
    def ran(executor):
        with flow_of("threads", "inner") as inner:
            task(len, name="size", executor=executor)([])
        with flow_of("threads") as outer:
            task(lambda: len(inner), name="count")()
        return outer.run().counts()[0]

    assert [ran(DaskExecutor("tcp://10.0.0.5:8786")), ran(DaskExecutor("tcp://10.0.0.6:8786")), ran("dask")] == [
        1,
        0,
        0,
    ]
