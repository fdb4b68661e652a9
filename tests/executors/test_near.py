"""Whether data goes straight to the workers of a cluster and back."""

from types import SimpleNamespace

import pytest

from nbflow import DaskExecutor

NEAR, FAR = "tcp://127.0.0.1:40001", "tcp://10.1.0.7:40001"


@pytest.mark.parametrize(
    ("scheduler", "workers", "is_near"),
    [
        (NEAR, [NEAR], True),
        # The near end of a tunnel, such as those of ssh and of kubectl.
        (NEAR, [FAR], False),
        (NEAR, [NEAR, FAR], False),
        (FAR, [FAR], False),
    ],
)
def test_only_where_all_are_on_this_machine(scheduler, workers, is_near):
    executor = DaskExecutor(scheduler)
    executor._client = SimpleNamespace(scheduler=SimpleNamespace(address=scheduler))
    executor.workers = frozenset(workers)
    assert executor.is_near is is_near
