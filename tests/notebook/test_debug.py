"""%flow debug and run.debug: a task's function called again under the debugger, whose questions a script answers."""

import random

import pytest

from nbflow import Flow, loop, signals, task
from nbflow.errors import NotSuccessful, UnknownName
from tests.notebook.test_session import notebook
from tests.notebook.test_session import task as cell

__all__ = ["notebook"]


@pytest.fixture
def answer(monkeypatch):
    """Gives the debugger these answers, one a prompt; tells afterwards that all were asked for."""
    left = []

    def answers(*lines):
        left[:] = lines

    monkeypatch.setattr("builtins.input", lambda prompt="": left.pop(0))
    yield answers
    assert left == []


@pytest.fixture
def run(tmp_path):
    calls = []

    @task(ignore=["calls"])
    def divide(x, by):
        calls.append(x)
        half = x / 2
        return 1 / half

    with Flow("divided", store=tmp_path / "store") as flow:
        divide.map({"a": 4, "b": 0, "c": 2}, by=[[1], [2], [3]])
    done = flow.run()
    calls.clear()
    done.calls = calls
    return done


def test_what_failed_is_looked_at_where_it_raised(run, answer, capsys):
    answer("p x, half, by", "p calls", "q")
    run.debug("divide", "b")
    shown = capsys.readouterr().out
    assert "divide[1] with x=0" in shown
    assert "ZeroDivisionError: float division by zero" in shown
    assert "(0, 0.0, [2])" in shown
    assert run.calls == [0]


def test_without_an_element_it_is_the_first_that_failed(run, answer, capsys):
    answer("q")
    run.debug("divide")
    assert "divide[1] with x=0" in capsys.readouterr().out


def test_what_did_not_fail_stops_in_its_first_line(run, answer, capsys):
    answer("p x", "p 'half' in dir()", "n", "n", "n", "p half", "c")
    run.debug("divide", 2)
    shown = capsys.readouterr().out
    assert "calls.append(x)" in shown
    assert [line for line in shown.splitlines() if line in {"2", "False", "1.0"}] == ["2", "False", "1.0"]
    assert "divide[2] gave 1.0" in shown


def test_it_can_be_left_at_once(run, answer, capsys):
    answer("q")
    run.debug("divide", 0)
    assert "gave" not in capsys.readouterr().out
    assert run.calls == []


def test_nothing_is_stored(run, answer):
    answer("p 1", "q")
    before = len(run.flow.history(all=True))
    run.debug("divide", "b")
    assert len(run.flow.history(all=True)) == before
    assert run.flow.run().counts() == (1, 2, 1)


def test_elements_that_are_not_there_are_told(run):
    with pytest.raises(UnknownName, match="has no element 'z'"):
        run.debug("divide", "z")
    with pytest.raises(UnknownName, match="no node 'divid'"):
        run.debug("divid")


def test_what_was_never_called_has_nothing_to_debug(tmp_path):
    @task
    def fails():
        raise ValueError("broken")

    @task
    def behind(x):
        return x

    with Flow("never called", store=tmp_path / "store") as flow:
        behind(fails())
    with pytest.raises(NotSuccessful, match="behind was not called, it is trigger failed"):
        flow.run().debug("behind")


def test_a_failure_that_does_not_come_again_is_told(tmp_path, capsys):
    state = {"broken": True}

    @task(ignore=["state"])
    def flaky():
        if state["broken"]:
            raise ValueError("once")
        return 5

    with Flow("once", store=tmp_path / "store") as flow:
        flaky()
    done = flow.run()
    state["broken"] = False
    done.debug("flaky")
    assert "flaky did not fail this time; it gave 5" in capsys.readouterr().out


def test_seed_and_place_in_a_loop_are_those_of_the_run(tmp_path, answer, capsys):
    @task(seed=5)
    def drawn():
        number = random.random()
        raise ValueError(number)

    @task
    def third():
        if loop.count == 3:
            raise ValueError(f"count {loop.count}")
        raise signals.LOOP(result=loop.count)

    with Flow("in a run", store=tmp_path / "store") as flow:
        drawn()
        third()
    done = flow.run()
    answer("q", "q")
    done.debug("drawn")
    done.debug("third")
    shown = capsys.readouterr().out
    assert f"ValueError: {done.error('drawn')}" in shown
    assert "ValueError: count 3" in shown


def test_an_async_task_is_looked_at_where_it_raised(tmp_path, answer, capsys):
    @task
    async def fails(x):
        near = x + 1
        raise ValueError("in a coroutine")

    with Flow("async", store=tmp_path / "store") as flow:
        fails(4)
    done = flow.run()
    answer("p near", "q")
    done.debug("fails")
    assert "\n5\n" in capsys.readouterr().out


# In a notebook


@pytest.fixture
def book(notebook):
    notebook(cell("xs", "[4, 0]"))
    notebook(cell("r for x in xs", "half = x / 2", "1 / half"))
    return notebook


def test_debug_of_an_element_in_a_notebook(book, answer):
    answer("p half", "q")
    shown = book("%flow debug r[1]")
    assert "r[1] with x=0 is called again" in shown.text
    assert "\n0.0\n" in shown.text
    assert shown.ran == ["r"]
    assert shown.error is None


def test_debug_shows_the_line_of_the_cell(book, answer):
    answer("q")
    assert "-> 1 / half" in book("%flow debug r").text


def test_after_other_runs_the_task_is_run_first(book, answer):
    book(cell("other", "3"))
    book("other")
    answer("p half", "q")
    assert "\n0.0\n" in book("%flow debug r[1]").text


def test_an_edited_cell_is_debugged_as_it_is_now(book, answer):
    book(cell("r for x in xs", "quarter = x / 4", "1 / quarter"))
    answer("p quarter", "q")
    assert "\n0.0\n" in book("%flow debug r[1]").text


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("%flow debug", "takes one task, such as `%flow debug xs` or `xs[0]`"),
        ("%flow debug r[7]", "has no element 7"),
        ("%flow debug rr", "no task is called 'rr'"),
        ("%flow debug xs[0]", "is not mapped"),
    ],
)
def test_wrong_elements_are_told(book, line, message):
    assert message in book(line).text
