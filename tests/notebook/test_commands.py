"""%flow's subcommands: what is written behind them, their help, and `%%flow NAME`."""

import pytest

from nbflow.notebook.commands import COMMANDS
from tests.notebook.test_session import notebook, task

__all__ = ["notebook"]


@pytest.fixture
def made(notebook):
    notebook(task("xs", "[1, 2]"))
    notebook(task("ys for x in xs", "x * 2"))
    return notebook


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_shows_its_usage_and_does_nothing_else(made, name):
    shown = made(f"%flow {name} -h")
    assert shown.text.startswith(f"%flow {name}")
    assert shown.ran == []
    assert all(example in shown.text for example in COMMANDS[name].examples)


@pytest.mark.parametrize("line", ["%flow run?", "%flow run ?", "%flow run??\n", "%flow run --force -h"])
def test_a_question_mark_asks_for_help(made, line):
    shown = made(line)
    assert "--force" in shown.text
    assert "%flow run daily --force" in shown.text
    assert shown.ran == []


@pytest.mark.parametrize(
    ("asked", "wanted"), [("%flow?", "%flow why NAME[ELEMENT]"), ("%%task?", "--retries N"), ("%%flow?", "%%flow NAME")]
)
def test_question_marks_behind_magics_show_their_help(made, monkeypatch, asked, wanted):
    shown = []
    monkeypatch.setattr("IPython.core.page.page", lambda text, *more, **others: shown.append(text["text/plain"]))
    made(asked)
    assert wanted in "".join(shown)


@pytest.mark.parametrize("line", ["%flow help", "%flow -h", "%flow --help"])
def test_help_lists_every_command(made, line):
    text = made(line).text
    assert [f"%flow {name}" in text for name in COMMANDS] == [True] * len(COMMANDS)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("%flow run --force --force", "--force stands twice"),
        ("%flow run --force=yes", "--force takes no value"),
        ("%flow run -f", "has no option '-f'"),
        ("%flow lazy perhaps", "takes `on`, `off`"),
        ("%flow qqqqqqq", "has no 'qqqqqqq'. `%flow help` lists them"),
    ],
)
def test_wrong_words_and_options_are_told(made, line, message):
    said = made(line).text
    assert message in said
    assert "Traceback" not in said


def test_a_flow_is_built_and_drawn_by_a_cell(notebook):
    notebook("from nbflow import task\n@task\ndef double(x):\n    return 2 * x")
    shown = notebook("%%flow numbers\nnode = double(21)\nother = double(node)")
    assert "svg" in shown.value._repr_mimebundle_()["text/html"]
    assert [node.name for node in shown.value] == ["double", "double-2"]
    assert notebook("numbers.run()['double-2']").value == 84


def test_running_the_cell_of_a_flow_again_doubles_no_node(notebook):
    notebook("from nbflow import task\n@task\ndef double(x):\n    return 2 * x")
    notebook("%%flow numbers\nnode = double(21)")
    assert len(notebook("%%flow numbers\nnode = double(21)").value) == 1


def test_the_cell_of_a_flow_sees_fresh_outputs_of_the_notebook(made):
    made("from nbflow import task\n@task\ndef total(x):\n    return sum(x)")
    made("%%flow sums\ntotal(ys)")
    assert made("sums.run()['total']").value == 6
    assert "Two ways out" in made("%%flow sums\nys = total([1])").text


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("%%flow\nx = 1", "takes the name of the flow"),
        ("%%flow --name\nx = 1", "has no option '--name'"),
        ("%%flow a\n", "has no body"),
        ("%%flow a\nx = = 1", "line 2"),
        ("%%flow a\nx = 1\n1 / 0", "ZeroDivisionError"),
    ],
)
def test_a_wrong_cell_of_a_flow_is_told(notebook, cell, message):
    assert message in notebook(cell).text
