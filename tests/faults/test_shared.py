"""Many processes on one store: no error, no wrong value, nobody waits for long."""

import os
import random
import sys
import time
from pathlib import Path

import kit

PROCESSES = 8
# In `.ci/run`: 30.
SECONDS = float(os.environ.get("NBFLOW_FAULTS_S", "6"))
# What SQLite waits for a lock before it gives up.
MOST_WAIT_S = 30.0


def test_eight_processes_use_one_store_at_once(scene):
    assert int(scene(__file__, bound_s=SECONDS + 120)) > PROCESSES * 5


def use(root, number, counter):
    """Puts, looks up, reads, takes out and clears; half of the rows are also those of others."""
    moments = random.Random(number)
    store = kit.opened(root, told := [])
    end = time.monotonic() + SECONDS
    turns = 0
    longest_s = 0.0
    while time.monotonic() < end:
        name = "shared" if turns % 2 else f"own-{number}"
        numbers = moments.sample(range(60), 6)
        began = time.monotonic()
        kit.put(store, numbers, name, replace=turns % 5 == 0)
        store.flush()
        found = kit.right(store, numbers, name)
        longest_s = max(longest_s, time.monotonic() - began)
        assert name == "shared" or found == numbers, "nobody else takes out one's own"
        if turns % 7 == 0:
            for rows in store.look_up([kit.key_of(numbers[0], "shared")]).values():
                store.drop(rows[0])
        if turns % 50 == 49:
            store.clear(["shared"])
        kit.remember(store, name)
        turns += 1
    store.close()
    assert told == [], told
    assert longest_s < MOST_WAIT_S
    os.write(counter, turns.to_bytes(4, "little"))


def main():
    from concurrent.futures import ThreadPoolExecutor

    root = Path("store").absolute()
    reader, writer = os.pipe()
    with ThreadPoolExecutor(PROCESSES) as pool:
        ends = [pool.submit(kit.in_fork, use, root, n, writer, bound_s=int(SECONDS) + 90) for n in range(PROCESSES)]
        bad = [told for end in ends if (told := end.result())]
    assert not bad, "\n".join(bad)
    counts = os.read(reader, 1000)
    kit.sound(root)
    print(sum(int.from_bytes(counts[at : at + 4], "little") for at in range(0, len(counts), 4)))


if __name__ == "__main__":
    main(*sys.argv[1:])
