"""The store: what goes in comes out, or is known to be gone; never anything else."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from nbflow.codecs import seal
from nbflow.errors import DamagedEntry
from nbflow.probe.files import FileMark
from nbflow.store import VALUE, Entry, Last, Store

KEY, OUT = b"k" * 16, b"o" * 16


def entry(value, key=KEY, **changes):
    fields = {
        "key": key, "trace": b"", "out": OUT, "members": b"", "kind": VALUE, "sealed": seal(value), "seconds": 0.5,
        "made_ns": time.time_ns(), "expires_ns": None, "session": None, "task": "t",
    }  # fmt: skip
    return Entry(**{**fields, **changes})


def reopened(store):
    store.close()
    return Store.open(store.root, store._tell)


def the_row(store, key=KEY):
    (row,) = store.look_up([key])[key]
    return row


VALUES = {
    "small": {"a": [1, None, "text", 2.5]},
    "large text": "x" * 200_000,
    "large array": np.arange(100_000, dtype=float),
    "empty array": np.zeros(0),
    "fortran order": np.asfortranarray(np.arange(60_000).reshape(200, 300)),
    "several arrays": [np.arange(20_000), np.ones(30_000), "end"],
    "huge int": 10**5000,
    "surrogate": "\ud800\0",
}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("when", ["buffered", "flushed", "another process"])
def test_values_come_back_as_they_were(name, when, store):
    store.put([entry(VALUES[name])])
    if when != "buffered":
        store.flush()
    if when == "another process":
        store = reopened(store)
    back = store.load(the_row(store))
    np.testing.assert_equal(back, VALUES[name])
    assert type(back) is type(VALUES[name])
    store.close()


@pytest.mark.parametrize("flushed", [True, False])
@pytest.mark.parametrize("size", [10, 100_000])
def test_arrays_can_be_changed_and_the_store_stays_clean(flushed, size, store):
    store.put([entry(np.zeros(size))])
    if flushed:
        store.flush()
    store.load(the_row(store))[:] = 7
    assert store.load(the_row(store)).sum() == 0


def test_notebook_classes_and_lambdas_are_kept_by_content(store):
    namespace = {"__name__": "__main__"}
    exec("class Local:\n    k = 3\nvalue = [Local(), lambda: 4]", namespace)
    store.put([entry(namespace["value"])])
    store.flush()
    local, four = store.load(the_row(store))
    assert (local.k, four()) == (3, 4)


def test_a_key_may_have_several_traces_and_gives_the_newest_first(store):
    for i in range(3):
        store.put([entry(i, trace=bytes([i]) * 16, made_ns=i)])
    assert [store.load(row) for row in store.look_up([KEY])[KEY]] == [2, 1, 0]
    store.flush()
    assert [store.load(row) for row in store.look_up([KEY])[KEY]] == [2, 1, 0]


def test_of_two_equal_entries_the_first_stays_and_another_result_replaces_it(store):
    for task, out, replace in (("a", OUT, False), ("b", OUT, False), ("c", b"p" * 16, False), ("d", b"p" * 16, True)):
        store.put([entry(task, task=task, out=out)], replace=replace)
        store.flush()
        assert the_row(store).task == {"a": "a", "b": "a", "c": "c", "d": "d"}[task]


def test_rows_tell_all_that_was_put(store):
    store.put([entry(1, members=OUT * 2, seconds=1.5, made_ns=5, expires_ns=7, session="s", task="name")])
    store.flush()
    row = the_row(store)
    assert (row.out, row.members, row.seconds, row.made_ns, row.expires_ns, row.session, row.task) == (
        OUT, OUT * 2, 1.5, 5, 7, "s", "name",
    )  # fmt: skip


def flip_inline(store, at):
    with contextlib.closing(sqlite3.connect(store.root / "index.sqlite")) as database, database:
        (payload,) = database.execute("SELECT payload FROM entry").fetchone()
        damaged = bytearray(payload)
        damaged[at % len(damaged)] ^= 1 << (at % 8)
        database.execute("UPDATE entry SET payload = ?", (bytes(damaged),))


@pytest.mark.parametrize("at", range(0, 160, 7))
def test_a_flipped_bit_in_the_database_is_never_served(at, store):
    store.put([entry(["some", "value", 1])])
    store.flush()
    flip_inline(store, at)
    with pytest.raises(DamagedEntry, match="does not match its digest"):
        store.load(the_row(store))
    assert store.look_up([KEY]) == {}


def test_a_value_under_another_key_is_damaged(store):
    store.put([entry("mine"), entry("yours", key=b"y" * 16)])
    store.flush()
    with contextlib.closing(sqlite3.connect(store.root / "index.sqlite")) as database, database:
        database.execute("UPDATE entry SET key = ? WHERE key = ?", (b"z" * 16, KEY))
    assert store.look_up([b"z" * 16]) == {}


def test_a_payload_under_another_key_is_never_served(store):
    store.put([entry("mine"), entry("yours", key=b"y" * 16)])
    store.flush()
    with contextlib.closing(sqlite3.connect(store.root / "index.sqlite")) as database, database:
        database.execute("UPDATE entry SET payload = (SELECT payload FROM entry WHERE key = ?)", (KEY,))
    assert store.load(the_row(store)) == "mine"
    with pytest.raises(DamagedEntry):
        store.load(the_row(store, b"y" * 16))


def the_blob(store):
    (path,) = (path for path in (store.root / "blobs").rglob("*") if path.is_file())
    path.chmod(0o600)
    return path


DAMAGE = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"x"),
    "flipped at the start": lambda path: path.write_bytes(b"\xff" + path.read_bytes()[1:]),
    "flipped at the end": lambda path: path.write_bytes(path.read_bytes()[:-1] + b"\xff"),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_blob_is_never_served(how, store):
    store.put([entry(np.ones(50_000))])
    store = reopened(store)
    DAMAGE[how](the_blob(store))
    with pytest.raises(DamagedEntry):
        store.load(the_row(store))
    assert store.look_up([KEY]) == {}
    store.close()


def test_a_class_that_is_not_there_any_more_is_a_damaged_entry(store, tmp_path, monkeypatch):
    (tmp_path / "gone_module.py").write_text("class Gone:\n    pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import gone_module

    store.put([entry(gone_module.Gone())])
    store.flush()
    del gone_module.Gone
    with pytest.raises(DamagedEntry, match="cannot be read here"):
        store.load(the_row(store))


def test_a_database_of_another_version_is_set_aside(store, told):
    store.put([entry(1)])
    store.close()
    with contextlib.closing(sqlite3.connect(store.root / "index.sqlite")) as database, database:
        database.execute("UPDATE meta SET value = '999' WHERE name = 'schema'")
    store = Store.open(store.root, told.append)
    assert store.look_up([KEY]) == {}
    assert "of version 999" in told[0]
    assert len(list(store.root.glob("set-aside-*/index.sqlite"))) == 1
    store.close()


@pytest.mark.parametrize("content", [b"no database", b"SQLite format 3\0" + b"\xff" * 5000, b""])
def test_a_damaged_database_is_set_aside_or_begun_anew(content, store, told):
    store.close()
    for path in store.root.glob("index.sqlite*"):
        path.unlink()
    (store.root / "index.sqlite").write_bytes(content)
    store = Store.open(store.root, told.append)
    store.put([entry(1)])
    store.flush()
    assert store.load(the_row(store)) == 1
    assert bool(told) == bool(content)
    store.close()


def test_what_is_put_is_written_within_a_second_also_when_nothing_else_happens(store):
    store.put([entry("value")])
    bound = time.monotonic() + 10
    count = 0
    while not count and time.monotonic() < bound:
        time.sleep(0.05)
        with contextlib.closing(sqlite3.connect(store.root / "index.sqlite")) as database, database:
            (count,) = database.execute("SELECT count(*) FROM entry").fetchone()
    assert count == 1


def test_a_disk_that_is_full_costs_the_result_and_not_the_store(store, told, monkeypatch):
    store.put([entry("lost")])
    with monkeypatch.context() as patch:
        patch.setattr(store._database, "_connection", FullDisk(store._database._connection))
        store.flush()
    assert "could not be written (database or disk is full)" in told[0]
    store.put([entry("kept")])
    store = reopened(store)
    assert store.load(the_row(store)) == "kept"
    store.close()


class FullDisk:
    """A database whose disk is full."""

    def __init__(self, database):
        self._database = database

    def executemany(self, statement, rows):
        if statement.startswith("INSERT INTO entry"):
            raise sqlite3.OperationalError("database or disk is full")
        return self._database.executemany(statement, rows)

    def __getattr__(self, name):
        return getattr(self._database, name)


def test_a_blob_that_cannot_be_written_costs_the_result_only(store, told, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("nbflow.store.blobs.os.replace", full)
        assert store.put([entry(np.ones(50_000))]) == [None]
    assert "No space left" in told[0]
    assert not [path for path in (store.root / "blobs").rglob("*") if path.is_file()]


def test_an_interrupt_in_a_flush_leaves_no_open_transaction(store, monkeypatch):
    class Interrupted(FullDisk):
        def executemany(self, statement, rows):
            if statement.startswith("INSERT INTO entry"):
                raise KeyboardInterrupt
            return self._database.executemany(statement, rows)

    store.put([entry("value")])
    with monkeypatch.context() as patch:
        patch.setattr(store._database, "_connection", Interrupted(store._database._connection))
        with pytest.raises(KeyboardInterrupt):
            store.flush()
    assert not store._database._connection.in_transaction
    store.flush()
    assert store.load(the_row(store)) == "value"


WRITER = """
import sys, time
from nbflow.codecs import seal
from nbflow.store import VALUE, Entry, Store
from pathlib import Path
store = Store.open(Path(sys.argv[1]))
name = sys.argv[2]
for i in range(int(sys.argv[3])):
    key = f"{name}{i}".encode().ljust(16, b"-")
    store.put([Entry(key, b"", key, b"", VALUE, seal([name, i] * (i % 50 * 500)), 0.0, i, None, None, name)])
    if i % 10 == 0:
        store.flush()
        print(i, flush=True)
store.close()
"""


def check_all(store, name, count):
    rows = store.look_up([f"{name}{i}".encode().ljust(16, b"-") for i in range(count)])
    for key, (row,) in rows.items():
        i = int(key.decode().strip("-")[1:])
        assert store.load(row) == [name, i] * (i % 50 * 500)
    return len(rows)


def test_several_processes_write_at_once(store):
    command = [sys.executable, "-c", WRITER, str(store.root)]
    writers = [subprocess.Popen([*command, name, "200"], stdout=subprocess.DEVNULL) for name in "abc"]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert [check_all(store, name, 200) for name in "abc"] == [200, 200, 200]


def test_a_kill_loses_nothing_that_was_flushed(store):
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(store.root), "a", "100000"], stdout=subprocess.PIPE, text=True
    )
    acknowledged = 0
    while acknowledged < 300:
        acknowledged = int(writer.stdout.readline())
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    store = reopened(store)
    assert check_all(store, "a", 2000) > acknowledged
    store.close()


def test_threads_share_a_store(store):
    def work(name):
        for i in range(50):
            key = f"{name}{i}".encode().ljust(16, b"-")
            store.put([entry([name, i] * (i % 50 * 500), key=key, out=key)])

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    store.flush()
    assert [check_all(store, name, 50) for name in "abcd"] == [50] * 4


def test_traces_recipes_and_what_nodes_were_made_of_are_kept(store):
    inside, outside = str(store.root.parent / "data.csv"), os.path.abspath("/elsewhere/x.csv")
    marks = (FileMark(inside, "file", b"d" * 16), FileMark(outside, "absent", bytes(16)))
    store.put_trace(b"t" * 16, marks)
    store.put_recipe(b"c" * 16, [("code", "f", b"i" * 16, "def f(): pass")])
    last = Last(b"d" * 16, b"c" * 16, (("value", "x", b"v" * 16, "1"),), KEY * 2, 1.5, 2)
    store.put_last("flow", "node", last)
    store.add_run(flow="flow", started_ns=5, seconds=1.0, ran=1, reused=2, failed=3)
    store = reopened(store)
    found = store.traces([b"t" * 16, b"u" * 16])
    assert set(found) == {b"t" * 16}
    assert set(found[b"t" * 16]) == set(marks)
    assert store.recipe(b"c" * 16) == [("code", "f", b"i" * 16, "def f(): pass")]
    assert store.last("flow") == {"node": last}
    assert store.last("other") == {}
    assert [run[1:] for run in store.runs()] == [("flow", 5, 1.0, 1, 2, 3)]
    with contextlib.closing(sqlite3.connect(store.root / "index.sqlite")) as database, database:
        assert {path for (path,) in database.execute("SELECT path FROM trace")} == {"data.csv", outside}
    store.close()


def test_clear_takes_out_one_task_or_all_with_their_blobs(store):
    store.put([entry(1, task="a"), entry(np.ones(50_000), key=b"b" * 16, task="b")])
    before = store.size_bytes()
    store.clear(["b"])
    assert set(store.look_up([KEY, b"b" * 16])) == {KEY}
    assert store.size_bytes() < before
    store.clear()
    assert store.look_up([KEY]) == {}


def test_look_ups_of_many_keys_are_answered_at_once(store):
    keys = [i.to_bytes(16, "little") for i in range(5000)]
    store.put([entry(i, key=key) for i, key in enumerate(keys)])
    store.flush()
    found = store.look_up([*keys, b"?" * 16])
    assert len(found) == 5000
    assert store.load(found[keys[4321]][0]) == 4321
