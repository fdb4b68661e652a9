"""One suite that every executor must pass: the same flow, the same results, the same store."""

import os
import sys

import pytest

from nbflow import Flow

EXECUTORS = ["sync", "threads", "processes", "dask"]
AWAY = ["processes", "dask"]


@pytest.fixture(params=EXECUTORS)
def executor(request):
    return request.param


@pytest.fixture(params=AWAY)
def away(request):
    """An executor that calls in other processes."""
    return request.param


@pytest.fixture
def flow_of(tmp_path):
    """Makes a flow with a store of its own, on an executor."""

    def make(executor, name="law"):
        return Flow(name, store=tmp_path / "store", executor=executor)

    return make


@pytest.fixture
def calls(tmp_path):
    """Counts calls, in whatever process: `calls.note(name)` in a task, `calls.of(name)` in the test."""
    return Calls(str(tmp_path / "calls"))


class Calls:
    """Notes are appended to one file; a short append is never torn."""

    def __init__(self, path):
        self.path = path

    def note(self, name):
        # By descriptor, so that it is no output of the task's.
        fd = os.open(self.path, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
        os.write(fd, f"{name}\n".encode())
        os.close(fd)

    def of(self, name):
        if not os.path.exists(self.path):
            return 0
        with open(self.path) as stream:
            return sum(line.strip() == name for line in stream)


@pytest.fixture
def local_module(tmp_path, monkeypatch):
    """Writes a module of the user's beside their notebook; gives its path."""
    folder = tmp_path / "code"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    written = []

    def write(name, text):
        path = folder / f"{name}.py"
        path.write_text(text)
        written.append(name)
        return path

    yield write
    for name in written:
        sys.modules.pop(name, None)
