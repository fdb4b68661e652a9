"""%flow why, status, history, accept and compare, as a notebook's user sees them."""

import re

import pytest

from tests.notebook.test_session import notebook, task

__all__ = ["notebook"]


@pytest.fixture
def made(notebook):
    notebook("K = 2\ndef helper(x):\n    return x * K")
    notebook(task("xs", "[1, 2, 3]"), "1")
    notebook(task("ys for x in xs", "helper(x)"), "2")
    notebook(task("total", "sum(ys)"), "3")
    return notebook


def test_case_84_an_edited_helper_is_accepted(made):
    made("def helper(x):\n    note = 'a log line'\n    return x * K")
    why = made("%flow why ys").text
    assert "helper `helper` changed" in why
    assert "+    note = 'a log line'" in why
    assert made("%flow accept ys").text == "ys: 3 results adopted from before the edit (helper `helper` changed)\n"
    assert made("total").ran == []
    assert made("%flow plan").value.will_run == []
    assert "after an edit: helper `helper` changed" in made("%flow why ys").text
    # The next edit counts again.
    made("def helper(x):\n    return x * K + 1")
    assert made("total").ran == ["ys", "ys", "ys", "total"]


def test_accept_refuses_what_waits(made):
    made("K = 5")
    refused = made("%flow accept total")
    assert "'total' needs `ys`, which is stale" in str(refused.error)
    assert "takes the names of tasks that were edited, such as `%flow accept xs`" in str(made("%flow accept").error)


def test_why_of_an_element(made):
    made("K = 5")
    assert made("%flow why ys[1]").text == "ys[1] is stale:\n  global `K`: 2 → 5\n"
    assert made("%flow why total").text.splitlines() == [
        "total is unknown:",
        "  depends on what `ys` will give",
        "  because `ys` is stale: global `K`: 2 → 5",
    ]
    assert made("%flow why ys[x=2]").text == "ys['x=2'] is stale:\n  global `K`: 2 → 5\n"
    assert "has no element 9; its 3 elements are numbered from 0" in str(made("%flow why ys[9]").error)
    assert "such as `%flow why xs` or `xs[0]`" in str(made("%flow why xs ys").error)


def test_status_says_how_each_task_stands(made):
    lines = made("%flow status").text.splitlines()
    assert lines == ["✓ xs: fresh", "✓ ys 3/3: fresh", "✓ total: fresh", "results are kept in store"]
    made("K = 5")
    assert made("%flow status").text.splitlines()[1:3] == [
        "◐ ys 0/3: stale",
        "? total: unknown (depends on what `ys` will give)",
    ]


def test_history_and_compare(made):
    made("K = 5")
    made("total")
    made("total")
    history = made("%flow history").value
    assert list(history.ran)[-2:] == [4, 0]
    made("total")
    history = made("%flow history").value
    assert list(history.ran)[-2:] == [4, 0]
    assert len(made("%flow history --all").value) > len(history)
    of_ys = made("%flow history ys").value
    assert "global `K`: 2 → 5" in set(of_ys.why)
    found = made("%flow compare").value
    assert found["total"].lines == ("12 → 30",)
    assert found["ys"].lines[0] == "3 of 3 elements changed: x=1, x=2, x=3"
    numbers = history.index[history.ran > 0][-2:]
    assert made(f"%flow compare {numbers[1]} {numbers[0]}").value["total"].lines == ("30 → 12",)
    assert made(f"%flow compare {numbers[0]}").value["total"].lines == ("12 → 30",)


def test_a_removed_task_is_not_compared(made):
    made(task("prints", "1 / 0"), "4")
    made("%flow rm prints")
    made("K = 5")
    made("%flow run")
    text = repr(made("%flow compare").value)
    assert "total: changed\n  12 → 30" in text
    assert "prints" not in text


def test_compare_after_going_back(made):
    made("K = 5")
    made("%flow run")
    made("K = 2")
    made("ys")
    made("total")
    assert made("%flow compare").value["total"].lines == ("30 → 12",)
    assert made("%flow compare").value["ys"].lines[0] == "3 of 3 elements changed: x=1, x=2, x=3"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            "%flow compare one two",
            "takes one or two numbers of runs: `%flow compare 3 5`, or `%flow compare 3` for run 3",
        ),
        ("%flow compare 1 2 3", "takes one or two numbers of runs"),
        ("%flow why ys[0", "the bracket is not closed; write `%flow why ys[0]`"),
        ("%flow compare 1 99", "has no run 99"),
        ("%flow history xs ys", "takes one task at most, such as `%flow history xs`"),
        ("%flow history totl", "did you mean 'total'"),
        ("%flow acept", "did you mean 'accept'"),
        ("%flow accept totl", "did you mean 'total'"),
        ("%flow why --all xs", "has no option '--all'"),
    ],
)
def test_mistakes_are_told(made, line, told):
    assert told in str(made(line).error)


def test_clear_counts_what_small_results_took(made):
    (total,) = re.findall(r"xs +1 result +(\S+ \S+)", made("%flow cache").text)
    assert total != "0 bytes"
    assert made("%flow clear xs").text == f"cleared: xs; {total} freed\n"
    assert made("%flow clear xs").text == "cleared: xs; 0 bytes freed\n"


def test_help_tells_of_all(notebook):
    text = notebook("%flow help").text
    for line in (
        "%flow why NAME[ELEMENT]",
        "%flow history [NAME] [--all]",
        "%flow compare [RUN [RUN]]",
        "%flow accept NAME …",
    ):
        assert line in text


def test_an_edit_after_a_rename_is_told_with_its_diff(made):
    assert made(task("grand", "sum(ys)").replace("'grand'", "'total'"), "3").ran == []
    made("%flow lazy on")
    made(task("grand", "sum(ys) + 1").replace("'grand'", "'total'"), "3")
    assert made("%flow why grand").text.splitlines() == [
        "grand is stale:",
        "  code changed",
        "       LOG.append('total')",
        "      -sum(ys)",
        "      +sum(ys) + 1",
    ]


def test_a_task_whose_input_was_removed_is_not_told_of_other_code(made):
    made("%flow rm ys")
    assert made("%flow why total").text.splitlines() == [
        "total is stale:",
        "  `ys` has no value now",
        "  upstream `ys` is no longer used",
    ]
