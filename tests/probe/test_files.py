"""Files that code opens, lists and writes, as the recorder sees them."""

import contextvars
import glob
import json
import os
import sqlite3
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nbflow.probe.files import RandomState, Recorder, StatMemo, argument_files, trace_id, what_changed


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.csv").write_text("a,b\n1,2\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "one.txt").write_text("one")
    return tmp_path


def seen(code, memo=None):
    recorder = Recorder()
    with recorder.watching():
        code()
    return recorder.take(memo or StatMemo())


def marks(observed):
    return {(os.path.relpath(mark.path), mark.kind) for mark in observed.marks}


def missing():
    with pytest.raises(FileNotFoundError):
        open("not there.txt")


def connect():
    sqlite3.connect("data.db").close()


READS = {
    "open": (lambda: open("data.csv").close(), {("data.csv", "file")}),
    "read_csv": (lambda: pd.read_csv("data.csv"), {("data.csv", "file")}),
    "read_csv with python's engine": (lambda: pd.read_csv("data.csv", engine="python"), {("data.csv", "file")}),
    "np.loadtxt": (lambda: np.loadtxt("data.csv", delimiter=",", skiprows=1), {("data.csv", "file")}),
    "a file that is not there": (missing, {("not there.txt", "absent")}),
    "listdir": (lambda: os.listdir("folder"), {("folder", "listing")}),
    "scandir": (lambda: list(os.scandir("folder")), {("folder", "listing")}),
    "glob": (lambda: glob.glob("folder/*.txt"), {("folder", "listing")}),
    "sqlite": (connect, {("data.db", "file"), ("data.db-wal", "absent")}),
    "nothing": (lambda: None, set()),
    "a written file": (lambda: open("new.txt", "w").close(), set()),
    "a file written and read": (lambda: (open("new.txt", "w").close(), open("new.txt").close()), set()),
    "a file that is appended to": (lambda: open("data.csv", "a").close(), set()),
    "installed packages": (lambda: open(np.__file__).close(), set()),
    "the standard library": (lambda: open(json.__file__).close(), set()),
    "imports": (lambda: __import__("xml.dom.minidom"), set()),
    "the system": (lambda: open("/proc/self/stat").close(), set()),
    "a file descriptor": (lambda: os.close(os.dup(0)), set()),
}


@pytest.mark.parametrize("name", READS)
def test_what_code_reads_is_seen_and_nothing_else(name):
    code, expected = READS[name]
    assert marks(seen(code)) == expected


def test_nothing_is_recorded_outside():
    recorder = Recorder()
    open("data.csv").close()
    with recorder.watching():
        pass
    assert not recorder.touched


def test_a_thread_with_a_copy_of_the_context_is_seen_and_one_without_counts_for_all_that_listen():
    def in_thread(run):
        thread = threading.Thread(target=run, args=(lambda: open("data.csv").close(),))
        thread.start()
        thread.join()

    assert marks(seen(lambda: in_thread(contextvars.copy_context().run))) == {("data.csv", "file")}
    other = Recorder()
    with other.watching():
        assert marks(seen(lambda: in_thread(lambda read: read()))) == {("data.csv", "file")}
    assert marks(other.take(StatMemo())) == {("data.csv", "file")}


def test_two_contexts_do_not_mix():
    first, second = Recorder(), Recorder()

    def read(recorder, path):
        with recorder.watching():
            open(path).close()

    contextvars.copy_context().run(read, first, "data.csv")
    contextvars.copy_context().run(read, second, "folder/one.txt")
    memo = StatMemo()
    assert marks(first.take(memo)) == {("data.csv", "file")}
    assert marks(second.take(memo)) == {(os.path.join("folder", "one.txt"), "file")}


def test_a_file_that_changes_while_it_is_read_is_told(folder):
    def elsewhere():
        thread = threading.Thread(target=(folder / "data.csv").write_text, args=("more than before",))
        open("data.csv").close()
        thread.start()
        thread.join()

    assert seen(elsewhere).changed == str(folder / "data.csv")


def test_own_files_in_a_listed_folder_are_no_change(folder):
    def code():
        os.listdir("folder")
        open("folder/out.txt", "w").close()

    assert seen(code).changed is None


@pytest.mark.parametrize(
    ("change", "still"),
    [
        (lambda: None, True),
        (lambda: os.utime("data.csv", ns=(1, 1)), True),
        (lambda: Path("data.csv").write_text("a,b\n1,3\n"), False),
        (lambda: os.remove("data.csv"), False),
        (lambda: open("folder/two.txt", "w").close(), False),
        (lambda: os.remove("folder/one.txt"), False),
        (lambda: Path("folder/one.txt").write_text("changed"), True),
        (lambda: open("late.txt", "w").close(), False),
        (lambda: open("other.txt", "w").close(), True),
    ],
    ids=["nothing", "touched", "same size", "gone", "new in folder", "gone from folder", "listed file changed", "appeared", "other"],
)  # fmt: skip
def test_a_trace_holds_as_long_as_its_files_are_the_same(change, still, folder):
    def code():
        open("data.csv").close()
        os.listdir("folder")
        try:
            open("late.txt")
        except FileNotFoundError:
            pass

    observed = seen(code)
    change()
    memo = StatMemo()
    assert (what_changed(observed.marks, memo) is None) == still


def test_a_trace_is_the_same_whatever_the_order_was():
    one = seen(lambda: (open("data.csv").close(), open("folder/one.txt").close()))
    other = seen(lambda: (open("folder/one.txt").close(), open("data.csv").close()))
    assert trace_id(one.marks) == trace_id(other.marks)


def test_a_file_is_hashed_again_only_when_its_stat_changed(folder, monkeypatch):
    hashed = []
    monkeypatch.setattr("nbflow.probe.files._hash_file", lambda path: hashed.append(path) or b"h" * 16)
    path = str(folder / "data.csv")
    long_ago = time.time_ns() - 10**12
    os.utime(path, ns=(long_ago, long_ago))
    memo = StatMemo()
    memo.mark(path)
    memo.mark(path)
    assert len(hashed) == 1
    os.utime(path, ns=(long_ago + 1, long_ago + 1))
    memo.mark(path)
    assert len(hashed) == 2


def test_a_file_that_changed_just_before_it_was_hashed_is_hashed_again(folder, monkeypatch):
    hashed = []
    monkeypatch.setattr("nbflow.probe.files._hash_file", lambda path: hashed.append(path) or b"h" * 16)
    memo = StatMemo()
    memo.mark(str(folder / "data.csv"))
    memo.mark(str(folder / "data.csv"))
    assert len(hashed) == 2


def test_a_memo_is_loaded_and_saved(folder):
    path = str(folder / "data.csv")
    long_ago = time.time_ns() - 10**12
    os.utime(path, ns=(long_ago, long_ago))
    saved = {}
    first = StatMemo(save=saved.__setitem__).mark(path)
    again = {}
    assert StatMemo(load=saved.get, save=again.__setitem__).mark(path) == first
    assert set(saved) == {path}
    assert again == {}


def test_arguments_that_name_files():
    assert argument_files(["data.csv", 3, "no such file", "folder", "x" * 5000, "a\0b", None]) == [
        os.path.abspath("data.csv")
    ]


def test_files_named_by_arguments_count_unless_they_are_written():
    recorder = Recorder()
    with recorder.watching():
        recorder.expect([os.path.abspath("data.csv"), os.path.abspath("folder/one.txt")])
        open("folder/one.txt", "w").close()
    assert marks(recorder.take(StatMemo())) == {("data.csv", "file")}


def test_moved_random_state_is_noticed():
    import random

    before = RandomState.snapshot()
    assert not before.moved()
    np.random.default_rng(1).random()
    assert not before.moved()
    random.random()
    assert before.moved()
    before = RandomState.snapshot()
    np.random.rand()
    assert before.moved()
