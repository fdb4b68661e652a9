"""The tour, executed from top to bottom in real kernels: what it shows, and that a restart computes nothing again."""

import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.notebooks.clean import assert_saves_the_same

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tour")


def executed(folder, monkeypatch):
    monkeypatch.setenv("NBFLOW_STORE", str(folder / "store"))
    document = nbformat.read(NOTEBOOKS / "tour.ipynb", as_version=4)
    NotebookClient(document, timeout=120, resources={"metadata": {"path": str(folder)}}).execute()
    return document


def output(document, start):
    """The MIME bundle (or text) that the cell beginning so shows."""
    (cell,) = (cell for cell in document.cells if cell.cell_type == "code" and cell.source.startswith(start))
    shown = {}
    for each in cell.outputs:
        assert each.output_type != "error", each
        shown.update(each.get("data") or {"stream": shown.get("stream", "") + each.text})
    return shown


@pytest.fixture(scope="module")
def monkey():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def first(folder, monkey):
    return executed(folder, monkey)


@pytest.fixture(scope="module")
def second(folder, first, monkey):
    return executed(folder, monkey)


def test_the_flow_is_drawn_as_svg_with_every_task(first):
    drawings = [
        each["data"]
        for cell in first.cells
        if cell.cell_type == "code" and cell.source.strip() == "%flow"
        for each in cell.outputs
    ]
    (bundle,) = drawings
    for name in ("days", "months", "climate"):
        assert f'data-node="{name}"' in bundle["text/html"]
    assert bundle["text/html"].count("nf-fresh") > 3
    assert bundle["image/svg+xml"].startswith("<svg")


def test_the_frame_of_the_months_has_a_row_a_file(first):
    table = output(first, "%flow frame months")["text/plain"]
    for column in ("path", "month", "warmest", "rain_mm", "state", "seconds"):
        assert column in table
    assert "\n47  " in table
    assert "\n48  " not in table


def test_plain_cells_show_values_of_tasks(first):
    assert output(first, "climate.rain_mm.idxmax()")["text/plain"] == "'2014'"


def test_a_plain_cell_plots(first):
    assert "image/png" in output(first, "%matplotlib inline")


def test_after_an_edit_only_its_part_runs(first):
    plan = output(first, "%flow plan")["text/plain"].splitlines()
    assert [line.split()[:2] for line in plan[1:]] == [
        ["days", "fresh"],
        ["months", "fresh"],
        ["climate", "stale"],
        ["climate-2", "unknown"],
    ]
    assert output(first, "%flow run climate")["stream"].startswith("notebook: 1 ran, 97 reused")


def test_a_failing_element_is_shown_beside_the_others(first):
    (cell,) = (cell for cell in first.cells if "raises-exception" in cell.metadata.get("tags", []))
    # Quick or not: a line, as all cells of tasks have, and the error.
    line, error = cell.outputs
    assert line.data["text/plain"] == "✗ spans · failed"
    assert error.output_type == "error"
    table = output(first, "%flow frame spans")["text/plain"]
    assert "ValueError: Missing column" in table
    assert "8759" in table


def test_after_a_restart_nothing_runs_but_the_failed_elements(second, folder):
    from nbflow.store import Store

    store = Store.open(folder / "store")
    runs = store.runs()
    store.close()
    half = len(runs) // 2
    assert sum(run.ran for run in runs[:half]) > 100
    again = [run for run in runs[half:] if run.ran]
    assert again
    # The cell edited in the tour has the second of two forms of a task, and both are kept.
    assert all(run.ran == run.failed for run in again), "errors are never kept, everything else is"


def test_cells_of_tasks_and_pictures_are_the_same_after_a_restart(first, second):
    assert_saves_the_same(first.cells, second.cells)


def test_a_changed_file_runs_only_what_it_leads_to(folder, second, monkey):
    from nbflow.store import Store

    path = sorted((folder / "data").glob("seattle-20*.csv"))[0]
    path.write_text(path.read_text().replace("drizzle", "rain"))
    executed(folder, monkey)
    store = Store.open(folder / "store")
    runs = store.runs()[-len(store.runs()) // 3 :]
    store.close()
    ran = sum(run.ran - run.failed for run in runs)
    # The file, and both forms of the month's summary of it; they stay the same, so nothing behind them runs.
    assert ran == 3
    shutil.rmtree(folder / "store")
