"""Each file here is a test and, started as a program, the scene of the fault: what dies, dies there."""

import os
import subprocess
import sys
import tempfile

import pytest

# The scenes are programs that import `kit` from beside them; so do the tests.
sys.path.insert(0, os.path.dirname(__file__))


@pytest.fixture
def place():
    """A folder in memory where there is such a thing: thousands of stores are written, and no disk is to wait for."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="nbflow-faults-", dir=memory) as folder:
        yield folder


@pytest.fixture
def scene(place):
    """Runs a file of this folder as a program in a folder of its own; gives what it printed."""

    def play(file, *arguments, bound_s=170, env=None):
        done = subprocess.run(
            [sys.executable, file, *map(str, arguments)],
            cwd=place,
            env={**os.environ, "PYTHONPATH": os.path.dirname(file), **(env or {})},
            capture_output=True,
            text=True,
            timeout=bound_s,
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-8000:]
        return done.stdout

    return play
