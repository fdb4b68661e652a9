"""The live graph without a browser: what is sent of a run, and what stands there at the end."""

import json
import re
import subprocess
import sys
import threading
from contextlib import nullcontext

import pytest

from nbflow import Flow, opaque, task, unmapped
from nbflow.flow.glance import Glances
from nbflow.flow.progress import Progress
from nbflow.notebook import onlookers
from nbflow.notebook import terminal as terminal_module
from nbflow.seams import WATCHERS


@pytest.fixture
def followed(tmp_path):
    """Runs a flow with somebody looking on at each call of `look` inside a task; gives all that was seen."""

    class Followed:
        def __init__(self):
            self.seen = []

        def look(self):
            self.seen.append(self.progress.changes())

        def run(self, flow, **options):
            def watcher(run, cancel):
                self.progress = Progress(run)
                return ending

            class Ending:
                def __enter__(self):
                    return None

                def __exit__(self, *error):
                    return None

            ending = Ending()
            WATCHERS.append(watcher)
            try:
                run = flow.run(**options)
            finally:
                WATCHERS.remove(watcher)
            self.look()
            return run

    return opaque(Followed(), id="who looks on")


def test_only_what_changed_since_the_last_look_is_told(followed, tmp_path):
    with Flow("f", store=tmp_path / "s") as flow:
        a = task(lambda: followed.look(), name="a", cache=False)()
        b = task(lambda x: followed.look(), name="b", cache=False)(a)
    followed.run(flow)
    first, second, last = ({name: now.state for name, now in each.items()} for each in followed.seen)
    assert first == {"a": "running", "b": "pending"}
    assert second == {"a": "success", "b": "running"}
    assert last == {"a": "success", "b": "success"}, "at the end all is told"


def test_elements_are_counted_without_looking_at_them(followed, tmp_path):
    def odd(x):
        if x == 7:
            followed.look()
            raise ValueError(x)
        return x

    with Flow("f", store=tmp_path / "s", executor="sync") as flow:
        task(odd).map(range(10))
    run = followed.run(flow)
    middle, last = (each["odd"] for each in followed.seen)
    assert (middle.state, middle.done, middle.total, middle.running) == ("running", 7, 10, 1)
    assert (last.state, last.done, last.total, last.failed) == ("failed", 9, 10, 1)
    assert run.track(flow["odd"]).counts() == {3: 9, 6: 1}


def test_nodes_that_a_task_makes_are_one_box_with_a_count_after_a_new_layout(followed, tmp_path):
    @task(cache=False)
    def child(n):
        return n

    @task(cache=False)
    def parent():
        return [child(n) for n in range(5)]

    with Flow("f", store=tmp_path / "s") as flow:
        parent()
    followed.run(flow)
    assert followed.progress.outgrown
    followed.progress.redraw()
    now = followed.progress.changes()["parent/child"]
    assert (now.state, now.done, now.total) == ("success", 5, 5)


def test_a_large_flow_is_followed_in_few_boxes(followed, tmp_path):
    step = task(lambda n: n, name="step", cache=False)
    with Flow("f", store=tmp_path / "s") as flow:
        for n in range(400):
            step(n)
    followed.run(flow)
    assert {name: (now.state, now.done, now.total) for name, now in followed.seen[-1].items()} == {
        "step …": ("success", 400, 400)
    }


def test_a_glance_tells_why_how_it_ended_and_what_it_gave(tmp_path):
    def broken(x, k):
        raise ValueError("no answer from postgresql://me:abc@host")

    with Flow("f", store=tmp_path / "s") as flow:
        task(lambda: list(range(1000)), name="many")()
        task(broken).map([1, 2], k=unmapped(3))
    run = flow.run()
    glances = Glances(run)
    told = glances.ended(flow["broken"])
    assert told["error"] == "broken[0]: ValueError: no answer from postgresql://me:•••@host"
    assert "in broken" in told["trace"]
    assert "abc" not in json.dumps(told)
    assert glances.ended(flow["many"])["output"]["text"].startswith("1,000 items, such as [0, 1, 2")
    assert "seconds" not in Glances(flow.run()).ended(flow["many"]), "it did not run"


def test_in_a_terminal_one_line_is_rewritten_and_ends_as_a_table(tmp_path, monkeypatch):
    class Stream:
        def __init__(self):
            self.text, self.written = "", threading.Event()

        def write(self, text):
            self.text += text
            if "▶ slow" in text:
                self.written.set()

        def flush(self):
            pass

    def slow():
        written = stream.written.wait(20)
        print("said", end=" by slow\n")
        return written

    stream = opaque(Stream(), id="a terminal")
    monkeypatch.setattr(terminal_module, "QUIET_S", 0.01)
    monkeypatch.setattr(terminal_module, "STEP_S", 0.01)
    watcher = lambda run, cancel: terminal_module.terminal(run, stream)
    monkeypatch.setattr(sys, "stdout", stream)
    with Flow("night", store=tmp_path / "s") as flow:
        last = task(slow, cache=False)()
        task(lambda: None, name="first", cache=False)() >> last
    WATCHERS.append(watcher)
    try:
        assert flow.run()["slow"]
    finally:
        WATCHERS.remove(watcher)
    assert re.search(r"\r\x1b\[Knight: 1/2 tasks · [\d.]+ m?s · ▶ slow\r\x1b\[Ksaid by slow\n", stream.text)
    table = stream.text.split("said by slow\n")[1].split("\x1b[K")[-1]
    assert table == "✓ slow              success\n✓ first             success\n"


def test_no_line_is_rewritten_where_somebody_types(tmp_path, monkeypatch):
    monkeypatch.setattr(onlookers, "get_ipython", object)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)

    def asks():
        return input("name? ")

    with Flow("f", store=tmp_path / "s") as asking:
        task(asks)()
    with Flow("g", store=tmp_path / "s") as plain:
        task(lambda: 1, name="one")()
    plain_run = plain.run()
    shown = [
        not isinstance(onlookers.watch(run, cancel), nullcontext)
        for run, cancel in ((asking.run(), None), (plain_run, print), (plain_run, None))
    ]
    assert shown == [False, False, True]


def test_a_flow_written_in_python_waits_for_no_magics(tmp_path):
    code = (
        "import sys\nfrom IPython.core.interactiveshell import InteractiveShell\nshell = InteractiveShell.instance()\n"
        "from nbflow import Flow\nFlow('f').run()\n"
        "print('nbflow.notebook.onlookers' in sys.modules, 'nbflow.notebook.magics' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]
