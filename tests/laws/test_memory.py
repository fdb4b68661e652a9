"""What the engine needs for each element, whoever calls it."""

import gc
import sys
import tracemalloc

import pytest

from nbflow import task
from nbflow.executors.cluster import LOCAL

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


def test_what_was_sent_to_a_cluster_is_not_kept_there_or_here(flow_of):
    with flow_of("dask") as flow:
        task(len, cache=False).map([i.to_bytes(100, "big") for i in range(60_000)])
    assert flow.run()["len"] == [100] * 60_000
    tracemalloc.start()
    try:
        flow.run()
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # All of it is 6 MB.
    assert kept < 5e6


def test_what_a_module_holds_travels_to_a_cluster_once(flow_of, local_module):
    local_module("law_table", "TABLE = {}\ndef look(x): return TABLE[x]\n")
    import law_table

    law_table.TABLE.update((i, f"{i:0100}") for i in range(5_000))
    with flow_of("dask") as flow:
        task(law_table.look, cache=False).map(range(5_000))
    connection = LOCAL.connect().scheduler_comm
    before = connection.byte_count
    assert flow.run()["look"][-1] == f"{4_999:0100}"
    # The table is half a megabyte, and there are five batches at the least.
    assert connection.byte_count - before < 500_000
