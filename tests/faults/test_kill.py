"""kill -9 at any moment: no acknowledged row is lost, none is wrong, and the store opens as if nothing had been."""

import os
import random
import signal
import sys
import time
from pathlib import Path

import kit
import pytest

KILLS = 100
FIRST = 50


@pytest.mark.parametrize("writers", [1, 4])
def test_a_kill_loses_nothing_that_was_acknowledged(writers, scene):
    assert f"{KILLS} kills" in scene(__file__, "write", writers)


def test_a_kill_while_a_store_is_made_leaves_one_that_opens(scene):
    assert "60 kills" in scene(__file__, "make")


def test_a_kill_of_a_run_keeps_what_was_acknowledged_and_the_next_run_is_right(scene):
    assert "20 kills" in scene(__file__, "run")


def write(root, name, acknowledge):
    """Puts rows in, some twice, takes some out, until it is killed; acknowledges what was flushed."""
    store = kit.opened(root)
    for i in range(1_000_000):
        kit.put(store, [i], name)
        if i % 7 == 6:
            kit.put(store, [i - 3], name, replace=True)
        if i % 11 == 10:
            store.flush()
            os.write(acknowledge, i.to_bytes(8, "little"))


def start(work, *arguments):
    """Forks a writer; gives its process id and where its acknowledgements are read."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            work(*arguments, writer)
        except BaseException as error:
            os.write(2, f"a writer ended: {error!r}\n".encode())
        os._exit(1)
    os.close(writer)
    return child, reader


def killed(child, reader, acknowledged=b""):
    """Kills a writer; gives the last number that it acknowledged, -1 for none. acknowledged: what was read before."""
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "it must have been at work until then"
    while chunk := os.read(reader, 65536):
        acknowledged += chunk
    os.close(reader)
    return int.from_bytes(acknowledged[-8:], "little") if acknowledged else -1


def check(root, last):
    store = kit.opened(root, told := [])
    for name, acknowledged in last.items():
        found = kit.right(store, range(acknowledged + FIRST), name)
        missing = {*range(acknowledged + 1)} - {*found}
        assert not missing, f"lost of {name}: {sorted(missing)[:9]} of {acknowledged}"
    kit.put(store, [0], "after")
    store.close()
    kit.sound(root)
    assert told == []


def kill_writers(writers):
    moments = random.Random(writers)
    acknowledged = []
    for turn in range(KILLS // writers):
        names = [f"{turn}-{each}" for each in range(writers)]
        started = [start(write, Path("store").absolute(), name) for name in names]
        # Three turns of four are in the middle of the work, on a busy machine, too; one is wherever it is.
        firsts = [os.read(reader, 8) if turn % 4 else b"" for _, reader in started]
        time.sleep(moments.uniform(0, 0.05))
        last = {name: killed(*each, first) for name, each, first in zip(names, started, firsts, strict=True)}
        acknowledged += last.values()
        assert not (bad := kit.in_fork(check, Path("store").absolute(), last)), bad
    assert sum(number > 0 for number in acknowledged) > KILLS / 2, f"most kills must hit real work: {acknowledged}"
    print(f"{KILLS} kills, {sum(acknowledged)} rows acknowledged")


def make_and_write(root, acknowledge):
    write(root, "new", acknowledge)


def kill_makers():
    moments = random.Random(3)
    for turn in range(60):
        root = Path(f"store-{turn}").absolute()
        child, reader = start(make_and_write, root)
        time.sleep(moments.uniform(0, 0.03))
        assert not (bad := kit.in_fork(check, root, {"new": killed(child, reader)})), bad
    print("60 kills")


def flow_of(root, count, called):
    from nbflow import Flow, task

    @task(ignore=["called"])
    def square(x):
        called(x)
        return x * x

    @task
    def total(xs):
        return sum(xs)

    with Flow("killed", store=root) as flow:
        total(square.map(range(count)))
    return flow


def run_until_killed(root, count, acknowledge):
    def called(x):
        os.write(acknowledge, x.to_bytes(8, "little"))
        time.sleep(0.001)

    flow_of(root, count, called).run(check=True)
    time.sleep(60)


def go_on(root, count):
    called = []
    run = flow_of(root, count, called.append).run(check=True)
    assert run["total"] == sum(x * x for x in range(count))
    assert run["square"] == [x * x for x in range(count)]
    called.clear()
    flow_of(root, count, called.append).run(check=True)
    assert called == [], "now all of it is kept"


def kill_runs():
    moments = random.Random(5)
    for turn in range(20):
        root = Path("store").absolute()
        count = 100 * (turn + 1)
        child, reader = start(run_until_killed, root, count)
        time.sleep(moments.uniform(0.02, 0.25))
        killed(child, reader)
        assert not (bad := kit.in_fork(go_on, root, count)), bad
        kit.sound(root)
    print("20 kills")


if __name__ == "__main__":
    {"write": lambda: kill_writers(int(sys.argv[2])), "make": kill_makers, "run": kill_runs}[sys.argv[1]]()
