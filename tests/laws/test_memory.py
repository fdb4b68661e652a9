"""What the engine needs for each element, whoever calls it."""

import sys
import tracemalloc

import pytest

from nbflow import task

ELEMENTS = 100_000
MOST_BYTES = 200


@pytest.mark.parametrize("executor", ["threads", "processes"])
def test_a_hundred_thousand_elements_need_at_most_two_hundred_bytes_each(flow_of, executor):
    with flow_of(executor) as flow:
        task(lambda x: x + 1, name="inc", cache=False).map(range(ELEMENTS))
    flow.run(targets=["inc"])
    tracemalloc.start()
    try:
        run = flow.run()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    values = run["inc"]
    # The results themselves are the user's.
    results = sys.getsizeof(values) + sum(map(sys.getsizeof, values[:1000])) * ELEMENTS // 1000
    assert values[-1] == ELEMENTS
    assert (peak - results) / ELEMENTS <= MOST_BYTES
