"""Errors in a real kernel: never more than 25 lines, none of them nbflow's own code, and a way on. One kernel for all."""

import re

import pytest
from jupyter_client.manager import start_new_kernel

HELPERS = """
%load_ext nbflow
from nbflow import Flow, Parameter, task
import nbflow
def deep(n):
    if n == 0:
        raise ValueError("at the bottom")
    return deep(n - 1)
class NoStr(Exception):
    def __str__(self):
        raise RuntimeError("no text")
with Flow('j') as j:
    task(lambda n: n, name='t')(Parameter('n'))
"""


HALVES = "%%task halves for x in [2, 0]\ny = 1 / x  # here\ny"


@pytest.fixture
def kernel(started):
    """A notebook without the tasks of the tests before."""
    started("%reload_ext nbflow")
    started(HALVES)
    return started


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kernel")
    (folder / "pyproject.toml").touch()
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(folder))
    run = Cells(client)
    run(HELPERS)
    yield run
    client.stop_channels()
    manager.shutdown_kernel(now=True)


class Cells:
    """Runs cells; gives what a cell showed, with the lines of its error."""

    def __init__(self, client):
        self._client = client

    def __call__(self, source):
        shown = []

        def hook(message):
            content = message["content"]
            if message["msg_type"] == "stream":
                shown.append(content["text"])
            elif message["msg_type"] == "error":
                shown.append("\n".join(content["traceback"]))
            elif "data" in content:
                shown.append(content["data"].get("text/plain", ""))

        self._client.execute_interactive(source, timeout=60, output_hook=hook)
        return re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(shown))


def check_block(text):
    lines = text.splitlines()
    assert 0 < len(lines) <= 25, text
    assert all(len(line) <= 600 for line in lines)
    assert not re.search(r"nbflow/(engine|flow|notebook|executors)", text), text
    assert "Traceback" not in text


def test_a_task_cell_shows_the_element_the_line_and_the_ways_on(kernel):
    text = kernel(HALVES)
    check_block(text)
    assert "task halves failed on 1 of 2 elements; the first is halves[1] with x=0" in text
    assert re.search(r"→ +2 y = 1 / x  # here", text)
    assert "ZeroDivisionError: division by zero" in text
    assert "%flow debug halves[1]" in text
    assert "%flow frame halves" in text


def test_tb_then_marks_the_line_of_the_cell(kernel):
    number = 1 + int(kernel("get_ipython().execution_count"))
    kernel(HALVES)
    shown = kernel("%tb")
    assert re.search(rf"Cell In\[{number}\], line 2, in halves", shown), shown
    assert re.search(r"-> 2 y = 1 / x  # here", shown), shown


def test_tb_then_shows_the_whole_traceback(kernel):
    kernel("%%task below\ndeep(40)")
    text = kernel("%tb")
    assert text.count("deep(n - 1)") > 30 or "repeated" in text


CELLS = {
    "deep": ("deep(100)", "ValueError: at the bottom"),
    "recursion": ("def f(): return f()\nf()", "RecursionError"),
    "huge message": ("raise ValueError('x\\n' * 100_000 + 'y' * 1_000_000)", "more lines"),
    "group": ("raise ExceptionGroup('g', [ValueError(i) for i in range(1000)])", "it holds 1,000 × ValueError"),
    "chained": (
        "try:\n    {}['k']\nexcept KeyError as e:\n    raise ValueError('v') from e",
        "caused by KeyError: 'k'",
    ),
    "no str": ("raise NoStr()", "NoStr"),
    "exit": ("import sys\nsys.exit('bye')", "SystemExit: bye"),
    "syntax error in a made text": ("eval('1 +')", "SyntaxError"),
    "library": ("import json\njson.loads('{')", "raised in decoder.py"),
    "unbound": ("if False:\n    v = 1\nv = v + 1", "v"),
}


@pytest.mark.parametrize(("body", "expected"), CELLS.values(), ids=list(CELLS))
def test_whatever_a_task_raises_is_a_short_block(kernel, body, expected):
    text = kernel(f"%%task bad\n{body}\nbad = 1")
    check_block(text)
    assert expected in text


def test_a_plain_cell_that_needs_a_failed_task_shows_the_same_block(kernel):
    declared = kernel("%%task broken\nbroken = deep(1)")
    used = kernel("print('ran')\nbroken")
    check_block(used)
    assert "task broken failed" in used
    assert "ValueError: at the bottom" in used
    assert "ran\n" not in used
    assert declared.splitlines()[0] == "✗ broken · failed"
    assert used.splitlines()[0] == declared.splitlines()[1]


def test_flow_run_shows_the_first_failure_and_names_the_others(kernel):
    kernel("%%task first_bad\nfirst_bad = deep(1)")
    kernel("%%task second_bad\nsecond_bad = deep(1)")
    kernel("%%task waits\nwaits = first_bad + 1")
    text = kernel("%flow run first_bad second_bad waits")
    check_block(text)
    assert "also failed: second_bad" in text
    assert "did not run because of that: waits" in text


def test_a_thousand_failures_show_one_and_their_kinds(kernel):
    text = kernel("%%task many for x in range(1000)\nraise (KeyError if x % 2 else ValueError)(x)\nmany = x")
    check_block(text)
    assert "task many failed on 1,000 of 1,000 elements" in text
    assert "500 × ValueError, 500 × KeyError" in text


def test_check_in_python_shows_the_block_with_pythons_ways_on(kernel):
    text = kernel("@task\ndef inv(x):\n    return 1 / x\nwith Flow('g') as g:\n    inv.map([1, 0])\ng.run(check=True)")
    check_block(text)
    assert "task inv failed on 1 of 2 elements; the first is inv[1] with x=0" in text
    assert "flow.last_run.failed('inv')" in text


def test_the_value_of_a_failed_node_shows_the_block(kernel):
    text = kernel("@task\ndef one():\n    deep(1)\nwith Flow('h') as h:\n    one()\nrun = h.run()\nrun['one']")
    check_block(text)
    assert "task one failed" in text
    assert "run.retry()" in text


def test_frame_with_grid_is_a_widget_and_without_the_extra_a_frame(kernel):
    kernel("%%task doubles for x in [1, 2]\n2 * x")
    assert "VBox" in kernel("%flow frame doubles --grid")
    kernel("import sys\nsys.modules['itables'] = sys.modules['itables.widget'] = None")
    text = kernel("%flow frame doubles --grid")
    assert "pip install 'nbflow[grid]'" in text
    assert "2 elements: 2 run" in text


# What users do wrong, and what the message must hold: what, and the next step.
MISTAKES = {
    "syntax": ("%%task s\nx = = 1", "line 2"),
    "head": ("%%task a for\n1", "for"),
    "subcommand": ("%flow frmae x", "did you mean 'frame'"),
    "task name": ("%flow run halve", "did you mean 'halves'"),
    "unclosed": ("%flow run 'x", "close the quote"),
    "frame of nothing": ("%flow frame", "takes one task"),
    "unknown input": ("%%task u\nu = unknown_thing + 1", "nothing defines"),
    "rebinding": ("halves = 3", "Three ways out"),
    "node has no value": ("n = task(lambda: 1)()\nbool(n)", "NoValueYet"),
    "cycle of names": (
        "with Flow('i') as i:\n    task(lambda: 1, name='a')(name='b')\n    task(lambda: 1)(name='b')",
        "'b'",
    ),
    "bind": ("task(lambda a, b: 1, name='t')(1)", "BindError"),
    "map over int": ("task(lambda a: 1, name='t').map(3).run(check=True)", "cannot be iterated"),
    "lengths": ("task(lambda a, b: 1, name='t').map([1], [1, 2]).run(check=True)", "strict=False"),
    "parameter": ("j.run()", "flow.run(n="),
    "wrong parameter": ("j.run(m=1)", "'m'"),
    "unknown node": ("j.run(n=1)['tt']", "did you mean 't'"),
    "no identity": (
        "import threading\ndef g(): yield 1\nx = g()\ntask(lambda g: 1, name='t')(x).run(check=True)",
        "opaque",
    ),
    "secret": ("nbflow.secret('NO_SUCH_NAME')", "environment variable"),
    "history": ("j.compare(10_000, 10_001)", "history"),
    "accept": ("j.accept('t')", "t"),
    "retry": ("j.run(n=1).retry(elements=[1])", "run.retry("),
    "runaway": (
        "from nbflow.signals import LOOP\n@task(max_loops=5)\ndef forever():\n    raise LOOP(result=1)\nwith Flow('k') as k:\n    forever()\nk.run(check=True)",
        "max_loops",
    ),
    "timeout": (
        "import time\n@task(timeout_s=0.05)\ndef slow():\n    time.sleep(0.5)\nwith Flow('l') as l:\n    slow()\nl.run(check=True)",
        "timeout_s",
    ),
    "store": ("Flow('m', store='/proc/nothing').run()", "NBFLOW_STORE"),
}


@pytest.mark.parametrize(("cell", "expected"), MISTAKES.values(), ids=list(MISTAKES))
def test_a_mistake_is_told_in_a_few_lines_with_the_next_step(kernel, cell, expected):
    text = kernel(cell)
    check_block(text)
    assert expected in text


def test_a_run_that_failed_says_so_in_a_line_although_only_its_run_is_kept(kernel):
    text = kernel("""
from nbflow import Flow, task
@task
def inverse(x): return 1 / x
@task
def total(xs): return sum(xs)
with Flow("quiet") as quiet:
    total(inverse.map([1, 0]))
run = quiet.run()""")
    assert "quiet: 1 of 2 elements of inverse failed: ZeroDivisionError: division by zero" in text
    assert "did not run because of that: total; run.failed('inverse')" in text


def test_debugging_where_nobody_can_answer_is_told_in_a_sentence(kernel):
    kernel("%%task halved for x in [1, 0]\n1 / x")
    kernel._client.allow_stdin = False
    try:
        text = kernel("%flow debug halved[1]")
    finally:
        kernel._client.allow_stdin = True
    check_block(text)
    assert "the debugger asks what to do, and nobody here can answer" in text


def test_a_figure_that_is_looked_at_is_not_told_as_changed(kernel):
    kernel("""%%task figure
import matplotlib
matplotlib.use("agg")
import matplotlib.pyplot as plt
figure = plt.figure()
figure.add_subplot().plot([1, 2])
plt.close(figure)""")
    looked = [kernel("figure.canvas.draw(); len(figure.axes)"), kernel("len(figure.axes)")]
    assert [text.splitlines()[-1] for text in looked] == ["1", "1"]
    assert "changed in place" not in "".join(looked)
