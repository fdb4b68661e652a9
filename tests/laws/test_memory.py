"""What the engine needs for each element, whoever calls it."""

import sys
import tracemalloc

import pytest

from nbflow import task

ELEMENTS = 100_000
FEW = 1_000
MOST_BYTES = 200


def needed(flow_of, executor, count):
    """The most that a run needs at once, in bytes, beside its results: these are the user's."""
    with flow_of(executor, name=f"of-{count}") as flow:
        task(lambda x: x + 1, name="inc", cache=False).map(range(count))
    flow.run(targets=["inc"])
    tracemalloc.start()
    try:
        run = flow.run()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    values = run["inc"]
    assert values[-1] == count
    return peak - sys.getsizeof(values) - sum(map(sys.getsizeof, values[:1000])) * count // 1000


@pytest.mark.parametrize("executor", ["threads", "processes", "dask"])
def test_a_hundred_thousand_elements_need_at_most_two_hundred_bytes_each(flow_of, executor):
    # A run of few elements tells what it needs anyway, such as for the modules that this process has loaded.
    few, many = needed(flow_of, executor, FEW), needed(flow_of, executor, ELEMENTS)
    assert (many - few) / (ELEMENTS - FEW) <= MOST_BYTES
