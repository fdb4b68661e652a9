"""Code ids on every Python: other formatting changes none, an edit of what code does changes it.

The functions are those of the standard library (see stdlib_laws.py for the rules). The normal run looks at every 100th
file, and there at every 16th kind of edit of each function. NBFLOW_FULL_LAWS=1 looks at all files and every 4th kind.
Pythons other than the one that runs the tests are looked for on the PATH and in pyenv.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FULL = os.environ.get("NBFLOW_FULL_LAWS") == "1"
SHARES = ("1", "4") if FULL else ("100", "16")
VERSIONS = ("3.11", "3.12", "3.13")


@pytest.mark.parametrize("version", VERSIONS)
def test_the_standard_library_keeps_the_laws_of_code_ids(version):
    found = laws_on(interpreter(version))
    assert found["python"].startswith(version)
    assert found["reformatted"] == []
    assert found["unchanged"] == []
    assert found["without normal form"] == 0
    assert found["functions"] > 100
    assert found["edits"] > 100
    assert len(found["kinds"]) > 25


def laws_on(python):
    done = subprocess.run(
        [python, HERE / "stdlib_laws.py", *SHARES],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def interpreter(version):
    """A Python of a version that has what identity needs; a virtual environment is made once, and kept."""
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        return sys.executable
    base = base_interpreter(version)
    if base is None:
        pytest.skip(f"there is no Python {version} on the PATH or in pyenv")
    place = ROOT / "build" / "pythons" / version
    python = place / "bin" / "python"
    if not works(python, "import xxhash, cloudpickle"):
        shutil.rmtree(place, ignore_errors=True)
        subprocess.run([base, "-m", "venv", place], check=True, capture_output=True)
        install = [python, "-m", "pip", "install", "--quiet", "xxhash", "cloudpickle"]
        done = subprocess.run(install, capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"xxhash cannot be installed for Python {version}: {done.stderr.strip().splitlines()[-1:]}")
    return str(python)


def base_interpreter(version):
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = [shutil.which(f"python{version}"), *sorted(pyenv.glob(f"versions/{version}.*/bin/python"))]
    asks = f"import sys; assert '%d.%d' % sys.version_info[:2] == '{version}'"
    # A shim of pyenv is on the PATH also where it leads to no Python.
    return next((each for each in candidates if each is not None and works(each, asks)), None)


def works(python, code):
    return Path(python).exists() and subprocess.run([python, "-c", code], capture_output=True).returncode == 0
