"""In a real kernel: what only a front end with messages and cell ids can show."""

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs cells in one kernel; gives each cell's printed text."""
    monkeypatch.setenv("NBFLOW_STORE", str(tmp_path / "store"))

    def run_cells(*sources):
        document = new_notebook(cells=[new_code_cell(source) for source in ("%load_ext nbflow", *sources)])
        NotebookClient(
            document, timeout=60, allow_errors=True, resources={"metadata": {"path": str(tmp_path)}}
        ).execute()
        return [as_text(cell) for cell in document.cells[1:]]

    return run_cells


def as_text(cell):
    parts = []
    for output in cell.outputs:
        if output.output_type == "stream":
            parts.append(output.text)
        elif output.output_type == "error":
            parts.append("\n".join(output.traceback))
        else:
            parts.append(output["data"].get("text/plain", ""))
    return nbformat.from_dict({"t": "\n".join(parts)}).t


def test_prints_of_worker_threads_appear_under_the_cell_that_runs_them(run):
    declared, used = run(
        "%%task xs for x in range(8)\nimport time\ntime.sleep(0.02)\nprint(f'element {x}')\nx",
        "len(xs)",
    )
    # Threads share the stream: what they print may run into one line.
    assert all(f"element {x}" in declared for x in range(8))
    assert used == "8"


def test_a_stopped_cell_shows_its_message_alone_and_does_not_run(run):
    _, stopped, value = run("%%task y\n4", "print('ran')\ny = 5", "y")
    assert "Three ways out" in stopped
    assert "ran\n" not in stopped
    assert value == "4"


def test_a_cell_that_fails_saves_the_same_whether_it_was_quick_or_not(run):
    quick, slow = run("%%task r\n1 / 0", "%%task r\nimport time\ntime.sleep(0.5)\n1 / 0")
    assert quick.splitlines()[:2] == slow.splitlines()[:2] == ["✗ r · failed", "task r failed"]


def test_errors_are_short(run):
    _, failed = run("%%task xs\n[1, 0]", "%%task r for x in xs\n1 / x")
    assert "task r failed on 1 of 2 elements" in failed
    assert len(failed.splitlines()) < 25
    assert "nbflow/engine" not in failed
