"""What the user has put into installed modules and their classes: the same wherever tasks are called."""

import functools
import json
import math
import statistics
import sys
import threading
import time
import types

import pandas as pd
import pytest

from nbflow import DaskExecutor, Flow, task

DUMPS = json.dumps


class Geo:
    """An accessor as libraries ask for it."""

    def __init__(self, frame):
        self.frame = frame

    def shown(self, x):
        return shown(x)

    def area(self):
        return int(self.frame["a"].sum())


class Slow:
    def __init__(self, x):
        self.x = x


def shown(x):
    return f"shown {x}"


def in_order(thing):
    return DUMPS(thing, sort_keys=True)


def everything(x):
    numbers = pd.Series([1.0, 2.0, x])
    frame = pd.DataFrame({"a": [1, x]})
    areas = frame.geo.area() if hasattr(frame, "geo") else None
    shown = frame.shown if hasattr(frame, "shown") else None
    return json.dumps({"b": 1, "a": x}), statistics.mean([1, x]), numbers.median(), areas, shown


PLAIN = ('{"b": 1, "a": 3}', 2, 2.0, None, None)
PATCHED = ('{"a": 3, "b": 1}', 42, -3.0, 4, "4 rows")


def patch(monkeypatch):
    monkeypatch.setattr(json, "dumps", in_order)
    monkeypatch.setattr(statistics, "mean", lambda numbers: 42)
    monkeypatch.setattr(pd.Series, "median", lambda series: -float(len(series)))
    monkeypatch.setattr(pd.DataFrame, "shown", property(lambda frame: f"{frame['a'].sum()} rows"), raising=False)
    pd.api.extensions.register_dataframe_accessor("geo")(Geo)


def undo(monkeypatch):
    monkeypatch.undo()
    del pd.DataFrame.geo
    pd.DataFrame._accessors.discard("geo")


def test_functions_methods_and_accessors_are_what_they_are_in_the_kernel(flow_of, executor, monkeypatch):
    with flow_of(executor) as flow:
        task(everything, cache=False).map([3])
    for _ in range(2):
        patch(monkeypatch)
        try:
            assert flow.run()["everything"] == [PATCHED]
        finally:
            undo(monkeypatch)
        # A worker that had them gets back what was there.
        assert flow.run()["everything"] == [PLAIN]


def test_another_executor_finds_what_this_one_made_of_them(flow_of, executor, monkeypatch):
    monkeypatch.setattr(json, "dumps", in_order)
    with flow_of(executor) as flow:
        task(lambda x: json.dumps({"b": 1, "a": x}), name="text").map([3])
    assert flow.run()["text"] == ['{"a": 3, "b": 1}']
    with flow_of("threads") as again:
        task(lambda x: json.dumps({"b": 1, "a": x}), name="text").map([3])
    assert again.run()["text"] == ['{"a": 3, "b": 1}']
    monkeypatch.undo()
    assert again.run()["text"] == ['{"b": 1, "a": 3}']


def test_what_cannot_be_sent_of_them_is_told_and_not_left_out(flow_of, away, monkeypatch):
    lock = threading.Lock()
    monkeypatch.setattr(statistics, "mean", lambda numbers: lock.locked())
    with flow_of(away) as flow:
        task(lambda x: statistics.mean([x]), name="mean", cache=False).map([3])
        task(lambda x: statistics.mean([x, 2]), name="again", cache=False).map([3, 4])
    run = flow.run()
    # Also what comes after one that failed: nothing goes on without it.
    for error in (run.error("mean"), run.error("again", 0), run.error("again", 1)):
        assert "statistics.mean" in str(error)
        assert 'executor="threads"' in str(error)


def test_what_calls_the_function_written_in_c_that_it_replaces_calls_that(flow_of, executor, monkeypatch):
    root = math.sqrt
    monkeypatch.setattr(math, "sqrt", lambda x: root(x) + 100)
    with flow_of(executor) as flow:
        task(lambda x: (math.sqrt(x), root(x)), name="roots").map([4.0])
    assert flow.run()["roots"] == [(102.0, 2.0)]


@pytest.mark.parametrize("how", ["partial", "method", "cached"])
def test_whatever_can_be_called_may_take_the_place_of_a_function(flow_of, executor, monkeypatch, how):
    ways = {"partial": functools.partial(in_order), "method": Geo(None).shown, "cached": functools.cache(shown)}
    monkeypatch.setattr(statistics, "mean", ways[how])
    with flow_of(executor) as flow:
        task(lambda x: statistics.mean(x), name="mean").map([3])
    assert flow.run()["mean"] == [DUMPS(3) if how == "partial" else "shown 3"]


def test_all_threads_of_a_worker_find_it(tmp_path, monkeypatch):
    from distributed import LocalCluster

    def slow_to_make(x):
        return Slow(x).x + 100

    monkeypatch.setattr(statistics, "mean", slow_to_make)
    with LocalCluster(n_workers=1, threads_per_worker=4, dashboard_address="127.0.0.1:0") as cluster:
        executor = DaskExecutor(cluster)
        with Flow("wide", store=tmp_path / "store", executor=executor) as flow:
            task(lambda x: time.sleep(0.1) or statistics.mean(x), name="mean", cache=False).map(range(12))
        with Flow("plain", store=tmp_path / "store", executor=executor) as plain:
            task(lambda x: x, name="same", cache=False).map(range(12))
        run = flow.start()
        # Another run on the same worker, that knows nothing of it, takes nothing away.
        assert plain.run()["same"] == list(range(12))
        assert run.wait()["mean"] == [x + 100 for x in range(12)]
        executor.close()


class Library:
    """As cffi makes them: it lies among the modules, says that it is one, and is none."""

    __class__ = types.ModuleType


def test_what_lies_among_the_modules_and_is_none_is_left_alone(flow_of, executor, monkeypatch):
    monkeypatch.setitem(sys.modules, "law_library", Library())
    monkeypatch.setitem(sys.modules, "law_nothing", None)
    with flow_of(executor) as flow:
        task(lambda x: x, name="same", cache=False).map([1])
    assert flow.run()["same"] == [1]
