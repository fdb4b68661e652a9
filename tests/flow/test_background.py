"""`flow.start()`: a run in the background, its handle, and what happens to it."""

import asyncio
import threading
import time

import pytest

from nbflow import Flow, State, task, unmapped
from nbflow.errors import ClusterError, NbflowWarning, NotSuccessful, ParameterError, RunFailed


class Steps:
    """Elements that wait until they are let through; tells which began."""

    def __init__(self):
        self.begun = []
        self.begin = threading.Semaphore(0)
        self.go = threading.Event()

    def wait(self, x):
        self.begun.append(x)
        self.begin.release()
        assert self.go.wait(30)
        return 10 * x

    def until_begun(self, count):
        for _ in range(count):
            assert self.begin.acquire(timeout=30)


@pytest.fixture
def steps():
    held = Steps()
    yield held
    held.go.set()


def waiting(store, steps, count=3, **options):
    def wait(x):
        return steps.wait(x)

    with Flow("waiting", store=store) as flow:
        task(ignore="steps", name="wait", **options)(wait).map(range(count))
    return flow


def test_start_returns_at_once_and_wait_gives_the_run(tmp_path, steps):
    handle = waiting(tmp_path, steps).start()
    steps.until_begun(1)
    assert not handle.done
    steps.go.set()
    run = handle.wait(30)
    assert (run["wait"], run.counts(), handle.done, handle.run) == ([0, 10, 20], (3, 0, 0), True, run)


def test_progress_counts_elements_while_it_goes_on(tmp_path, steps):
    with Flow("progress", store=tmp_path) as flow:
        first = task(lambda x: 1 // (x - 1)).map([1, 2, 3])
        task(ignore="steps", name="last", trigger="all_finished")(lambda xs: steps.wait(1))(first)
    handle = flow.start()
    steps.until_begun(1)
    assert (handle.progress.done, handle.progress.total, handle.progress.failed) == (3, 4, 1)
    assert repr(handle.progress) == "3 of 4 done, 1 failed"
    assert repr(handle) == "<'progress' in the background: running, 3 of 4 done, 1 failed>"
    steps.go.set()
    handle.wait(30)
    assert repr(handle) == "<'progress' in the background: ended, 4 of 4 done, 1 failed>"


def test_an_error_of_a_task_is_in_the_run(tmp_path):
    with Flow("failing", store=tmp_path) as flow:
        task(lambda: 1 / 0)(name="bad")
    run = flow.start().wait(30)
    assert not run.ok
    assert isinstance(run.error("bad"), ZeroDivisionError)
    with pytest.raises(RunFailed):
        run.check()


def test_an_error_of_the_run_itself_is_told_wherever_the_run_is_shown_and_nobody_cancelled(tmp_path):
    with Flow("broken", store=tmp_path) as flow:
        first = task(lambda: 3, name="first", executor="threads")()
        lost = task(lambda x, n: x + n, name="lost", executor="dask", resources={"GPU": 1}).map(
            [1, 2, 3], n=unmapped(first)
        )
        task(sum, name="total")(lost)
    handle = flow.start()
    with pytest.raises(ClusterError, match="lost needs resources GPU=1"):
        handle.wait(30)
    run, why = handle.run, "ClusterError: lost needs resources GPU=1"
    assert not run.ok
    assert run.overall is State.FAILED
    assert repr(handle).startswith(f"<'broken' in the background: broken off, 0 of 3 done; {why}")
    assert f"; it ended with an error: {why}" in repr(run)
    picture = run._repr_mimebundle_()
    assert "⊘ lost not run" in picture["text/plain"]
    assert all(why in picture[kind] for kind in picture if kind != "image/svg+xml")
    for name in ("lost", "total"):
        assert str(run.why(name)).startswith(f"{name} did not run:\n  because the run ended with an error: {why}")
        assert f"{name} put nothing out: it did not run, because the run ended with an error: {why}" in str(
            run.log(name)
        )
    told = [str(flow.why("lost")), *flow.history("lost")["error"], str(run.table), repr(run.log("lost"))]
    assert "did not run last time: ClusterError: lost needs" in told[0]
    assert why in told[1]
    assert "cancelled" not in "".join(told)
    with pytest.raises(NotSuccessful, match=why):
        run["total"]
    with pytest.raises(RunFailed, match=why):
        run.check()


def test_wait_that_takes_too_long_raises_and_the_run_goes_on(tmp_path, steps):
    handle = waiting(tmp_path, steps).start()
    steps.until_begun(1)
    with pytest.raises(TimeoutError, match="it goes on"):
        handle.wait(0.01)
    steps.go.set()
    assert handle.wait(30).ok


def test_cancel_ends_a_run_at_once_though_its_tasks_sleep_in_threads(tmp_path, steps):
    flow = waiting(tmp_path, steps, count=50)
    told = []
    flow.tell = told.append
    handle = flow.start()
    steps.until_begun(2)
    handle.cancel()
    # They sleep still: nobody has let them go on.
    run = handle.wait(30)
    assert not steps.go.is_set()
    assert run.overall is State.CANCELLED
    assert told == ["waiting: cancelled; 0 finished results are kept, the next run goes on from there"]
    assert repr(handle).startswith("<'waiting' in the background: cancelled")


@pytest.mark.parametrize(("ready", "kept"), [(1, "1 finished result is kept"), (5, "5 finished results are kept")])
def test_what_had_finished_before_a_cancel_is_kept_and_counted(tmp_path, steps, ready, kept):
    def most(x):
        return steps.wait(x) if x >= ready else x

    def flow_of():
        with Flow("most", store=tmp_path) as flow:
            task(ignore="steps")(most).map(range(8))
        flow.tell = told.append
        return flow

    told = []
    handle = flow_of().start()
    steps.until_begun(1)
    deadline = time.monotonic() + 30
    while handle.progress.done < ready and time.monotonic() < deadline:
        time.sleep(0.01)
    handle.cancel()
    assert handle.wait(30).counts()[0] == ready
    assert kept in told[0]
    steps.go.set()
    run = flow_of().run()
    assert run["most"] == [x if x < ready else 10 * x for x in range(8)]
    assert run.counts()[1] >= ready


def test_a_new_run_waits_for_what_a_cancelled_one_still_does(tmp_path, steps):
    flow = waiting(tmp_path, steps, count=1)
    told = []
    flow.tell = told.append
    first = flow.start()
    steps.until_begun(1)
    first.cancel()
    first.wait(30)
    second = flow.start()
    # It waits: the element is not started a second time.
    with pytest.raises(TimeoutError):
        second.wait(0.1)
    steps.go.set()
    run = second.wait(30)
    assert (run["wait"], steps.begun, run.counts()) == ([0], [0], (0, 1, 0))
    assert "1 of its elements still run since the run that was ended early" in told[1]


def test_a_late_element_that_failed_is_called_by_the_run_that_waited(tmp_path, steps):
    calls = []

    def once(x):
        calls.append(x)
        if len(calls) == 1:
            steps.wait(x)
            raise ValueError(x)
        return x

    with Flow("once", store=tmp_path) as flow:
        task(ignore=("steps", "calls"))(once)(7)
    flow.tell = lambda message: None
    first = flow.start()
    steps.until_begun(1)
    first.cancel()
    first.wait(30)
    second = flow.start()
    steps.go.set()
    assert second.wait(30)["once"] == 7
    assert calls == [7, 7]


def test_elements_that_had_not_begun_when_a_run_was_cancelled_are_not_waited_for(tmp_path, steps):
    flow = waiting(tmp_path, steps, count=40)
    flow.tell = lambda message: None
    first = flow.start()
    steps.until_begun(3)
    first.cancel()
    first.wait(30)
    begun = set(steps.begun)
    steps.go.set()
    run = flow.run()
    assert run["wait"] == [10 * x for x in range(40)]
    # Nobody called an element twice, and none that had not begun was called by the first run.
    assert sorted(steps.begun) == list(range(40))
    assert len(begun) < 40


def test_a_global_that_changes_meanwhile_poisons_nothing(tmp_path, script):
    module = script(
        """
        import threading
        begun, go = threading.Event(), threading.Event()
        K = 1

        @task(ignore=("begun", "go"))
        def scaled(x):
            begun.set()
            go.wait(30)
            return K * x

        with Flow("f", store=STORE) as flow:
            scaled(10)
        """
    )
    space = module.scaled.fn.__globals__
    told = []
    module.flow.tell = told.append
    handle = module.flow.start()
    assert module.begun.wait(30)
    space["K"] = 2
    module.go.set()
    handle.wait(30)
    assert any("'K' changed while it ran" in line for line in told)
    # Neither value was stored under the other one's key.
    assert module.flow.run()["scaled"] == 20
    space["K"] = 1
    assert module.flow.run()["scaled"] == 10


def test_other_runs_go_on_beside_it(tmp_path, steps):
    handle = waiting(tmp_path, steps).start()
    steps.until_begun(1)
    with Flow("beside", store=tmp_path) as other:
        task(lambda: 42)(name="answer")
    assert other.run()["answer"] == 42
    assert not handle.done
    steps.go.set()
    assert handle.wait(30).ok


def test_unknown_parameters_are_told_before_anything_starts(tmp_path, steps):
    with pytest.raises(ParameterError, match="no parameter 'n'"):
        waiting(tmp_path, steps).start(n=1)


def test_arun_leaves_the_event_loop_free(tmp_path, steps):
    async def main():
        running = asyncio.ensure_future(waiting(tmp_path, steps).arun())
        await asyncio.to_thread(steps.until_begun, 1)
        # This line runs while the flow does.
        steps.go.set()
        return await running

    assert asyncio.run(main())["wait"] == [0, 10, 20]


def test_cancelling_who_awaits_cancels_the_run(tmp_path, steps):
    flow = waiting(tmp_path, steps)
    told = []
    flow.tell = told.append

    async def main():
        running = asyncio.ensure_future(flow.arun())
        await asyncio.to_thread(steps.until_begun, 1)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(main())
    deadline = time.monotonic() + 30
    while not told and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "cancelled" in told[0]


def test_arun_with_check_raises(tmp_path):
    with Flow("failing", store=tmp_path) as flow:
        task(lambda: 1 / 0)(name="bad")
    with pytest.raises(RunFailed, match="ZeroDivisionError"):
        asyncio.run(flow.arun(check=True))


def test_run_works_inside_a_running_loop(tmp_path):
    with Flow("inside", store=tmp_path) as flow:
        task(lambda: 42)(name="answer")

    async def main():
        return flow.run()["answer"]

    assert asyncio.run(main()) == 42


def test_what_a_background_run_tells_is_a_warning_outside_notebooks(tmp_path, steps):
    handle = waiting(tmp_path, steps).start()
    steps.until_begun(1)
    handle.cancel()
    with pytest.warns(NbflowWarning, match="cancelled"):
        handle.wait(30)
