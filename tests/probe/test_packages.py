"""Which distribution a module comes from."""

import sys

import pytest

from nbflow.probe.packages import PYTHON, Packages


@pytest.fixture
def site(tmp_path, monkeypatch):
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


def install(site, distribution, version, files, record=True):
    info = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n\nText: no\n")
    for name in files:
        (site / name).parent.mkdir(exist_ok=True)
        (site / name).write_text("")
    if record:
        (info / "RECORD").write_text("".join(f"{name},,\n" for name in files))


def test_a_package_is_known_by_its_distribution(site):
    install(site, "fake-pkg", "1.2", ["fake_pkg/__init__.py"])
    assert Packages().of_file(str(site / "fake_pkg" / "__init__.py")) == ("fake-pkg", "1.2")


def test_a_module_of_another_name_is_found_in_the_list_of_files(site):
    install(site, "PyFake", "3.0", ["fakelib/__init__.py", "fakelib/sub.py"])
    assert Packages().of_file(str(site / "fakelib" / "sub.py")) == ("PyFake", "3.0")


def test_a_module_without_metadata_has_an_unknown_version(site):
    (site / "alone.py").write_text("")
    assert Packages().of_file(str(site / "alone.py")) == ("alone", "unknown")


def test_the_users_own_files_are_no_package(tmp_path):
    assert Packages().of_file(str(tmp_path / "mine.py")) is None
    assert Packages().of_file(None) is None


@pytest.mark.parametrize("name", ["json", "sys", "os.path", "_thread", "importlib"])
def test_the_standard_library_is_python(name):
    assert Packages().of_module(name) == PYTHON
    assert PYTHON == ("python", f"{sys.version_info.major}.{sys.version_info.minor}")


def test_real_packages():
    import numpy as np
    import pandas as pd

    assert Packages().of_module("pandas") == ("pandas", pd.__version__)
    assert Packages().of_module("numpy.linalg") == ("numpy", np.__version__)
