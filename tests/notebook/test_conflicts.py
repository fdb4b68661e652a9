"""Cells that change what a task uses, and read what was made with it, in one go."""

import pytest

from tests.notebook.test_session import notebook, task

__all__ = ["notebook"]

BEFORE = (
    "TAX = 0.1\nOTHER = 1\nCONFIG = {'a': 1}\nimport math\ndef net(x):\n    return x - x * TAX + CONFIG['a']",
    task("prices", "[10, 20]"),
    task("clean", "[math.floor(net(each)) for each in prices]"),
    task("by_item", "sum(clean)"),
)


@pytest.fixture
def shop(notebook):
    for cell in BEFORE:
        assert notebook(cell).error is None
    return notebook


STOPPED = {
    "TAX = 0.5\nby_item": ("TAX", "by_item"),
    "TAX = 0.5; print(by_item)": ("TAX", "by_item"),
    "TAX: float = 0.5\nby_item": ("TAX", "by_item"),
    "TAX += 1\nby_item": ("TAX", "by_item"),
    "for TAX in [0, 1]:\n    print(by_item)": ("TAX", "by_item"),
    "if True:\n    TAX = 0.5\nby_item": ("TAX", "by_item"),
    "def net(x):\n    return 0\nby_item": ("net", "by_item"),
    "def total():\n    return by_item\nTAX = 0.5\ntotal()": ("TAX", "by_item"),
    "CONFIG['a'] = 5\nby_item": ("CONFIG", "by_item"),
    "import numpy as math\nby_item": ("math", "by_item"),
    "TAX = True\nclean": ("TAX", "clean"),
    "%time TAX = 0.5\nby_item": ("TAX", "by_item"),
}


@pytest.mark.parametrize("cell", STOPPED)
def test_a_cell_that_changes_what_it_reads_the_outcome_of_is_stopped(shop, cell):
    name, output = STOPPED[cell]
    shown = shop(cell)
    assert f"This cell changes `{name}`, which task `clean` uses, and reads `{output}`" in shown.text
    assert "Put the two into cells of their own" in shown.text
    assert shop["TAX"] == 0.1
    assert shown.ran == []


RUN = {
    "an unused variable": "OTHER = 2\nby_item",
    "a task that does not depend on it": "TAX = 0.5\nprices",
    "read first": "print(by_item)\nTAX = 0.5",
    "read for it": "TAX = by_item / 100",
    "the same literal": "TAX = 0.1\nby_item",
    "the same import": "import math\nby_item",
    "alone": "TAX = 0.5",
}


@pytest.mark.parametrize("cell", RUN.values(), ids=RUN)
def test_a_cell_that_shows_nothing_old_runs(shop, cell):
    shown = shop(cell)
    assert shown.error is None
    assert "nbflow:" not in shown.text


def test_the_two_parts_in_cells_of_their_own_give_the_new_value(shop):
    assert shop("by_item").value == 29
    shop("TAX = 0.5")
    assert shop("by_item").value == 17


def test_what_a_task_ignores_may_change(shop):
    assert shop("LOG = []\nby_item").error is None


def late(notebook, cell):
    """A cell that ran before a task used what it assigns."""
    notebook("seed = iter([3, 3, 4])")
    notebook(task("base", "1"))
    notebook(cell, "plain")
    notebook(task("scaled", "base * rate"))


def test_a_cell_run_again_unchanged_is_not_stopped(notebook):
    cell = "rate = int('3')\nprint('scaled' in globals() and scaled)"
    late(notebook, cell)
    again = notebook(cell, "plain")
    assert again.error is None
    assert again.text.endswith("3\n")
    edited = notebook(cell.replace("3", "4"), "plain")
    assert "changes `rate`, which task `scaled` uses, and reads `scaled`: it" in edited.text


def test_a_cell_run_again_that_gives_another_value_says_so(notebook):
    cell = "rate = next(seed)\nprint(scaled if 'scaled' in globals() else base)"
    late(notebook, cell)
    assert "nbflow" not in notebook(cell, "plain").text
    assert "this time the cell gave another value to `rate`, which task `scaled` uses" in notebook(cell, "plain").text


@pytest.mark.parametrize("read", ["rows", "count"])
def test_a_cell_that_writes_a_file_and_reads_what_is_made_from_it_is_told(notebook, tmp_path, read):
    (tmp_path / "rows.txt").write_text("1")
    notebook("from pathlib import Path")
    notebook(task("rows", "Path('rows.txt').read_text()"))
    notebook(task("count", "len(rows)"))
    assert "made before" not in notebook(f"Path('other.txt').write_text('1 2')\n{read}").text
    told = notebook(f"Path('rows.txt').write_text('1 2')\n{read}")
    assert f"the `{read}` that this cell read was made before: file rows.txt changed" in told.text
    again = notebook(f"Path('rows.txt').write_text('1 2')\n{read}")
    assert "made before" not in again.text
    assert again.value in {"1 2", 3}
