"""Modules that are edited on disk while the kernel has them imported."""

import os
import sys

import pytest

from tests.notebook.test_session import notebook, task

__all__ = ["notebook"]

TOLD = "was edited after it was imported, and the old code still runs: restart the kernel, or reload the module"


COMMANDS = ["%flow plan", "%flow status", "%flow why cleaned", task("cleaned", "tidy(3)"), "cleaned"]


@pytest.fixture
def book(notebook, tmp_path, monkeypatch):
    """A task that uses `tidy_here`, which uses `deep_here`; nothing uses `other_here`."""
    monkeypatch.syspath_prepend(str(tmp_path))
    write(tmp_path / "deep_here.py", "def less(x):\n    return x - 1\n")
    write(tmp_path / "tidy_here.py", "from deep_here import less\ndef tidy(x):\n    return less(x)\n")
    write(tmp_path / "other_here.py", "n = 1\n")
    notebook("from tidy_here import tidy\nimport other_here")
    notebook(task("cleaned", "tidy(3)"))
    yield notebook
    for name in ("tidy_here", "deep_here", "other_here"):
        sys.modules.pop(name, None)


def write(path, text, *, seconds=0):
    """seconds: how far the file's time is from what the clock says."""
    path.write_text(text)
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + seconds * 10**9))


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", ["tidy_here.py", "deep_here.py"])
def test_an_edited_module_that_a_task_reaches_is_told(book, tmp_path, command, name):
    assert TOLD not in book(command).text
    write(tmp_path / name, (tmp_path / name).read_text() + "\nmore = 1\n", seconds=5)
    assert f"`{name}` {TOLD}" in book(command).text


def test_a_module_that_no_task_reaches_or_that_only_was_touched_is_not_told(book, tmp_path):
    write(tmp_path / "other_here.py", "n = 2\n", seconds=5)
    write(tmp_path / "tidy_here.py", (tmp_path / "tidy_here.py").read_text(), seconds=5)
    assert TOLD not in book("%flow status").text


def test_a_reloaded_module_is_not_told_any_more(book, tmp_path):
    write(tmp_path / "tidy_here.py", "def tidy(x):\n    return 7\n", seconds=5)
    book("import importlib, tidy_here\nimportlib.reload(tidy_here)\nfrom tidy_here import tidy")
    assert TOLD not in book("%flow status").text
    assert book("cleaned").value == 7


def test_a_cell_tells_only_of_modules_that_its_own_tasks_reach(book, tmp_path):
    book(task("apart", "1"))
    write(tmp_path / "tidy_here.py", "def tidy(x):\n    return 7\n", seconds=5)
    assert TOLD not in book("apart").text
    assert TOLD not in book(task("apart", "2")).text
    assert f"`tidy_here.py` {TOLD}" in book(task("behind", "cleaned + 1")).text


def test_what_is_said_of_autoreload_is_so(book, tmp_path):
    write(tmp_path / "tidy_here.py", "def tidy(x):\n    return 7\n", seconds=5)
    book("%load_ext autoreload\n%autoreload 2")
    assert TOLD in book("cleaned").text
    write(tmp_path / "tidy_here.py", "def tidy(x):\n    return 8\n", seconds=9)
    after = book("cleaned")
    assert (after.value, TOLD in after.text) == (8, False)
