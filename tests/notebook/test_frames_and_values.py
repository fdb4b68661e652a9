"""`%flow frame` of what is known in part, and `%flow run` with values of parameters."""

import pytest

from tests.notebook.test_session import notebook, task

__all__ = ["notebook"]


def test_a_frame_runs_nothing_of_what_was_left_out(notebook):
    notebook("allowed = [4]")
    body = "if x >= allowed[0]:\n    raise KeyboardInterrupt\nx"
    notebook(f"%%task slow for x in range(10) --executor sync --ignore LOG,allowed\nLOG.append(x)\n{body}")
    shown = notebook("%flow frame slow")
    assert shown.ran == []
    assert "6 of 10 have no result yet: %flow run slow" in shown.text
    assert list(shown.value["result"].dropna()) == [0, 1, 2, 3]
    assert set(shown.value["state"][4:]) & {"success", "cached"} == set()
    notebook("allowed[0] = 99")
    assert notebook("%flow run slow").ran == [4, 5, 6, 7, 8, 9]
    whole = notebook("%flow frame slow")
    assert "no result yet" not in whole.text
    assert len(whole.value["result"].dropna()) == 10


def test_new_elements_are_shown_as_missing(notebook):
    notebook("%flow lazy on")
    notebook("n = 2")
    notebook(task("ys for x in range(n)", "x"))
    assert notebook("%flow frame ys").ran == ["ys", "ys"], "nothing was known, so it runs"
    notebook("n = 3")
    shown = notebook("%flow frame ys")
    assert shown.ran == []
    assert "1 of 3 have no result yet: %flow run ys" in shown.text
    assert list(shown.value["state"]) == ["cached", "cached", "pending"]


def test_failed_elements_are_shown_with_their_errors(notebook):
    notebook(task("ys for x in [1, 0]", "1 / x"))
    shown = notebook("%flow frame ys")
    assert shown.ran == []
    assert "ZeroDivisionError" in shown.value["error"][1]
    assert shown.value.headline == "2 elements: 1 run, 1 failed"
    assert "no result yet" not in shown.text, "it was tried"
    assert notebook("%flow frame ys --grid").ran == []


def test_a_frame_tells_what_the_cell_just_ran(notebook):
    notebook("n = 2")
    notebook(task("ys for x in range(n)", "x"))
    notebook("n = 3")
    notebook(task("ys for x in range(n)", "x"))
    shown = notebook("%flow frame ys")
    assert shown.ran == []
    assert shown.value.headline == "3 elements: 2 reused, 1 run"
    notebook("n = 2")
    assert notebook("%flow frame ys").value.headline == "2 elements: 2 reused", "another run's elements are not these"


def test_a_frame_of_one_element_is_told_to_be_of_the_whole_task(notebook):
    notebook(task("ys for x in [1, 2]", "x"))
    assert "takes a whole task: `%flow frame ys`" in notebook("%flow frame ys[1]").text


def test_a_frame_of_what_is_known_from_the_store_runs_nothing_and_is_whole(notebook):
    notebook(task("ys for x in [1, 2]", "x"))
    notebook("%reload_ext nbflow\n%flow lazy on")
    notebook(task("ys for x in [1, 2]", "x"))
    shown = notebook("%flow frame ys")
    assert shown.ran == []
    assert shown.value.headline == "2 elements: 2 reused"
    assert list(shown.value["result"]) == [1, 2]


def test_a_frame_is_of_the_value_that_the_parameters_give_now(notebook):
    notebook("n = 2")
    notebook(task("ys for x in [1, 0]", "n / x"))
    notebook("n = 3")
    notebook(task("ys for x in [1, 0]", "n / x"))
    notebook("n = 2")
    shown = notebook("%flow frame ys")
    assert list(shown.value["result"].dropna()) == [2.0]


@pytest.fixture
def rated(notebook):
    notebook("import nbflow\nrate = 1\ngain = nbflow.Parameter('gain', default=10)")
    notebook(task("total", "rate + gain"))
    return notebook


@pytest.mark.parametrize(
    ("words", "total"), [("rate=2", 12), ("gain=20", 21), ("total rate=2 gain=20", 22), ("rate=2 total", 12)]
)
def test_a_run_takes_values_of_parameters_for_itself_alone(rated, words, total):
    assert rated(f"%flow run {words}").value["total"] == total
    assert rated["rate"] == 1
    assert rated("total").value == 11


def test_values_end_with_a_run_that_fails(rated):
    rated("%%task bad\n1 / (rate - 2)")
    assert "ZeroDivisionError" in rated("%flow run rate=2").text
    assert rated["rate"] == 1


def test_wrong_values_are_told_with_the_nearest_name(rated):
    assert "no task has a parameter 'rat'; did you mean 'rate'?" in rated("%flow run rat=2").text
    assert "set them before: %flow params rate=2" in rated("%flow run rate=2 --background").text
    assert "PARAMETER=VALUE" in rated("%flow help").text
