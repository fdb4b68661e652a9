"""Where the store lies, and which places are refused."""

import os
import stat
from pathlib import Path

import pytest

from nbflow.errors import StoreRefused
from nbflow.store import Store, find_store
from nbflow.store.location import is_remote


@pytest.fixture(autouse=True)
def no_environment(monkeypatch, tmp_path):
    monkeypatch.delenv("NBFLOW_STORE", raising=False)
    monkeypatch.chdir(tmp_path)


def test_the_place_given_comes_first_then_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("NBFLOW_STORE", str(tmp_path / "named"))
    assert find_store(tmp_path / "given") == tmp_path / "given"
    assert find_store() == tmp_path / "named"


@pytest.mark.parametrize("sign", [".nbflow", "pyproject.toml", ".git"])
def test_else_it_lies_in_the_projects_folder(sign, tmp_path):
    inner = tmp_path / "project" / "notebooks" / "deep"
    inner.mkdir(parents=True)
    (tmp_path / "project" / sign).mkdir()
    assert find_store(start=inner) == tmp_path / "project" / ".nbflow"


def test_a_store_is_private_and_not_for_git(tmp_path):
    Store.open(tmp_path / "store").close()
    assert stat.S_IMODE((tmp_path / "store").stat().st_mode) == 0o700
    assert (tmp_path / "store" / ".gitignore").read_text() == "*\n"


def refused(path):
    with pytest.raises(StoreRefused) as caught:
        Store.open(path)
    assert "NBFLOW_STORE" in str(caught.value)
    return str(caught.value)


def test_a_symbolic_link_is_refused(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert "symbolic link" in refused(tmp_path / "link")


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o722])
def test_a_folder_that_others_may_write_is_refused(mode, tmp_path):
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(mode)
    assert "written by others" in refused(tmp_path / "open")


def test_a_folder_of_another_user_is_refused(tmp_path, monkeypatch):
    (tmp_path / "theirs").mkdir(mode=0o700)
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert "another user" in refused(tmp_path / "theirs")


def test_a_file_in_its_place_is_refused(tmp_path):
    Path("file").write_text("")
    assert "cannot be made" in refused(tmp_path / "file")


@pytest.mark.parametrize("inside", ["index.sqlite", "blobs"])
def test_what_lies_in_it_is_no_symbolic_link(inside, tmp_path):
    Store.open(tmp_path / "store").close()
    place = tmp_path / "store" / inside
    if place.exists():
        place.rename(tmp_path / "elsewhere")
    else:
        (tmp_path / "elsewhere").mkdir()
    place.symlink_to(tmp_path / "elsewhere")
    assert "symbolic link" in refused(tmp_path / "store")


def test_a_generous_umask_is_put_right(tmp_path):
    before = os.umask(0)
    try:
        Store.open(tmp_path / "store").close()
        (tmp_path / "store").chmod(0o700)
    finally:
        os.umask(before)
    Store.open(tmp_path / "store").close()
    assert not (tmp_path / "store" / "index.sqlite").stat().st_mode & 0o022


MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
server:/home {base}/home nfs4 rw 0 0
/dev/sdb1 {base}/home/local xfs rw 0 0
host: {base}/over\\040there fuse.sshfs rw 0 0
"""


@pytest.mark.parametrize(
    ("place", "remote"), [("project", False), ("home/me", True), ("home/local/me", False), ("over there/x", True)]
)
def test_file_systems_on_other_machines_are_known(place, remote, tmp_path):
    (tmp_path / "mounts").write_text(MOUNTS.format(base=tmp_path))
    assert is_remote(tmp_path / place, tmp_path / "mounts") is remote


def test_where_nothing_tells_of_mounts_a_folder_is_local(tmp_path):
    assert is_remote(tmp_path, tmp_path / "missing") is False


@pytest.mark.parametrize(("remote", "mode"), [(True, "delete"), (False, "wal")])
def test_the_journal_suits_the_file_system(remote, mode, tmp_path, monkeypatch):
    monkeypatch.setattr("nbflow.store.database.is_remote", lambda root: remote)
    store = Store.open(tmp_path / "store")
    assert store._read("PRAGMA journal_mode") == [(mode,)]
    store.close()
