"""%flow's subcommands: what is written behind them, and their help."""

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


def test_log_shows_what_a_task_and_one_element_printed(made):
    made(task("zs for x in xs", "print('element', x)", "x"), "z")
    made("%flow run")
    assert "element 1" in str(made("%flow log zs").value)
    one = str(made("%flow log zs[1]").value)
    assert "element 2" in one
    assert "element 1" not in one


def test_log_of_a_reused_task_comes_from_the_store(made):
    made(task("zs for x in xs", "print('element', x)", "x"), "z")
    made("%flow run xs")
    shown = made("%flow log zs")
    assert shown.ran == []
    assert "element 1" in str(shown.value)
