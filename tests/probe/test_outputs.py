"""Files as arguments and results: they count by what is in them."""

import os
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nbflow import File, Flow, task
from nbflow.errors import UnidentifiableError


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def ran():
    return []


def run(build, ran):
    """Runs a flow that is built anew; gives the run and the names of what was called."""
    ran.clear()
    with Flow("files", store="store") as flow:
        build()
    return flow.run(check=True), list(ran)


def test_a_file_as_an_argument_counts_by_its_content(ran):
    Path("data.bin").write_text("one")

    @task(ignore=["ran"])
    def size(file):
        ran.append("size")
        return os.path.getsize(file)

    def build():
        return size(File("data.bin"))

    assert run(build, ran)[1] == ["size"]
    assert run(build, ran)[1] == []
    os.utime("data.bin", ns=(1, 1))
    assert run(build, ran)[1] == [], "only its time changed"
    Path("data.bin").write_text("more")
    again, called = run(build, ran)
    assert (again["size"], called) == (4, ["size"])
    Path("data.bin").write_text("one")
    assert run(build, ran)[1] == [], "as it was before"


@pytest.mark.parametrize("change", ["changed", "added", "removed", "nested"])
def test_a_folder_counts_by_all_that_is_in_it(ran, change):
    os.makedirs("many/deep")
    for name in ("many/a.txt", "many/b.txt", "many/deep/c.txt"):
        Path(name).write_text(name)

    @task(ignore=["ran"])
    def names(folder):
        ran.append("names")

    def build():
        return names(File("many"))

    assert run(build, ran)[1] == ["names"]
    assert run(build, ran)[1] == []
    if change == "changed":
        Path("many/a.txt").write_text("other")
    elif change == "added":
        Path("many/d.txt").write_text("")
    elif change == "removed":
        Path("many/b.txt").unlink()
    else:
        Path("many/deep/c.txt").write_text("other")
    assert run(build, ran)[1] == ["names"]


GLOBAL = File("global.bin")


def test_a_file_in_a_global_counts_by_its_content(ran):
    Path("global.bin").write_text("one")

    @task(ignore=["ran"])
    def use():
        ran.append("use")
        return str(GLOBAL)

    assert run(use, ran)[1] == ["use"]
    assert run(use, ran)[1] == []
    Path("global.bin").write_text("two")
    assert run(use, ran)[1] == ["use"]


def write_and_read(ran, *, declared):
    @task(ignore=["ran"], outputs=["out.txt"] if declared else [])
    def write(text):
        ran.append("write")
        Path("out.txt").write_text(text)
        return "out.txt" if declared else File("out.txt")

    @task(ignore=["ran"])
    def read(path):
        ran.append("read")
        return Path(path).read_text()

    return lambda text="one": read(write(text))


@pytest.mark.parametrize("declared", [True, False], ids=["outputs=", "returned File"])
def test_an_output_that_was_deleted_or_changed_is_written_again(ran, declared):
    build = write_and_read(ran, declared=declared)
    assert run(build, ran)[1] == ["write", "read"]
    assert run(build, ran)[1] == []
    os.remove("out.txt")
    again, called = run(build, ran)
    assert (again["read"], called[0]) == ("one", "write")
    Path("out.txt").write_text("by hand")
    again, called = run(build, ran)
    assert (again["read"], called[0]) == ("one", "write")
    assert run(build, ran)[1] == []


@pytest.mark.parametrize("declared", [True, False], ids=["outputs=", "returned File"])
def test_who_reads_an_output_sees_that_it_was_written_anew(ran, declared):
    build = write_and_read(ran, declared=declared)
    run(build, ran)
    again, called = run(lambda: build("two"), ran)
    assert (again["read"], called) == ("two", ["write", "read"])


def test_why_tells_of_an_output_that_is_gone(ran):
    build = write_and_read(ran, declared=True)
    run(build, ran)
    os.remove("out.txt")
    with Flow("files", store="store") as flow:
        build()
    assert "its output out.txt is gone" in str(flow.why("write"))


def test_each_element_has_its_own_output(ran):
    @task(ignore=["ran"], outputs=["plot-{name}.txt", lambda name: Path(f"{name}.log")])
    def plot(name):
        ran.append(name)
        Path(f"plot-{name}.txt").write_text(name)
        Path(f"{name}.log").write_text(name)

    def build():
        return plot.map(["a", "b", "c"])

    assert sorted(run(build, ran)[1]) == ["a", "b", "c"]
    os.remove("plot-b.txt")
    assert run(build, ran)[1] == ["b"]
    os.remove("c.log")
    assert run(build, ran)[1] == ["c"]


def test_a_declared_output_that_was_not_written_is_an_error(ran):
    @task(outputs=["never.txt"])
    def write():
        return 1

    with Flow("files", store="store") as flow:
        write()
    result = flow.run()
    assert "write did not write never.txt, which it names in outputs=" in str(result.error("write"))


def test_outputs_that_name_what_is_no_argument_are_an_error(ran):
    @task(outputs=["{nam}.txt"])
    def write(name):
        return 1

    with Flow("files", store="store") as flow:
        write("a")
    assert "outputs='{nam}.txt' gives no path for its arguments ['name']" in str(flow.run().error("write"))


def test_files_inside_a_result_are_outputs_too(ran):
    @task(ignore=["ran"])
    def write():
        ran.append("write")
        for name in ("a.txt", "b.txt"):
            Path(name).write_text(name)
        return {"a": File("a.txt"), "rest": [File("b.txt")]}

    run(write, ran)
    assert run(write, ran)[1] == []
    os.remove("b.txt")
    assert run(write, ran)[1] == ["write"]


def test_a_file_that_was_looked_at_before_another_task_wrote_it_is_looked_at_again(ran):
    """What was known of a file at the start of a run is not what it is after a task has written it."""
    Path("shared.txt").write_text("one")

    @task(ignore=["ran"])
    def first():
        ran.append("first")
        return Path("shared.txt").read_text()

    @task(ignore=["ran"])
    def write(text):
        ran.append("write")
        Path("shared.txt").write_text(text)

    @task(ignore=["ran"])
    def read():
        ran.append("read")
        return Path("shared.txt").read_text()

    def build(text):
        before = first()
        read(upstream=[write(text, upstream=[before])])

    with pytest.warns(UserWarning, match="write wrote it anew after first had read it"):
        run(lambda: build("two"), ran)
    Path("shared.txt").write_text("one")
    with pytest.warns(UserWarning, match="write wrote it anew after first had read it"):
        again, _ = run(lambda: build("three"), ran)
    assert again["read"] == "three"


def test_a_partial_output_of_a_task_that_failed_is_no_result(ran):
    fail = [True]

    @task(ignore=["ran", "fail"], outputs=["part.txt"])
    def write():
        ran.append("write")
        Path("part.txt").write_text("half")
        if fail:
            raise ValueError("in the middle")
        Path("part.txt").write_text("whole")

    with Flow("files", store="store") as flow:
        write()
    assert not flow.run().ok
    fail.clear()
    assert run(write, ran)[1] == ["write"]
    assert Path("part.txt").read_text() == "whole"


def test_files_that_threads_of_a_task_open_are_seen(ran):
    for name in "abc":
        Path(f"{name}.txt").write_text(name)

    @task(ignore=["ran"])
    def read():
        ran.append("read")
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(lambda name: Path(f"{name}.txt").read_text(), "abc"))

    run(read, ran)
    assert run(read, ran)[1] == []
    Path("c.txt").write_text("changed")
    again, called = run(read, ran)
    assert (again["read"], called) == (["a", "b", "changed"], ["read"])


def test_tasks_side_by_side_have_files_of_their_own(ran):
    both = threading.Barrier(2, timeout=10)
    for name in "ab":
        Path(f"{name}.txt").write_text(name)

    @task(ignore=["ran", "both"], executor="threads")
    def one():
        ran.append("one")
        both.wait()
        return Path("a.txt").read_text()

    @task(ignore=["ran", "both"], executor="threads")
    def other():
        ran.append("other")
        both.wait()
        return Path("b.txt").read_text()

    def build():
        one()
        other()

    run(build, ran)
    both.abort()
    Path("b.txt").write_text("changed")
    with Flow("files", store="store") as flow:
        build()
    assert [row.freshness.label for row in flow.plan().rows] == ["fresh", "stale"]


def test_a_database_in_wal_mode_is_seen_to_change(ran):
    writer = sqlite3.connect("data.db")
    writer.execute("PRAGMA journal_mode=WAL")
    writer.execute("CREATE TABLE t (n)")
    writer.commit()

    @task(ignore=["ran"])
    def count():
        ran.append("count")
        with sqlite3.connect("data.db") as reader:
            found = reader.execute("SELECT count(*) FROM t").fetchone()[0]
        reader.close()
        return found

    assert run(count, ran)[0]["count"] == 0
    assert run(count, ran)[1] == []
    writer.execute("INSERT INTO t VALUES (1)")
    writer.commit()
    assert run(count, ran)[0]["count"] == 1
    writer.close()


def test_what_reads_its_files_later_has_no_identity(ran):
    import polars as pl

    pl.DataFrame({"a": [1]}).write_parquet("a.parquet")
    later = pl.scan_parquet("a.parquet")

    @task
    def use(frame):
        return frame.collect().height

    with Flow("files", store="store") as flow:
        use(later)
    error = flow.run().error("use")
    assert isinstance(error, UnidentifiableError)
    assert "reads its files later" in str(error)
