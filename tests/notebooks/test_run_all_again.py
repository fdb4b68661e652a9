"""Run All, and Run All once more without a restart: what people do first with a notebook that they opened."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
# "incremental" shows edits to what was never there, and says that the kernel is restarted before; the clusters of
# "scale-out" take a minute, which its own test pays once.
ONCE = {"incremental", "scale-out"}


@pytest.mark.parametrize("name", [path.stem for path in sorted(NOTEBOOKS.glob("*.ipynb")) if path.stem not in ONCE])
def test_a_second_run_of_all_cells_goes_through_to_the_end(name, tmp_path, monkeypatch):
    monkeypatch.setenv("NBFLOW_STORE", str(tmp_path / "store"))
    document = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    cells = [cell for cell in document.cells if cell.cell_type == "code"]
    document.cells = cells
    client = NotebookClient(document, timeout=120, resources={"metadata": {"path": str(tmp_path)}})
    with client.setup_kernel():
        for _ in range(2):
            for number, cell in enumerate(cells):
                client.execute_cell(cell, number)
