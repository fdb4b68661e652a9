"""The notebook of control flow, executed twice in real kernels: what each construct gives, its picture, and that a
restart computes nothing again."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from nbflow.store import Store
from tests.notebooks.clean import assert_saves_the_same

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("control")
    documents = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBFLOW_STORE", str(folder / "store"))
        for _ in range(2):
            document = nbformat.read(NOTEBOOKS / "control-flow.ipynb", as_version=4)
            NotebookClient(document, timeout=120, resources={"metadata": {"path": str(folder)}}).execute()
            documents.append(document)
    store = Store.open(folder / "store")
    runs = store.runs()
    store.close()
    return documents, runs


def shown(document, kind):
    """What cells show, by the last line of their source."""
    return {
        cell.source.splitlines()[-1]: each["data"][kind]
        for cell in document.cells
        if cell.cell_type == "code"
        for each in cell.outputs
        if kind in each.get("data", {})
    }


VALUES = {
    "run[step], run.frame": "([3, 22, 4, 28], [",
    "run[answer]": "(91.26, ['MSFT', 'IBM', 'AMZN', 'AAPL', 'GOOG'])",
    'run["report"]': "([560, '?', 8759], False)",
    "run[roots]": "([1.414213562373095, 1.7320508075688772, 2.23606797749979], 1159.28, 1266.78)",
    "run[ordered]": "([1, 2, 3, 5, 7, 8, 9],",
    "run[top]": "('GOOG', 707.0)",
}


@pytest.mark.parametrize(("cell", "value"), VALUES.items())
def test_each_construct_gives_what_it_should(executed, cell, value):
    for document in executed[0]:
        found = [text for source, text in shown(document, "text/plain").items() if source.startswith(cell)]
        assert found, cell
        assert found[0].startswith(value)


def test_approval_is_asked_once(executed):
    asked = [
        shown(document, "text/plain")['approval.run().paused, approval.run(approve=["publish"])[done]']
        for document in executed[0]
    ]
    assert asked == ["(['publish'], 'published 560 rows')", "([], 'published 560 rows')"]


PICTURES = {
    "maps": ["6/6", r"growth \* 100", "count"],
    "branches": ["= 'calm'", "default", 'data-state="skipped"'],
    "elements": ["= True", "= False", "2/4"],
    "flow": ["nf-cluster", "database"],
    "loops": ["×6", "×5"],
    "dynamic": ["made by parts", "5/5"],
    "recursion": ["made by sort", "6/6"],
    "outer.run()": ["nf-cluster", "price-2", "comparison"],
}


@pytest.mark.parametrize(("cell", "parts"), PICTURES.items())
def test_each_construct_is_drawn(executed, cell, parts):
    pictures = shown(executed[0][0], "text/html")
    for part in parts:
        assert re.search(part, pictures[cell].replace("&#x27;", "'")), part


def test_after_a_restart_nothing_runs_but_what_failed(executed):
    _, runs = executed
    half = len(runs) // 2
    assert len(runs) == 2 * half
    assert sum(run.ran for run in runs[:half]) > 60
    # A call that was given Failed in place of a value is never kept: it is the one beside what failed.
    for run in runs[half:]:
        assert run.ran == run.failed or (run.flow, run.ran, run.failed) == ("triggers", 2, 1), run


def test_cells_with_pictures_are_saved_the_same_after_a_restart(executed):
    assert_saves_the_same(*(document.cells for document in executed[0]))
