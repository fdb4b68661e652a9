"""What is decided of orders on their way, with no cluster."""

from types import SimpleNamespace

from nbflow.executors.flights import Clock, Desertion


def flight(timeout_s):
    return SimpleNamespace(mission=SimpleNamespace(batch=SimpleNamespace(timeout_s=timeout_s)))


def test_a_call_is_overdue_once_when_it_stays_at_one_element_beyond_its_time():
    clock, flights = Clock(grace_s=2), {"a": flight(1)}
    told = [[place for _, place in clock.overdue(flights, {"a": 5}, now)] for now in (0, 2.9, 3.1, 4)]
    assert told == [[], [], [5], []]


def test_each_element_has_its_own_time():
    clock, flights = Clock(grace_s=2), {"a": flight(1)}
    told = [list(clock.overdue(flights, {"a": place}, now)) for place, now in enumerate((0, 2, 4, 6, 8))]
    assert told == [[]] * 5


def test_what_has_no_time_or_is_at_no_element_is_never_overdue():
    clock, flights = Clock(grace_s=2), {"a": flight(None), "b": flight(1), "c": flight(1)}
    assert [list(clock.overdue(flights, {"a": 1, "b": -1}, now)) for now in (0, 10, 20)] == [[]] * 3


def test_that_nobody_is_there_is_told_once_until_somebody_was():
    desertion = Desertion(patience_s=10)
    assert [desertion.begins(now, deserted=True) for now in (0, 9, 11, 30)] == [False, False, True, False]
    assert not desertion.begins(31, deserted=False)
    assert [desertion.begins(now, deserted=True) for now in (40, 51)] == [False, True]
