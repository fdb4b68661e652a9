"""The notebooks on frames, runs and parameters, executed twice in real kernels: what they show, and what runs again."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
# A notebook, the beginning of a cell, and what the first and the second execution show there.
SHOWN = [
    ("mapping-and-frames", "%flow frame summary", "5 elements: 5 run", "AAPL .* 25.94"),
    ("mapping-and-frames", "%flow frame growth", "months|one", "760"),
    ("mapping-and-frames", "frame = _", r"months +3 +6 +12 +24", "AMZN"),
    ("mapping-and-frames", "%%task pairs", "✓ pairs · 9 elements", "✓ pairs · 9 elements"),
    ("mapping-and-frames", "%flow frame depth", "4 elements: 3 (run|reused), 1 failed", "math domain error"),
    ("mapping-and-frames", "from nbflow", "8 elements: 5 run, 3 failed", "8 elements: 5 reused, 3 run|8 reused|8 elements"),
    ("mapping-and-frames", "@task\ndef halved", "0 ran, 100000 reused", "0 ran, 100000 reused"),
    ("live-and-background", 'run["hottest"]', r"28\.09\d+\), '2015-07'", r"28\.09\d+\), '2015-07'"),
    ("live-and-background", "flow.run().log", "looked at 48 months", "there was a month of more than 25 °C"),
    ("live-and-background", "running, most", r"\(True, 2\)", r"\(True, 2\)"),
    ("live-and-background", "import asyncio", r"\(1225, \[0, 1, 2\], True\)", r"\(1225, \[0, 1, 2\], True\)"),
    ("live-and-background", 'handle.wait()["counted"]', "39", "39"),
    ("live-and-background", "run = await flow.arun()", "'2015-07'", "'2015-07'"),
    ("parameters", "%flow params", "month +7 +int", "unit +'celsius'"),
    ("parameters", "%%task report", "76 of 124 days had 25.0 °C or more", "76 of 124 days"),
    ("parameters", "%flow plan", r"warm_days +stale +global `warm`: 25.0 → 20.0|warm_days +fresh", "days +fresh"),
    ("parameters", "report", "114 of 124 days had 20.0 °C or more", "114 of 124"),
    ("parameters", "from nbflow", r"17.2\).*35.0", r"17.2\).*35.0"),
    ("parameters", "try:", "flow 'warmest' has no parameter 'moth'; did you mean 'month'?", "did you mean 'month'"),
]  # fmt: skip


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    """By name: the two executions of a notebook, each as its code cells."""
    made = {}

    def execute(name):
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            made[name] = [execution(name, folder) for _ in range(2)]
        return made[name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBFLOW_STORE", str(tmp_path_factory.mktemp("store") / "store"))
        yield execute


def execution(name, folder):
    document = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    NotebookClient(document, timeout=120, resources={"metadata": {"path": str(folder)}}).execute()
    return [cell for cell in document.cells if cell.cell_type == "code"]


def shown(cell):
    """What a cell prints and shows, as text."""
    texts = [each.get("text") or (each.get("data") or {}).get("text/plain", "") for each in cell.outputs]
    return "\n".join(texts)


@pytest.mark.parametrize(("name", "start", "first", "second"), SHOWN)
def test_each_cell_shows_what_the_text_says(documents, name, start, first, second):
    for cells, wanted in zip(documents(name), (first, second), strict=True):
        cell = next(cell for cell in cells if cell.source.startswith(start))
        assert re.search(wanted, shown(cell)), shown(cell)


@pytest.mark.parametrize("name", ["mapping-and-frames", "live-and-background", "parameters"])
def test_it_opens_with_what_it_shows_and_fails_only_where_it_says_so(documents, name):
    document = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    assert document.cells[0].cell_type == "markdown"
    assert document.cells[0].source.startswith("# ")
    failed = [c.source for c in documents(name)[0] if any(each.output_type == "error" for each in c.outputs)]
    assert failed == ([c for c in failed if "math.sqrt(metres)" in c] if name == "mapping-and-frames" else [])


def test_a_second_run_of_the_parameters_runs_nothing(documents):
    first, second = (
        [shown(cell) for cell in cells if cell.source.startswith("%%task")] for cells in documents("parameters")
    )
    assert first == second
