"""Loops: what a task knows of its iteration, which of them run again, and where they end."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from nbflow import Flow, Parameter, State, loop, signals, task
from nbflow.engine.signals import LOOP
from nbflow.errors import GraphError, RunawayLoop


def test_loop_runs_a_task_again_with_count_and_result(store, calls, noted):
    @noted
    def grow(start):
        calls.append((loop.count, loop.result))
        value = start if loop.result is None else loop.result * 2
        if loop.count < 4:
            raise LOOP(result=value)
        return value

    with Flow("grow", store=store) as flow:
        grow(1)
    run = flow.run()
    assert run["grow"] == 8
    assert [call for call in calls if call[0] != "grow"] == [(1, None), (2, 1), (3, 2), (4, 4)]
    assert (loop.count, loop.result) == (1, None)


def test_a_loop_that_is_done_is_not_run_again(store, calls, noted):
    @noted
    def three():
        if loop.count < 3:
            raise LOOP(result=loop.count)
        return "done"

    for _ in range(2):
        with Flow("three", store=store) as flow:
            three()
        assert flow.run()["three"] == "done"
    assert len(calls) == 3
    assert flow.plan().will_run == []


def counter(noted, calls, store, times, **options):
    @noted(loop_times=times, **options)
    def count():
        calls.append(loop.count)
        return (loop.result or 0) + 10

    with Flow("count", store=store) as flow:
        count()
    return flow


def test_a_longer_loop_reuses_the_shorter_ones_iterations(store, calls, noted):
    assert counter(noted, calls, store, 3).run()["count"] == 30
    calls.clear()
    assert counter(noted, calls, store, 5).run()["count"] == 50
    assert [call for call in calls if call != ("count",)] == [4, 5]
    calls.clear()
    assert counter(noted, calls, store, 2).run()["count"] == 20
    assert calls == []


def test_a_parameter_says_how_often(store, calls, noted):
    with Flow("count", store=store) as flow:
        times = Parameter("times", default=2)

        @noted(loop_times=times)
        def count():
            return (loop.result or 0) + 1

        count()
    assert flow.run()["count"] == 2
    assert flow.run(times=4)["count"] == 4
    assert len(calls) == 4
    assert flow.run(times=3)["count"] == 3
    assert len(calls) == 4


def test_a_loop_goes_on_while_a_function_of_its_result_is_true(store, calls, noted):
    def flow(limit):
        @noted(loop_while=lambda x: x < limit)
        def double():
            return 2 * (loop.result or 1)

        with Flow("double", store=store) as made:
            double()
        return made

    assert flow(10).run()["double"] == 16
    assert len(calls) == 4
    assert flow(40).run()["double"] == 64
    assert len(calls) == 6
    assert flow(10).run()["double"] == 16
    assert len(calls) == 6


def test_elements_of_a_map_loop_by_themselves(store, calls, noted):
    @noted
    def countdown(n):
        left = n if loop.result is None else loop.result
        if left > 0:
            raise LOOP(result=left - 1)
        return (n, loop.count)

    def flow(numbers):
        with Flow("countdown", store=store) as made:
            countdown.map(numbers)
        return made

    assert flow([0, 3, 1]).run()["countdown"] == [(0, 1), (3, 4), (1, 2)]
    calls.clear()
    assert flow([3, 2]).run()["countdown"] == [(3, 4), (2, 3)]
    assert calls == [("countdown", 2)] * 3


def test_each_iteration_has_retries_of_its_own(store, calls, noted):
    failing = {(1, 1), (2, 1), (2, 2), (3, 1)}
    tries = {}

    @noted(retries=2)
    def shaky():
        tries[loop.count] = tries.get(loop.count, 0) + 1
        if (loop.count, tries[loop.count]) in failing:
            raise OSError("shaky")
        if loop.count < 3:
            raise LOOP(result=loop.count)
        return loop.result

    for cache in (None, False):
        tries.clear()
        with Flow("shaky", store=store / str(cache)) as flow:
            shaky.with_options(cache=cache, ignore=["failing", "tries", "calls"])()
        assert flow.run()["shaky"] == 2
        assert tries == {1: 2, 2: 3, 3: 2}


def test_a_failed_iteration_leaves_those_before_it_kept(store, calls, noted):
    broken = [True]

    @noted
    def steps():
        if loop.count == 3 and broken:
            raise ValueError("broken")
        if loop.count < 4:
            raise LOOP(result=loop.count)
        return "done"

    task_ = steps.with_options(ignore=["broken", "calls"])
    with Flow("steps", store=store) as flow:
        task_()
    assert flow.run().state("steps") is State.FAILED
    broken.clear()
    calls.clear()
    assert flow.run()["steps"] == "done"
    assert len(calls) == 2


def test_a_runaway_ends_with_task_count_and_last_result(store):
    @task(max_loops=5)
    def forever():
        raise LOOP(result=f"at {loop.count}")

    with Flow("forever", store=store) as flow:
        forever()
    error = flow.run().error("forever")
    assert isinstance(error, RunawayLoop)
    for part in ("forever", "5 iterations", "at 5", "max_loops=50"):
        assert part in str(error)


def test_ten_thousand_iterations(store):
    @task(max_loops=20_000, cache=False)
    def long():
        if loop.count < 10_000:
            raise LOOP(result=loop.count)
        return loop.count

    with Flow("long", store=store) as flow:
        long()
    assert flow.run()["long"] == 10_000


def test_a_long_loop_is_kept_and_found_again(store, calls, noted):
    flow = counter(noted, calls, store, 2_000)
    assert flow.run()["count"] == 20_000
    calls.clear()
    assert counter(noted, calls, store, 2_000).run()["count"] == 20_000
    assert calls == []


def test_async_tasks_loop(store):
    @task
    async def tick():
        await asyncio.sleep(0)
        if loop.count < 3:
            raise LOOP(result=loop.count)
        return (loop.count, loop.result)

    with Flow("async", store=store) as flow:
        tick()
    assert flow.run()["tick"] == (3, 2)


def test_loops_on_threads_do_not_see_each_other(store):
    @task(cache=False)
    def count(n):
        if loop.count < n:
            raise LOOP(result=loop.count)
        return loop.count

    with Flow("threads", store=store) as flow:
        count.map(range(1, 200))
    assert flow.run()["count"] == list(range(1, 200))


def test_a_result_that_holds_nodes_goes_on_with_their_values(store, calls, noted):
    @noted
    def square(x):
        return x * x

    @noted
    def rounds():
        if loop.result is None:
            raise LOOP(result=[square(i) for i in range(3)])
        if loop.count == 2:
            raise LOOP(result=square(sum(loop.result)))
        return loop.result

    for _ in range(2):
        with Flow("rounds", store=store) as flow:
            rounds()
        assert flow.run()["rounds"] == 25
    assert sorted(call for call in calls if call[0] == "square") == [("square", i) for i in (0, 1, 2, 5)]
    assert calls.count(("rounds",)) == 3


@pytest.mark.parametrize(
    "options", [{"loop_times": 0}, {"loop_times": True}, {"max_loops": 0}, {"loop_while": 3}, {"nout": 0}]
)
def test_loops_that_cannot_be_are_errors_where_they_are_declared(options):
    with pytest.raises(GraphError, match=next(iter(options))):
        task(**options)(lambda: 1)


def test_a_loop_shows_its_iterations_in_the_picture(store):
    @task
    def three():
        if loop.count < 3:
            raise LOOP(result=loop.count)
        return loop.count

    with Flow("picture", store=store) as flow:
        three()
    run = flow.run()
    dot = flow.visualize(run).source
    assert 'label="×3"' in dot.replace(" ", "").replace("label=×3", 'label="×3"')
    assert "b0 -> b0" in dot


def test_loop_ends_the_block_of_a_flow(store):
    @task
    def double(x):
        return 2 * x

    def build(count):
        raise LOOP(result=[double(i) for i in range(count)])

    with Flow("built", store=store) as flow:
        build(3)
        raise AssertionError("the block ended before")
    assert len(flow) == 3
    assert [flow.run()[name] for name in ("double", "double-2", "double-3")] == [0, 2, 4]


def test_other_signals_do_not_end_the_block_silently(store):
    with pytest.raises(signals.SKIP), Flow("built", store=store):
        raise signals.SKIP("no")


KILLED = """
import os, sys, time
from nbflow import Flow, loop, signals, task

@task(ignore=["FAST"])
def steps():
    os.write(1, f"RAN {loop.count}\\n".encode())
    if loop.count == 5 and not os.environ.get("FAST"):
        time.sleep(60)
    if loop.count < 8:
        time.sleep(0.0 if os.environ.get("FAST") else 0.4)
        raise signals.LOOP(result=loop.count)
    return "done"

with Flow("f", store="store", executor=sys.argv[1]) as flow:
    steps()
    if sys.argv[1] == "threads":
        task(cache=False)(time.sleep)(0.01 if os.environ.get("FAST") else 60)
flow.run()
"""


@pytest.mark.parametrize("executor", ["threads", "sync"])
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL])
def test_iterations_survive_an_interrupt_or_a_kill(tmp_path, executor, sign):
    (tmp_path / "flow.py").write_text(KILLED)
    command = [sys.executable, "flow.py", executor]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    while process.stdout.readline().strip() != "RAN 5":
        assert process.poll() is None
    # A kill may cost the last second.
    time.sleep(1.5 if sign is signal.SIGKILL else 0.2)
    process.send_signal(sign)
    process.communicate(timeout=20)
    again = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "FAST": "1"}, capture_output=True, text=True, check=True
    )
    ran = [int(line.split()[1]) for line in again.stdout.splitlines() if line.startswith("RAN")]
    # The last second of a killed process may be lost: iterations take 0.4 s.
    assert ran[-1] == 8
    assert ran[0] == 5 if sign is signal.SIGINT else ran[0] in {3, 4, 5}


def test_each_iteration_of_a_seeded_loop_has_random_numbers_of_its_own(store):
    @task(seed=1, loop_times=3)
    def draw():
        return [*(loop.result or []), random.random()]

    with Flow("seeded", store=store) as flow:
        draw()
    numbers = flow.run()["draw"]
    assert len(set(numbers)) == 3
    assert flow.run(force=["draw"])["draw"] == numbers


@pytest.mark.parametrize("executor", ["threads", "sync"])
def test_each_iteration_gets_its_arguments_as_they_were(store, executor):
    def build(times):
        @task(loop_times=times)
        def grow(xs):
            xs.append(0)
            return [*(loop.result or []), len(xs)]

        with Flow("grow", store=store, executor=executor) as flow:
            grow([1, 2])
            grow.map([[1], [1, 2]], name="each")
        return flow

    with pytest.warns(match="changed its argument 'xs'"):
        run = build(3).run()
    assert run["grow"] == [3, 3, 3]
    assert run["each"] == [[2, 2, 2], [3, 3, 3]]
    with pytest.warns(match="changed its argument 'xs'"):
        assert build(5).run()["grow"] == [3] * 5
