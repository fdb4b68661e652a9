"""Mapped results as a DataFrame: columns, index, states, display."""

import copy
import dataclasses
import pickle
from typing import NamedTuple

import attrs
import numpy as np
import pandas as pd
import pydantic
import pytest

from nbflow import Flow, signals, task, unmapped
from nbflow.results import arguments

OWN = ["state", "error", "seconds", "cached", "attempts"]


@dataclasses.dataclass
class AsDataclass:
    mean: float
    count: int


class AsNamedTuple(NamedTuple):
    mean: float
    count: int


class AsModel(pydantic.BaseModel):
    mean: float
    count: int


@attrs.define
class AsAttrs:
    mean: float
    count: int


def ran(store, function, source, **options):
    """The frame of a function that is mapped over a source; its argument is called x."""
    with Flow("f", store=store) as flow:
        task(function, name="each", **options).map(source)
    return flow.run().frame("each")


@pytest.mark.parametrize(
    "make",
    [
        lambda x: {"mean": x / 2, "count": x},
        lambda x: AsDataclass(x / 2, x),
        lambda x: AsNamedTuple(x / 2, x),
        lambda x: AsModel(mean=x / 2, count=x),
        lambda x: AsAttrs(x / 2, x),
        lambda x: pd.Series({"mean": x / 2, "count": x}),
    ],
    ids=["dict", "dataclass", "named tuple", "pydantic", "attrs", "series"],
)
def test_results_with_named_parts_are_spread(store, make):
    for _ in range(2):  # the second time from the store
        frame = ran(store, lambda x: make(x), [1, 2])
        assert list(frame.columns) == ["x", "mean", "count", *OWN]
        assert frame["mean"].tolist() == [0.5, 1.0]
        assert frame["count"].tolist() == [1, 2]


@pytest.mark.parametrize(
    "value",
    [3, "text", None, (1, 2), [1, 2], {1: 2}, {}, pd.Series([1.0, 2.0]), dict.fromkeys(map(str, range(200)), 0)],
    ids=["int", "str", "None", "tuple", "list", "keys are numbers", "empty", "labels are numbers", "200 parts"],
)
def test_other_results_are_one_column(store, value):
    frame = ran(store, lambda x: value, [1, 2])
    assert list(frame.columns) == ["x", "result", *OWN]
    assert type(frame["result"].tolist()[0]) is type(value)


def test_parts_that_only_some_results_have_are_missing_in_the_others(store):
    frame = ran(store, lambda x: {"a": x} if x == 1 else {"b": "two"}, [1, 2])
    assert frame["a"].tolist()[0] == 1
    assert np.isnan(frame["a"].tolist()[1])
    assert frame["b"].tolist()[1] == "two"


def test_a_failed_element_leaves_its_parts_empty(store):
    frame = ran(store, lambda x: {"a": 1 / x}, [1, 0])
    assert frame["a"].isna().tolist() == [False, True]
    assert frame[frame.state == "failed"].error.tolist() == ["ZeroDivisionError: division by zero"]


def test_arguments_of_the_root_source_are_carried_through_maps_of_maps(store):
    with Flow("f", store=store) as flow:
        load = task(lambda path, year: np.zeros((2, 3)), name="load").map(["a", "b"], [1, 2])
        clean = task(lambda frame, how: frame[0], name="clean").map(load, how=unmapped("x"))
        task(lambda row: float(row.sum()), name="total").map(clean)
    frame = flow.run().frame("total")
    assert list(frame.columns) == ["path", "year", "frame", "row", "result", *OWN]
    assert frame["path"].tolist() == ["a", "b"]
    assert frame["frame"].tolist() == ["ndarray 2 × 3"] * 2
    assert frame["row"].tolist() == ["ndarray 3"] * 2


INDEXES = {
    "dict": ({"oslo": 1, "rome": 2}, pd.Index(["oslo", "rome"])),
    "series": (pd.Series([1, 2], index=pd.Index([7, 9], name="station")), pd.Index([7, 9], name="station")),
    "frame": (pd.DataFrame({"v": [1, 2]}, index=pd.Index(["a", "b"], name="k")), pd.Index(["a", "b"], name="k")),
    "levels": (
        pd.Series([1, 2], index=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["p", "q"])),
        pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["p", "q"]),
    ),
    "list": ([1, 2], pd.RangeIndex(2)),
}


@pytest.mark.parametrize(("source", "index"), INDEXES.values(), ids=list(INDEXES))
def test_the_index_is_that_of_the_source(store, source, index):
    frame = ran(store, lambda x: 1, source)
    pd.testing.assert_index_equal(frame.index, index, exact=False)
    assert frame.index.name == index.name


def test_a_product_has_a_level_for_each_argument_which_plain_values_stand_in(store):
    with Flow("f", store=store) as flow:
        task(lambda city, n: {"v": n}, name="each").product({"oslo": 1, "rome": 2}, [5, 6])
    run = flow.run()
    frame = run.frame("each")
    assert list(frame.index.names) == ["city", "n"]
    assert list(frame.columns[:2]) == ["argument.city", "v"]
    assert frame.loc[("rome", 6), "argument.city"] == 2
    assert "('rome', 6)" in str(run.why("each", element=("rome", 6)))


def test_products_of_large_values_are_numbered(store):
    with Flow("f", store=store) as flow:
        task(lambda frame, n: n, name="each").product([np.zeros(3), np.ones(3)], [5, 6])
    frame = flow.run().frame("each")
    assert list(frame.index) == [(0, 5), (0, 6), (1, 5), (1, 6)]
    assert frame["argument.frame"].tolist() == ["ndarray 3"] * 4


SAME_NAMES = {
    "product": lambda each: each.product({"a": 1}, [1, 2]),
    "product of one's own state": lambda each: task(lambda state, error: 1, name="each").product({"a": 1}, [1, 2]),
    "series": lambda each: each.map(pd.Series([1], index=pd.Index([7], name="x")), [2]),
    "result": lambda each: each.map(pd.Series([1], index=pd.Index([7], name="v")), [2]),
    "state": lambda each: each.map(pd.Series([1], index=pd.Index([7], name="state")), [2]),
    "levels": lambda each: each.map(pd.Series([1], index=pd.MultiIndex.from_tuples([("a", 1)], names=["x", "q"])), [2]),
}


@pytest.mark.parametrize("mapped", SAME_NAMES.values(), ids=list(SAME_NAMES))
def test_no_level_of_the_index_has_the_name_of_a_column(store, mapped):
    with Flow("f", store=store) as flow:
        mapped(task(lambda x, y: {"v": x + y}, name="each"))
    frame = flow.run().frame("each")
    flat = frame.reset_index()
    for name in (*frame.index.names, "state"):
        assert len(flat.groupby(name)) == len(set(flat[name]))
        assert len(frame.groupby(name)) == len(set(flat[name]))


def test_a_node_that_is_not_mapped_has_one_row(store):
    with Flow("f", store=store) as flow:
        task(lambda: {"a": 1}, name="one")()
    frame = flow.run().frame("one")
    assert list(frame.columns) == ["a", *OWN]
    assert frame["state"].tolist() == ["success"]
    assert repr(frame).splitlines()[0] == "run"


def test_names_that_are_taken_get_a_longer_one(store):
    with Flow("f", store=store) as flow:
        task(lambda state, n: {"error": state, "n": -n}, name="each").map(["mine"], [1])
    frame = flow.run().frame("each")
    assert list(frame.columns) == ["argument.state", "n", "result.error", "result.n", *OWN]
    assert frame.iloc[0][["argument.state", "result.error", "state"]].tolist() == ["mine", "mine", "success"]


def test_an_argument_called_result_gives_way_to_the_result(store):
    with Flow("f", store=store) as flow:
        task(lambda result: result + 1, name="each").map([1, 2])
    frame = flow.run().frame("each")
    assert frame["result"].tolist() == [2, 3]
    assert frame["argument.result"].tolist() == [1, 2]


def test_attempts_cached_and_skips(store):
    def each(x):
        if x == 1:
            raise signals.SKIP("not today")
        return x

    ran(store, each, [0, 1])
    frame = ran(store, each, [0, 1, 2])
    assert frame["state"].tolist() == ["cached", "skipped", "success"]
    assert frame["cached"].tolist() == [True, False, False]
    assert frame["attempts"].tolist() == [0, 0, 1]
    assert frame.headline == "3 elements: 1 reused, 1 run, 1 skipped"


def test_the_display_has_a_line_above_and_symbols(store):
    def each(x):
        return 1 / x

    ran(store, each, range(1, 98))
    frame = ran(store, each, [*range(100)])
    for shown in (repr(frame), frame._repr_html_()):
        assert "100 elements: 97 reused, 2 run, 1 failed" in shown
    assert "✗</span> failed" in frame._repr_html_()
    assert "● cached" in repr(frame)
    assert "ZeroDivisionError" in repr(frame)


def test_a_large_frame_shows_a_few_rows_and_its_size(store):
    frame = ran(store, lambda x: x, range(1_000))
    assert "1,000 rows × 7 columns" in frame._repr_html_()
    assert frame._repr_html_().count("<tr") < 20
    assert len(repr(frame).splitlines()) < 40


def test_cells_are_escaped_and_short(store):
    frame = ran(store, lambda x: x, ["<script>alert(1)</script>", "y" * 10_000, ["<b>"] * 3])
    html = frame._repr_html_()
    assert "<script>" not in html
    assert "<b>" not in html
    assert len(html) < 5_000


def test_everything_but_the_display_is_a_plain_dataframe(store):
    frame = ran(store, lambda x: x % 2, range(6))
    assert isinstance(frame, pd.DataFrame)
    for plain in (pickle.loads(pickle.dumps(frame)), copy.copy(frame), frame.copy(), frame[frame.state == "success"]):
        assert type(plain) is pd.DataFrame
        assert plain["x"].tolist() == list(range(6))
    assert frame.groupby("result").size().tolist() == [3, 3]
    assert frame.to_csv(index=False).splitlines()[0] == "x,result,state,error,seconds,cached,attempts"


def test_it_can_be_the_result_and_the_argument_of_a_task(store):
    frame = ran(store, lambda x: x, range(3))
    for _ in range(2):
        with Flow("g", store=store) as flow:
            task(lambda frame: frame, name="same")(frame)
        run = flow.run()
        assert run["same"]["x"].tolist() == [0, 1, 2]
    assert run.state("same").label == "cached"


def test_frames_as_results_stay_objects_and_show_their_shape(store):
    frame = ran(store, lambda x: pd.DataFrame({"a": range(x)}), [3, 4])
    assert [len(each) for each in frame["result"]] == [3, 4]
    assert "DataFrame 4 × 1" in repr(frame)


def test_results_that_are_too_large_to_load_are_told_by_their_size(store, monkeypatch):
    monkeypatch.setattr(arguments, "LOADED_BYTES", 1_000_000)

    def each(x):
        return np.zeros(100_000)

    ran(store, each, [1, 2])
    with Flow("f", store=store) as flow:
        task(each, name="each").map([1, 2])
    run = flow.run()
    assert run.frame("each")["result"].tolist() == ["<0.8 MB>"] * 2
    assert run.values("each")[0].shape == (100_000,)


class Unruly:
    """Refuses to be looked at."""

    def __init__(self, x):
        self.x = x

    def __repr__(self):
        raise RuntimeError("no repr")

    def __len__(self):
        raise RuntimeError("no length")

    def __iter__(self):
        raise RuntimeError("no items")

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        raise RuntimeError(f"no {name}")

    def __eq__(self, other):
        raise RuntimeError("no comparing")

    __hash__ = object.__hash__


@pytest.mark.parametrize(
    "value",
    [Unruly(1), "\ud800", 10**400, 1 << 70, float("nan"), b"\xff", object, {"a": Unruly(1)}, range(10**9)],
    ids=["unruly", "half a character", "10**400", "2**70", "nan", "bytes", "class", "unruly part", "long range"],
)
def test_hostile_values_are_shown(store, value):
    frame = ran(store, lambda x: value, [1, 2], ignore=["value"])
    assert len(frame) == 2
    assert "2 elements" in repr(frame)
    assert "2 elements" in frame._repr_html_()


def test_values_of_many_kinds_share_a_column(store):
    values = [1, "a", None, 2.5, [1], pd.Timestamp("2020-01-01"), np.int64(3), {"k": 1}]
    frame = ran(store, lambda x: values[x], range(len(values)))
    assert frame["result"].tolist()[:2] == [1, "a"]
    assert "2020-01-01" in repr(frame)


def test_a_result_that_is_damaged_in_the_store_is_made_again(store):
    def each(x):
        return np.full(50_000, x)

    ran(store, each, [1, 2])
    with Flow("f", store=store) as flow:
        task(each, name="each").map([1, 2])
    run = flow.run()
    blob = next((store / "blobs").glob("*/*"))
    blob.chmod(0o600)
    blob.write_bytes(b"0" * blob.stat().st_size)
    assert [each[0] for each in run.frame("each")["result"]] == [1, 2]
