"""Overhead of nbflow in CPU time, beside the plain-Python floor of the same work in the same process.

Run with `make bench`, or a part of it: `python benchmarks/run.py executors`.
Each figure is the median of several runs; the machine's noise shows in the spread.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from executors import executor_rows

if TYPE_CHECKING:
    from collections.abc import Callable

REPEATS = 5
ELEMENTS = 10_000
CHAIN = 1_000


def main() -> None:
    parts = {
        "import": import_rows,
        "map": lambda: [*map_rows(), reopened_row()],
        "chain": chain_rows,
        "control": control_rows,
        "store": store_rows,
        "identity": identity_rows,
        "executors": executor_rows,
    }
    rows = [row for part in sys.argv[1:] or parts for row in parts[part]()]
    print(f"{'what':<58}{'median':>12}{'min':>10}{'max':>10}{'floor':>10}{'goal':>10}")
    for what, unit, seconds, floor, goal in rows:
        scale = {"s": 1.0, "ms": 1e3, "µs": 1e6, "x": 1.0}[unit]
        median, low, high = (f(seconds) * scale for f in (statistics.median, min, max))
        print(
            f"{what:<58}{median:>9.3g} {unit:<2}{low:>10.3g}{high:>10.3g}"
            f"{'' if floor is None else format(floor * scale, '.3g'):>10}{goal:>10}"
        )


Row = tuple[str, str, list[float], float | None, str]


IN_A_KERNEL = """
import ipykernel.ipkernel, ipykernel.zmqshell
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell()
"""


def import_rows() -> list[Row]:
    """With bytecode written, as after the first import by anybody."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": folder, "NBFLOW_STORE": f"{folder}/store"}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)

        def cpu(code: str, before: str = "") -> float:
            script = f"{before}\nimport time\nt = time.process_time()\n{code}\nprint(time.process_time() - t)"
            command = [sys.executable, "-c", script]
            return float(subprocess.run(command, capture_output=True, check=True, text=True, env=environment).stdout)

        rows: list[Row] = []
        for what, code, before, goal in (
            ("import nbflow", "import nbflow", "", "≤ 0.1"),
            ("from nbflow import Flow, task", "from nbflow import Flow, task", "", "≤ 0.1"),
            ("%load_ext nbflow in a kernel", "shell.run_line_magic('load_ext', 'nbflow')", IN_A_KERNEL, "≤ 0.15"),
        ):
            cpu(code, before)
            rows.append((what, "s", [cpu(code, before) for _ in range(REPEATS)], None, goal))
        return rows


def map_rows() -> list[Row]:
    from nbflow import Flow, task

    def increment(x: int) -> int:
        return x + 1

    floor = cpu_seconds(lambda: [increment(x) for x in range(ELEMENTS)]) / ELEMENTS
    rows: list[Row] = []
    for what, cache, goal in (("without cache", False, "≤ 5"), ("cold cache", None, "≤ 20")):
        seconds = []
        for _ in range(REPEATS):
            with tempfile.TemporaryDirectory() as folder:
                with Flow("bench", store=Path(folder) / "store") as flow:
                    task(cache=cache)(increment).map(range(ELEMENTS))
                seconds.append(cpu_seconds(flow.run) / ELEMENTS)
        rows.append((f"map of {ELEMENTS:,} trivial elements, {what}, an element", "µs", seconds, floor, goal))
    return rows


REOPENED = """
import sys, time
from nbflow import Flow, task
@task
def increment(x):
    return x + 1
with Flow("bench", store=sys.argv[1]) as flow:
    increment.map(range({elements}))
t = time.process_time()
run = flow.run()
print((time.process_time() - t) / {elements}, *run.counts())
"""


def reopened_row() -> Row:
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "flow.py"
        script.write_text(REOPENED.format(elements=ELEMENTS))

        def once() -> list[str]:
            command = [sys.executable, str(script), str(Path(folder) / "store")]
            return subprocess.run(command, capture_output=True, check=True, text=True).stdout.split()

        once()
        outputs = [once() for _ in range(REPEATS)]
    assert all(output[1:] == ["0", str(ELEMENTS), "0"] for output in outputs), outputs
    seconds = [float(output[0]) for output in outputs]
    return f"no-op rerun of {ELEMENTS:,} in a fresh process, an element", "µs", seconds, None, "≤ 12"


def chain_rows() -> list[Row]:
    from nbflow import Flow, task

    def step(x: int) -> int:
        return x + 1

    def floor() -> None:
        x = 0
        for _ in range(CHAIN):
            x = step(x)

    rows: list[Row] = []
    base = cpu_seconds(floor) / CHAIN
    for what, cache, length in (
        ("without cache", False, CHAIN),
        ("without cache", False, 4 * CHAIN),
        ("cold cache", None, CHAIN),
    ):
        seconds = []
        for _ in range(REPEATS):
            with tempfile.TemporaryDirectory() as folder:
                with Flow("bench", store=Path(folder) / "store") as flow:
                    node = 0
                    for _ in range(length):
                        node = task(cache=cache)(step)(node)
                seconds.append(cpu_seconds(flow.run) / length)
        rows.append((f"chain of {length:,} tasks, {what}, a node", "µs", seconds, base, "≤ 40"))
    return rows


def control_rows() -> list[Row]:
    """Iterations of a loop, nodes that a task makes, and branches, each 1,000 and 10,000 of them, without cache."""
    from nbflow import Flow, loop, signals, task

    def looping(count: int) -> None:
        def iterate() -> int:
            if loop.count < count:
                raise signals.LOOP(result=loop.count)
            return loop.count

        task(cache=False, max_loops=count)(iterate)()

    def dynamic(count: int) -> None:
        child = task(cache=False)(abs)
        task(cache=False)(lambda: [child(i) for i in range(count)])(name="parent")

    def branching(count: int) -> None:
        kind, body = task(cache=False)(lambda: "a")(name="kind"), task(cache=False)(abs)
        for i in range(count):
            # Half of them taken: a gate, and what stands in it.
            with kind if i % 2 else kind.case(f"b{i}"):
                body(i)

    rows: list[Row] = []
    for what, build in (("loop iteration", looping), ("dynamic child", dynamic), ("branch", branching)):
        for count in (ELEMENTS // 10, ELEMENTS):
            seconds = []
            for _ in range(REPEATS):
                with tempfile.TemporaryDirectory() as folder:
                    with Flow("bench", store=Path(folder) / "store") as flow:
                        build(count)
                    seconds.append(cpu_seconds(flow.run) / count)
            rows.append((f"{what}, of {count:,}, without cache", "µs", seconds, None, "≤ 60"))
    return rows


ARRAY_BYTES = 500_000_000
FROM_DISK = """
import sys, time
from pathlib import Path
from nbflow.store import Store
import numpy
store = Store.open(Path(sys.argv[1]))
(row,) = store.look_up([b"k" * 16])[b"k" * 16]
t, w = time.process_time(), time.perf_counter()
array = store.load(row)
print(time.process_time() - t, time.perf_counter() - w, array[-1])
"""


def store_rows() -> list[Row]:
    """A large array into the store beside np.save with fsync, and out of it, verified and mapped, beside its hash."""
    import os

    import numpy as np
    from xxhash import xxh3_128_digest

    from nbflow.codecs import seal
    from nbflow.identity.hashing import noted_hashes
    from nbflow.identity.value import Identifier
    from nbflow.store import VALUE, Entry, Store

    array = np.random.default_rng(0).random(ARRAY_BYTES // 8)
    with noted_hashes() as hashes:
        Identifier(lambda function: bytes(16))(array)
    times: dict[str, list[float]] = {name: [] for name in ("put", "put wall", "save", "save wall", "load", "load wall")}

    def clocked(name: str, call: Callable[[], object]) -> None:
        started, wall = time.process_time(), time.perf_counter()
        call()
        times[name].append(time.process_time() - started)
        times[f"{name} wall"].append(time.perf_counter() - wall)

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "store"

        def save() -> None:
            with (Path(folder) / "plain.npy").open("wb") as stream:
                np.save(stream, array)
                stream.flush()
                os.fsync(stream.fileno())

        def put() -> None:
            entry = Entry(b"k" * 16, b"", b"o" * 16, b"", VALUE, seal(array, hashes), 1.0, 1, None, None, "bench")
            store.put([entry])
            store.flush()

        for _ in range(REPEATS):
            (Path(folder) / "plain.npy").unlink(missing_ok=True)
            clocked("save", save)
            store = Store.open(root)
            store.clear()
            clocked("put", put)
            store.close()
            command = [sys.executable, "-c", FROM_DISK, str(root)]
            read = subprocess.run(command, capture_output=True, check=True, text=True).stdout.split()
            assert float(read[2]) == array[-1]
            times["load"].append(float(read[0]))
            times["load wall"].append(float(read[1]))
        hashing = statistics.median(cpu_seconds(lambda: xxh3_128_digest(array)) for _ in range(REPEATS))
    rows: list[Row] = []
    for kind, suffix in (("CPU", ""), ("wall", " wall")):
        floor = statistics.median(times[f"save{suffix}"])
        rows.append(
            (f"500 MB array into the store, {kind}; np.save + fsync", "ms", times[f"put{suffix}"], floor, "≤ 1.25 x")
        )
    for kind, suffix in (("CPU", ""), ("wall", " wall")):
        rows.append(
            (f"500 MB array verified and mapped, {kind}; its xxh3", "ms", times[f"load{suffix}"], hashing, "≤ 50")
        )
    return rows


def identity_rows() -> list[Row]:
    """Ids of code and of values; the floor is one plain hash over the same bytes."""
    import numpy as np
    import pandas as pd
    from xxhash import xxh3_128_digest

    from nbflow.identity.code import CodeIds
    from nbflow.probe.packages import Packages
    from nbflow.probe.sources import Sources

    sources, packages = Sources(), Packages()
    codes = CodeIds(sources, packages)
    identify = codes.identifier
    rows: list[Row] = []
    for what, goal, one in (
        ("in a plan that knows it", "≤ 30", lambda: codes.identify(cpu_seconds)),
        ("in a new plan", "", lambda: CodeIds(sources, packages).identify(cpu_seconds)),
    ):
        one()
        seconds = [cpu_seconds(partial(repeated, one)) / 1_000 for _ in range(REPEATS)]
        rows.append((f"code id, its walk remembered, {what}", "µs", seconds, None, goal))

    many = 100_000
    numbers = list(range(many))
    for kind, values, floor in (
        ("ints", numbers, lambda: [xxh3_128_digest(b"i%d" % i) for i in numbers]),
        ("strings", [str(i) for i in numbers], lambda: [xxh3_128_digest(str(i).encode()) for i in numbers]),
        ("tuples of two", [(i, str(i)) for i in numbers], lambda: [xxh3_128_digest(b"i%d" % i) for i in numbers * 3]),
    ):
        seconds = [cpu_seconds(partial(identify.ids, values, "values")) / many for _ in range(REPEATS)]
        rows.append((f"ids of {many:,} {kind}, one", "µs", seconds, cpu_seconds(floor) / many, "≤ 2"))

    array = np.random.default_rng(1).random(1 << 27)
    plain = statistics.median(cpu_seconds(partial(xxh3_128_digest, array)) for _ in range(REPEATS))
    for kind, data in (("integers", array.view("i8")), ("floats", array)):
        seconds = [cpu_seconds(partial(identify, data)) for _ in range(REPEATS)]
        rows.append((f"id of an array of 1 GiB of {kind}", "s", seconds, plain, f"≤ {plain / 0.8:.2g}"))

    columns = np.random.default_rng(1).random((4, 1_000_000))
    frame = pd.DataFrame(dict(zip("abcd", columns, strict=True)))
    floor_s = statistics.median(cpu_seconds(lambda: xxh3_128_digest(columns)) for _ in range(REPEATS))
    seconds = [cpu_seconds(lambda: identify(frame)) for _ in range(REPEATS)]
    rows.append(("id of a DataFrame of 1,000,000 × 4 floats", "s", seconds, floor_s, "≤ 0.01"))
    return rows


def repeated(call: Callable[[], object]) -> None:
    for _ in range(1_000):
        call()


def cpu_seconds(call: Callable[[], object]) -> float:
    started = time.process_time()
    call()
    return time.process_time() - started


if __name__ == "__main__":
    main()
