"""Tasks that change what they share with others: named, and nobody sees it."""

from __future__ import annotations

import threading

import numpy as np
import pandas as pd
import pytest

from nbflow import Flow, loop, task


def spoil_list(xs):
    xs.append(9)


def spoil_array(xs):
    xs[0] = 9


def spoil_cell(xs):
    xs.loc[0, "tags"].append(9)


def spoil_frame(xs):
    xs["n"] = 9


SHARED = [
    pytest.param(lambda: [1, 2], spoil_list, len, 2, id="list"),
    pytest.param(lambda: np.arange(3), spoil_array, lambda xs: int(xs.sum()), 3, id="array"),
    pytest.param(lambda: np.arange(50_000), spoil_array, lambda xs: int(xs[0]), 0, id="mapped array"),
    pytest.param(lambda: np.array([[1], [2, 3]], dtype=object), lambda xs: xs[0].append(9), len, 2, id="object array"),
    pytest.param(lambda: pd.DataFrame({"tags": [[1], [2]]}), spoil_cell, lambda xs: len(xs.tags[0]), 1, id="cells"),
    pytest.param(lambda: pd.DataFrame({"n": [1, 2]}), spoil_frame, lambda xs: int(xs.n.sum()), 3, id="frame"),
    pytest.param(
        lambda: {"a": {"b": [1]}}, lambda xs: xs["a"]["b"].append(9), lambda xs: len(xs["a"]["b"]), 1, id="deep"
    ),
]


@pytest.mark.parametrize("cache", [None, False])
@pytest.mark.parametrize(("make", "spoil", "look", "expected"), SHARED)
def test_who_reads_beside_one_that_changes_sees_it_as_it_was(make, spoil, look, expected, cache, tmp_path):
    spoiled = threading.Event()

    @task(cache=cache)
    def source():
        return make()

    @task(ignore=["spoiled"])
    def change(xs):
        spoil(xs)
        spoiled.set()
        return "changed"

    @task(ignore=["spoiled"])
    def read(xs):
        assert spoiled.wait(10)
        return look(xs)

    with Flow("shared", store=tmp_path / "store") as flow:
        xs = source()
        change(xs)
        read(xs)
        read(xs, name="later", upstream=[flow["read"]])
    with pytest.warns(UserWarning, match=r"task 'change' changed its argument 'xs' \(\w+\) in place"):
        run = flow.run(check=True)
    assert (run["read"], run["later"], look(run["source"])) == (expected, expected, expected)


@pytest.mark.parametrize(("make", "spoil", "look", "expected"), SHARED)
def test_the_users_own_values_stay_as_they_are(make, spoil, look, expected, tmp_path):
    mine = make()

    @task
    def change(xs):
        spoil(xs)
        return look(xs)

    with Flow("own", store=tmp_path / "store") as flow:
        change(mine)
        change.map([mine, mine], name="each")
    with pytest.warns(UserWarning, match="changed its argument 'xs'"):
        flow.run(check=True)
    assert look(mine) == expected


@pytest.mark.parametrize(("make", "spoil", "look", "expected"), SHARED)
def test_what_a_caller_does_to_a_result_is_gone_with_the_next_run(make, spoil, look, expected, tmp_path):
    calls = []

    @task(ignore=["calls"])
    def source():
        calls.append(1)
        return make()

    with Flow("results", store=tmp_path / "store") as flow:
        source()
    for _ in range(3):
        result = flow.run(check=True)["source"]
        assert look(result) == expected
        spoil(result)
    assert calls == [1]


@pytest.mark.parametrize("executor", ["sync", "threads"])
def test_a_part_that_a_task_changes_is_unchanged_in_the_whole(tmp_path, executor):
    @task(nout=2)
    def pair():
        return [1], [2]

    @task
    def change(xs):
        xs.append(9)
        return len(xs)

    @task
    def look(whole):
        return whole

    with Flow("parts", store=tmp_path / "store", executor=executor) as flow:
        both = pair()
        first, _ = both
        changed = change(first)
        look([both, first], name="after", upstream=[changed])
        change.map(both, name="each")
    with pytest.warns(UserWarning, match="changed its argument 'xs'"):
        run = flow.run(check=True)
    assert run["after"] == [([1], [2]), [1]]
    assert run["each"] == [2, 2]
    assert run["pair"] == ([1], [2])


def test_a_loop_that_changes_its_own_result_keeps_each_iteration_as_it_was(tmp_path):
    calls = []

    def build(times):
        @task(loop_times=times, ignore=["calls"])
        def count_up():
            calls.append(1)
            state = np.zeros(3) if loop.result is None else loop.result
            state += 1
            return state

        with Flow("loop", store=tmp_path / "store") as flow:
            count_up()
        return flow

    for times in (4, 2, 3, 6):
        assert list(build(times).run(check=True)["count_up"]) == [times] * 3
    assert len(calls) == 6


def test_a_buffer_that_every_call_fills_anew_is_kept_as_each_call_left_it(tmp_path):
    buffer = np.zeros(4)

    def build(numbers):
        @task(ignore=["buffer"])
        def fill(x):
            buffer[:] = x
            return buffer

        # One after the other: threads that fill one buffer at once are a race of the program's own.
        with Flow("buffer", store=tmp_path / "store", executor="sync") as flow:
            fill.map(numbers)
        return flow

    build([1, 2, 3]).run(check=True)
    values = build([3, 1, 2]).run(check=True)["fill"]
    assert [list(value) for value in values] == [[3] * 4, [1] * 4, [2] * 4]


@pytest.mark.parametrize("executor", ["sync", "threads"])
@pytest.mark.parametrize(
    ("shape", "inner"),
    [
        pytest.param(lambda xs: [xs], lambda held: held[0], id="list"),
        pytest.param(lambda xs: {"a": (1, xs)}, lambda held: held["a"][1], id="nested"),
    ],
)
def test_a_value_inside_an_argument_is_unchanged_for_others(tmp_path, executor, shape, inner):
    @task
    def make():
        return [1, 2]

    @task
    def change(held):
        inner(held).append(9)
        return len(inner(held))

    @task
    def read(xs):
        return len(xs)

    with Flow("inside", store=tmp_path / "store", executor=executor) as flow:
        xs = make()
        changed = change(shape(xs))
        read(xs, upstream=[changed])
    with pytest.warns(UserWarning, match="'change' changed its argument 'held'"):
        run = flow.run(check=True)
    assert (run["change"], run["read"], run["make"]) == (3, 2, [1, 2])
