"""The oldest kernel that is supported, ipykernel 6.31: tests of the notebook again, in an environment that has it.

The environment is made once, under `build/kernels/`: its own ipykernel, all else from the one that runs the tests.
`NBFLOW_KERNEL=6.31` tells the tests which kernel to expect; JUPYTER_PATH makes it the kernel of every notebook.
"""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VERSION = "6.31"
ENVIRONMENT = ROOT / "build" / "kernels" / VERSION
SELECTION = (
    "tests/notebook/test_kernel.py",
    "tests/notebook/test_messages.py",
    "tests/notebook/test_cases_in_a_kernel.py::test_what_was_finished_before_the_end_of_a_kernel_is_kept",
    "tests/notebooks/test_tour.py",
)


@pytest.fixture(scope="module")
def jupyter_path():
    """A folder in which the kernel called python3 is the old one."""
    python = ENVIRONMENT / "bin" / "python"
    done = ENVIRONMENT / "done"
    if not done.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", ENVIRONMENT], check=True)
        pip = [
            sys.executable,
            "-m",
            "pip",
            "--python",
            str(python),
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]
        subprocess.run([*pip, f"ipykernel=={VERSION}.*"], check=True)
        packages = next(ENVIRONMENT.glob("lib/python*/site-packages"))
        # Behind its own packages, with what is linked to from there, such as nbflow.
        here = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
        (packages / "zz_behind.pth").write_text(here)
        done.touch()
    kernel = ENVIRONMENT / "share" / "jupyter" / "kernels" / "python3"
    kernel.mkdir(parents=True, exist_ok=True)
    command = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": command, "display_name": f"ipykernel {VERSION}", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(spec))
    return ENVIRONMENT / "share" / "jupyter"


def test_notebooks_do_the_same_in_the_oldest_kernel(jupyter_path):
    environment = {**os.environ, "JUPYTER_PATH": str(jupyter_path), "NBFLOW_KERNEL": VERSION}
    # Its own process: which kernel is taken is decided by the environment.
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:xdist", *SELECTION]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "skipped" not in done.stdout
