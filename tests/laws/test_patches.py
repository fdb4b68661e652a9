"""What the user has put into installed modules and their classes: the same wherever tasks are called."""

import json
import statistics
import threading

import pandas as pd

from nbflow import task

DUMPS = json.dumps


class Geo:
    """An accessor as libraries ask for it."""

    def __init__(self, frame):
        self.frame = frame

    def area(self):
        return int(self.frame["a"].sum())


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
    error = flow.run().error("mean")
    assert "statistics.mean" in str(error)
    assert 'executor="threads"' in str(error)
