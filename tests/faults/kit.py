"""Rows that tell by their key what must be in them, and forks to break things in."""

import functools
import os
import shutil
import signal
import sqlite3
import sys
import traceback
from pathlib import Path

import numpy as np
from xxhash import xxh3_128_digest

from nbflow.codecs import seal
from nbflow.errors import DamagedEntry
from nbflow.probe.files import FileMark, trace_id
from nbflow.store import LOOP_STEP, VALUE, Entry, Last, Store

PAST_NS = 1_000


def digest(*parts):
    return xxh3_128_digest(repr(parts).encode())


def key_of(i, name="r"):
    return digest("key", name, i)


def value_of(i, name="r"):
    """Small things, texts, and now and then an array that becomes a file."""
    if i % 12 == 2:
        return np.arange(9_000, dtype=float) + i
    return [(name, i), f"{name}{i}" * 400, {name: [i, None, 2.5]}, i**40][i % 4]


@functools.cache
def digest_of(i, name="r"):
    return seal(value_of(i, name)).digest(b"")


@functools.cache
def marks_of(i, name="r"):
    if i % 4:
        return ()
    return tuple(FileMark(os.path.abspath(f"/data/{name}{i}-{j}.csv"), "file", digest(name, i, j)) for j in range(3))


@functools.cache
def entry_of(i, name="r"):
    marks = marks_of(i, name)
    return Entry(
        key=key_of(i, name),
        trace=trace_id(marks) if marks else b"",
        out=digest("out", name, i),
        members=b"".join(digest("member", name, i, j) for j in range(i % 3)),
        kind=LOOP_STEP if i % 6 == 5 else VALUE,
        sealed=seal(value_of(i, name)),
        seconds=float(i),
        made_ns=i + 1,
        expires_ns=PAST_NS if i % 7 == 3 else None,
        session=f"session-{i}" if i % 7 == 5 else None,
        task=name,
    )


def put(store, numbers, name="r", *, replace=False):
    for i in numbers:
        if marks_of(i, name):
            store.put_trace(trace_id(marks_of(i, name)), marks_of(i, name))
    return store.put([entry_of(i, name) for i in numbers], replace=replace)


def right(store, numbers, name="r"):
    """Those of the rows that are there and can be read; AssertionError for anything that is not what was put."""
    found = []
    rows = store.look_up([key_of(i, name) for i in numbers])
    for i in numbers:
        for row in rows.get(key_of(i, name), ()):
            entry = entry_of(i, name)
            for fact in ("key", "trace", "out", "members", "kind", "expires_ns", "session"):
                assert getattr(row, fact) == getattr(entry, fact), f"{fact} of {name}{i}: {row}"
            known = store.traces([row.trace]).get(row.trace) if row.trace else ()
            assert known is None or set(known) == set(marks_of(i, name)), f"trace of {name}{i}: {known}"
            try:
                value = store.load(row)
            except DamagedEntry:
                continue
            assert seal(value).digest(b"") == digest_of(i, name), f"value of {name}{i}: {value!r}"
            found.append(i)
    return found


def remember(store, name="r"):
    """What plans and histories are made of."""
    store.put_recipe(digest("code", name), [("code", "f", digest("f"), "def f():\n    return 1\n" * 20)])
    last = Last(digest("last"), digest("code", name), (("value", "x", digest("x"), "1"),), key_of(1) * 3, 1.5, 3)
    store.put_last(name, "node", last)
    store.add_run(flow=name, started_ns=5, seconds=1.0, ran=1, reused=2, failed=3)


def recall(store, name="r"):
    """Reads what plans and histories are made of."""
    store.recipe(digest("code", name))
    store.last(name)
    store.runs()
    store.size_bytes()


def sound(root):
    """Asserts that SQLite finds nothing wrong with the store's database."""
    database = sqlite3.connect(root / "index.sqlite", timeout=30)
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    database.close()


def in_fork(work, *arguments, bound_s=30):
    """Calls work in a fork; "" when that ended well, else what it died of, as text."""
    sys.stdout.flush()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(bound_s)
        _end(work, arguments, writer)
    os.close(writer)
    with os.fdopen(reader, errors="replace") as stream:
        told = stream.read()
    _, status = os.waitpid(child, 0)
    return f"ended by {signal.Signals(os.WTERMSIG(status)).name}\n" + told if os.WIFSIGNALED(status) else told


def _end(work, arguments, writer):
    try:
        work(*arguments)
        text = ""
    except BaseException:
        text = traceback.format_exc() or "an error without a text"
    with os.fdopen(writer, "w", errors="replace") as stream:
        stream.write(text)
    # Without the ends of the process it was forked from.
    os._exit(0)


def in_forks(work, cases, *, each=20, most=3):
    """Calls work(*case) for each case, in forks that take some of them; fails with the first few that went wrong."""

    def series(some):
        for case in some:
            try:
                work(*case)
            except BaseException as error:
                error.add_note(f"in case {case}")
                raise

    parts = [cases[start : start + each] for start in range(0, len(cases), each)]
    bad = [f"{part[0]} to {part[-1]}\n{told}" for part in parts if (told := in_fork(series, part, bound_s=100))]
    if bad:
        sys.exit(f"{len(bad)} of {len(parts)} series of {each} cases:\n" + "\n".join(bad[:most]))


def fresh_copy(source, place):
    """A copy of a store; its large values are the same files, so who damages one takes it away first."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(source, place, copy_function=_copied)
    os.chmod(place, 0o700)
    return Path(place).absolute()


def _copied(source, target):
    return os.link(source, target) if "blobs" in source else shutil.copyfile(source, target)


def opened(root, told=None):
    return Store.open(Path(root), told.append if told is not None else lambda message: None)
