"""Binder builds an image that opens JupyterLab on the tour: its Dockerfile is made here, and nothing is built."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def dockerfile(tmp_path_factory):
    """What repo2docker makes of what a clone would hold of the repository."""
    clone = tmp_path_factory.mktemp("clone") / "nbflow"
    clone.mkdir()
    shutil.copytree(ROOT / "binder", clone / "binder")
    shutil.copy(ROOT / "pyproject.toml", clone)
    done = subprocess.run(
        [Path(sys.executable).parent / "jupyter-repo2docker", "--no-build", "--debug", "."],
        cwd=clone,
        env={**os.environ, "DOCKER_HOST": "unix:///nowhere"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


def test_the_image_installs_the_package_with_what_the_lab_needs(dockerfile):
    assert 'pip install --no-cache-dir -r "binder/requirements.txt"' in dockerfile
    assert (ROOT / "binder" / "requirements.txt").read_text().split() == [".[lab]"]


def test_the_image_has_graphviz_and_the_python_that_is_asked_for(dockerfile):
    assert "apt-get install --yes --no-install-recommends graphviz" in dockerfile
    assert re.search(r"environment.{0,10}py.{0,10}3.{0,5}11", dockerfile)


def test_the_last_step_works_in_this_environment(dockerfile):
    assert "RUN ./binder/postBuild" in dockerfile
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(["bash", ROOT / "binder" / "postBuild"], env={**os.environ, "PATH": path}, check=True, timeout=120)


def test_the_link_opens_the_tour_in_jupyterlab():
    (address,) = re.findall(r"https://mybinder\.org/\S+?(?=\))", (ROOT / "README.md").read_text())
    assert address.endswith("?urlpath=lab/tree/notebooks/tour.ipynb")
    assert (ROOT / "notebooks" / "tour.ipynb").exists()
