"""Files that code opens, lists and writes, as the recorder sees them."""

import contextlib
import contextvars
import glob
import importlib.util
import json
import linecache
import multiprocessing
import os
import pkgutil
import platform
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nbflow.probe.files import RandomState, StatMemo, argument_files, trace_id, what_changed
from nbflow.probe.recorder import Recorder


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.csv").write_text("a,b\n1,2\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "one.txt").write_text("one")
    (tmp_path / "by_path.py").write_text("K = 1")
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "__init__.py").touch()
    (tmp_path / "beside" / "one.txt").write_text("one")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "beside", raising=False)
    linecache.clearcache()
    return tmp_path


def seen(code, memo=None):
    recorder = Recorder()
    with recorder.watching():
        code()
    return recorder.take(memo or StatMemo())


def marks(observed):
    """What was seen, but for the working directory, which comes along with relative paths."""
    return {(os.path.relpath(mark.path), mark.kind) for mark in observed.marks if mark.kind != "place"}


def missing():
    with pytest.raises(FileNotFoundError):
        open("not there.txt")


def connect():
    sqlite3.connect("data.db").close()


def attach():
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("attach 'data.db' as other")


def attach_computed():
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("attach ? as other", ("data.db",))


def read_with(mode):
    def code():
        with open("data.csv", mode) as stream:
            stream.seek(0)
            stream.read()

    return code


def below_a_folder():
    folder = os.open("folder", os.O_RDONLY)
    os.close(os.open("one.txt", os.O_RDONLY, dir_fd=folder))
    os.close(folder)


def module_by_path():
    spec = importlib.util.spec_from_file_location("by_path", "by_path.py")
    spec.loader.exec_module(importlib.util.module_from_spec(spec))


def read_and_write():
    text = Path("data.csv").read_text()
    Path("data.csv").write_text(text + "3,4")


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
    "sqlite by uri": (
        lambda: sqlite3.connect("file:data.db?mode=rwc", uri=True).close(),
        {("data.db", "file"), ("data.db-wal", "absent")},
    ),
    "sqlite, attached": (attach, {("data.db", "file"), ("data.db-wal", "absent")}),
    "a file open for reading and writing": (read_with("r+"), {("data.csv", "file")}),
    "a file open for reading and appending": (read_with("a+"), {("data.csv", "file")}),
    "a file emptied by opening it": (read_with("w+"), set()),
    "a file looked for, then made": (lambda: (os.path.exists("n") or missing(), Path("not there.txt").touch()), set()),
    "a file read, then written": (read_and_write, {("data.csv", "file")}),
    "a name below a folder": (below_a_folder, {("folder/one.txt", "file"), ("one.txt", "absent")}),
    "a module by its path": (module_by_path, {("by_path.py", "file")}),
    "data that linecache reads": (lambda: linecache.getline("data.csv", 1), {("data.csv", "file")}),
    "data beside a package": (lambda: pkgutil.get_data("beside", "one.txt"), {("beside/one.txt", "file")}),
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


def test_a_file_that_is_written_counts_as_it_was_before():
    before = StatMemo().mark(os.path.abspath("data.csv"))
    assert [mark for mark in seen(read_and_write).marks if mark.kind != "place"] == [before]


ENVIRONMENT = {
    "get": (lambda: os.environ.get("MY_X"), {"MY_X"}),
    "getenv": (lambda: os.getenv("MY_X"), {"MY_X"}),
    "one that is not set": (lambda: os.environ.get("MY_Z"), {"MY_Z"}),
    "in a loop": (lambda: [os.environ[name] for name in ("MY_X", "MY_Y")], {"MY_X", "MY_Y"}),
    "expandvars": (lambda: os.path.expandvars("$MY_X"), {"MY_X"}),
    "whether it is set": (lambda: "MY_X" in os.environ, {"MY_X"}),
    "set by the code itself": (lambda: (os.environ.update(MY_X="1"), os.environ["MY_X"]), set()),
    "copies of all": (lambda: (dict(os.environ), os.environ.copy(), {**os.environ}, [*os.environ.items()]), set()),
    "the first one of all": (
        lambda: (sorted(os.environ), os.environ[next(iter(os.environ))]),
        {next(iter(os.environ))},
    ),
    "the first ones, and one more": (lambda: [os.environ[name] for name in [*os.environ][:2]], {*[*os.environ][:2]}),
    "what libraries look up": (lambda: (os.path.expanduser("~"), json.dumps(1), subprocess.os.get_exec_path()), set()),
}


@pytest.mark.parametrize("name", ENVIRONMENT)
def test_environment_variables_that_code_reads_are_seen(name, monkeypatch):
    monkeypatch.setenv("MY_X", "1")
    monkeypatch.setenv("MY_Y", "2")
    code, expected = ENVIRONMENT[name]
    assert {mark.path for mark in seen(code).marks if mark.kind == "variable"} == expected


def fork():
    with multiprocessing.get_context("fork").Pool(1) as pool:
        pool.map(abs, [1])


@pytest.mark.parametrize("code", [fork, lambda: subprocess.run(["true"], check=True), lambda: os.system("true")])
def test_another_process_is_told(code):
    assert "process" in seen(code).unseen


def test_threads_and_questions_about_the_machine_are_no_other_process():
    joblib = pytest.importorskip("joblib")

    def code():
        platform.processor()
        joblib.Parallel(n_jobs=1)([joblib.delayed(abs)(1)])
        joblib.Parallel(n_jobs=2, prefer="threads")([joblib.delayed(abs)(1)])

    assert seen(code).unseen is None


def test_a_database_attached_by_a_computed_name_is_told():
    assert "attached" in seen(attach_computed).unseen


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


def test_a_working_directory_that_is_gone_is_another_one(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    (gone / "d").write_text("1")
    observed = seen(lambda: open("d").close())
    (gone / "d").unlink()
    gone.rmdir()
    assert what_changed(observed.marks, StatMemo()) is not None
