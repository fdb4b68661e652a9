"""Branches, merges, loops and tasks made while running, in `%%task` cells."""

import re

import pytest

from tests.notebook.test_session import notebook, task

__all__ = ["notebook"]


def test_a_condition_runs_the_cell_only_where_it_is_true(notebook):
    notebook(task("flag", "True"))
    shown = notebook(task("report if flag", "'long report'"))
    assert shown.ran == ["report"]
    assert shown.value == "long report"
    notebook(task("flag", "False"))
    again = notebook(task("report if flag", "'long report'"))
    assert again.ran == []
    assert again.value is None
    assert "⤼ report · skipped: since `flag` is not true" in again.text


def test_a_condition_may_be_any_expression_and_is_kept(notebook):
    notebook("limit = 10")
    notebook(task("n", "20"))
    assert notebook(task("big if n > limit", "'big'")).value == "big"
    notebook("limit = 30")
    assert "skipped: since `n > limit` is not true" in notebook(task("big if n > limit", "'big'")).text
    notebook("limit = 10")
    assert notebook(task("big if n > limit", "'big'")).ran == []


def test_what_follows_a_skipped_cell_is_skipped_and_a_plain_cell_says_why(notebook):
    notebook(task("flag", "False"))
    notebook(task("a if flag", "1"))
    assert "⤼ b · skipped: since `a` was" in notebook(task("b", "a + 1")).text
    shown = notebook("b + 1")
    assert "b has no value: it was skipped" in shown.text


def test_what_only_a_skipped_cell_needs_does_not_run_when_all_is_run(notebook):
    notebook(task("flag", "False"))
    notebook("%%task dear --ignore LOG\nLOG.append('dear')\n1")
    notebook(task("a if flag", "dear + 1"))
    notebook(task("dear", "2"))
    assert "dear" not in notebook("%flow run").ran


def test_merge_takes_the_branch_that_ran(notebook):
    notebook(task("mode", "'fast'"))
    notebook(task("fast if mode == 'fast'", "'quick'"))
    notebook(task("slow if mode != 'fast'", "'thorough'"))
    assert notebook("%%task result --merge fast,slow").value == "quick"
    notebook(task("mode", "'careful'"))
    assert notebook("result").value == "thorough"
    assert notebook(task("shout", "result.upper()")).value == "THOROUGH"


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("%%task a, b --merge x,y", "a merge makes one output"),
        ("%%task a --merge x,y\n1 + 1", "has no body"),
        ("%%task a for i in [1] --merge x,y", "no `for` and no `if`"),
        ("%%task a --merge x,y", "reads `x`, which nothing defines"),
        ("%%task a --trigger all_finnished\n1", "did you mean 'all_finished'"),
        ("%%task a if \n1", "a condition is missing"),
        ("%%task a if for\n1", "if` without|`for` stands before `if`|cannot be read"),
    ],
)
def test_heads_that_cannot_be_say_what_to_write(notebook, cell, says):
    shown = notebook(cell)
    assert re.search(says, shown.text), shown.text
    assert "Traceback" not in shown.text


def test_elements_are_left_out_and_combined(notebook):
    notebook(task("xs", "[1, 2, 3, 4]"))
    assert notebook(task("even for x in xs if x % 2 == 0", "x * 10")).ran == ["even"] * 2
    assert notebook("even").value == [20, 40]
    notebook(task("pairs for a in xs for b in even", "a + b"))
    assert notebook("len(pairs), pairs[:3]").value == (8, [21, 41, 22])


def test_a_trigger_lets_a_cell_run_after_a_failure(notebook):
    notebook(task("broken", "1 / 0"))
    shown = notebook(task("report --trigger all_finished", "type(broken).__name__"))
    assert "failed" in shown.text
    assert shown.ran == ["broken", "report"]
    assert "ZeroDivisionError" in shown.text


def test_a_cell_may_loop(notebook):
    notebook("from nbflow import loop\nfrom nbflow.signals import LOOP")
    cell = "%%task guess --ignore LOG\nLOG.append(loop.count)\nguess = (loop.result or 1.0)\nguess = (guess + 2 / guess) / 2\n"
    cell += "if loop.count < 5:\n    raise LOOP(result=guess)"
    shown = notebook(cell)
    assert shown.ran == [1, 2, 3, 4, 5]
    assert abs(notebook("guess").value - 2**0.5) < 1e-9
    assert notebook(cell).ran == []


def test_a_cell_may_loop_a_number_of_times(notebook):
    notebook("from nbflow import loop")
    notebook("%%task total --loop-times 3 --ignore LOG\nLOG.append(loop.count)\n(loop.result or 0) + 10")
    assert notebook("total").value == 30
    shown = notebook("%%task total --loop-times 5 --ignore LOG\nLOG.append(loop.count)\n(loop.result or 0) + 10")
    assert shown.ran == [4, 5]


def test_a_cell_may_make_tasks(notebook):
    notebook("from nbflow import task")
    notebook("@task(ignore=['LOG'])\ndef square(x):\n    LOG.append(x)\n    return x * x")
    shown = notebook("%%task squares\nsquares = [square(i) for i in range(3)]")
    assert sorted(shown.ran) == [0, 1, 2]
    assert notebook("sum(squares)").value == 5
    shown = notebook("%%task squares\nsquares = [square(i) for i in range(4)]")
    assert shown.ran == [3]
    # An edit of the child runs the children alone.
    notebook("@task(ignore=['LOG'])\ndef square(x):\n    LOG.append(x)\n    return x * x + 1")
    assert sorted(notebook("squares").ran) == [0, 1, 2, 3]
    assert notebook("squares").value == [1, 2, 5, 10]


def test_a_cell_that_waits_for_approval(notebook):
    notebook(task("model", "'model'"))
    shown = notebook(task("deployed --trigger manual_only", "f'deployed {model}'"))
    assert shown.ran == []
    assert "Ⅱ deployed · waits for approval: %flow approve deployed" in shown.text
    notebook("%flow approve deployed")
    # What was approved and done is there from now on; anything new waits again.
    assert notebook("deployed").value == "deployed model"
    notebook(task("model", "'other model'"))
    assert "waits for approval" in notebook("deployed").text
    assert "takes the names" in notebook("%flow approve").text


def test_the_picture_shows_branches_loops_and_what_was_made(notebook):
    notebook("from nbflow import task")
    notebook("@task\ndef square(x):\n    return x * x")
    notebook(task("flag", "True"))
    notebook("%%task many if flag\nmany = [square(i) for i in range(3)]")
    notebook("%flow run")
    shown = notebook("%flow")
    html = shown.value._repr_mimebundle_()["text/html"]
    assert ">true<" in html
    assert 'data-node="many"' in html


def test_a_task_that_a_cell_made_and_that_failed_is_shown_with_its_own_lines(notebook):
    notebook(
        "from nbflow import task\n\n@task\ndef child(x):\n    if x == 2:\n        raise ValueError('child broke')\n    return x"
    )
    shown = notebook("%%task kids\nkids = [child(i) for i in range(3)]")
    assert "task kids failed: kids/child-3, which kids returned, failed" in shown.text
    assert "raise ValueError('child broke')" in shown.text
    assert "ValueError: child broke" in shown.text


def test_a_trigger_that_is_not_met_is_told(notebook):
    notebook(task("xs", "[1, 2]"))
    shown = notebook(task("alarm for x in xs --trigger any_failed", "x"))
    assert "alarm did not run, because its trigger any_failed is not met" in shown.text
    assert "2 success" in shown.text or "1 success" in shown.text
    assert "any_failed is not met" in str(notebook("%flow plan").value)
