"""What is around a task in another process: it is what the kernel has, and what the task makes of it is noticed."""

import functools
import importlib

import pytest

from nbflow import task, unmapped
from nbflow.errors import NbflowWarning


def counted(flow_of, executor, fn, *, ignore=(), count=6, **options):
    """Which elements of a map of the function are computed in two runs, and what is told of the first one."""
    with flow_of(executor) as flow:
        task(fn, name="rank", ignore=ignore, executor=executor, **options).map(range(count))
    first = flow.run()
    return first["rank"], flow.run().table.ran.sum()


def appended():
    seen = []

    def rank(x):
        seen.append(x)
        return len(seen)

    return rank, "seen"


def rebound():
    count = 0

    def rank(x):
        nonlocal count
        count += 1
        return count

    return rank, "count"


def used_as_cache():
    known = {}

    def rank(x):
        return known.setdefault("first", x)

    return rank, "known"


def counted_by_a_class():
    class Counter:
        n = 0

    def rank(x):
        Counter.n += 1
        return Counter.n

    return rank, "Counter.n"


@pytest.mark.parametrize("make", [appended, rebound, used_as_cache, counted_by_a_class])
def test_what_depends_on_globals_that_calls_change_is_not_stored(make, flow_of, executor):
    rank, name = make()
    with pytest.warns(NbflowWarning, match=f"rank: '{name}' changed while it ran, so its results are returned and not"):
        _, ran = counted(flow_of, executor, rank)
    assert ran == 6


@pytest.mark.parametrize("timeout_s", [None, 30])
def test_what_is_told_early_of_a_batch_is_not_stored_either(timeout_s, flow_of, executor):
    import time

    seen = []

    def rank(x):
        time.sleep(0.15)
        seen.append(x)
        return len(seen)

    with pytest.warns(NbflowWarning, match="'seen' changed while it ran"):
        _, ran = counted(flow_of, executor, rank, timeout_s=timeout_s)
    assert ran == 6


MODULE = """
TABLE = []
def add(x):
    TABLE.append(x)
    return len(TABLE)
def global_add(x):
    global COUNT
    COUNT += 1
    return COUNT
COUNT = 0
def size(x, i):
    return len(TABLE)
"""


@pytest.mark.parametrize(("function", "name"), [("add", "TABLE"), ("global_add", "COUNT")])
def test_globals_of_local_modules_are_looked_at_too(function, name, flow_of, executor, local_module):
    local_module("changing_globals", MODULE)
    module = importlib.import_module("changing_globals")
    with pytest.warns(NbflowWarning, match=f"'{name}' changed while it ran"):
        _, ran = counted(flow_of, executor, getattr(module, function))
    assert ran == 6


@pytest.mark.filterwarnings("ignore:add")
@pytest.mark.filterwarnings("ignore:size")
@pytest.mark.parametrize("cache", [None, False])
def test_what_another_task_left_in_a_module_is_not_stored(cache, flow_of, away, local_module):
    local_module("left_globals", MODULE)
    module = importlib.import_module("left_globals")
    with flow_of(away) as flow:
        added = task(module.add, name="add", cache=cache)(1)
        sizes = task(module.size, name="size").map(unmapped(added), range(8))
    seen = flow.run()[sizes]
    assert set(seen) <= {0, 1}
    states = flow.run().frame("size")["state"].tolist()
    # Where another worker was asked, nobody had left anything.
    assert [state == "cached" for state in states if state] == [size == 0 for size in seen]


@pytest.mark.filterwarnings("error")
def test_globals_that_are_ignored_may_change(flow_of, executor):
    rank, name = appended()
    _, ran = counted(flow_of, executor, rank, ignore=[name])
    assert ran == 0


@pytest.mark.filterwarnings("error")
def test_helpers_that_remember_and_constants_are_no_change(flow_of, executor):
    table, factor = {"a": [1, 2]}, 3

    @functools.lru_cache
    def helper(x):
        return x * factor

    def rank(x):
        return helper(x % 2) + len(table["a"])

    results, ran = counted(flow_of, executor, rank)
    assert (results, ran) == ([2, 5] * 3, 0)
