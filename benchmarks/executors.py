"""Executors beside the bare ones of Python, in the same run; a part of `make bench`."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

REPEATS = 5
MANY = 100_000
HAND_BATCHED = 5_000
Row = tuple[str, str, list[float], float | None, str]

FIRST_WORKER = """
import sys, time
from nbflow.executors.pool import POOL
began = time.perf_counter()
POOL.borrow()
print(time.perf_counter() - began)
"""


def crunch(n: int) -> int:
    """About 0.1 s of CPU."""
    total = 0
    for i in range(1_600_000):
        total += (i * n) & 7
    return total


def nap(_: int) -> None:
    time.sleep(0.05)


def executor_rows() -> list[Row]:
    return [threads_row(), *processes_rows(), start_row(), *dask_rows()]


def threads_row() -> Row:
    from nbflow import Flow, task

    ideal_s = 200 * 0.05 / 8
    with tempfile.TemporaryDirectory() as store:
        with Flow("naps", store=store) as flow:
            task(nap, cache=False, concurrency=8).map(range(200))
        ours = [_timed(flow.run) for _ in range(REPEATS)]
    with ThreadPoolExecutor(8) as pool:
        bare = _timed(lambda: list(pool.map(nap, range(200))))
    goal = f"≤ {ideal_s / 0.97:.3g}"
    return ("200 sleeps of 50 ms on 8 threads; bare pool", "s", ours, bare, goal)


def processes_rows() -> list[Row]:
    """In turns, so that both meet the same noise."""
    from nbflow import Flow, task

    ours, bare = [], []
    with tempfile.TemporaryDirectory() as store, ProcessPoolExecutor(2) as pool:
        with Flow("crunch", store=store, executor="processes") as flow:
            task(crunch, cache=False, concurrency=2).map(range(40))
        flow.run()
        list(pool.map(crunch, range(4)))
        for _ in range(REPEATS):
            ours.append(_timed(flow.run))
            bare.append(_timed(lambda: list(pool.map(crunch, range(40)))))
    ratios = [a / b for a, b in zip(ours, bare, strict=True)]
    return [
        ("40 tasks of 0.1 s CPU on 2 processes; bare pool", "s", ours, statistics.median(bare), "≤ 1.05 x"),
        ("  the same, times the bare pool", "x", ratios, None, "≤ 1.05"),
    ]


def start_row() -> Row:
    def first() -> float:
        command = [sys.executable, "-c", FIRST_WORKER]
        return float(subprocess.run(command, capture_output=True, check=True, text=True).stdout)

    first()
    return ("first worker process, from nothing", "s", [first() for _ in range(REPEATS)], None, "≤ 0.3")


def dask_rows() -> list[Row]:
    """Trivial elements on two workers of this machine; the floor is `client.submit` of slices made by hand."""
    from distributed import Client, LocalCluster

    from nbflow import DaskExecutor, Flow, task

    def increment(x: int) -> int:
        return x + 1

    def by_hand(client: Client) -> None:
        slices = [list(range(at, at + HAND_BATCHED)) for at in range(0, MANY, HAND_BATCHED)]
        client.gather([client.submit(lambda xs: [increment(x) for x in xs], each, pure=False) for each in slices])

    here = {"processes": True, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}
    floors: list[float] = []
    rows: list[Row] = []
    with LocalCluster(n_workers=2, **here) as cluster, Client(cluster, set_as_default=False) as client:
        for what, cache in (("without cache", False), ("cold cache", None)):
            seconds = []
            for _ in range(REPEATS):
                floors.append(_timed(partial(by_hand, client)) / MANY)
                with tempfile.TemporaryDirectory() as folder:
                    with Flow("bench", store=Path(folder) / "store", executor=DaskExecutor(client)) as flow:
                        task(cache=cache)(increment).map(range(MANY))
                    seconds.append(_timed(flow.run) / MANY)
            goal = f"≤ {min(40, 1.3e6 * statistics.median(floors)):.2g}"
            rows.append(
                (
                    f"{MANY:,} trivial elements on Dask, {what}, wall, one",
                    "µs",
                    seconds,
                    statistics.median(floors),
                    goal,
                )
            )
    return rows


def _timed(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began
