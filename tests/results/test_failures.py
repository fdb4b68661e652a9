"""What a failed run says in Python: one short block with the task, its inputs, the line, and how to go on."""

import subprocess
import sys
import textwrap

import pytest

from nbflow import Flow, task
from nbflow.errors import NotSuccessful, RunFailed


def failure(flow, **options):
    """The text that a failed run raises, and the exception."""
    with pytest.raises(RunFailed) as caught:
        flow.run(check=True, **options)
    return str(caught.value), caught.value


def of(store, function, *args, **kwargs):
    with Flow("f", store=store) as flow:
        task(function, name="bad")(*args, **kwargs)
    return flow


def mapped(store, function, source):
    with Flow("f", store=store) as flow:
        task(function, name="bad").map(source)
    return flow


def test_it_names_the_task_its_inputs_and_the_line(store):
    def bad(x, how):
        return x[how]  # this line

    text, error = failure(of(store, bad, {"a": 1}, how="b"))
    lines = text.splitlines()
    assert lines[0] == "task bad failed with x={'a': 1}, how='b'"
    assert any("return x[how]  # this line" in line and "→" in line for line in lines)
    assert "KeyError: 'b'" in lines
    assert isinstance(error.error, KeyError)


def test_it_says_how_to_go_on_and_that_works(store):
    flow = mapped(store, lambda x: 1 / x, [1, 0])
    text, _ = failure(flow)
    assert 'flow.last_run.failed("bad")' in text.replace("'", '"')
    for step in ("error", "debug", "failed", "retry"):
        assert f"flow.last_run.{step}(" in text
    with pytest.raises(ZeroDivisionError):
        raise flow.last_run.error("bad", 1)
    assert len(flow.last_run.failed("bad")) == 1


def test_of_many_failures_one_is_shown_and_all_are_counted(store):
    def bad(x):
        if x % 100 == 7:
            raise KeyError(x)
        raise ValueError(f"no {x}")

    text, _ = failure(mapped(store, bad, range(1_000)))
    assert text.splitlines()[0] == "task bad failed on 1,000 of 1,000 elements; the first is bad[0] with x=0"
    assert "990 × ValueError, 10 × KeyError" in text
    assert "ValueError: no 0" in text
    assert "no 1\n" not in text
    assert len(text.splitlines()) <= 14


def test_what_else_failed_and_what_waits_is_named(store):
    def raise_it(n):
        raise ValueError(n)

    with Flow("f", store=store) as flow:
        first = task(raise_it, name="first")(1)
        task(raise_it, name="second")(2)
        task(lambda x: x, name="after")(first)
    text, _ = failure(flow)
    assert "task first failed" in text
    assert "also failed: second" in text
    assert "did not run because of that: after" in text


def test_what_waits_for_a_failure_tells_its_root(store):
    with Flow("f", store=store) as flow:
        bad = task(lambda: 1 / 0, name="bad")()
        middle = task(lambda x: x, name="middle")(bad)
        task(lambda x: x, name="after")(middle)
    with pytest.raises(NotSuccessful, match=r"(?s)after did not run, because `middle` failed.*bad: ZeroDivisionError"):
        flow.run()["after"]


def test_inputs_are_short_and_secrets_are_dots(store):
    def bad(xs, password, *, frame):
        raise ValueError(f"cannot log in with {password}")

    text, _ = failure(of(store, bad, list(range(10_000)), "a-long-password", frame="y" * 10_000))
    assert "a-long-password" not in text
    assert all(len(line) < 600 for line in text.splitlines())


SCRIPT = """
from nbflow import Flow, task

@task
def load(n):
    return inner(n)

def inner(n):
    if n > 20:
        raise {error}
    return inner(n + 1)

with Flow("f", store={store!r}) as flow:
    load.map(range(3))
flow.run(check=True)
"""


@pytest.mark.parametrize("error", ["ValueError('x\\ny\\n' * 1000)", "RecursionError('deep')"])
def test_in_a_script_all_that_is_printed_has_at_most_25_lines(store, tmp_path, error):
    (tmp_path / "script.py").write_text(textwrap.dedent(SCRIPT).format(store=str(store), error=error))
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "task load failed on 3 of 3 elements; the first is load[0] with n=0" in done.stderr
    assert "script.py, line 10, in inner" in done.stderr
    assert len(done.stderr.splitlines()) <= 25


def test_a_part_that_is_not_there_is_told_too(store):
    with Flow("f", store=store) as flow:
        load = task(lambda: {"a": 1}, name="load")()
        task(lambda x: x, name="use")(load["b"])
    text, _ = failure(flow)
    assert "KeyError: 'b'" in text
    assert "load" in text.splitlines()[0]
    assert "did not run because of that: use" in text


def test_a_map_over_what_cannot_be_iterated_is_told(store):
    with Flow("f", store=store) as flow:
        task(lambda x: x, name="each").map(task(lambda: 3, name="three")())
    text, _ = failure(flow)
    assert "task each failed" in text
    assert "MapError: map: 'x' is an int" in text
