"""A notebook that papermill runs with other parameters: only what depends on them runs."""

import nbformat
import papermill
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from nbflow.store import Store

CELLS = (
    "%load_ext nbflow",
    "n = 5\nhow: str = 'mean'",
    "%%task numbers\n[1, 2, 6]",
    "def chosen(values, how):\n    return sum(values) / len(values) if how == 'mean' else max(values)",
    "%%task scaled for x in numbers\nx * n",
    "%%task result\nchosen(numbers, how)",
    "print(sum(scaled), result)",
)


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("NBFLOW_STORE", str(tmp_path / "store"))
    document = new_notebook(cells=[new_code_cell(source) for source in CELLS])
    document.cells[1].metadata["tags"] = ["parameters"]
    document.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(document, tmp_path / "in.ipynb")
    seen = 0

    def execute(**parameters):
        """What the last cell printed, and how many elements ran."""
        nonlocal seen
        out = papermill.execute_notebook(
            str(tmp_path / "in.ipynb"),
            str(tmp_path / "out.ipynb"),
            parameters=parameters,
            progress_bar=False,
            cwd=str(tmp_path),
        )
        store = Store.open(tmp_path / "store")
        runs = store.runs()
        store.close()
        new, seen = runs[seen:], len(runs)
        # Where tasks took a while, a line that tells so stands above what the cell prints.
        printed = [each.text for each in out.cells[-1].outputs if each.output_type == "stream"]
        return "".join(printed), sum(each.ran for each in new)

    return execute


def test_papermill_sets_plain_literals_and_only_what_depends_on_them_runs(run):
    assert run() == ("45 3.0\n", 5)
    assert run() == ("45 3.0\n", 0)
    assert run(n=10) == ("90 3.0\n", 3)
    assert run(how="max") == ("45 6\n", 1)
    assert run(n=10, how="max") == ("90 6\n", 0)
