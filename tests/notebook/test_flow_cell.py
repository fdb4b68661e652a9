"""`%%flow NAME`: a cell that builds a flow in Python, and shows it."""

import pytest

from tests.notebook.test_session import notebook, task

__all__ = ["notebook"]
TASKS = "from nbflow import task\n@task\ndef one():\n    return 1\n@task\ndef twice(x):\n    return 2 * x"


def test_the_cell_builds_a_flow_of_its_name_and_draws_it(notebook):
    notebook(TASKS)
    drawn = notebook("%%flow numbers\ntotal = twice(one())")
    assert 'data-node="twice"' in drawn.value._repr_mimebundle_()["text/html"]
    assert notebook("numbers.run()['twice']").value == 2
    notebook("%%flow numbers\ntotal = twice(one())")
    assert notebook("len(numbers)").value == 2


def test_it_reads_outputs_of_tasks_like_any_cell(notebook):
    notebook(TASKS)
    notebook(task("base", "4"))
    notebook("%%flow numbers\ntotal = twice(base)")
    notebook(task("base", "5"))
    notebook("%%flow numbers\ntotal = twice(base)")
    assert notebook("numbers.run()['twice']").value == 10


WRONG = {
    "%%flow\n1": "takes one name",
    "%%flow a b\n1": "takes one name",
    "%%flow --x\n1": "takes one name",
    "%%flow 'a\n1": "close the quote",
    "%%flow run\n1": "with one percent sign",
    "%%flow base\n1": "give the flow another name",
    "%%flow f\nx = = 1": "cell, line 2",
    "%%flow f\n\n1 / 0": "→    3 1 / 0",
    "%%flow f\nbase = 3": "Three ways out",
    "%%flow f\nfrom nbflow import Parameter\nParameter('1')": "a name such as 'n'",
    "%%flow -h\n1": "draws the flow",
}


@pytest.mark.parametrize("cell", WRONG)
def test_what_is_wrong_is_told_in_a_few_lines(notebook, cell):
    notebook(task("base", "4"))
    said = notebook(cell).text
    assert WRONG[cell] in said
    assert "nbflow/" not in said
    assert len(said.splitlines()) <= 8
    assert "f" not in notebook
