"""`concurrency=` and `rate=`: what runs at once, and what begins in a time."""

import threading
import time

import pytest

from nbflow import Flow, task
from nbflow.errors import GraphError, HeadError
from nbflow.notebook.header import parse_head


class Meter:
    """Counts who is inside at once, and when each came in."""

    def __init__(self):
        self.most = self.inside = 0
        self.begun = []
        self._lock = threading.Lock()

    def __enter__(self):
        with self._lock:
            self.begun.append(time.monotonic())
            self.inside += 1
            self.most = max(self.most, self.inside)

    def __exit__(self, *_):
        with self._lock:
            self.inside -= 1


@pytest.fixture
def meter():
    return Meter()


def measured(meter, wait_s):
    def measure(x):
        with meter:
            time.sleep(wait_s)
        return x

    return measure


@pytest.mark.parametrize("mapped", [True, False], ids=["elements of a map", "nodes of one task"])
def test_no_more_run_at_once_than_concurrency_says(tmp_path, meter, mapped):
    bounded = task(concurrency=2, ignore="meter")(measured(meter, 0.02))
    with Flow("bounded", store=tmp_path) as flow:
        if mapped:
            bounded.map(range(12))
        else:
            for i in range(12):
                bounded(i)
    assert flow.run().counts() == (12, 0, 0)
    assert meter.most == 2


def test_others_go_on_beside_a_bounded_task(tmp_path):
    held, others = threading.Event(), []

    def slow(x):
        assert held.wait(30)
        return x

    def quick(x):
        others.append(x)
        if len(others) == 20:
            held.set()
        return x

    with Flow("beside", store=tmp_path) as flow:
        task(concurrency=1, ignore=("held",))(slow).map(range(3))
        task(ignore=("held", "others"))(quick).map(range(20))
    assert flow.run().ok


def test_concurrency_holds_for_two_runs_together(tmp_path, meter):
    bounded = task(concurrency=2, ignore="meter")(measured(meter, 0.02))
    handles = []
    for name in ("one", "two"):
        with Flow(name, store=tmp_path / name) as flow:
            bounded.map(range(8))
        handles.append(flow.start())
    assert all(handle.wait(60).ok for handle in handles)
    assert meter.most == 2
    assert len(meter.begun) == 16


def test_no_more_begin_in_a_time_than_rate_says(tmp_path, meter):
    paced = task(rate="3/0.3s", ignore="meter")(measured(meter, 0.0))
    with Flow("paced", store=tmp_path) as flow:
        paced.map(range(10))
    assert flow.run().counts() == (10, 0, 0)
    # Between any element and the third after it lies the whole time, but for what passes before its first line.
    gaps = [later - first for first, later in zip(meter.begun, meter.begun[3:], strict=False)]
    assert len(gaps) == 7
    assert min(gaps) > 0.2


def test_rate_counts_further_attempts_too(tmp_path, meter):
    def failing(x):
        with meter:
            raise ValueError(x)

    with Flow("retried", store=tmp_path) as flow:
        task(rate="1/0.2s", retries=2, ignore="meter")(failing)(1)
    assert not flow.run().ok
    assert len(meter.begun) == 3
    assert min(b - a for a, b in zip(meter.begun, meter.begun[1:], strict=False)) > 0.1


def test_bounds_are_no_part_of_the_key(tmp_path):
    def same(x):
        return x

    for options, ran in (({}, 3), ({"concurrency": 1}, 0), ({"rate": "100/min"}, 0)):
        with Flow("same", store=tmp_path) as flow:
            task(**options)(same).map(range(3))
        assert flow.run().counts()[0] == ran


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "5"])
def test_a_bad_concurrency_names_the_option_and_an_example(value):
    with pytest.raises(GraphError, match=r"concurrency=.*whole number.*concurrency=5"):
        task(concurrency=value)(abs)


@pytest.mark.parametrize("value", [10, "10", "10/", "/s", "0/s", "-1/s", "10/fortnight", "10/0s", ""])
def test_a_bad_rate_names_the_option_and_examples(value):
    with pytest.raises(GraphError, match=r'rate=.*"10/s", "100/min"'):
        task(rate=value)(abs)


def test_heads_of_cells_take_both():
    assert parse_head("a for x in xs --concurrency 5 --rate 10/s --loop own").options.task == {
        "concurrency": 5,
        "rate": "10/s",
        "loop": "own",
    }


@pytest.mark.parametrize(
    ("line", "words"),
    [("a --concurrency 0", "concurrency=5"), ("a --rate often", '"10/s", "100/min"'), ("a --rate", "--rate 10/s")],
)
def test_a_head_with_a_bad_bound_says_how_it_is_written(line, words):
    with pytest.raises(HeadError) as raised:
        parse_head(line)
    assert words in str(raised.value)
