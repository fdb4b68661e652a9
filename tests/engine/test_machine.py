"""The machine alone: events in, commands out; no store, no threads, no functions called."""

import pytest

from nbflow.engine.events import (
    Blame,
    Failed,
    Lost,
    Refused,
    Resolve,
    Reused,
    Size,
    Sized,
    Started,
    Stopped,
    Submit,
    Succeeded,
)
from nbflow.engine.machine import Machine
from nbflow.errors import IllegalTransition
from nbflow.model.mapping import unmapped
from nbflow.model.node import ancestors
from nbflow.model.state import State
from nbflow.model.task import task


@task
def one(x=0):
    return x


@task
def two(x, y=0):
    return x


@task(retries=2)
def flaky(x=0):
    return x


def machine_for(*targets):
    return Machine(ancestors(targets))


def run_through(machine, node, indices=(0,)):
    machine.handle(Started(node, indices))
    return machine.handle(Succeeded(node, indices))


def states(machine, node):
    return [State(s).label for s in machine.tracks[node].states]


def test_a_node_without_upstreams_is_resolved_at_the_start():
    a = one()
    assert machine_for(a).start() == [Resolve(a, (0,))]


def test_a_node_is_resolved_when_the_last_of_its_upstreams_ended():
    a, b = one(), one()
    c = two(a, b)
    machine = machine_for(c)
    machine.start()
    assert run_through(machine, a) == []
    assert run_through(machine, b) == [Resolve(c, (0,))]


def test_reused_elements_open_what_is_behind_them():
    a = one()
    b = one(a)
    machine = machine_for(b)
    machine.start()
    assert machine.handle(Reused(a, (0,))) == [Resolve(b, (0,))]
    assert states(machine, a) == ["cached"]


def test_a_map_is_sized_and_then_resolved_at_once():
    a = one.map([1, 2, 3])
    machine = machine_for(a)
    assert machine.start() == [Size(a)]
    (command,) = machine.handle(Sized(a, 3))
    assert list(command.indices) == [0, 1, 2]


def test_a_map_of_a_map_goes_element_by_element():
    a = one.map([1, 2, 3])
    b = one.map(a)
    machine = machine_for(b)
    machine.start()
    assert Size(b) in machine.handle(Sized(a, 3))
    machine.handle(Sized(b, 3))
    assert run_through(machine, a, (1,)) == [Resolve(b, [1])]


def test_two_aligned_upstreams_that_end_together_start_an_element_once():
    a, b = one.map([1]), one.map([1])
    c = two.map(a, b)
    machine = machine_for(c)
    machine.start()
    machine.handle(Sized(a, 1))
    machine.handle(Sized(b, 1))
    machine.handle(Sized(c, 1))
    assert run_through(machine, a) == []
    assert run_through(machine, b) == [Resolve(c, [0])]


def test_a_plain_node_behind_a_map_waits_for_all_elements():
    a = one.map([1, 2])
    b = one(a)
    machine = machine_for(b)
    machine.start()
    machine.handle(Sized(a, 2))
    assert run_through(machine, a, (0,)) == []
    assert run_through(machine, a, (1,)) == [Resolve(b, (0,))]


def test_an_empty_map_ends_at_once():
    a = one.map([])
    b = one(a)
    machine = machine_for(b)
    machine.start()
    assert machine.handle(Sized(a, 0)) == [Resolve(b, (0,))]
    assert machine.tracks[a].state() is State.SUCCESS


def test_a_failure_fails_the_trigger_of_all_behind_it():
    a = one()
    b = one(a)
    c = one(b)
    machine = machine_for(c)
    machine.start()
    machine.handle(Started(a, (0,)))
    assert machine.handle(Failed(a, 0)) == []
    assert states(machine, b) == states(machine, c) == ["trigger_failed"]
    assert machine.finished


def test_a_failed_element_fails_only_its_own_followers():
    a = one.map([1, 2])
    b = one.map(a)
    machine = machine_for(b)
    machine.start()
    machine.handle(Sized(a, 2))
    machine.handle(Sized(b, 2))
    machine.handle(Started(a, (0, 1)))
    machine.handle(Failed(a, 0))
    assert machine.handle(Succeeded(a, (1,))) == [Resolve(b, [1])]
    assert states(machine, b) == ["trigger_failed", "pending"]


def test_a_map_over_what_failed_as_a_whole_has_no_elements():
    a = one()
    b = one.map(a)
    c = one.map(b)
    machine = machine_for(c)
    machine.start()
    machine.handle(Started(a, (0,)))
    machine.handle(Failed(a, 0))
    assert machine.tracks[b].state() is machine.tracks[c].state() is State.TRIGGER_FAILED
    assert len(machine.tracks[c].states) == 0


def test_a_map_that_cannot_be_sized_fails():
    a = one.map([1])
    b = one(a)
    machine = machine_for(b)
    machine.start()
    machine.handle(Refused(a))
    assert machine.tracks[a].state() is State.FAILED
    assert states(machine, b) == ["trigger_failed"]


def test_retries_are_counted_by_element():
    a = flaky()
    machine = machine_for(a)
    machine.start()
    for attempt in (1, 2):
        machine.handle(Started(a, (0,)))
        assert machine.handle(Failed(a, 0)) == [Submit(a, (0,), attempt)]
        assert states(machine, a) == ["retrying"]
    machine.handle(Started(a, (0,)))
    assert machine.handle(Failed(a, 0)) == []
    assert states(machine, a) == ["failed"]


def test_an_error_not_worth_it_is_not_retried():
    a = flaky()
    machine = machine_for(a)
    machine.start()
    machine.handle(Started(a, (0,)))
    machine.handle(Failed(a, 0, retriable=False))
    assert states(machine, a) == ["failed"]


def test_a_lost_result_is_made_again_before_its_user_goes_on():
    a = one()
    b = one(a)
    machine = machine_for(b)
    machine.start()
    machine.handle(Reused(a, (0,)))
    assert machine.handle(Lost(a, (0,), b, (0,))) == [Submit(a, [0])]
    assert states(machine, a) == ["pending"]
    assert run_through(machine, a) == [Resolve(b, (0,))]


def test_order_only_edges_wait_for_all_of_a_map():
    a = one.map([1, 2])
    b = one(upstream=a)
    machine = machine_for(b)
    machine.start()
    machine.handle(Sized(a, 2))
    run_through(machine, a, (0,))
    assert run_through(machine, a, (1,)) == [Resolve(b, (0,))]


def test_a_map_taken_whole_and_by_element_waits_for_the_whole():
    a = one.map([1, 2])
    b = two.map(a, unmapped(a))
    machine = machine_for(b)
    machine.start()
    machine.handle(Sized(a, 2))
    assert run_through(machine, a, (0,)) == []
    assert run_through(machine, a, (1,)) == [Size(b)]


def test_a_stop_cancels_what_has_not_ended():
    a = one()
    b = one.map(a)
    machine = machine_for(b)
    machine.start()
    machine.handle(Stopped())
    assert machine.tracks[a].state() is machine.tracks[b].state() is State.CANCELLED
    assert machine.finished


def test_an_error_of_the_run_leaves_what_has_not_ended_as_not_run_and_says_why():
    a = one()
    b = one.map(a)
    machine = machine_for(b)
    machine.start()
    error = OSError("nobody there")
    blamed = machine.handle(Stopped(error))
    assert blamed == [Blame(a, [0], error), Blame(b, [0], error)]
    assert states(machine, a) == ["trigger_failed"]
    assert machine.tracks[b].state() is State.TRIGGER_FAILED
    assert machine.finished


def test_an_illegal_change_tells_the_element_and_both_states():
    a = one()
    machine = machine_for(a)
    machine.start()
    run_through(machine, a)
    with pytest.raises(IllegalTransition, match=r"one\[0\]: success → running"):
        machine.handle(Started(a, (0,)))


def test_a_chain_of_ten_thousand_needs_no_recursion():
    node = one()
    for _ in range(10_000):
        node = one(node)
    machine = machine_for(node)
    machine.start()
    first = next(iter(machine.tracks))
    machine.handle(Started(first, (0,)))
    machine.handle(Failed(first, 0))
    assert states(machine, node) == ["trigger_failed"]
