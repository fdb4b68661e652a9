"""What tasks raise to say how they end, hooks that hear of it, time limits and retries."""

import threading
import time

import pytest

from nbflow import Flow, State, signals, task
from nbflow.engine import signals as engine_signals
from nbflow.errors import GraphError, NotSuccessful, RunFailed, TaskTimeout


def one(made, store, **options):
    with Flow("one", store=store, **options) as flow:
        made()
    return flow


def test_skip_skips_the_task_and_what_needs_it_and_is_kept(store, noted, calls):
    @noted
    def maybe():
        raise signals.SKIP("nothing new today")

    @noted
    def after(x):
        return x

    for _ in range(2):
        with Flow("skip", store=store) as flow:
            after(maybe())
        run = flow.run()
        assert [run.state("maybe"), run.state("after")] == [State.SKIPPED, State.SKIPPED]
        assert run.ok
    assert calls == [("maybe",)]


def test_skipped_elements_are_left_out_of_a_list(store):
    @task
    def odd(x):
        if x % 2 == 0:
            raise signals.SKIP("even")
        return x

    @task
    def collect(xs):
        return xs

    with Flow("odd", store=store) as flow:
        collect(odd.map(range(5)))
    assert flow.run()["collect"] == [1, 3]
    assert flow.run()["odd"] == [1, 3]


def test_fail_fails_without_another_attempt(store, noted, calls):
    @noted(retries=3)
    def hopeless():
        raise signals.FAIL("no such customer")

    run = one(hopeless, store).run()
    assert run.state("hopeless") is State.FAILED
    assert len(calls) == 1
    with pytest.raises(RunFailed, match="no such customer"):
        run.check()


def test_success_ends_early_with_a_value_that_is_kept(store, noted, calls):
    @noted
    def early():
        for i in range(10):
            if i == 3:
                raise signals.SUCCESS(result=i)
        return

    for _ in range(2):
        assert one(early, store).run()["early"] == 3
    assert len(calls) == 1


def test_retry_asks_for_another_attempt_also_without_retries(store, noted, calls):
    @noted
    def not_yet():
        if len(calls) < 3:
            raise signals.RETRY("not yet", delay_s=0.01)
        return "ready"

    run = one(not_yet, store).run()
    assert run["not_yet"] == "ready"
    assert run.frame("not_yet")["attempts"].tolist() == [3]


def test_retry_is_bounded_by_retries(store, noted, calls):
    @noted(retries=1)
    def never():
        raise signals.RETRY("not yet")

    assert one(never, store).run().state("never") is State.FAILED
    assert len(calls) == 2


def test_pause_waits_for_approval_and_then_gives_its_result(store):
    @task
    def deploy():
        raise signals.PAUSE("look at the report first", result="deployed")

    @task
    def after(x):
        return x.upper()

    with Flow("pause", store=store) as flow:
        after(deploy())
    run = flow.run()
    assert run.paused == ["deploy"]
    assert run.state("after") is State.PAUSED
    assert flow.run(approve="deploy")["after"] == "DEPLOYED"


def test_signals_pass_a_tasks_own_except(store):
    @task
    def careless():
        try:
            raise signals.SKIP("no")
        except Exception:
            return "swallowed"

    assert one(careless, store).run().state("careless") is State.SKIPPED


def test_both_places_have_the_same_signals():
    assert engine_signals.LOOP is signals.LOOP
    assert engine_signals.SKIP is signals.SKIP


# Retries


def test_only_errors_worth_it_are_tried_again(store, noted, calls):
    @noted(retries=2, retry_on=OSError)
    def network():
        raise (ValueError if len(calls) > 1 else ConnectionError)("no")

    assert one(network, store).run().state("network") is State.FAILED
    assert len(calls) == 2


def test_the_delay_may_be_a_number_a_list_or_a_function(store, noted, calls):
    for delay in (0.01, [0.01, 0.02], lambda attempt: attempt / 100):
        calls.clear()

        @noted(retries=2, retry_delay_s=delay, cache=False)
        def fails():
            raise ValueError("no")

        started = time.monotonic()
        one(fails, store).run()
        assert len(calls) == 3
        assert time.monotonic() - started >= 0.02


# Time limits


def test_a_task_that_takes_too_long_fails_and_ends(store):
    ended = threading.Event()

    @task(timeout_s=0.1, cache=False)
    def slow():
        try:
            while True:
                time.sleep(0.01)
        finally:
            ended.set()

    run = one(slow, store).run()
    assert isinstance(run.error("slow"), TaskTimeout)
    assert "timeout_s=0.1" in str(run.error("slow"))
    assert ended.wait(5)


def test_an_async_task_that_takes_too_long_fails(store):
    import asyncio

    @task(timeout_s=0.1, cache=False)
    async def slow():
        await asyncio.sleep(30)

    assert isinstance(one(slow, store).run().error("slow"), TaskTimeout)


def test_a_task_within_its_limit_is_as_any_other(store, noted, calls):
    @noted(timeout_s=30)
    def quick():
        return 5

    @noted(timeout_s=30)
    def fails():
        raise KeyError("as it is")

    for _ in range(2):
        assert one(quick, store).run()["quick"] == 5
    assert len(calls) == 1
    assert isinstance(one(fails, store).run().error("fails"), KeyError)


@pytest.mark.parametrize("options", [{"timeout_s": 0}, {"on_state": 3}, {"retries": -1}])
def test_options_that_cannot_be_are_errors(options):
    with pytest.raises(GraphError, match=next(iter(options))):
        task(**options)(lambda: 1)


# Hooks


def test_a_hook_hears_of_each_change_of_state(store):
    heard = []

    @task(on_state=heard.append)
    def double(x):
        if x == 2:
            raise ValueError("no twos")
        return 2 * x

    with Flow("hooks", store=store) as flow:
        double.map([1, 2])
    flow.run()
    assert {(c.element, c.old.label, c.new.label) for c in heard} == {
        (0, "pending", "running"),
        (0, "running", "success"),
        (1, "pending", "running"),
        (1, "running", "failed"),
    }
    assert [str(c.error) for c in heard if c.new is State.FAILED] == ["no twos"]
    heard.clear()
    flow.run()
    assert (0, "pending", "cached") in {(c.element, c.old.label, c.new.label) for c in heard}


def test_the_flows_hook_hears_of_the_run(store):
    heard = []

    @task
    def fine():
        return 1

    one(fine, store, on_state=lambda change: heard.append((change.name, change.old, change.new))).run()
    assert heard == [("one", State.PENDING, State.RUNNING), ("one", State.RUNNING, State.SUCCESS)]


def test_an_error_in_a_hook_is_told_and_changes_nothing(store):
    def broken(change):
        raise KeyError("hook")

    @task(on_state=broken)
    def fine():
        return 1

    with pytest.warns(match="on_state function raised KeyError"):
        run = one(fine, store, on_state=broken).run()
    assert run["fine"] == 1
    assert run.ok


def test_a_hook_is_no_part_of_what_a_task_computes(store, noted, calls):
    for hook in (None, print, lambda change: None):

        @noted(on_state=hook)
        def fine():
            return 1

        one(fine, store).run()
    assert len(calls) == 1


def test_what_has_no_value_says_why(store):
    @task
    def skips():
        raise signals.SKIP("nothing new today")

    @task
    def fine():
        return 1

    @task(trigger="any_failed")
    def alarm(xs):
        return xs

    @task(trigger="manual_only")
    def each(x):
        return x

    def build():
        with Flow("why", store=store) as flow:
            skips()
            alarm([fine(), fine()])
            each.map([1, 2])
        return flow

    for _ in range(2):
        run = build().run()
        with pytest.raises(NotSuccessful, match="skips has no value: it was skipped, as it said itself: nothing new"):
            run["skips"]
        with pytest.raises(NotSuccessful, match="trigger any_failed is not met: what it needs ended as 2 success"):
            run["alarm"]
        with pytest.raises(NotSuccessful, match=r"waits for approval: flow.run\(approve=\['each'\]\)"):
            run["each"]
