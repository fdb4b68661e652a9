"""Ctrl-C at any moment in the store: no transaction stays open, no lock stays held, nothing wrong is written."""

import random
import signal
import sqlite3
import threading
from pathlib import Path

import kit

INTERRUPTS = 3_000


def test_interrupts_leave_no_open_transaction_no_held_lock_and_no_wrong_row(scene):
    assert f"{INTERRUPTS} interrupts" in scene(__file__)


def work(store, start):
    """What a run does with a store, over and over."""
    while True:
        numbers = range(start % 200, start % 200 + 5)
        kit.put(store, numbers, replace=start % 3 == 0)
        kit.remember(store)
        store.flush()
        rows = store.look_up([kit.key_of(i) for i in numbers])
        for (row, *_), i in zip(rows.values(), range(5), strict=False):
            store.load(row)
            if i == start % 5:
                store.drop(row)
        start += 1


def free(store, root):
    """Asserts that another connection can write at once, and another thread use the store."""
    other = sqlite3.connect(root / "index.sqlite", timeout=5, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("ROLLBACK")
    other.close()
    thread = threading.Thread(target=lambda: store.look_up([kit.key_of(0)]), daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive(), "a lock is held"


def stop_clock():
    """Until it stands: on a busy machine the next interrupt comes while it is being stopped."""
    while True:
        try:
            signal.setitimer(signal.ITIMER_REAL, 0)
        except KeyboardInterrupt:
            continue
        return


def main():
    root = Path("store").absolute()
    told = []
    store = kit.opened(root, told)
    # From here on as Ctrl-C is, only by a clock.
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    moments = random.Random(1)
    count = 0
    while count < INTERRUPTS:
        try:
            # Python ignores one that comes in the callback of a weak reference, so that there is another one later.
            signal.setitimer(signal.ITIMER_REAL, moments.uniform(0.0001, 0.004), 0.1)
            work(store, count)
        except KeyboardInterrupt:
            stop_clock()
            count += 1
        if count % 10 == 0:
            free(store, root)
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    kit.right(store, range(210))
    kit.put(store, range(210), replace=True)
    store.flush()
    assert kit.right(store, range(210)) == [*range(210)]
    store.close()
    assert kit.right(kit.opened(root), range(210)) == [*range(210)]
    assert told == [], told
    kit.sound(root)
    print(f"{count} interrupts")


if __name__ == "__main__":
    main()
