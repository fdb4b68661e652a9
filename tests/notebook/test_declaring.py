"""How a cell becomes a task: heads, comments, modes, and what happens to it when its cell changes or goes."""

import pytest

from tests.notebook.test_session import notebook, task

__all__ = ["notebook"]


def comment(name, *lines, options=""):
    """A cell with a comment, that notes a name in LOG."""
    return "\n".join([f"# task: ignore=['LOG']{options}", f"LOG.append({name!r})", *lines])


# `# task`


def test_a_comment_makes_a_cell_a_task(notebook):
    notebook(comment("y", "y = 4"), "c1")
    assert notebook(comment("y", "y = 4"), "c1").ran == []
    assert notebook("y + 1").value == 5
    assert "✓ y: fresh" in notebook("%flow status").text


def test_a_comment_cell_shows_its_state_and_last_expression(notebook):
    shown = notebook("# task\ny = 4\ny", "c1")
    assert "✓ y · fresh\n" in shown.text
    assert shown.value == 4


MAPS = {
    "r = [x * 10 for x in xs]": [10, 20, 30],
    "import math\nr = [math.floor(x) for x in xs if x > 1]": [2, 3],
    "def f(v):\n    return v + 1\nr = [f(x) for x in xs]": [2, 3, 4],
    "r = [a + b for a, b in zip(xs, xs)]": [2, 4, 6],
    "r = [x * y for x in xs for y in range(x)]": [0, 0, 2, 0, 3, 6],
    "r = [\n    x\n    for x in xs  # all of them\n]": [1, 2, 3],
}


@pytest.mark.parametrize("body", MAPS)
def test_a_comprehension_below_a_comment_is_a_map(notebook, body):
    notebook("# task\nxs = [1, 2, 3]")
    said = notebook(f"# task\n{body}")
    assert f"✓ r · {len(MAPS[body])} elements · fresh" in said.text
    assert notebook("r").value == MAPS[body]


def test_each_element_of_a_comment_map_is_kept_by_itself(notebook):
    notebook("def note(x):\n    LOG.append(x)\n    return x")
    notebook("# task\nxs = [1, 2]")
    cell = "# task: ignore=['LOG']\nr = [note(x) for x in xs]"
    assert sorted(notebook(cell).ran) == [1, 2]
    notebook("# task\nxs = [1, 2, 3]")
    assert notebook("r").ran == [3]


NO_MAPS = {
    "t = 2\nr = [x * t for x in xs]": [2, 4, 6],
    "r = [(last := x) for x in xs]": [1, 2, 3],
    "r = [x for x in xs]\nr": [1, 2, 3],
    "r = list(x for x in xs)": [1, 2, 3],
    "r: list = [x for x in xs]": [1, 2, 3],
}


@pytest.mark.parametrize("body", NO_MAPS)
def test_any_other_comprehension_is_a_plain_task(notebook, body):
    notebook("# task\nxs = [1, 2, 3]")
    assert "elements" not in notebook(f"# task\n{body}").text
    assert notebook("r").value == NO_MAPS[body]


@pytest.mark.parametrize("first", ["# Task 1: load", "# tasks", "# task 1", "# this task", "x = 1  # task"])
def test_other_comments_make_no_task(notebook, first):
    notebook(f"{first}\ny = 4")
    assert "y" not in notebook("%flow status").text.split("results")[0]


OPTIONS = {
    "retries=2": "",
    "cache=False, retries=1, retry_delay=0.5": "",
    "name='long name'": "",
    "retris=2": "did you mean 'retries'",
    "retries=-1": "0 or more",
    "retries=n": "takes a plain value",
    "retries='two'": "whole number",
    "retries=1, retry_delay_s=1, retry_delay=2": "stands twice",
    "retries": "as in a call",
    "read the weather": "write `# Task`",
    "**more": "no option '**'",
    "merge=['a']": "--merge a,b",
    "lazy=3": "True or False",
}


@pytest.mark.parametrize("options", OPTIONS)
def test_options_behind_the_comment(notebook, options):
    said = notebook(f"# task: {options}\ny = 4").text
    assert OPTIONS[options] in said
    assert ("✓ y" in said) == (not OPTIONS[options])
    assert "Traceback" not in said
    assert len(said.splitlines()) <= 4


def test_a_traceback_of_a_comment_cell_has_its_lines(notebook):
    assert "→    4 value / 0" in notebook("# task\n\nvalue = 1\nvalue / 0\ny = 2").text


def test_the_empty_lines_over_a_comment_move_no_line(notebook):
    said = notebook("# task\n\n\ny = 1\ny / 0").text
    assert "→    5 y / 0" in said


def test_a_comment_cell_without_a_name_is_told_how_to_name(notebook):
    assert "`weather = …`" in notebook("# task\nlen('weather')\nread_weather()").text


def test_a_comment_cell_may_be_timed(notebook):
    notebook("# task\ny = 4", "c1")
    assert "none any more" not in notebook("%%time\n# task\ny = 5", "c1").text
    assert notebook("y", "c2").value == 5


def test_without_the_comment_it_is_no_task_any_more(notebook):
    notebook("# task\ny = 4", "c1")
    assert "none any more" in notebook("y = 4", "c1").text


# Heads


def test_a_comment_above_the_magic_moves_no_line(notebook):
    said = notebook("# the weather\n\n%%task y for x in [\n    1]\nv = 2\nx / 0")
    assert "→    6 x / 0" in said.text


def test_a_comment_above_may_hold_any_text(notebook):
    assert notebook("# %%task x\n#%%\n%%task y\n4").value == 4


def test_options_continue_behind_a_head_of_several_lines(notebook):
    notebook(task("r for a, b in [\n    (1, 2),\n    (3, 4),\n] if a > 1", "a + b"))
    assert notebook("r").value == [7]


def test_a_condition_without_for_makes_the_task_conditional(notebook):
    notebook(task("n", "3"))
    assert "skipped" in notebook(task("big if n > 5", "n")).text
    notebook(task("n", "9"))
    assert notebook("big").value == 9


def test_a_cell_shows_one_of_several_outputs_where_its_last_line_names_it(notebook):
    assert notebook("%%task low, high\nlow = 1\nhigh = 9\nhigh").value == 9


def test_a_cell_shows_its_own_version_of_an_output(notebook):
    notebook("%%task df\ndf = [3, 1]", "c1")
    notebook("%%task df\ndf = sorted(df)\ndf", "c2")
    assert notebook("%%task df\ndf = [3, 1, 2]\ndf", "c1").value == [3, 1, 2]
    assert notebook("df", "c3").value == [1, 2, 3]


# Deleted cells


def test_deleted_cells_take_their_tasks_along(notebook):
    notebook("# task\na = 1", "c1")
    notebook("# task\nb = a + 1", "c2")
    notebook("b", "c3")
    said = notebook("%flow status", "c3", deleted=["c1", "gone before"]).text
    assert "a: fresh" not in said
    assert "NameError" in notebook("a", "c4").text
    assert "reads `a`, which nothing defines" in notebook("b", "c4").text


def test_a_cell_that_was_put_back_stays(notebook):
    notebook("# task\na = 1", "c1")
    assert notebook("# task\na = 1", "c1", deleted=["c1"]).error is None
    assert notebook("a", "c2").value == 1


# Refused cells


REFUSED = {
    "no python": "%%task y\ny = = 3",
    "circle": "%%task a\nb + 1",
    "no such name in the body": "%%task y, z\ny = 1",
    "an import that fails": "%%task y\nimport no_such_module\ny = 2",
    "a decorator that fails": "%%task y\n@undefined\ndef f():\n    pass\ny = 2",
    "the name of the shell": "%%task get_ipython\n3",
    "a costly source": "%%task a for x in open('x')\nx",
}


@pytest.mark.parametrize("cell", REFUSED.values(), ids=list(REFUSED))
def test_a_refused_cell_leaves_the_flow_as_it_was(notebook, cell):
    notebook("# task\na = 1", "c1")
    notebook("# task\nb = a + 1", "c2")
    before = notebook("%flow status", "c3").text
    said = notebook(cell, "c1").text
    assert "Error" in said
    assert "nbflow/" not in said
    assert len(said.splitlines()) <= 8
    assert notebook("%flow status", "c3").text == before
    assert notebook("b", "c3").value == 2


# Lazy and auto


def test_lazy_cells_only_declare(notebook):
    assert "lazy: " in notebook("%flow lazy on").text
    declared = notebook(task("y", "4"))
    assert (declared.ran, declared.value, declared.text) == ([], None, "○ y · declared\n")
    assert notebook("%flow run y").ran == ["y"]
    assert notebook("y").value == 4


def test_in_lazy_mode_a_plain_cell_that_reads_what_is_stale_stops_and_says_how_to_go_on(notebook):
    notebook(task("a", "4"), "c1")
    notebook(task("b", "a + 1"), "c2")
    notebook("%flow lazy on")
    assert notebook("b", "c3").value == 5
    notebook(task("a", "40"), "c1")
    stopped = notebook("print('began')\nb", "c3")
    assert stopped.ran == []
    assert "began" not in stopped.text
    for part in ("This cell reads `b`", "a  stale: code changed", "last time", "`%flow run b`", "`%flow lazy off`"):
        assert part in stopped.text, stopped.text
    assert "Traceback" not in stopped.text
    notebook("%flow run b")
    assert notebook("b", "c3").value == 41


def test_a_lazy_head_concerns_its_cell_alone(notebook):
    assert notebook(task("a --lazy", "4")).ran == []
    assert notebook(task("c", "6")).ran == ["c"]
    assert "`%flow run a`" in notebook("a").text
    notebook("%flow run a")
    assert notebook("a + c").value == 10


def test_a_plain_cell_stops_where_it_took_long_last_time(notebook):
    notebook("import time")
    notebook(task("a", "time.sleep(0.3)", "4"), "c1")
    notebook("%flow lazy after 0.2")
    assert notebook("a", "c2").value == 4
    notebook(task("b", "a"), "c3")
    notebook("import time as time\nK = 1", "c4")
    notebook("%flow lazy after 10")
    notebook(task("a", "time.sleep(0.3)", "K"), "c1")
    notebook("K = 2", "c4")
    notebook("%flow lazy after 0.2")
    stopped = notebook("b", "c2")
    assert "global `K`" in stopped.text
    assert "0.3 s last time" in stopped.text
    assert "`%flow lazy after 2`" in stopped.text
    notebook("%flow lazy after 2")
    assert notebook("b", "c2").value == 2


def test_auto_also_runs_what_depends_on_a_cell(notebook):
    notebook(task("a", "1"), "c1")
    notebook(task("b", "a + 1"), "c2")
    notebook(task("c", "b + 1"), "c3")
    notebook(task("apart", "7"), "c4")
    assert "auto: " in notebook("%flow auto on").text
    said = notebook(task("a", "10"), "c1")
    assert said.ran == ["a", "b", "c"]
    assert "and behind it: b, c" in said.text
    notebook("%flow auto off")
    assert notebook(task("a", "20"), "c1").ran == ["a"]


@pytest.mark.parametrize("line", ["%flow lazy maybe", "%flow lazy after", "%flow lazy after soon", "%flow auto 3"])
def test_wrong_words_for_modes_are_told(notebook, line):
    said = notebook(line).text
    assert "%flow lazy" in said or "%flow auto takes" in said
    assert "Traceback" not in said


# Parameters and variables


def test_plain_literals_that_tasks_read_are_parameters(notebook):
    notebook("n = 5\nname: str = 'mean'\nunused = 3\nmade = n + 1\nsizes = [1, 2]\nK = 2")
    notebook("def scaled(v):\n    return v * K")
    notebook("%%task y\ny = scaled(n + made), name\nz = sum(sizes)")
    session = notebook.session
    assert [(p.name, p.value, p.annotation) for p in session.givens.parameters()] == [
        ("n", 5, ""),
        ("name", "mean", "str"),
        ("sizes", [1, 2], ""),
        ("K", 2, ""),
    ]
    notebook("n = int('5')")
    assert "n" not in [p.name for p in session.givens.parameters()]


def test_variables_that_tasks_read_are_drawn_as_small_inputs(notebook):
    notebook("import math\nn = 5\nrows = [object()]\ndef f(v):\n    return v\nLOG2 = []\npassword = 'hunter2'")
    notebook("%%task y --ignore LOG2\ny = math.floor(f(n)), len(rows), LOG2, len(password)")
    drawn = notebook("%flow").value
    assert "y fresh  ← n (input), rows (input), password (input)" in repr(drawn)
    assert "n = 5" in repr(drawn)
    assert "hunter2" not in str(drawn._repr_mimebundle_())


def test_parameters_that_are_set_count_like_cells_that_set_them(notebook):
    notebook("from nbflow import Parameter\nk = Parameter('k', default=2)\nn = 5")
    notebook(task("y", "n * k"))
    notebook(task("apart", "1"))
    notebook.session.givens.set({"n": 6, "k": 10})
    assert notebook("y, apart").value == (60, 1)
    assert {p.name: p.value for p in notebook.session.givens.parameters()} == {"n": 6, "k": 10}
    with pytest.raises(KeyError, match="no task has a parameter 'm'; there are 'k', 'n'"):
        notebook.session.givens.set({"m": 1})


def test_what_is_stale_by_a_variable_is_not_left_for_code_that_reads_it_unseen(notebook):
    notebook("K = 2")
    notebook(task("y", "K"))
    notebook(task("z", "y"))
    notebook("y, z")
    notebook("K = 3")
    assert "y" not in notebook
    assert "z" not in notebook
