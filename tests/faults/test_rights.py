"""Stores that may not be written, or not be trusted: the first are read, the others refused."""

import os
import sys
from pathlib import Path

import kit
import pytest

from nbflow import Flow, task
from nbflow.errors import StoreRefused

NOBODY = 65534
STORED = range(12)


@pytest.mark.parametrize("left", ["closed", "killed", "without a database"])
def test_a_read_only_store_gives_what_it_has_and_says_once_that_nothing_is_kept(left, scene):
    scene(__file__, left)


def build(root, left):
    store = kit.opened(root)
    kit.put(store, STORED)
    store.flush()
    flow_in(root, []).run()
    if left == "killed":
        # The journal of a kernel that was killed stays.
        os._exit(0)
    store.close()


def flow_in(root, called):
    @task(ignore=["called"])
    def double(x):
        called.append(x)
        return bytes([x]) * 70_000

    with Flow("rights", store=root) as flow:
        double.map([1, 2, 3])
    return flow


def read(root, there):
    """As a user who owns the store and may not write it."""
    if os.geteuid() == 0:
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    before = listing(root)
    store = kit.opened(root, told := [])
    assert kit.right(store, STORED) == ([*STORED] if there else [])
    assert kit.put(store, [100, 101]) == [None, None]
    kit.remember(store)
    for rows in store.look_up([kit.key_of(1)]).values():
        store.drop(rows[0])
    assert kit.right(store, [1]) == [], "it is gone for this process"
    kit.recall(store)
    store.close()
    assert [each for each in told if "not stored" in each] == told
    assert len(told) == 1
    run_in(root, there)
    assert listing(root) == before


def run_in(root, there):
    import warnings

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for again in (False, True):
            run = flow_in(root, called := []).run()
            assert run["double"] == [bytes([x]) * 70_000 for x in (1, 2, 3)]
            assert called == [] if there else sorted(called) == [1, 2, 3], again
    assert len([each for each in told if "not stored" in str(each.message)]) == 1


def listing(root):
    return sorted((str(path), path.stat().st_mtime_ns) for path in Path(root).rglob("*"))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can make another user's store")
def test_another_users_store_is_refused(tmp_path):
    kit.opened(tmp_path / "store").close()
    os.chown(tmp_path / "store", NOBODY, NOBODY)
    with pytest.raises(StoreRefused, match="another user.*NBFLOW_STORE"):
        flow_in(tmp_path / "store", []).run()


def test_a_run_with_a_store_that_others_may_write_is_refused(tmp_path):
    kit.opened(tmp_path / "store").close()
    (tmp_path / "store").chmod(0o777)
    with pytest.raises(StoreRefused, match="written by others.*NBFLOW_STORE"):
        flow_in(tmp_path / "store", called := []).run()
    assert called == []


def test_a_run_with_a_store_behind_a_symbolic_link_is_refused(tmp_path):
    kit.opened(tmp_path / "store").close()
    (tmp_path / "link").symlink_to(tmp_path / "store")
    with pytest.raises(StoreRefused, match="symbolic link.*NBFLOW_STORE"):
        flow_in(tmp_path / "link", []).run()


def main(left):
    root = Path("store").absolute()
    assert not (bad := kit.in_fork(build, root, left)), bad
    if left == "without a database":
        for path in root.glob("index.sqlite*"):
            path.unlink()
    os.chmod(".", 0o755)
    for path in (root, *root.rglob("*")):
        path.chmod(0o500 if path.is_dir() else 0o400)
        if os.geteuid() == 0:
            os.chown(path, NOBODY, NOBODY)
    assert not (bad := kit.in_fork(read, root, left != "without a database")), bad
    for path in (root, *root.rglob("*")):
        # So that the folder can be removed.
        path.chmod(0o700)


if __name__ == "__main__":
    main(*sys.argv[1:])
