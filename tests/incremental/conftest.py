"""Programs that run in processes of their own, one after the other on the same store."""

import itertools
import json
import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass

import pytest

# The tables of edits import `edits` from beside them.
sys.path.insert(0, os.path.dirname(__file__))

# Forks before each program: it finds the imports done, and nothing else of what ran before it.
SERVER = """
import gc, importlib, json, os, pkgutil, runpy, signal, sys, traceback
import attrs, numpy, pandas, polars, pyarrow.compute, pydantic, sklearn.linear_model, sklearn.pipeline
import nbflow
for layer in ("model", "identity", "probe", "codecs", "store", "engine", "results", "flow"):
    package = importlib.import_module(f"nbflow.{layer}")
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)
pydantic.create_model('Warm', n=(int, 1))(n=2)
gc.collect()
gc.freeze()
for line in sys.stdin:
    folder, out, err, environment = json.loads(line)
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)
        os.chdir(folder)
        os.environ.update(environment)
        sys.path.insert(0, folder)
        os.dup2(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
        os.dup2(os.open(err, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        code = 1
        try:
            runpy.run_path("program.py", run_name="__main__")
            code = 0
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


@dataclass
class Result:
    ran: list
    value: str
    errors: str
    code: int


class Processes:
    """Runs program.py of a folder in a new process, each time below another interpreter than the time before.

    Two interpreters take turns: their hash seeds differ, and so do the addresses of all that they imported.
    """

    def __init__(self):
        self._servers = [_server(seed) for seed in ("1", "2")]
        self._turns = itertools.cycle(self._servers)

    def __call__(self, folder, script, files=None, *, env=None, check=True):
        """files: texts by name, None to delete one. check: False takes any exit code."""
        folder.mkdir(exist_ok=True)
        write(folder, files or {})
        (folder / "program.py").write_text(textwrap.dedent(script))
        out, err = folder / "out.txt", folder / "err.txt"
        server = next(self._turns)
        server.stdin.write(json.dumps([str(folder), str(out), str(err), env or {}]) + "\n")
        server.stdin.flush()
        code = int(server.stdout.readline())
        done = read(out.read_text(), err.read_text(), code)
        assert code == 0 or not check, f"it ended with {code}: {done.errors}"
        return done

    def close(self):
        for server in self._servers:
            server.stdin.close()
            server.wait(10)
            server.stdout.close()


def _server(seed):
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": seed}
    return subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )


def write(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is None:
            path.unlink(missing_ok=True)
        elif not path.exists() or path.read_text() != text:
            path.write_text(text)


def read(out, errors, code):
    lines = out.splitlines()
    return Result(
        [line.removeprefix("RAN ") for line in lines if line.startswith("RAN ")],
        next((line.removeprefix("VALUE ") for line in lines if line.startswith("VALUE ")), ""),
        errors,
        code,
    )


@pytest.fixture(scope="session")
def restart():
    processes = Processes()
    yield processes
    processes.close()


def in_new_interpreter(folder, script, *, env=None):
    """Runs program.py in an interpreter that was started for it alone."""
    folder.mkdir(exist_ok=True)
    (folder / "program.py").write_text(textwrap.dedent(script))
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **(env or {})}
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=folder, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return read(done.stdout, done.stderr, 0)


@pytest.fixture
def new_interpreter():
    return in_new_interpreter
