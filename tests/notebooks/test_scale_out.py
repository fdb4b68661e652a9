"""The notebook on processes and clusters, executed in a real kernel, with a cluster of its own over TLS."""

import ast
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "scale-out.ipynb"


def test_the_same_flow_on_threads_processes_and_two_clusters_one_of_which_loses_a_worker(tmp_path, monkeypatch):
    monkeypatch.setenv("NBFLOW_STORE", str(tmp_path / "store"))
    document = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(document, timeout=240, resources={"metadata": {"path": str(tmp_path)}}).execute()

    def shown(start):
        (cell,) = (cell for cell in document.cells if cell.source.startswith(start))
        return cell.outputs[-1]["data"]["text/plain"]

    assert "0 ran, 97 reused" in shown('flow = build("processes"'), "it found what the threads had made"
    assert "49 ran, 48 reused" in shown("run = flow.run(draws=40)")
    assert all(name.startswith("process ") for name in ast.literal_eval(shown('run.workers("resampled")')))
    assert all(name.startswith("dask ") for name in ast.literal_eval(shown('run = build("dask"')))
    assert ast.literal_eval(shown("def dask(")) == ("tls", 3)
    ok, workers, left = ast.literal_eval(shown('flow = build(cluster, "weather")'))
    assert ok
    assert {"dask two", "dask three"} <= set(workers)
    assert left == ["three", "two"]
    assert set(ast.literal_eval(shown("def seconds("))) == {"threads", "processes", "dask"}
    assert "0 ran, 97 reused" in shown("flow.run(draws=200)")
