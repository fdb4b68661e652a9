"""What is around a task in another process: it is what the kernel has, and what the task makes of it is noticed."""

import csv
import decimal
import functools
import importlib
import logging
import multiprocessing
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
import warnings

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from nbflow import task, unmapped
from nbflow.errors import NbflowWarning
from nbflow.executors.pool import POOL
from nbflow.executors.settings import settings


def counted(flow_of, executor, fn, *, ignore=(), count=6, **options):
    """Which elements of a map of the function are computed in two runs, and what is told of the first one."""
    with flow_of(executor) as flow:
        task(fn, name="rank", ignore=ignore, executor=executor, **options).map(range(count))
    first = flow.run()
    return first["rank"], flow.run().table.ran.sum()


def appended():
    seen = []

    def rank(x):
        seen.append(x)
        return len(seen)

    return rank, "seen"


def rebound():
    count = 0

    def rank(x):
        nonlocal count
        count += 1
        return count

    return rank, "count"


def used_as_cache():
    known = {}

    def rank(x):
        return known.setdefault("first", x)

    return rank, "known"


def counted_by_a_class():
    class Counter:
        n = 0

    def rank(x):
        Counter.n += 1
        return Counter.n

    return rank, "Counter.n"


@pytest.mark.parametrize("make", [appended, rebound, used_as_cache, counted_by_a_class])
def test_what_depends_on_globals_that_calls_change_is_not_stored(make, flow_of, executor):
    rank, name = make()
    with pytest.warns(NbflowWarning, match=f"rank: '{name}' changed while it ran, so its results are returned and not"):
        _, ran = counted(flow_of, executor, rank)
    assert ran == 6


@pytest.mark.parametrize("timeout_s", [None, 30])
def test_what_is_told_early_of_a_batch_is_not_stored_either(timeout_s, flow_of, executor):
    seen = []

    def rank(x):
        time.sleep(0.15)
        seen.append(x)
        return len(seen)

    with pytest.warns(NbflowWarning, match="'seen' changed while it ran"):
        _, ran = counted(flow_of, executor, rank, timeout_s=timeout_s)
    assert ran == 6


MODULE = """
TABLE = []
def add(x):
    TABLE.append(x)
    return len(TABLE)
def global_add(x):
    global COUNT
    COUNT += 1
    return COUNT
COUNT = 0
def size(x, i):
    return len(TABLE)
"""


@pytest.mark.parametrize(("function", "name"), [("add", "TABLE"), ("global_add", "COUNT")])
def test_globals_of_local_modules_are_looked_at_too(function, name, flow_of, executor, local_module):
    local_module("changing_globals", MODULE)
    module = importlib.import_module("changing_globals")
    with pytest.warns(NbflowWarning, match=f"'{name}' changed while it ran"):
        _, ran = counted(flow_of, executor, getattr(module, function))
    assert ran == 6


@pytest.mark.filterwarnings("ignore:add")
@pytest.mark.filterwarnings("ignore:size")
@pytest.mark.parametrize("cache", [None, False])
def test_what_another_task_left_in_a_module_is_not_stored(cache, flow_of, away, local_module):
    local_module("left_globals", MODULE)
    module = importlib.import_module("left_globals")
    with flow_of(away) as flow:
        added = task(module.add, name="add", cache=cache)(1)
        sizes = task(module.size, name="size").map(unmapped(added), range(8))
    seen = flow.run()[sizes]
    assert set(seen) <= {0, 1}
    states = flow.run().frame("size")["state"].tolist()
    # Where another worker was asked, nobody had left anything.
    assert [state == "cached" for state in states if state] == [size == 0 for size in seen]


@pytest.mark.filterwarnings("error")
def test_globals_that_are_ignored_may_change(flow_of, executor):
    rank, name = appended()
    _, ran = counted(flow_of, executor, rank, ignore=[name])
    assert ran == 0


@pytest.mark.filterwarnings("error")
def test_helpers_that_remember_and_constants_are_no_change(flow_of, executor):
    table, factor = {"a": [1, 2]}, 3

    @functools.lru_cache
    def helper(x):
        return x * factor

    def rank(x):
        return helper(x % 2) + len(table["a"])

    results, ran = counted(flow_of, executor, rank)
    assert (results, ran) == ([2, 5] * 3, 0)


@pytest.fixture
def kept():
    """Puts back what a test sets."""
    decimals, level, limit = decimal.getcontext().copy(), logging.getLogger("mine").level, sys.getrecursionlimit()
    zone, arguments = os.environ.get("TZ"), list(sys.argv)
    with warnings.catch_warnings(), np.errstate(), np.printoptions(), mpl.rc_context():
        yield
    decimal.setcontext(decimals)
    logging.getLogger("mine").setLevel(level)
    sys.setrecursionlimit(limit)
    sys.argv[:] = arguments
    sys.set_int_max_str_digits(4300)
    socket.setdefaulttimeout(None)
    multiprocessing.set_start_method(None, force=True)
    csv.field_size_limit(131072)
    if "mine" in csv.list_dialects():
        csv.unregister_dialect("mine")
    pd.reset_option("display.precision")
    pd.reset_option("display.float_format")
    os.environ.pop("TZ", None)
    if zone is not None:
        os.environ["TZ"] = zone
    time.tzset()


def set_decimals():
    decimal.getcontext().prec = 50
    decimal.getcontext().traps[decimal.Inexact] = False
    decimal.getcontext().rounding = decimal.ROUND_UP


def set_timezone():
    os.environ["TZ"] = "Asia/Tokyo"
    time.tzset()


def turn_back_timezone():
    os.environ["TZ"] = "UTC"
    time.tzset()


def raised(call):
    try:
        call()
    except Exception as error:
        return type(error).__name__
    return None


def deep(n):
    return n and 1 + deep(n - 1)


def warn():
    warnings.warn("bad", RuntimeWarning, stacklevel=1)


# What is set, what turns it back, and what is seen of it.
CASES = {
    "arguments": (
        lambda: sys.argv.extend(["--year", "2024"]),
        lambda: sys.argv.__delitem__(slice(1, None)),
        lambda: list(sys.argv),
    ),
    "decimal": (set_decimals, lambda: decimal.setcontext(decimal.Context()), lambda: str(decimal.Decimal(1) / 3)),
    "warnings": (
        lambda: warnings.filterwarnings("error", category=RuntimeWarning),
        lambda: warnings.filterwarnings("ignore", category=RuntimeWarning),
        lambda: raised(warn),
    ),
    "numpy errors": (
        lambda: np.seterr(all="raise"),
        lambda: np.seterr(all="ignore"),
        lambda: raised(lambda: np.array([1.0]) / np.array([0.0])),
    ),
    "numpy print": (
        lambda: np.set_printoptions(precision=2),
        lambda: np.set_printoptions(precision=8),
        lambda: str(np.array([1 / 3])),
    ),
    "pandas": (
        lambda: pd.set_option("display.precision", 2),
        lambda: pd.reset_option("display.precision"),
        lambda: pd.DataFrame({"a": [1 / 3]}).to_string(),
    ),
    "pandas formatter": (
        lambda: pd.set_option("display.float_format", lambda x: f"<{x:.1f}>"),
        lambda: pd.reset_option("display.float_format"),
        lambda: pd.DataFrame({"a": [1 / 3]}).to_string(),
    ),
    "matplotlib": (
        lambda: mpl.rcParams.update({"figure.figsize": [3, 3]}),
        lambda: mpl.rcParams.update({"figure.figsize": [6.4, 4.8]}),
        lambda: list(mpl.rcParams["figure.figsize"]),
    ),
    "time zone": (set_timezone, turn_back_timezone, lambda: time.localtime(0).tm_hour),
    "recursion": (
        lambda: sys.setrecursionlimit(6000),
        lambda: sys.setrecursionlimit(1500),
        lambda: raised(lambda: deep(3000)),
    ),
    "digits": (
        lambda: sys.set_int_max_str_digits(1000),
        lambda: sys.set_int_max_str_digits(4300),
        lambda: raised(lambda: str(10**2000)),
    ),
    "socket timeout": (
        lambda: socket.setdefaulttimeout(7),
        lambda: socket.setdefaulttimeout(None),
        socket.getdefaulttimeout,
    ),
    "processes": (
        lambda: multiprocessing.set_start_method("forkserver", force=True),
        lambda: multiprocessing.set_start_method(None, force=True),
        lambda: multiprocessing.get_start_method(allow_none=True),
    ),
    "csv field": (
        lambda: csv.field_size_limit(5),
        lambda: csv.field_size_limit(131072),
        lambda: raised(lambda: list(csv.reader(["longer than that"]))),
    ),
    "csv dialects": (
        lambda: csv.register_dialect("mine", delimiter="|", strict=True),
        lambda: "mine" in csv.list_dialects() and csv.unregister_dialect("mine"),
        lambda: raised(lambda: csv.reader([], "mine")),
    ),
    "loggers": (
        lambda: logging.getLogger("mine").setLevel("DEBUG"),
        lambda: logging.getLogger("mine").setLevel("NOTSET"),
        lambda: logging.getLogger("mine").getEffectiveLevel() == logging.DEBUG,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_settings_of_the_notebook_hold_in_other_processes(case, flow_of, away, kept):
    put, turn_back, see = CASES[case]

    def seen():
        with flow_of(away) as flow:
            task(lambda _: see(), name="see", cache=False).map(range(3))
        return flow.run()["see"]

    put()
    here = see()
    assert seen() == [here] * 3
    turn_back()
    assert see() != here
    assert seen() == [see()] * 3


@pytest.mark.parametrize("case", CASES)
def test_settings_that_a_task_changes_are_gone_in_the_next_run(case, flow_of, away, kept):
    put, turn_back, see = CASES[case]
    turn_back()

    def run(fn):
        with flow_of(away) as flow:
            task(lambda _: fn(), name="see", cache=False).map(range(4))
        return flow.run()["see"]

    run(lambda: put() and None)
    assert run(see) == [see()] * 4


def test_settings_hold_for_libraries_that_a_task_imports_itself(flow_of, away, kept):
    pd.set_option("display.precision", 2)

    def text(x):
        import pandas  # noqa: ICN001 (under a name that the notebook has not imported)

        return pandas.DataFrame({"a": [1 / 3]}).to_string()

    with flow_of(away) as flow:
        task(text, cache=False).map(range(2))
    assert flow.run()["text"] == [text(0)] * 2


def test_settings_that_cannot_travel_are_left_out(flow_of, away, kept):
    lock = threading.Lock()
    pd.set_option("display.float_format", lambda x: f"{x}{lock}")
    pd.set_option("display.precision", 2)
    with flow_of(away) as flow:
        task(lambda: pd.get_option("display.precision"), name="precision", cache=False)()
    assert flow.run()["precision"] == 2


def test_the_time_that_sockets_may_take_is_not_that_of_calls(flow_of, kept):
    socket.setdefaulttimeout(0.1)
    # Those that are there have their connections.
    POOL.close()
    with flow_of("processes") as flow:
        large = task(lambda x: np.full(2_000_000, x), name="large").map(range(4))
        task(lambda array: time.sleep(0.3) or array.sum(), name="slow").map(large)
    assert flow.run()["slow"] == [0, 2_000_000, 4_000_000, 6_000_000]


def test_settings_are_equal_as_long_as_nothing_is_set():
    one, other = settings(), settings()
    assert one == other
    pd.set_option("display.precision", 3)
    try:
        assert settings() != one
    finally:
        pd.reset_option("display.precision")
    assert settings() == one


def test_colours_made_of_arrays_are_set_anew_and_travel(flow_of, away):
    def colour(x):
        import matplotlib as mpl

        return list(map(tuple, mpl.rcParams["axes.prop_cycle"].by_key()["color"]))

    with mpl.rc_context():
        for shade in (0.25, 0.5):
            colours = np.full((10, 4), shade)
            mpl.rcParams["axes.prop_cycle"] = mpl.cycler(color=colours)
            with flow_of(away) as flow:
                task(colour, cache=False).map(range(2))
            assert flow.run(check=True)["colour"] == [[(shade,) * 4] * 10] * 2


def test_python_itself_is_started_as_the_kernel_was(away, tmp_path, local_module):
    local_module("scales", "def scale(x):\n    assert x > 5\n    return x if __debug__ else 1000 * x\n")
    (tmp_path / "script.py").write_text(
        textwrap.dedent(f"""
            import sys
            import scales
            from nbflow import Flow, task

            with Flow("flags", store="store", executor="{away}") as flow:
                task(lambda: scales.scale(1), name="scaled")()
                task(lambda: (sys.flags.optimize, sys.flags.utf8_mode, sys.flags.bytes_warning), name="flags")()
            run = flow.run()
            print(run["scaled"], run["flags"])
        """)
    )
    command = [sys.executable, "-O", "-b", "-X", "utf8", "script.py"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, sys.path))}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("1000 (1, 1, 1)\n", "")


def test_dialects_that_came_with_a_module_stay_as_long_as_that(flow_of, executor, local_module):
    local_module("law_dialect", "import csv\ncsv.register_dialect('semi', delimiter=';')\n")

    def read(x):
        import csv

        import law_dialect  # noqa: F401

        return list(csv.reader([f"{x};b"], dialect="semi"))

    for name in ("first", "second"):
        with flow_of(executor, name) as flow:
            task(read, cache=False).map([1, 2])
        assert flow.run()["read"] == [[["1", "b"]], [["2", "b"]]]
