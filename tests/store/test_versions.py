"""Stores of earlier versions: what lies in them is read, or they are set aside; nothing is misread."""

import contextlib
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from nbflow.probe.files import FileMark
from nbflow.store import SKIP, VALUE, Last, Store, verify

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture
def first(tmp_path):
    """A store that version 1 of the tables wrote."""
    root = tmp_path / "project" / "store"
    shutil.copytree(FIXTURES / "store-version-1", root)
    root.chmod(0o700)
    return root


VALUES = {b"a": {"a": [1, None, "text"]}, b"b": np.arange(10_000.0), b"c": "traced", b"d": "skipped"}


def test_all_of_version_1_is_read(first):
    store = Store.open(first)
    for name, value in VALUES.items():
        (row,) = store.look_up([name * 16])[name * 16]
        np.testing.assert_equal(store.load(row), value)
    assert store.traces([b"t" * 16]) == {b"t" * 16: (FileMark(str(first.parent / "data.csv"), "file", b"d" * 16),)}
    assert store.recipe(b"c" * 16) == [("code", "f", b"i" * 16, "def f(): pass")]
    assert store.last("flow") == {
        "node": Last(b"d" * 16, b"c" * 16, (("value", "x", b"v" * 16, "1"),), b"a" * 16, 1.5, 1)
    }
    assert [run.flow for run in store.runs()] == ["flow"]
    store.close()
    assert not list(first.glob("set-aside-*"))


def test_rows_of_version_1_are_what_they_were(first):
    store = Store.open(first)
    rows = store.look_up([name * 16 for name in VALUES])
    assert [rows[name * 16][0].kind for name in VALUES] == [VALUE, VALUE, VALUE, SKIP]
    (row,) = rows[b"d" * 16]
    assert (row.members, row.expires_ns, row.session) == (b"m" * 32, 1_800_000_000_000_000_000, "s")
    store.close()


def test_an_upgraded_store_is_whole_and_stays_so(first):
    Store.open(first).close()
    assert verify(first).ok
    Store.open(first).close()
    assert verify(first).results == 4


def test_two_kernels_may_open_an_old_store_at_once(first):
    one, other = Store.open(first), Store.open(first)
    assert len(other.look_up([name * 16 for name in VALUES])) == 4
    one.close()
    other.close()


def test_an_upgrade_that_is_interrupted_leaves_the_old_store(first, monkeypatch):
    def interrupted(database):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("nbflow.store.upgrade._from_first", interrupted)
        with pytest.raises(KeyboardInterrupt):
            Store.open(first)
    with contextlib.closing(sqlite3.connect(first / "index.sqlite")) as database:
        assert database.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone() == ("1",)
    store = Store.open(first)
    assert len(store.look_up([name * 16 for name in VALUES])) == 4
    store.close()


@pytest.mark.parametrize("version", ["0", "3", "1.5", b"\xff", ""])
def test_other_versions_are_set_aside(version, first):
    with contextlib.closing(sqlite3.connect(first / "index.sqlite")) as database, database:
        database.execute("UPDATE meta SET value = ? WHERE name = 'schema'", (version,))
    told = []
    store = Store.open(first, told.append)
    assert store.look_up([name * 16 for name in VALUES]) == {}
    assert "set aside" in told[0]
    store.close()
