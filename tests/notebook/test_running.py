"""Running in a real kernel: the main thread, the background, async tasks on the notebook's loop, interrupts.

All tests share one kernel; each has a store of its own.
"""

import ast
import contextlib
import os
import queue
import time

import pytest
from jupyter_client.manager import start_new_kernel

START = """
%reset -f
%load_ext nbflow
%matplotlib inline
import asyncio, os, sqlite3, threading, time
from pathlib import Path
from nbflow import Flow, task
LOG = []
def is_main():
    return threading.current_thread() is threading.main_thread()
"""


class Kernel:
    """One kernel and its client. Calling it runs a cell, and gives its reply and outputs."""

    def __init__(self, manager, client):
        self.manager = manager
        self.client = client

    def __call__(self, source, timeout_s=30):
        outputs = []
        reply = self.client.execute_interactive(
            source, timeout=timeout_s, output_hook=lambda message: outputs.append(message), stop_on_error=False
        )
        content = reply["content"]
        assert content["status"] == "ok", "\n".join(content["traceback"])
        return outputs

    def value(self, expression):
        reply = self.client.execute_interactive(
            "", user_expressions={"value": expression}, timeout=60, output_hook=lambda message: None
        )
        answer = reply["content"]["user_expressions"]["value"]
        assert answer["status"] == "ok", answer
        return ast.literal_eval(answer["data"]["text/plain"])

    def until(self, expression, deadline_s=30):
        """Waits until an expression is true; cells run in between."""
        end = time.monotonic() + deadline_s
        while not self.value(expression):
            assert time.monotonic() < end, f"{expression} was not true after {deadline_s} s"
            time.sleep(0.02)

    def interrupted(self, source, begun):
        """Runs a cell and interrupts it once the file `begun` is there; gives the reply and its outputs' texts."""
        sent = self.client.execute(source, stop_on_error=False)
        end = time.monotonic() + 30
        while not begun.exists():
            assert time.monotonic() < end
            time.sleep(0.02)
        self.manager.interrupt_kernel()
        reply = self.client.get_shell_msg(timeout=20)
        texts = []
        with contextlib.suppress(queue.Empty):
            while True:
                message = self.client.get_iopub_msg(timeout=0.3)
                if message["parent_header"].get("msg_id") == sent and message["msg_type"] == "stream":
                    texts.append(message["content"]["text"])
        return reply["content"], "".join(texts)


def texts(outputs):
    return "".join(m["content"]["text"] for m in outputs if m["msg_type"] == "stream")


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kernel")
    manager, client = start_new_kernel(cwd=str(folder), env={**os.environ})
    try:
        yield Kernel(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.fixture
def kernel(started, tmp_path):
    with contextlib.suppress(AssertionError):
        started("%unload_ext nbflow")
    started(f"import os\nos.environ['NBFLOW_STORE'] = {str(tmp_path / 'store')!r}")
    started(START)
    started(f"FOLDER = Path({str(tmp_path)!r})")
    return started


PLOTS = """
import matplotlib.pyplot as plt
def draw(n):
    fig = plt.figure(figsize=(1, 1))
    for _ in range(3):
        plt.plot(range(n))
        time.sleep(0.01)
    plt.title(f"plot {n}")
    here = plt.gcf() is fig and len(plt.gca().lines) == 3 and plt.gca().get_title() == f"plot {n}"
    plt.show()
    return here and is_main()
with Flow("plots") as flow:
    for n in (1, 2, 3):
        task(name=f"draw {n}")(draw)(n)
    task(name="beside")(lambda x: x).map(range(20))
run = flow.run()
"""


def test_three_pyplot_tasks_at_once_draw_three_figures(kernel):
    outputs = kernel(PLOTS)
    pictures = {m["content"]["data"]["image/png"] for m in outputs if "image/png" in m["content"].get("data", {})}
    assert len(pictures) == 3
    assert kernel.value("[run[f'draw {n}'] for n in (1, 2, 3)]") == [True] * 3
    assert kernel.value("run['beside'] == list(range(20))")


def test_a_connection_from_another_cell_is_used_by_two_tasks_of_a_map(kernel):
    kernel("db = sqlite3.connect(':memory:')\ndb.execute('create table t as select 1 as x union select 2')")
    kernel("%%task sums for n in [1, 2]\ndb.execute('select sum(x) from t where x <= ?', (n,)).fetchone()[0]")
    kernel("%%task beside for x in range(8)\nx")
    kernel("made = list(sums)")
    assert kernel.value("made") == [1, 3]
    kernel("%flow run --force")
    kernel("made = list(sums)")
    assert kernel.value("made") == [1, 3]


def test_tasks_ask_one_after_the_other_and_the_answers_are_kept(kernel):
    kernel(
        "@task\ndef asks(question):\n    return input(question), is_main()\n"
        "with Flow('asking') as flow:\n    asks('name? ', name='one'), asks('town? ', name='two')"
    )
    asked = []

    def answer(message):
        asked.append(message["content"]["prompt"])
        kernel.client.input(asked[-1].upper())

    kernel.client.execute_interactive(
        "run = flow.run()", allow_stdin=True, stdin_hook=answer, timeout=30, output_hook=lambda message: None
    )
    assert sorted(asked) == ["name? ", "town? "]
    kernel("again = flow.run()")
    assert kernel.value("[run['one'], again['two'], again.state('one').label]") == [
        ("NAME? ", True),
        ("TOWN? ", True),
        "cached",
    ]


WAITING = """
with Flow("waiting") as flow:
    def wait(x):
        (FOLDER / f"begun {x}").touch()
        while not (FOLDER / "go").exists():
            time.sleep(0.02)
        return 10 * x
    task(ignore="FOLDER")(wait).map(range(4))
handle = flow.start()
"""


def test_cells_run_while_a_run_goes_on_in_the_background(kernel, tmp_path):
    kernel(WAITING)
    kernel("meanwhile = 1 + 1")
    assert kernel.value("handle.done") is False
    (tmp_path / "go").touch()
    kernel("values = handle.wait(30)['wait']")
    assert kernel.value("values") == [0, 10, 20, 30]


def test_cancel_ends_it_at_once_and_a_later_run_starts_nothing_twice(kernel, tmp_path):
    kernel(WAITING)
    kernel.until("all((FOLDER / f'begun {x}').exists() for x in range(2))")
    kernel("handle.cancel()\nstate = handle.wait(20).overall.label")
    assert kernel.value("state") == "cancelled"
    (tmp_path / "go").touch()
    kernel("values = flow.run()['wait']")
    assert kernel.value("values") == [0, 10, 20, 30]


BEHIND = """
import matplotlib.pyplot as plt
with Flow("plots") as flow:
    def draw(n):
        plt.figure(); plt.plot(range(n)); lines = len(plt.gca().lines); plt.close()
        return lines, is_main()
    task(draw).map([1, 2, 3])
"""


def test_pyplot_in_the_background_is_drawn_between_cells(kernel):
    kernel(BEHIND + "handle = flow.start()")
    kernel.until("handle.done")
    assert kernel.value("handle.wait()['draw']") == [(1, True)] * 3


def test_pyplot_in_the_background_is_drawn_in_wait(kernel):
    kernel(BEHIND + "values = flow.start().wait(30)['draw']")
    assert kernel.value("values") == [(1, True)] * 3


def test_flow_run_background_gives_a_handle_that_cancels(kernel, tmp_path):
    kernel("%flow lazy on")
    kernel("""%%task waits for x in range(3) --ignore FOLDER
(FOLDER / f"begun {x}").touch()
while not (FOLDER / "go").exists():
    time.sleep(0.02)
x""")
    outputs = kernel("%flow run --background")
    reply = kernel.client.execute_interactive("waits[0]", timeout=30, output_hook=lambda message: None)
    told = "\n".join(reply["content"]["traceback"])
    assert "A run goes on in the background (0 of 3 done); when that has ended, run this cell again." in told
    assert "A run goes on in the background" in texts(kernel("%flow status"))
    kernel("%flow lazy off")
    shown = [m["content"]["data"] for m in outputs if "data" in m["content"]]
    assert any("runs in the background" in data.get("text/plain", "") for data in shown)
    kernel("handle = next(each for each in Out.values() if hasattr(each, 'cancel'))")
    kernel.until("(FOLDER / 'begun 0').exists()")
    kernel("handle.cancel()\nstate = handle.wait(20).overall.label")
    assert kernel.value("state") == "cancelled"
    assert "cancelled, 0 of 3 done" in kernel.value("repr(handle)")
    (tmp_path / "go").touch()


def test_a_run_in_the_background_that_cannot_use_its_cluster_says_so_where_it_is_shown(kernel):
    kernel("%flow lazy on")
    kernel("xs = [1, 2, 3]")
    kernel("%%task lost for x in xs --executor dask --resources GPU=1\nprint(x)\nx")
    kernel("%flow run --background")
    kernel("handle = next(each for each in reversed(Out.values()) if hasattr(each, 'cancel'))")
    kernel.until("handle.done")
    shown = [m["content"]["data"] for m in kernel("handle") if "data" in m["content"]]
    why = "the run ended with an error: ClusterError: lost needs resources GPU=1"
    assert any("⊘ lost" in data["text/plain"] and why in data["text/plain"] for data in shown)
    assert any(why in data["text/html"] for data in shown if "text/html" in data)
    assert why in texts(kernel("%flow log lost"))
    told = texts(kernel("%flow why lost"))
    assert "did not run last time: ClusterError: lost needs resources GPU=1" in told
    assert "stopped" not in told
    kernel("%flow lazy off")


def test_a_second_run_in_the_background_says_that_it_is_computed_twice(kernel, tmp_path):
    kernel("""%%task waits for x in range(3) --ignore FOLDER --lazy
while not (FOLDER / "go").exists():
    time.sleep(0.02)
x""")
    kernel("%flow run --background waits")
    told = texts(kernel("%flow run --background waits"))
    assert "a run in the background (0 of 3 done) has yet to finish `waits`: computed here as well" in told
    (tmp_path / "go").touch()
    kernel.until("all(each.done for each in Out.values() if hasattr(each, 'cancel'))")


def test_a_task_that_fails_in_the_background_is_told_under_the_cell_that_started_it(kernel):
    kernel("%flow lazy on")
    kernel("%%task ratio for x in [1, 0]\n1 / x")
    sent = kernel.client.execute("%flow run --background")
    kernel.client.get_shell_msg(timeout=30)
    told = ""
    while "ratio failed" not in told:
        message = kernel.client.get_iopub_msg(timeout=30)
        if message["parent_header"].get("msg_id") == sent and message["msg_type"] == "stream":
            told += message["content"]["text"]
    assert "1 of 2 elements of ratio failed: ZeroDivisionError: division by zero; `%flow frame ratio`" in told


def test_a_run_of_what_another_is_at_in_the_background_says_that_it_is_computed_twice(kernel):
    kernel("""%%task waits for x in range(3) --ignore FOLDER --lazy
(FOLDER / f"call {time.perf_counter_ns()}").touch()
while not (FOLDER / "go").exists():
    time.sleep(0.02)
x""")
    kernel("%%task other\n1")
    kernel("%flow run --background waits")
    kernel("""import threading
def let_go():
    while len(list(FOLDER.glob("call *"))) < 6:
        time.sleep(0.02)
    (FOLDER / "go").touch()
threading.Thread(target=let_go).start()""")
    assert "has yet to finish" not in texts(kernel("other"))
    assert "(0 of 3 done) has yet to finish `waits`: computed here as well" in texts(kernel("%flow run"))
    assert "has yet to finish" not in texts(kernel("%flow run"))


def test_what_takes_no_part_in_a_run_is_drawn_as_it_stands(kernel):
    for cell in ("%%task a\n1", "%%task b\na + 1", "%%task c --lazy\n3", "%%task late --lazy\nb + 1"):
        kernel(cell)
    (drawn,) = [m["content"]["data"] for m in kernel("%flow run a") if "image/svg+xml" in m["content"].get("data", {})]
    lines = [line.split()[:3] for line in drawn["text/plain"].splitlines()]
    assert [line for line in lines if len(line) == 3] == [
        ["●", "a", "fresh"], ["●", "b", "fresh"], ["○", "c", "new"], ["○", "late", "new"],
    ]  # fmt: skip


def test_arun_is_awaited_in_a_cell(kernel):
    kernel("with Flow('awaited') as flow:\n    task(name='answer')(lambda: 42)()\nrun = await flow.arun()")
    assert kernel.value("run['answer']") == 42


SERVER = """
async def answer(reader, writer):
    while line := await reader.readline():
        writer.write(line.upper())
        await writer.drain()
    writer.close()
server = await asyncio.start_server(answer, "127.0.0.1", 0)
reader, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
lock = asyncio.Lock()
"""
CLOSED = "writer.close()\nserver.close()"


def test_a_client_from_another_cell_is_used_by_a_cells_async_task(kernel):
    kernel(SERVER)
    kernel("""%%task said for word in ["a", "b", "c"] --ignore reader,writer,lock,server
async with lock:
    writer.write(word.encode() + b"\\n")
    await writer.drain()
    line = await reader.readline()
line.decode().strip()""")
    kernel("made = list(said)")
    assert kernel.value("made") == ["A", "B", "C"]
    # The next cells still run, and so do tasks on the loop.
    kernel("await asyncio.sleep(0.01)\nlater = await asyncio.wait_for(asyncio.sleep(0.01, 'later'), 5)")
    assert kernel.value("later") == "later"
    kernel(CLOSED)


def test_a_blocking_run_uses_the_notebooks_loop_when_asked_to(kernel):
    kernel(SERVER)
    kernel("""
waiting = asyncio.Queue()
async def feed():
    for i in range(3):
        await asyncio.sleep(0.01)
        await waiting.put(i)
feeding = asyncio.ensure_future(feed())
""")
    kernel("""
with Flow("loop", loop="notebook") as flow:
    async def ask(word):
        got = await waiting.get()
        async with lock:
            writer.write(word.encode() + b"\\n")
            line = await reader.readline()
        return line.decode().strip(), got in range(3), is_main()
    task(ignore=["reader", "writer", "lock", "waiting"])(ask).map(["x", "y", "z"])
    task(name="beside")(lambda x: is_main()).map(range(8))
run = flow.run()
""")
    assert kernel.value("run['ask']") == [("X", True, True), ("Y", True, True), ("Z", True, True)]
    assert kernel.value("any(run['beside'])") is False
    kernel("with Flow('again') as again:\n    task(name='plain')(lambda: 1)()\nvalue = again.run()['plain']")
    assert kernel.value("value") == 1
    kernel(CLOSED)


def test_async_tasks_of_a_flow_run_on_nbflows_own_loop(kernel):
    kernel("""
with Flow("own") as flow:
    async def where(x):
        await asyncio.sleep(0)
        return threading.current_thread().name
    task(where).map(range(3))
run = flow.run()
""")
    assert kernel.value("run['where']") == ["nbflow-async"] * 3


@pytest.mark.parametrize(
    "wait",
    [
        "def wait(x):\n    go(x)\n    time.sleep(60)",
        "async def wait(x):\n    go(x)\n    await asyncio.sleep(60)",
        "@task(loop='notebook', cache=False)\nasync def wait(x):\n    go(x)\n    await asyncio.sleep(60)",
    ],
    ids=["threads", "own loop", "notebook's loop"],
)
def test_an_interrupt_ends_a_blocking_run_at_once(kernel, tmp_path, wait):
    kernel(f"""
def go(x):
    (FOLDER / "begun").touch()
{wait}
with Flow("blocked") as flow:
    done = task(name="done")(lambda x: x).map(range(5))
    (wait if hasattr(wait, "fn") else task(cache=False)(wait)).map(range(3), upstream=done)
""")
    started = time.monotonic()
    reply, _ = kernel.interrupted("flow.run()", tmp_path / "begun")
    # Nobody let them go on: they sleep for a minute.
    assert time.monotonic() - started < 45
    assert reply["ename"] == "KeyboardInterrupt"
    assert reply["traceback"] == ["stopped"], "frames of nbflow's say nothing to anybody"
    assert kernel.value("flow.last_run.counts()[0]") == 5
    # The kernel is as it was: cells run, and so do flows.
    kernel("with Flow('after') as after:\n    task(name='plain')(lambda: 1)()\nvalue = after.run()['plain']")
    assert kernel.value("value") == 1


@pytest.mark.parametrize("call", ["await flow.arun()", "handle = flow.start()\nawait handle"])
def test_an_interrupt_ends_an_awaited_run_at_once(kernel, tmp_path, call):
    kernel("""
async def wait(x):
    if x > 1:
        (FOLDER / "begun").touch()
        await asyncio.sleep(60)
    return x
with Flow("awaited") as flow:
    task(ignore="FOLDER")(wait).map(range(4))
""")
    started = time.monotonic()
    reply, text = kernel.interrupted(call, tmp_path / "begun")
    assert time.monotonic() - started < 45
    assert reply["traceback"] == ["stopped"]
    assert "awaited: cancelled; 2 finished results are kept" in text
    kernel.until("flow.last_run.overall.label == 'cancelled'")
    kernel.until("flow.plan()['wait'].fresh == 2")


def test_who_stops_waiting_or_asks_how_to_stop_is_told_of_the_run_that_goes_on(kernel, tmp_path):
    kernel(WAITING)
    reply, text = kernel.interrupted("(FOLDER / 'waits').touch()\nhandle.wait()", tmp_path / "waits")
    assert reply["traceback"] == ["stopped"]
    assert "waiting: only the waiting has ended, the run goes on in the background (0 of 4 done)" in text
    reply = kernel.client.execute_interactive("%flow stop", timeout=30, output_hook=lambda message: None)
    told = "\n".join(reply["content"]["traceback"])
    assert "'waiting', which runs in the background (0 of 4 done)" in told
    assert "or by `handle.cancel()`" in told
    (tmp_path / "go").touch()
    kernel("run = handle.wait()")
    assert kernel.value("run['wait']") == [0, 10, 20, 30]


def test_an_interrupt_says_how_much_is_kept_and_the_next_run_goes_on_from_there(kernel, tmp_path):
    kernel("%flow lazy on")
    kernel("""%%task xs for x in range(12) --ignore FOLDER
if x == 8:
    (FOLDER / "begun").touch()
    while not (FOLDER / "go").exists():
        time.sleep(0.02)
x * 10""")
    kernel("%flow lazy off")
    _, text = kernel.interrupted("%flow run", tmp_path / "begun")
    assert "finished results are kept, the next run goes on from there" in text
    (tmp_path / "go").touch()
    kernel("made = list(xs)")
    assert kernel.value("made") == [x * 10 for x in range(12)]
