"""Async tasks: many at once on one event loop, bounded, timed, retried and called off."""

import asyncio
import subprocess
import sys
import threading
import time

import pytest

from nbflow import Flow, State, loop, signals, task
from nbflow.errors import GraphError, TaskCancelled, TaskTimeout


def flow_of(store, fn, items, **options):
    with Flow("async", store=store) as flow:
        task(name="fetch", **options)(fn).map(items)
    return flow


def test_many_elements_are_awaited_at_once_on_one_loop(tmp_path):
    all_inside, threads = [], set()

    async def fetch(x):
        threads.add(threading.current_thread().name)
        if not all_inside:
            all_inside.append(asyncio.Barrier(50))
        # None goes on before all of them are inside.
        await all_inside[0].wait()
        return 2 * x

    flow = flow_of(tmp_path, fetch, range(50), ignore=("all_inside", "threads"))
    assert flow.run()["fetch"] == [2 * x for x in range(50)]
    assert threads == {"nbflow-async"}
    assert flow.run().counts() == (0, 50, 0)


@pytest.mark.parametrize(("options", "bound"), [({}, 100), ({"concurrency": 3}, 3), ({"concurrency": 150}, 150)])
def test_how_many_are_awaited_at_once_is_bounded(tmp_path, options, bound):
    inside, most = [0], [0]

    async def fetch(x):
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        await asyncio.sleep(0.05)
        inside[0] -= 1

    flow = flow_of(tmp_path, fetch, range(200 if bound > 3 else 12), ignore=("inside", "most"), **options)
    assert flow.run().ok
    assert most[0] <= bound
    assert most[0] > bound * 0.6


def test_an_await_that_takes_too_long_is_ended_and_tried_again(tmp_path):
    ended, calls = [], []

    async def fetch(x):
        calls.append(x)
        if len(calls) > 2:
            return x
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append(x)
            raise

    flow = flow_of(tmp_path, fetch, [7], timeout_s=0.05, retries=2, ignore=("ended", "calls"))
    run = flow.run()
    assert (run["fetch"], ended, calls) == ([7], [7, 7], [7, 7, 7])


def test_a_timeout_says_which_task_and_which_limit(tmp_path):
    async def fetch(x):
        await asyncio.sleep(60)

    run = flow_of(tmp_path, fetch, [1], timeout_s=0.05).run()
    assert isinstance(run.error("fetch"), TaskTimeout)
    assert "fetch took longer than timeout_s=0.05" in str(run.error("fetch"))


def test_a_timeout_of_the_users_own_stays_his(tmp_path):
    async def fetch(x):
        async with asyncio.timeout(0.01):
            await asyncio.sleep(60)

    error = flow_of(tmp_path, fetch, [1], timeout_s=30).run().error("fetch")
    assert type(error) is TimeoutError


def test_a_task_that_cancels_itself_fails_and_the_others_go_on(tmp_path):
    async def fetch(x):
        if x == 1:
            raise asyncio.CancelledError
        return x

    run = flow_of(tmp_path, fetch, range(3)).run()
    assert run.counts() == (3, 0, 1)
    assert isinstance(run.error("fetch", 1), TaskCancelled)


def test_cancel_ends_awaits_at_once_and_keeps_what_finished(tmp_path):
    begun, ended = threading.Semaphore(0), []

    async def fetch(x):
        if x < 3:
            return x
        begun.release()
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(x)

    flow = flow_of(tmp_path, fetch, range(10), ignore=("begun", "ended"))
    told = []
    flow.tell = told.append
    handle = flow.start()
    for _ in range(7):
        assert begun.acquire(timeout=30)
    deadline = time.monotonic() + 30
    while handle.progress.done < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    handle.cancel()
    run = handle.wait(30)
    assert run.overall is State.CANCELLED
    assert told == ["async: cancelled; 3 finished results are kept, the next run goes on from there"]
    while len(ended) < 7 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sorted(ended) == [3, 4, 5, 6, 7, 8, 9]


def test_signals_loops_and_files_work_as_in_other_tasks(tmp_path):
    path = tmp_path / "data.txt"
    path.write_text("1")

    async def looping(x):
        await asyncio.sleep(0)
        if loop.count < 3:
            raise signals.LOOP(result=(loop.result or 0) + x)
        return loop.result

    async def skipping(x):
        await asyncio.sleep(0)
        raise signals.SKIP("not today")

    async def reading():
        await asyncio.sleep(0)
        return path.read_text()

    def build():
        with Flow("all", store=tmp_path / "store") as flow:
            task(looping).map([1, 10])
            task(skipping)(1)
            task(ignore="path")(reading)()
        return flow

    run = build().run()
    assert run["looping"] == [2, 20]
    assert run.state("skipping") is State.SKIPPED
    assert run["reading"] == "1"
    assert build().run().counts()[0] == 0
    path.write_text("22")
    assert build().run()["reading"] == "22"


def test_async_tasks_see_their_own_files_only(tmp_path):
    for i in range(5):
        (tmp_path / f"{i}.txt").write_text(str(i))
    calls = []

    async def reading(i):
        calls.append(i)
        await asyncio.sleep(0.01)
        text = (tmp_path / f"{i}.txt").read_text()
        await asyncio.sleep(0.01)
        return text

    def build():
        return flow_of(tmp_path / "store", reading, range(5), ignore=("tmp_path", "calls"))

    build().run()
    (tmp_path / "3.txt").write_text("changed")
    assert build().run()["fetch"] == ["0", "1", "2", "changed", "4"]
    assert sorted(calls) == [0, 1, 2, 3, 3, 4]


def test_it_works_inside_a_running_loop(tmp_path):
    async def fetch(x):
        await asyncio.sleep(0)
        return x

    async def main():
        flow = flow_of(tmp_path, fetch, range(3))
        return flow.run()["fetch"], (await flow.arun()).counts()

    assert asyncio.run(main()) == ([0, 1, 2], (0, 3, 0))


def test_a_blocking_run_inside_an_async_task_says_what_to_write(tmp_path):
    with Flow("inner", store=tmp_path) as inner:
        task(lambda: 42)(name="answer")

    async def blocking():
        return inner.run()["answer"]

    async def awaiting():
        return (await inner.arun())["answer"]

    with Flow("outer", store=tmp_path) as outer:
        task(cache=False)(blocking)()
        task(cache=False)(awaiting)()
    run = outer.run()
    assert isinstance(run.error("blocking"), GraphError)
    assert "await flow.arun" in str(run.error("blocking"))
    assert run["awaiting"] == 42


def test_the_loop_of_an_asyncio_program_is_used_when_asked_for(tmp_path):
    async def main():
        lock = asyncio.Lock()
        await lock.acquire()
        order = []

        async def fetch(x):
            # A lock refuses to be waited for on another loop than its own.
            async with lock:
                order.append(x)
            return threading.current_thread() is threading.main_thread()

        flow = flow_of(tmp_path, fetch, range(3), loop="notebook", ignore=("lock", "order"))
        running = asyncio.ensure_future(flow.arun())
        await asyncio.sleep(0.05)
        assert order == []
        lock.release()
        return (await running)["fetch"]

    assert asyncio.run(main()) == [True, True, True]


def test_an_unknown_loop_is_an_error_with_the_nearest_name():
    with pytest.raises(GraphError, match="notebook"):
        task(loop="notbook")(abs)
    with pytest.raises(GraphError, match="notebook"):
        Flow("f", loop="notbook")


def test_asyncio_is_imported_by_async_tasks_only(tmp_path):
    script = f"""
import sys
from nbflow import Flow, task
with Flow("f", store={str(tmp_path)!r}) as flow:
    task(lambda x: x).map([1, 2, 3], name="plain")
flow.run()
flow.start().wait(30)
print("asyncio" in sys.modules)
"""
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert output == "False\n"
