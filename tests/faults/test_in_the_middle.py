"""What befalls a store in the middle of a run costs recomputation at most: the run's values are right, and the next's."""

import os
import resource
import shutil
import sqlite3
import sys
from pathlib import Path

import kit
import pytest

from nbflow import Flow, task
from nbflow.flow.workshop import _STORES

ELEMENTS = range(8)


def blobs(root):
    return [path for path in (root / "blobs").rglob("*") if path.is_file()]


def overwrite(path, content):
    # Not in place: what is mapped from it would change under the run, as it would under any program.
    path.unlink()
    path.write_bytes(content)


def limit(root):
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))


def write_database(root, change):
    with open(root / "index.sqlite", "r+b") as stream:
        content = stream.read()
        stream.seek(0)
        stream.write(change(content))
        stream.truncate()


def lose(root):
    """Takes the store away, also where somebody writes to it at this moment."""
    while root.exists():
        shutil.rmtree(root, ignore_errors=True)


BEFALLS = {
    "nothing": lambda root: None,
    "large values lost": lambda root: [path.unlink() for path in blobs(root)],
    "large values cut off": lambda root: [overwrite(path, path.read_bytes()[:100]) for path in blobs(root)],
    "large values flipped": lambda root: [overwrite(p, p.read_bytes()[:-1] + b"\xff") for p in blobs(root)],
    "database zeroed": lambda root: write_database(root, lambda content: bytes(len(content))),
    "database inverted": lambda root: write_database(root, lambda content: bytes(255 - b for b in content)),
    "database cut off": lambda root: write_database(root, lambda content: content[: len(content) // 2]),
    "database empty": lambda root: write_database(root, lambda content: b""),
    "database lost": lambda root: [path.unlink() for path in root.glob("index.sqlite*")],
    "store lost": lambda root: lose(root),
    "no file may grow": limit,
}


@pytest.mark.parametrize("what", BEFALLS)
def test_a_run_whose_store_is_damaged_in_the_middle_gives_right_values(what, scene):
    scene(__file__, what)


def flow_in(root, called, befall):
    @task(ignore=["called"])
    def large(x):
        called.append(("large", x))
        return bytes([x]) * 70_000

    @task(ignore=["called", "befall"])
    def small(xs):
        called.append(("small", len(xs)))
        befall()
        return sum(xs)

    @task(ignore=["called"])
    def pair(xs, y):
        called.append(("pair", y))
        return (xs[0], y)

    with Flow("middle", store=root) as flow:
        parts = large.map(ELEMENTS)
        pair.map(parts, small.map(parts))
    return flow


def right(run):
    assert run["pair"] == [(x, x * 70_000) for x in ELEMENTS]
    assert run["large"] == [bytes([x]) * 70_000 for x in ELEMENTS]
    assert run["small"] == [x * 70_000 for x in ELEMENTS]


def first(root, what):
    """The large values are from an earlier process; the store is damaged while the middle task runs."""
    done = []

    def befall():
        if not done:
            done.append(what)
            BEFALLS[what](root)

    right(flow_in(root, called := [], befall).run(check=True))
    assert done, called


def again(root, *, nothing_runs):
    called = []
    right(flow_in(root, called, lambda: None).run(check=True))
    assert not (called and nothing_runs), called
    _STORES[root].close()


def earlier(root):
    flow_in(root, [], lambda: None).run(targets=["large"])
    _STORES[root].close()


@pytest.mark.parametrize("version", ["999", 7, b"\x00\xff"])
def test_a_database_of_a_future_version_is_set_aside_and_kept_whole(version, tmp_path):
    root = tmp_path / "store"
    store = kit.opened(root)
    kit.put(store, range(5))
    store.close()
    database = sqlite3.connect(root / "index.sqlite")
    database.execute("UPDATE meta SET value = ? WHERE name = 'schema'", (version,))
    database.execute("ALTER TABLE entry RENAME COLUMN kind TO what_it_is")
    database.commit()
    database.close()
    before = (root / "index.sqlite").read_bytes()
    store = kit.opened(root, told := [])
    assert kit.right(store, range(5)) == []
    kit.put(store, range(5))
    store.close()
    (aside,) = root.glob("set-aside-*")
    assert (aside / "index.sqlite").read_bytes() == before
    assert len(told) == 1
    assert "set aside" in told[0]


def test_case_57_a_task_that_fails_after_half_a_file_leaves_no_result(tmp_path):
    out, failing = tmp_path / "out.txt", [True]

    @task(ignore=["failing"])
    def save(lines, path):
        with open(path, "w") as stream:
            for number, line in enumerate(lines):
                if failing and number == 2:
                    raise OSError("the disk is gone")
                stream.write(line)
        return path

    @task
    def load(path):
        with open(path) as stream:
            return stream.read()

    with Flow("half", store=tmp_path / "store") as flow:
        load(save(["a", "b", "c"], str(out)))
    assert not flow.run().ok
    assert out.read_text() == "ab"
    assert not flow.run().ok, "it runs again: what is there is no result"
    failing.clear()
    assert flow.run()["load"] == "abc"


def main(what):
    root = Path("store").absolute()
    os.environ["PYTHONWARNINGS"] = "ignore"
    for work, arguments in (
        (earlier, {}),
        (first, {"what": what}),
        (again, {"nothing_runs": what == "nothing"}),
        (again, {"nothing_runs": True}),
    ):
        bad = kit.in_fork(lambda work=work, arguments=arguments: work(root, **arguments))
        assert not bad, f"{work.__name__}: {bad}"
    kit.sound(root)


if __name__ == "__main__":
    main(*sys.argv[1:])
