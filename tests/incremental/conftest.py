"""Programs that run in processes of their own, one after the other on the same store."""

import json
import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass

import pytest

# Forks before each program: it finds the imports done, and nothing else of what ran before it.
SERVER = """
import json, os, runpy, signal, sys, traceback
import numpy, pandas, nbflow, nbflow.codecs, nbflow.identity.frames
for line in sys.stdin:
    folder, out, err = json.loads(line)
    pid = os.fork()
    if pid == 0:
        signal.alarm(30)
        os.chdir(folder)
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


class Processes:
    """Runs program.py of a folder in a new process."""

    def __init__(self):
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        self._server = subprocess.Popen(
            [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def __call__(self, folder, script, files=None):
        for name, text in (files or {}).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if text is None:
                path.unlink(missing_ok=True)
            elif not path.exists() or path.read_text() != text:
                path.write_text(text)
        (folder / "program.py").write_text(textwrap.dedent(script))
        out, err = folder / "out.txt", folder / "err.txt"
        self._server.stdin.write(json.dumps([str(folder), str(out), str(err)]) + "\n")
        self._server.stdin.flush()
        code = self._server.stdout.readline().strip()
        errors = err.read_text()
        assert code == "0", f"it ended with {code}: {errors}"
        lines = out.read_text().splitlines()
        return Result(
            [line.removeprefix("RAN ") for line in lines if line.startswith("RAN ")],
            next((line.removeprefix("VALUE ") for line in lines if line.startswith("VALUE ")), ""),
            errors,
        )

    def close(self):
        self._server.stdin.close()
        self._server.wait(10)
        self._server.stdout.close()


@pytest.fixture(scope="session")
def restart():
    processes = Processes()
    yield processes
    processes.close()
