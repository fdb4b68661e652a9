"""verify() and prune(): what they find, what they take out, and what they leave alone."""

import contextlib
import os
import sqlite3
import time

import numpy as np
import pytest

import nbflow.store
from nbflow.errors import StoreRefused
from nbflow.store import Store, contents

DAY_NS = 86400 * 10**9


def keys(*names):
    return [name.encode().ljust(16, b"-") for name in names]


@pytest.fixture
def filled(store, make_entry):
    """A closed store with three small and two large results."""
    for name in "abc":
        (key,) = keys(name)
        store.put([make_entry(["small", name], key=key, task=name)])
    for name in "de":
        (key,) = keys(name)
        store.put([make_entry(np.full(20_000, float(ord(name))), key=key, task=name)])
    store.close()
    return store.root


@contextlib.contextmanager
def database(root):
    with contextlib.closing(sqlite3.connect(root / "index.sqlite")) as opened, opened:
        yield opened


def blob_of(root, name):
    with database(root) as opened:
        ((blob,),) = opened.execute("SELECT blob FROM entry WHERE task = ?", (name,))
    path = root / "blobs" / blob[:2] / blob
    path.chmod(0o600)
    return path


def test_a_whole_store_is_told_as_whole(filled):
    report = nbflow.store.verify(filled)
    assert report.ok
    assert report.results == 5
    assert "5 results" in repr(report)
    assert "all whole" in repr(report)


def flip(root, name):
    path = blob_of(root, name)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def change(statement):
    def damage(root, name):
        with database(root) as opened:
            opened.execute(statement, (name,))

    return damage


DAMAGE = {
    "a value in a file": ("d", flip, "does not match its digest"),
    "a file that is gone": ("d", lambda root, name: blob_of(root, name).unlink(), "is missing"),
    "a file cut short": ("d", lambda root, name: os.truncate(blob_of(root, name), 1000), "another length"),
    "a small value": (
        "a",
        change("UPDATE entry SET payload = zeroblob(length(payload)) WHERE task = ?"),
        "does not match",
    ),
    "no value": ("a", change("UPDATE entry SET payload = NULL WHERE task = ?"), "does not match its digest"),
    "its kind": ("a", change("UPDATE entry SET kind = 4 WHERE task = ?"), "its row does not match"),
    "its id": ("a", change("UPDATE entry SET out = zeroblob(16) WHERE task = ?"), "its row does not match"),
    "its end": ("a", change("UPDATE entry SET expires = 5 WHERE task = ?"), "its row does not match"),
    "the name of its file": ("d", change("UPDATE entry SET blob = '../x' WHERE task = ?"), "its row does not match"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_found_told_and_dropped(what, filled):
    name, damage, words = DAMAGE[what]
    damage(filled, name)
    report = nbflow.store.verify(filled)
    assert not report.ok
    (line,) = report.damaged
    assert line.startswith(f"{name} (")
    assert words in line
    assert "1 damaged; dropped" in repr(report)
    again = nbflow.store.verify(filled)
    assert (again.ok, again.results) == (True, 4)


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_never_served(what, filled):
    name, damage, _ = DAMAGE[what]
    damage(filled, name)
    told = []
    store = Store.open(filled, told.append)
    rows = store.look_up(keys(*"abcde"))
    assert set(rows) >= set(keys(*(set("abcde") - {name})))
    for key, (row,) in rows.items():
        if key == keys(name)[0]:
            with pytest.raises(nbflow.errors.DamagedEntry):
                store.load(row)
        else:
            store.load(row)
    store.close()


def test_without_repair_damage_is_only_told(filled):
    flip(filled, "d")
    assert not nbflow.store.verify(filled, repair=False).ok
    assert nbflow.store.verify(filled, repair=False).results == 5


@pytest.mark.filterwarnings("ignore::nbflow.errors.NbflowWarning")
def test_a_damaged_database_is_told_and_set_aside(filled):
    path = filled / "index.sqlite"
    content = bytearray(path.read_bytes())
    content[4096 * 3 : 4096 * 12] = b"\xa5" * (4096 * 9)
    path.write_bytes(content)
    assert "the database itself is damaged" in repr(nbflow.store.verify(filled))
    with pytest.warns(UserWarning, match="is damaged; it is set aside"):
        store = Store.open(filled)
    assert store.look_up(keys(*"abcde")) == {}
    store.close()


def put(root, make_entry, name, **changes):
    store = Store.open(root)
    store.put([make_entry(["value", name], key=keys(name)[0], task=name, **changes)])
    store.close()


def names(root):
    with database(root) as opened:
        return "".join(sorted(task for (task,) in opened.execute("SELECT task FROM entry")))


def test_prune_takes_out_what_nobody_can_use(filled, make_entry):
    put(filled, make_entry, "x", expires_ns=time.time_ns() - 1)
    put(filled, make_entry, "y", expires_ns=time.time_ns() + 1000 * DAY_NS)
    put(filled, make_entry, "z", session="1-2", made_ns=time.time_ns() - 30 * DAY_NS)
    put(filled, make_entry, "w", session="1-2")
    assert nbflow.store.prune(filled).results == 2
    assert names(filled) == "abcdewy"


def test_prune_takes_out_what_was_not_used_for_long(filled, make_entry):
    put(filled, make_entry, "x", made_ns=time.time_ns() - 40 * DAY_NS)
    put(filled, make_entry, "y", made_ns=time.time_ns() - 20 * DAY_NS)
    assert nbflow.store.prune(filled, unused_for="30d").results == 1
    assert names(filled) == "abcdey"


def test_prune_takes_away_files_that_no_row_names_but_none_that_is_being_written(filled):
    folder = filled / "blobs" / "ab"
    folder.mkdir(exist_ok=True)
    old, new = folder / ("ab" + "0" * 30), folder / "tmpxyz"
    for path in (old, new):
        path.write_bytes(b"x" * 1000)
    os.utime(old, (0, 0))
    assert nbflow.store.prune(filled).files == 1
    assert not old.exists()
    assert new.exists()
    assert nbflow.store.verify(filled).ok


def test_prune_to_a_size_keeps_ids(filled):
    pruned = nbflow.store.prune(filled, max_bytes="100kB")
    assert (pruned.results, pruned.let_go) == (0, 2)
    assert pruned.freed_bytes >= 320_000
    assert "2 values let go" in repr(pruned)
    assert names(filled) == "abcde"
    assert nbflow.store.verify(filled).ok


@pytest.mark.parametrize("size", ["ten", "5 apples", "-1GB"])
def test_a_size_that_is_none_is_told(size, filled):
    with pytest.raises(StoreRefused, match="write a number and a unit"):
        nbflow.store.prune(filled, max_bytes=size)


def test_what_lies_in_a_store_is_told_by_task(filled):
    store = Store.open(filled)
    store.room.let_go(1)
    text = repr(contents(store))
    assert "of at most" in text
    assert "a        1 result" in text
    assert "160.2 kB   160.2 kB not in use" in text or "160.1 kB   160.1 kB not in use" in text
    assert "1 values were let go" in text
    store.close()


def test_a_replaced_result_leaves_no_file_behind(store, make_entry):
    for i in range(3):
        store.put([make_entry(np.full(20_000, float(i)), out=bytes([i]) * 16)], replace=True)
        store.flush()
    assert len(list((store.root / "blobs").glob("*/*"))) == 1


def test_a_file_that_two_rows_share_stays_as_long_as_one_of_them(store, make_entry):
    value = np.ones(20_000)
    for trace in (b"t" * 16, b"u" * 16):
        store.put([make_entry(value, trace=trace)])
    store.flush()
    one, other = store.look_up([b"k" * 16])[b"k" * 16]
    store._write([("DELETE FROM entry WHERE trace = ?", [(one.trace,)])])
    store.sweep()
    assert store.load(other).sum() == 20_000


def test_a_trace_that_lost_a_file_is_unknown(store):
    marks = [nbflow.probe.files.FileMark(f"/data/{name}", "file", b"d" * 16) for name in "ab"]
    store.put_trace(b"t" * 16, marks)
    store.close()
    with database(store.root) as opened:
        opened.execute("DELETE FROM trace WHERE path = '/data/a'")
    store = Store.open(store.root)
    assert store.traces([b"t" * 16]) == {}
    store.put_trace(b"t" * 16, marks)
    store.close()
    store = Store.open(store.root)
    assert set(store.traces([b"t" * 16])[b"t" * 16]) == set(marks)
    store.close()


def test_names_of_files_may_be_no_utf8(store):
    mark = nbflow.probe.files.FileMark("/data/caf\udce9.csv", "file", b"d" * 16)
    store.put_trace(b"t" * 16, [mark])
    store.close()
    store = Store.open(store.root)
    assert store.traces([b"t" * 16]) == {b"t" * 16: (mark,)}
    store.close()


def test_a_value_that_another_kernel_put_in_its_place_is_not_taken_for_it(store, make_entry):
    store.put([make_entry("mine", out=b"m" * 16)])
    store.flush()
    (row,) = store.look_up([b"k" * 16])[b"k" * 16]
    other = Store.open(store.root)
    other.put([make_entry("theirs", out=b"t" * 16)], replace=True)
    other.close()
    with pytest.raises(nbflow.errors.DamagedEntry, match="replaced by another kernel"):
        store.load(row)
    (row,) = store.look_up([b"k" * 16])[b"k" * 16]
    assert store.load(row) == "theirs"


def test_equal_values_of_two_kernels_are_one(store, make_entry):
    store.put([make_entry(["mine", 1])])
    other = Store.open(store.root)
    other.put([make_entry(["theirs", 1])])
    other.close()
    (row,) = store.put([make_entry(["mine", 1])])
    store.flush()
    assert store.load(row) == ["theirs", 1]
