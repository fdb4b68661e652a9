"""What is easily mistyped, or done in the wrong order: the message names it, and the way on."""

import re
import warnings

import pytest

from tests.notebook.test_session import notebook, task

__all__ = ["notebook"]

HEADS = {
    "orders for p in sorted(globb('x'))": "nothing defines `globb`; did you mean `glob`?",
    "orders for p in sorted(reed('x'))": "nothing defines `reed`; did you mean `read`?",
    "orders for p in read('x')": "`read('x')` calls `read`; a source is looked at before every run",
    "orders fro p in [1]": "`fro` means nothing here; did you mean `for`?",
    "orders, x ofr a, b in [(1, 2)]": "`ofr` means nothing here; did you mean `for`?",
    "orders fr p in [1] if p": "`fr` means nothing here; did you mean `for`?",
    "orders pin": "names stand with commas: `orders, pin`",
}


@pytest.mark.parametrize("head", HEADS)
def test_a_mistyped_head_is_told(notebook, head):
    notebook("def read(p):\n    return [p]")
    assert HEADS[head] in notebook(f"%%task {head}\n1").text


@pytest.mark.parametrize(
    ("name", "what"),
    [("print", "a builtin of Python"), ("js", "the imported module json"), ("In", "a name that the notebook itself")],
)
@pytest.mark.parametrize(
    "cell", ["%%task {}\n1", "%%task {} for x in [1]\nx", "%%task {}, b\n{} = b = 1", "# task\n{} = 1"]
)
def test_a_task_takes_no_name_that_all_cells_need(notebook, name, what, cell):
    notebook("import json as js")
    refused = notebook(cell.replace("{}", name))
    assert f"`{name}` is {what}" in refused.text
    assert f"such as `{name}_result`" in refused.text
    assert notebook("print(js.dumps(1))").text == "1\n"


def test_a_cell_that_rebinds_or_deletes_an_output_is_told_how_to_take_the_task_out(notebook):
    notebook(task("total", "3"))
    notebook("total")
    for cell in ("total = 4", "del total", "for x in [1]:\n    del total"):
        stopped = notebook(cell)
        assert "the cell was not run" in stopped.text
        assert "%flow rm total" in stopped.text
        assert notebook["total"] == 3
    notebook("%flow rm total")
    assert notebook("total = 4\ndel total").error is None


def test_parts_of_an_output_may_be_deleted(notebook):
    notebook(task("found", "{'a': 1, 'b': 2}"))
    assert notebook("del found['a']\nfound").value == {"b": 2}


def test_an_empty_source_is_no_success(notebook):
    notebook("from glob import glob")
    shown = notebook(task("orders for p in glob('*.none')", "p"))
    assert shown.text.startswith("○ orders · 0 elements: its source is empty")
    assert "✓" not in shown.text


def test_items_that_are_all_left_out_are_no_empty_source(notebook):
    notebook(task("sizes", "[1, 2, 3]"))
    shown = notebook(task("large for n in sizes if n > 3", "n"))
    assert shown.text.startswith("○ large · 0 elements: no item is left by its `if`")
    # What is left is a node of its own in the picture, which says what it is.
    assert "sizes if n > 3" in notebook("%flow status").text


def test_a_plain_cell_run_first_after_a_restart_is_told_what_to_run(notebook):
    assert "run its cell first" not in notebook("a").text
    notebook(task("a, b", "a = b = 1"))
    notebook("%reload_ext nbflow")
    assert "the task that makes `b` was not declared since the kernel started; run its cell first" in notebook("b").text
    assert "run its cell first" not in notebook("c").text


def test_the_lines_around_an_error_are_those_of_the_cell(notebook):
    shown = notebook("%%task bad for n in [0]\n1 / n")
    assert "  1 %%task bad for n in [0]" in shown.text


def test_a_cell_run_before_what_it_needs_says_what_to_run(notebook):
    shown = notebook("%%task clean for o in orders\no")
    assert "reads `orders`, which nothing defines; run the cell that makes it first" in shown.text


@pytest.mark.parametrize("word", ["forget", "delete", "remove"])
def test_other_words_for_rm_are_known(notebook, word):
    assert f"%flow has no '{word}'; did you mean 'rm'? `%flow help` lists them" in notebook(f"%flow {word} x").text


@pytest.mark.parametrize("word", ["cancel", "stop", "interrupt"])
def test_who_wants_to_end_a_run_is_told_how(notebook, word):
    told = notebook(f"%flow {word}").text
    assert f"%flow has no '{word}'" in told
    assert "Cancel button" in told


@pytest.mark.parametrize("command", ["accept", "approve"])
def test_commands_that_need_names_show_so(notebook, command):
    assert f"%flow {command} NAME …" in notebook("%flow help").text
    assert f"%flow {command} takes the names of tasks" in notebook(f"%flow {command}").text


STARTS = """import subprocess
from nbflow import Flow, task
with Flow("starting") as flow:
    task(lambda: subprocess.run(["true"]).returncode, name="starts")()
"""


def test_what_a_flow_in_a_plain_cell_has_to_say_is_a_line_and_no_warning_with_a_file(notebook, monkeypatch):
    notebook(STARTS)
    monkeypatch.setattr(warnings, "filters", [("default", None, Warning, None, 0)])
    said = notebook("flow.run()").text
    assert re.search(r"^nbflow: starts started another process", said, re.MULTILINE), said
    assert "NbflowWarning" not in said


def test_a_warning_that_is_not_wanted_is_not_told(notebook, monkeypatch):
    notebook(STARTS)
    monkeypatch.setattr(warnings, "filters", [("ignore", None, UserWarning, None, 0)])
    assert "process" not in notebook("flow.run()").text
