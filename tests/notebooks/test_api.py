"""The notebook in plain Python, executed twice in real kernels."""

from pathlib import Path

import nbformat
from nbclient import NotebookClient

from nbflow.store import Store
from tests.notebooks.clean import assert_saves_the_same

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def test_a_restart_runs_only_what_failed(tmp_path, monkeypatch):
    monkeypatch.setenv("NBFLOW_STORE", str(tmp_path / "store"))
    documents = []
    for _ in range(2):
        document = nbformat.read(NOTEBOOKS / "api.ipynb", as_version=4)
        NotebookClient(document, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
        documents.append(document)
    store = Store.open(tmp_path / "store")
    runs = store.runs()
    store.close()
    half = len(runs) // 2
    assert [(run.ran, run.failed) for run in runs[:half]] == [(13, 0), (5, 0), (1, 1)]
    assert [(run.ran, run.failed) for run in runs[half:]] == [(0, 0), (0, 0), (1, 1)]
    (drawn,) = (each for cell in document.cells for each in cell.get("outputs", []) if cell.source.endswith("\nflow"))
    assert 'data-node="by_year"' in drawn["data"]["text/html"]
    assert_saves_the_same(*(each.cells for each in documents))
