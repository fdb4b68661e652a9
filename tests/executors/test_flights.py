"""What is decided of orders on their way, with no cluster."""

from types import SimpleNamespace

from nbflow.executors.flights import Clock, Desertion, Mission
from nbflow.executors.order import OPENING


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


def mission(count):
    return Mission(SimpleNamespace(), dict.fromkeys(range(count)))


def test_an_element_that_three_workers_died_at_is_dead_alone():
    about = mission(4)
    for _ in range(2):
        about.died([2])
        assert about.dead(range(4)) == []
    about.died([2])
    assert about.dead(range(4)) == [2]
    assert about.dead([0, 1]) == []


def test_what_three_workers_died_of_opening_is_dead_as_a_whole():
    about = mission(4)
    for _ in range(3):
        assert about.dead(range(4)) == []
        about.died([OPENING])
    assert about.dead(range(4)) == [0, 1, 2, 3]


def test_a_worker_that_dies_while_it_opens_what_others_could_open_accuses_nobody():
    about = mission(4)
    about.died([0])
    for _ in range(5):
        assert not about.died([OPENING])
    assert about.dead(range(4)) == []
