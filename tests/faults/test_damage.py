"""Flipped bits and cut-off ends: nothing wrong is ever served, nothing crashes, and the store goes on."""

import os
import random
import shutil
import sys
from pathlib import Path

import kit
import pytest

COUNT = 25
SEED = 7
FLIPS = {"database": 600, "journal": 200, "blobs": 8}


@pytest.mark.parametrize("what", FLIPS)
def test_a_flipped_bit_is_never_served_and_crashes_nothing(what, scene):
    scene(__file__, "flip", what)


@pytest.mark.parametrize("what", FLIPS)
def test_a_file_cut_off_anywhere_is_never_served_and_crashes_nothing(what, scene):
    scene(__file__, "cut", what)


def build(root, leave_journal):
    store = kit.opened(root)
    for start in range(0, COUNT, 5):
        kit.put(store, range(start, start + 5))
        store.flush()
    kit.remember(store)
    store.flush()
    if not leave_journal:
        store.close()


def victims(root, what):
    if what == "blobs":
        return [path for path in sorted((root / "blobs").rglob("*")) if path.is_file()]
    return [root / {"database": "index.sqlite", "journal": "index.sqlite-wal"}[what]]


def flipped(content, number):
    bit = random.Random(number * 1009 + SEED).randrange(len(content) * 8)
    content = bytearray(content)
    content[bit // 8] ^= 1 << bit % 8
    return bytes(content)


def check(original, victim, how, number):
    """One damage: what the store still gives is right, and what is put then is kept."""
    root = kit.fresh_copy(original, f"damaged-{os.getpid()}")
    path = root / victim
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(flipped(content, number) if how == "flip" else content[:number])
    told = []
    store = kit.opened(root, told)
    found = kit.right(store, range(COUNT))
    kit.recall(store)
    assert "blobs" not in victim or len(found) == COUNT - 1, "the damaged result, and no other, is gone"
    kit.put(store, [*range(COUNT), 1000])
    store.close()
    again = kit.opened(root, told)
    healed = kit.right(again, [*range(COUNT), 1000])
    again.close()
    assert healed == [*range(COUNT), 1000], f"not kept: {sorted({*range(COUNT), 1000} - {*healed})} {told}"
    assert len(told) == len(set(told)) < 4, told
    shutil.rmtree(root)


def main(how, what):
    original = Path("store").absolute()
    told = kit.in_fork(build, original, what == "journal")
    assert not told, told
    cases = []
    for path in victims(original, what):
        numbers = range(FLIPS[what]) if how == "flip" else range(0, path.stat().st_size, 512)
        if what == "blobs" and how == "cut":
            numbers = range(0, path.stat().st_size, 512 * 16 if cases else 512)
        cases += [(original, path.relative_to(original).as_posix(), how, number) for number in numbers]
    kit.in_forks(check, cases)


if __name__ == "__main__":
    main(*sys.argv[1:])
