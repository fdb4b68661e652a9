"""The notebook of edits, executed twice in real kernels: what each edit runs, and what nbflow says of it."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.notebooks.clean import assert_saves_the_same

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    folder = tmp_path_factory.mktemp("incremental")
    executed = []
    for _ in range(2):
        document = nbformat.read(NOTEBOOKS / "incremental.ipynb", as_version=4)
        NotebookClient(document, timeout=120, resources={"metadata": {"path": str(folder)}}).execute()
        executed.append([cell for cell in document.cells if cell.cell_type == "code"])
    return executed


def shown(cell):
    """What a cell prints and shows, as text."""
    texts = [each.get("text") or (each.get("data") or {}).get("text/plain", "") for each in cell.outputs]
    return "\n".join(texts)


def after(cells, start, following=0):
    """What the cell shows that begins so, or one of those behind it."""
    (at,) = [i for i, cell in enumerate(cells) if cell.source.startswith(start)]
    return shown(cells[at + following])


EDITS = [
    ('def is_wet(days):\n    """Whether it rained more than LIMIT."""', 1, ["✓ summary 4/4: fresh", "✓ table: fresh"]),
    ('def is_wet(days):\n    """Whether it rained more than LIMIT, or', 1, ["summary +stale +0/4 +helper `is_wet` changed"]),
    ('def is_wet(days):\n    """Whether it rained more than LIMIT, or', 2, [r'\+    return \(rain > LIMIT\) \| \(days.weather == "snow"\)']),
    ("%flow why table", 0, ["because `summary` is stale: helper `is_wet` changed"]),
    ("%flow why summary[0]", 0, [r"summary\[0\] is stale"]),
    ("%flow run table\n%flow why summary", 0, ["0 ran, 9 reused", r"summary is fresh.*\n  made .* in run 2 of flow 'notebook'"]),
    ("%flow accept summary", 0, [r"summary: 4 results adopted from before the edit \(helper `is_wet` changed\)"]),
    ("%flow accept summary", 1, ["✓ summary 4/4: fresh", "✓ table: fresh"]),
    ("%flow accept summary", 2, ["accepted on .* after an edit: helper `is_wet` changed"]),
    ("%flow why year", 0, [r"file data/years/2013.csv changed \(now "]),
    ("%flow run table\n%flow compare", 0, ["3 ran, 6 reused", "path='data/years/2013.csv': 1 row added: 365", "column 'warmest': 1 of 4 cells changed"]),
    ("%flow why checked", 0, ["1 of 4 elements failed last time: ValueError: 50.0 degrees in 2013"]),
    ("%flow history summary", 0, ["accepted after an edit", "it has not run before"]),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(EDITS)))
def test_each_edit_is_answered_as_the_text_says(documents, number):
    start, following, told = EDITS[number]
    for cells in documents:
        text = after(cells, start, following)
        for each in told:
            assert re.search(each, text), text


def test_the_comparison_and_the_history_are_tables(documents):
    for cells in documents:
        for start, columns in (("%flow compare", ["output", "how"]), ("%flow history", ["started", "reused"])):
            (cell,) = [cell for cell in cells if cell.source == start]
            html = "".join((each.get("data") or {}).get("text/html", "") for each in cell.outputs)
            assert all(f">{column}</th>" in html for column in columns)


def test_cells_of_tasks_and_pictures_are_the_same_both_times(documents):
    assert_saves_the_same(*documents)


def test_only_the_failing_cell_fails(documents):
    for cells in documents:
        failing = [cell.source.split()[1] for cell in cells if any(o.output_type == "error" for o in cell.outputs)]
        assert failing == ["checked"]
