"""The n-th write fails, for every n: the value is returned and not stored, it is said once, and the store stays valid."""

import ctypes
import errno
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import kit
import pytest

OLD, NEW = range(12), range(20, 32)
CODES = {"ENOSPC": errno.ENOSPC, "EIO": errno.EIO}


@pytest.fixture
def shim(place):
    """The library that lets calls fail, compiled here."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler; the test of file size limits lets writes fail, too")
    library = os.path.join(place, "failing.so")
    source = os.path.join(os.path.dirname(__file__), "failing.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return {"LD_PRELOAD": library}


@pytest.mark.parametrize("times", ["once", "for good"])
@pytest.mark.parametrize("code", CODES)
def test_the_store_stays_valid_whichever_write_fails(code, times, scene, shim):
    assert int(scene(__file__, "store", code, times, env=shim)) > 30


@pytest.mark.parametrize("code", CODES)
def test_a_run_gives_its_values_whichever_write_fails_for_good(code, scene, shim):
    assert int(scene(__file__, "run", code, "for good", env=shim)) > 30


def test_the_store_stays_valid_at_any_limit_of_file_sizes(scene):
    scene(__file__, "limit")


def build(root):
    store = kit.opened(root)
    kit.put(store, OLD)
    kit.remember(store)
    store.close()


def use(root):
    """What a run does with a store; gives what was told."""
    told = []
    store = kit.opened(root, told)
    assert {*kit.right(store, OLD)} <= {*OLD}
    for part in (NEW[:4], NEW[4:8]):
        kit.put(store, part)
        store.flush()
    kit.put(store, NEW[8:])
    kit.put(store, NEW[:4], replace=True)
    kit.remember(store)
    kit.right(store, [*OLD, *NEW])
    for rows in store.look_up([kit.key_of(1)]).values():
        store.drop(rows[0])
    assert kit.right(store, [1]) == [], "what was taken out is gone"
    store.close()
    assert len(told) == len(set(told)) <= 4, told
    return told


def afterwards(root, *, spared):
    """Asserts that the store is valid and goes on; gives what was kept."""
    told = []
    store = kit.opened(root, told)
    there = kit.right(store, [*OLD, *NEW])
    assert {*spared} <= {*there}, f"lost: {sorted({*spared} - {*there})} {told}"
    kit.put(store, [*OLD, *NEW], replace=True)
    store.close()
    store = kit.opened(root, told)
    assert kit.right(store, [*OLD, *NEW]) == [*OLD, *NEW]
    store.close()
    assert told == []
    kit.sound(root)
    return {*there}


def arm(folder, n, code, times):
    ctypes.CDLL(None).failing_arm(os.fsencode(folder), ctypes.c_long(n), CODES.get(code, 0), times == "for good")


def count_calls(work, original):
    """How many calls there are that could fail."""
    reader, writer = os.pipe()

    def counted():
        root = kit.fresh_copy(original, "counted")
        arm(root, 0, "", "")
        work(root)
        os.write(writer, str(ctypes.CDLL(None).failing_calls()).encode())

    assert not (bad := kit.in_fork(counted)), bad
    return int(os.read(reader, 100))


def fail_in_store(original, n, code, times):
    root = kit.fresh_copy(original, f"store-{os.getpid()}")
    arm(root, n, code, times)
    told = use(root)
    arm("", 0, "", "")
    kept = afterwards(root, spared={*OLD} - {1})
    assert {*NEW} <= kept or times == "once" or any("not stored" in each for each in told), told


def flow_in(root):
    from nbflow import Flow, task

    @task
    def large(x):
        return bytes([x]) * 80_000

    @task
    def total(xs):
        return sum(map(sum, xs))

    with Flow("failing", store=root) as flow:
        total(large.map(range(6)))
    return flow


def run_in(root):
    import warnings

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        run = flow_in(root).run(check=True)
        assert run["total"] == 1_200_000
        assert run["large"][5] == bytes([5]) * 80_000
    messages = [str(each.message) for each in told]
    assert len(messages) == len(set(messages)), messages


def fail_in_run(original, n, code, times):
    from nbflow.flow.workshop import _STORES

    root = kit.fresh_copy(original, f"store-{os.getpid()}-{n}")
    arm(root, n, code, times)
    run_in(root)
    arm("", 0, "", "")
    for store in _STORES.values():
        store.close()
    _STORES.clear()
    run_in(root)
    _STORES[root].close()
    afterwards(root, spared=OLD)


def limited(original, size):
    """No file may grow beyond a size: writes end in the middle."""
    root = kit.fresh_copy(original, f"store-{os.getpid()}")
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    told = use(root)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert told or size > 60_000
    afterwards(root, spared={*OLD} - {1})


def main(what, code="", times=""):
    original = Path("original").absolute()
    assert not (bad := kit.in_fork(build, original)), bad
    if what == "limit":
        kit.in_forks(limited, [(original, size) for size in range(0, 100_000, 2_000)], each=10)
        return
    work, fail = {"store": (use, fail_in_store), "run": (run_in, fail_in_run)}[what]
    count = count_calls(work, original)
    # A run imports and opens a good deal: some of its many writes must do.
    step = 1 if what == "store" else count // 20 + 1
    kit.in_forks(fail, [(original, n, code, times) for n in range(1, count + 1, step)], each=5)
    print(count)


if __name__ == "__main__":
    main(*sys.argv[1:])
