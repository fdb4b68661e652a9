"""Tasks that put out more than anybody reads: what is kept is bounded, while they run, too, and it is said."""

import subprocess
import sys
import textwrap

from nbflow import Flow, task
from nbflow.probe.capture import Capture
from nbflow.probe.routing import capturing

PRINTS = """
import resource, sys
from nbflow import Flow, task

def shout():
    print("the beginning")
    line = "x" * 9_999
    for _ in range(10_000):
        print(line)
    print("the end")

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with Flow("loud", store=sys.argv[1], executor="threads") as flow:
    task(shout)(name="shout")
    task(lambda: None)(name="other")
run = flow.run()
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
text = run.log("shout").text
print("KB grown:", grown, file=sys.stderr)
print(len(text), text[:13], text[-8:-1], "characters left out here" in text, file=sys.stderr)
"""


def test_a_task_that_prints_100_mb_is_truncated_in_bounded_memory(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PRINTS), str(tmp_path / "store")],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True, text=True, timeout=100,
    )  # fmt: skip
    grown, told = done.stderr.splitlines()[-2:]
    assert int(grown.split()[-1]) < 30_000
    size, text = told.split(" ", 1)
    assert int(size) < 260_000
    assert text == "the beginning the end True"


def test_one_write_of_100_mb_is_truncated(tmp_path):
    with capturing() as capture:
        sys.stdout.write("a" * 50_000_000 + "z" * 50_000_000)
    first, note, last = capture.take()
    assert (len(first.text), len(last.text)) == (200_000, 50_000)
    assert "99,750,000 characters left out" in note.text
    assert set(first.text) == {"a"}
    assert set(last.text) == {"z"}


def test_a_task_that_displays_1000_figures_keeps_the_first_and_the_last():
    capture = Capture()
    for i in range(1000):
        capture.display({"image/png": b"p" * 50_000, "text/plain": f"figure {i}"}, {}, None)
    texts = [piece.text for piece in capture.take()]
    assert texts[:20] == [f"figure {i}" for i in range(20)]
    assert texts[20] == "… 975 of 1,000 displays left out here: the first 20 and the last 5 are kept …\n"
    assert texts[21:] == [f"figure {i}" for i in range(995, 1000)]


def test_displays_are_bounded_by_their_size_too():
    capture = Capture()
    for i in range(10):
        capture.display({"text/html": "x" * 3_000_000, "text/plain": f"table {i}"}, {}, None)
    assert sum(len((piece.data or {}).get("text/html", "")) for piece in capture.take()) <= 10_000_000


def test_a_loop_of_1000_iterations_that_print_keeps_as_much_as_one_call(tmp_path):
    from nbflow import loop, signals

    @task(max_loops=1000)
    def count():
        print("y" * 10_000)
        if loop.count < 200:
            raise signals.LOOP(result=loop.count)
        return loop.count

    with Flow("looping", store=tmp_path / "store") as flow:
        count()
    assert len(flow.run().log("count").text) < 260_000
