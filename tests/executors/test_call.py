"""What a call in a worker is looked at with."""

from nbflow.executors.call import state_of
from nbflow.identity.meanings import _NORMALIZERS


def test_comparing_values_leaves_nothing_behind():
    state_of([1])
    before = len(_NORMALIZERS)
    assert state_of([1]) == state_of([1]) != state_of([2])
    assert len(_NORMALIZERS) == before
