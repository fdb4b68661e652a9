"""What tasks give, whoever calls them."""

import functools
import importlib
import os
import re
import subprocess
import sys
import textwrap
import threading
import urllib.error
import warnings

import numpy as np
import pandas as pd
import pytest

from nbflow import Failed, Parameter, loop, merge, signals, switch, task, unmapped
from nbflow.errors import RunFailed

SCALE = 3


def scaled(x):
    return SCALE * x


class Point:
    def __init__(self, x):
        self.x = x

    def __eq__(self, other):
        return isinstance(other, Point) and other.x == self.x


def test_elements_come_back_in_their_order(flow_of, executor):
    with flow_of(executor) as flow:
        task(lambda x: x * x, name="square").map(range(50))
    assert flow.run()["square"] == [x * x for x in range(50)]


def test_functions_reach_closures_globals_and_helpers(flow_of, executor):
    offset = 7

    def helper(x):
        return x + offset

    with flow_of(executor) as flow:
        task(lambda x: scaled(helper(x)), name="both").map([1, 2])
    assert flow.run()["both"] == [24, 27]


@pytest.mark.parametrize(
    "value",
    [
        None,
        {"a": [1, (2.5, "x")], "b": {1, 2}},
        np.arange(30_000).reshape(3, -1),
        np.asfortranarray(np.ones((300, 200))),
        pd.DataFrame({"a": [1, 2], "b": ["x", None]}),
        pd.Series(range(20_000), name="s"),
        "é" * 200_000,
        Point(4),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_of_all_kinds_travel_both_ways(flow_of, executor, value):
    with flow_of(executor) as flow:
        made = task(lambda: value, name="made")()
        task(lambda v, w: (v, w), name="passed").map([value, value], unmapped(made))
    first = flow.run()["passed"][1]
    for got in first:
        assert type(got) is type(value)
        if isinstance(value, (pd.DataFrame, pd.Series)):
            assert got.equals(value)
        else:
            assert np.array_equal(got, value) if isinstance(value, np.ndarray) else got == value


def test_arguments_by_keyword_by_default_and_mapped_over_a_product(flow_of, executor):
    with flow_of(executor) as flow:
        task(lambda a, b, c=5: (a, b, c), name="t").product([1, 2], b=["x", "y"])
    assert flow.run()["t"] == [(1, "x", 5), (1, "y", 5), (2, "x", 5), (2, "y", 5)]


def test_a_map_of_a_map_and_its_sum(flow_of, executor):
    with flow_of(executor) as flow:
        squares = task(lambda x: x * x, name="square").map(range(10))
        halves = task(lambda x: x / 2, name="half").map(squares)
        task(sum, name="total")(halves)
    assert flow.run()["total"] == sum(x * x / 2 for x in range(10))


def test_one_failing_element_leaves_the_others(flow_of, executor):
    with flow_of(executor) as flow:
        task(lambda x: 1 / x, name="inverse").map([1, 0, 2])
    run = flow.run()
    assert run.values("inverse", failed="drop") == [1.0, 0.5]
    assert isinstance(run.failed("inverse").error.iloc[0], str)
    with pytest.raises(Exception, match="ZeroDivisionError"):
        run["inverse"]


class Panic(BaseException):
    """As libraries written in other languages raise, which no `except Exception` is to catch."""


async def awaited(error):
    raise error


FINAL = {"panic": Panic("no way out"), "sys.exit": SystemExit("goodbye")}


@pytest.mark.parametrize("error", FINAL.values(), ids=FINAL)
@pytest.mark.parametrize("is_async", [False, True], ids=["called", "awaited"])
def test_what_no_one_is_to_catch_costs_its_element_alone(flow_of, executor, error, is_async):
    def fail(x):
        if x == 1:
            raise error
        return x

    async def fail_later(x):
        return await awaited(error) if x == 1 else x

    for _ in range(2):
        with flow_of(executor) as flow:
            task(fail_later if is_async else fail, name="fail", cache=False).map(range(4))
        run = flow.run()
        assert run.values("fail", failed="drop") == [0, 2, 3]
        assert f"{type(error).__name__}: {error}" in run.failed("fail").error.iloc[0]


def exit_with_3():
    sys.exit(3)


def fail():
    raise ValueError("of a child")


async def later(function):
    return function()


LEFT = {"return": (lambda: "child", 0), "exit": (sys.exit, 0), "exit 3": (exit_with_3, 3), "error": (fail, 1)}


@pytest.mark.parametrize(("leave", "code"), LEFT.values(), ids=LEFT)
@pytest.mark.parametrize("is_async", [False, True], ids=["called", "awaited"])
def test_a_forked_child_ends_where_the_task_does(flow_of, away, leave, code, is_async):
    def fork(x):
        pid = os.fork()
        if not pid:
            return later(leave) if is_async else leave()
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    async def fork_later(x):
        made = fork(x)
        return made if isinstance(made, int) else await made

    with flow_of(away) as flow:
        task(fork_later if is_async else fork, name="fork", cache=False).map([1, 2])
        task(lambda x: x * 100, name="other", cache=False).map([1, 2])
    for _ in range(2):
        run = flow.run()
        assert run["fork"] == [code, code]
        assert run["other"] == [100, 200]


def test_no_interrupt_is_what_a_task_raises_in_another_process(flow_of, away):
    def fail(x):
        if x == 1:
            raise KeyboardInterrupt("mine")
        return x

    with flow_of(away) as flow:
        task(fail, cache=False).map(range(4))
    run = flow.run()
    assert run.values("fail", failed="drop") == [0, 2, 3]
    assert "KeyboardInterrupt: mine" in run.failed("fail").error.iloc[0]


def test_an_error_names_the_line_in_the_users_code(flow_of, executor):
    def inner(x):
        raise ValueError(f"no {x}")  # the line

    with flow_of(executor) as flow:
        task(lambda x: inner(x), name="broken")(3)
    with pytest.raises(Exception, match="no 3") as caught:
        flow.run(check=True)
    assert "# the line" in str(caught.value)


def test_causes_and_notes_of_an_error_are_kept(flow_of, executor):
    def broken():
        try:
            {}["k"]
        except KeyError as error:
            error.add_note("a note")
            raise RuntimeError("outer") from error

    with flow_of(executor) as flow:
        task(broken)()
    error = flow.run().error("broken")
    assert isinstance(error.__cause__, KeyError)
    assert error.__cause__.__notes__ == ["a note"]


class Busy(Exception):
    """As most people write them: its arguments are not those that Exception gets."""

    def __init__(self, host, code, lock=None):
        super().__init__(f"{host} said {code}")
        self.host, self.code, self.lock = host, code, lock


class Placed(OSError):
    __slots__ = ("place",)

    def __init__(self, place, *, code):
        self.place = place
        self.code = code

    def __str__(self):
        return f"{self.code} at {self.place}"


class WithLock(Exception):
    """What it shows cannot travel."""

    def __init__(self, lock):
        super().__init__()
        self.lock = lock

    def __str__(self):
        return f"still {type(self.lock).__name__}"


def _decoded():
    return b"\xff".decode()


def _encoded():
    return "\xff".encode("ascii")


def _compiled():
    return compile("a b", "file.py", "exec")


def raising(error):
    def fail():
        raise error()

    return fail


FAILING = {
    "its own arguments": raising(lambda: Busy("h", 3)),
    "an argument that cannot travel": raising(lambda: ValueError("x", threading.Lock())),
    "an attribute that cannot travel": raising(lambda: Busy("h", 3, threading.Lock())),
    "what it shows cannot travel": raising(lambda: WithLock(threading.Lock())),
    "slots": raising(lambda: Placed("/x", code=2)),
    "HTTP": raising(lambda: urllib.error.HTTPError("http://x", 503, "busy", {}, None)),
    "one in another": raising(lambda: ValueError(Busy("h", 3))),
    "a group": raising(lambda: ExceptionGroup("many", [Busy("h", 1), ExceptionGroup("more", [KeyError("k")])])),
    "decode": _decoded,
    "encode": _encoded,
    "syntax": _compiled,
    "missing file": lambda: open("/nowhere"),
    "exit": lambda: sys.exit(3),
    "import": lambda: importlib.import_module("nowhere.at_all"),
    "attribute": lambda: (1).nothing,
}


def without_addresses(error):
    """What the error, and those in it, look like."""
    inner = [without_addresses(each) for each in getattr(error, "exceptions", ())]
    return type(error).__name__, *(re.sub(" at 0x[0-9a-f]+", "", text) for text in (str(error), repr(error))), inner


@pytest.mark.parametrize("fail", FAILING.values(), ids=FAILING)
def test_an_error_arrives_as_it_was(flow_of, executor, fail):
    with pytest.raises(BaseException) as here:  # noqa: PT011 (any)
        fail()
    with flow_of(executor) as flow:
        task(lambda x: fail() if x == 1 else x, name="work", cache=False).map(range(3))
    run = flow.run()
    assert run.values("work", failed="drop") == [0, 2]
    error = run.error("work", 1)
    assert isinstance(error, type(here.value))
    assert without_addresses(error) == without_addresses(here.value)
    for name in ("host", "code", "place", "errno", "filename", "reason", "start", "lineno", "name"):
        assert getattr(error, name, None) == getattr(here.value, name, None)


@pytest.mark.parametrize("error", [Busy, urllib.error.HTTPError])
def test_retries_know_the_error_by_its_class(flow_of, executor, calls, error):
    note, of = calls.note, calls.of
    arguments = ("h", 3) if error is Busy else ("http://x", 503, "busy", {}, None)

    def work():
        note("work")
        if of("work") < 3:
            raise error(*arguments)
        return of("work")

    with flow_of(executor) as flow:
        task(work, retries=2, retry_on=(error,), cache=False)()
    assert flow.run()["work"] == 3


def test_retries_know_a_class_that_is_no_modules(flow_of, executor, calls):
    note, of = calls.note, calls.of

    class Local(Exception):
        def __init__(self, a, b):
            super().__init__(f"{a} {b}")
            self.a = a

    def work():
        note("work")
        if of("work") < 2:
            raise Local(1, 2)
        return "done"

    def late(x):
        raise Local(x, 2)

    with flow_of(executor) as flow:
        task(work, retries=2, retry_on=(Local,), cache=False)()
        failed = task(late, cache=False).map([5, 6])
        task(
            lambda r: [(isinstance(e.error, Local), e.error.a, str(e.error)) for e in r],
            name="after",
            trigger="all_finished",
        )(failed)
    run = flow.run()
    assert run["work"] == "done"
    assert run["after"] == [(True, 5, "5 2"), (True, 6, "6 2")]


def test_what_failed_upstream_is_told_by_its_class_and_attributes(flow_of, executor):
    def late(x):
        raise Busy("h", x, threading.Lock())

    with flow_of(executor) as flow:
        failed = task(late, cache=False).map([5])
        task(lambda r: [(isinstance(e.error, Busy), e.error.code) for e in r], name="after", trigger="all_finished")(
            failed
        )
        task(lambda e: (type(e.error).__name__, e.error.host, str(e.error)), name="each", trigger="all_finished").map(
            failed
        )
    run = flow.run()
    assert run["after"] == [(True, 5)]
    assert run["each"] == [("Busy", "h", "h said 5")]


def test_an_exception_as_a_result_is_the_same_everywhere(flow_of, executor, calls):
    note = calls.note

    def make(x):
        try:
            _decoded()
        except UnicodeDecodeError as error:
            return [error, ValueError(x)]

    def use(made):
        note("use")
        return [str(error) for error in made]

    def built(executor):
        with flow_of(executor) as flow:
            task(use)(task(make)(1))
        return flow

    expected = ["'utf-8' codec can't decode byte 0xff in position 0: invalid start byte", "1"]
    assert built(executor).run()["use"] == expected
    assert built("threads").run(force=["make"])["use"] == expected
    assert calls.of("use") == 1


def test_retries_count_attempts(flow_of, executor, calls):
    note, of = calls.note, calls.of

    def flaky(x):
        note("flaky")
        if of("flaky") < 3:
            raise OSError("again")
        return x

    with flow_of(executor) as flow:
        task(flaky, retries=3)(5)
    assert flow.run()["flaky"] == 5
    assert of("flaky") == 3


def test_signals_skip_fail_and_end_early(flow_of, executor):
    def choose(x):
        if x == 1:
            raise signals.SKIP("not this one")
        if x == 2:
            raise signals.SUCCESS(result="early")
        if x == 3:
            raise signals.FAIL("never")
        return x

    with flow_of(executor) as flow:
        task(choose, retries=2).map(range(4))
    run = flow.run()
    frame = run.frame("choose")
    assert [str(s).split()[-1] for s in frame.state] == ["success", "skipped", "success", "failed"]
    assert run.values("choose", failed="drop")[:2] == [0, "early"]


def test_loops_go_on_from_their_last_result_and_are_kept_by_iteration(flow_of, executor, calls):
    note = calls.note

    def grow(x):
        note("grow")
        so_far = loop.result or [x]
        if loop.count < 4:
            raise signals.LOOP(result=[*so_far, loop.count])
        return so_far

    with flow_of(executor) as flow:
        task(grow).map([10, 20])
    assert flow.run()["grow"] == [[10, 1, 2, 3], [20, 1, 2, 3]]
    assert flow.run()["grow"] == [[10, 1, 2, 3], [20, 1, 2, 3]]
    assert calls.of("grow") == 8


def test_a_loop_that_is_bounded_outside(flow_of, executor):
    with flow_of(executor) as flow:
        task(lambda x: (loop.result or x) * 2, name="double", loop_times=5)(1)
    assert flow.run()["double"] == 32


def test_branches_and_merge(flow_of, executor):
    with flow_of(executor) as flow:
        which = Parameter("which", default="a")
        with switch(which) as branch:
            with branch.case("a"):
                a = task(lambda: "was a", name="a")()
            with branch.default():
                b = task(lambda: "was b", name="b")()
        task(lambda x: x, name="end")(merge(a, b))
    assert flow.run()["end"] == "was a"
    assert flow.run(which="b")["end"] == "was b"


def test_what_trigger_functions_let_through_stands_in_place_of_a_failed_value(flow_of, executor):
    with flow_of(executor) as flow:
        bad = task(lambda: 1 / 0, name="bad")()
        task(lambda x: type(x).__name__, name="after", trigger="all_finished")(bad)
    assert flow.run()["after"] == Failed.__name__


def test_seeds_make_random_numbers_repeatable_and_the_same_everywhere(flow_of, executor):
    import random

    with flow_of(executor) as flow:
        task(lambda x: (random.random(), float(np.random.random())), name="draw", seed=4, by_position=True).map([1, 1])
    first = flow.run()["draw"]
    assert first[0] != first[1]
    with flow_of("sync", "again") as other:
        task(lambda x: (random.random(), float(np.random.random())), name="draw", seed=4, by_position=True).map([1, 1])
    assert other.run(force=["draw"])["draw"] == first


def test_prints_logs_and_warnings_are_kept_with_the_element(flow_of, executor):
    import logging

    def speak(x):
        print("said", x)
        warnings.warn(f"careful {x}", stacklevel=1)
        logging.getLogger("law").warning("logged %s", x)
        return x

    with flow_of(executor) as flow:
        task(speak).map([1, 2])
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        run = flow.run()
    text = str(run.log("speak"))
    assert "said 1" in text
    assert "said 2" in text
    assert "careful 2" in text
    assert run["speak"] == [1, 2]
    assert "said 1" in str(flow.run().log("speak"))


def test_a_file_that_a_task_reads_is_tracked(flow_of, executor, tmp_path, calls):
    note, path = calls.note, tmp_path / "data.txt"
    path.write_text("one")

    def read():
        note("read")
        with open(path) as stream:
            return stream.read()

    with flow_of(executor) as flow:
        task(read)()
    assert flow.run()["read"] == "one"
    assert flow.run()["read"] == "one"
    assert calls.of("read") == 1
    path.write_text("two!")
    assert flow.run()["read"] == "two!"


def test_an_argument_that_names_a_file_counts_by_its_content(flow_of, executor, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("x\n1\n")
    with flow_of(executor) as flow:
        task(lambda p: int(pd.read_csv(p).x.sum()), name="total").map([str(path)])
    assert flow.run()["total"] == [1]
    path.write_text("x\n1\n5\n")
    assert flow.run()["total"] == [6]


def test_relative_paths_and_the_environment_are_the_kernels(flow_of, executor, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAW_SAYS", "hello")
    (tmp_path / "here.txt").write_text("content")

    def look():
        with open("here.txt") as stream:
            return stream.read(), os.environ["LAW_SAYS"]

    with flow_of(executor) as flow:
        task(look)()
    assert flow.run()["look"] == ("content", "hello")
    monkeypatch.setenv("LAW_SAYS", "bye")
    assert flow.run()["look"] == ("content", "bye")


def test_a_change_in_place_of_a_shared_argument_harms_nobody(flow_of, executor):
    def take(x, bag):
        bag.append(x)
        return list(bag)

    with flow_of(executor) as flow:
        bag = task(lambda: ["start"], name="bag")()
        task(take).map([1, 2, 3], unmapped(bag))
        task(lambda b: b, name="after")(bag)
    with pytest.warns(UserWarning, match="in place"):
        run = flow.run()
    assert run["take"] == [["start", 1], ["start", 2], ["start", 3]]
    assert run["bag"] == ["start"]


def test_a_change_in_place_of_an_elements_own_argument_harms_nobody(flow_of, executor):
    def add(bag):
        bag.append("x")
        return len(bag)

    with flow_of(executor) as flow:
        bags = task(lambda n: [0] * n, name="bags").map([1, 2])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            task(add).map(bags)
            assert flow.run()["add"] == [2, 3]
    assert flow.run()["bags"] == [[0], [0, 0]]


def test_iterations_of_a_loop_each_get_arguments_as_they_were(flow_of, executor):
    def step(x, bag):
        bag.append(x)
        if loop.count < 3:
            raise signals.LOOP(result=len(bag))
        return len(bag)

    with flow_of(executor) as flow, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        task(step).map([1, 2], unmapped([0]))
        assert flow.run()["step"] == [2, 2]


def test_a_change_of_its_own_argument_is_told(flow_of, executor):
    with flow_of(executor) as flow:
        made = task(lambda: {"a": 1}, name="made")()
        task(lambda d: d.update(b=2) or len(d), name="spoil")(made)
    with pytest.warns(UserWarning, match="task 'spoil' changed its argument 'd'"):
        assert flow.run()["spoil"] == 2
    assert flow.run()["made"] == {"a": 1}


def test_tasks_make_tasks_while_they_run(flow_of, executor):
    @task
    def leaf(x):
        return x + 1

    @task
    def parent(n, base):
        @task
        def own(x):
            return x * 100

        return {"leaves": [leaf(i) for i in range(n)], "own": own(base), "outer": leaf(start)}

    with flow_of(executor) as flow:
        start = leaf(10)
        parent(3, 7)
        parent.map([1, 2], unmapped(1), name="many")
    run = flow.run()
    assert run["parent"] == {"leaves": [1, 2, 3], "own": 700, "outer": 12}
    assert run["many"][1] == {"leaves": [1, 2], "own": 100, "outer": 12}
    again = flow.run()
    assert again["parent"] == run["parent"]
    assert again.table.ran.sum() == 0


def test_a_task_that_makes_itself_again(flow_of, executor):
    @task
    def down(n):
        return n if n == 0 else down(n - 1)

    with flow_of(executor) as flow:
        down(20)
    assert flow.run()["down"] == 0


def test_a_loop_whose_result_is_nodes(flow_of, executor):
    @task
    def double(x):
        return 2 * x

    @task
    def rounds(x):
        if loop.count < 4:
            raise signals.LOOP(result=double(loop.result or x))
        return loop.result

    with flow_of(executor) as flow:
        rounds(1)
    assert flow.run()["rounds"] == 8


def test_local_modules_are_those_that_the_kernel_imported(flow_of, executor, local_module):
    path = local_module(
        "law_helpers",
        "K = 2\ndef times(x):\n    return K * x\nclass Box:\n    def __init__(self, x):\n        self.x = x\n",
    )
    helpers = importlib.import_module("law_helpers")
    with flow_of(executor) as flow:
        boxes = task(lambda x: helpers.Box(helpers.times(x)), name="boxes").map([1, 2])
        task(lambda box: box.x, name="opened").map(boxes)
    assert flow.run()["opened"] == [2, 4]
    assert isinstance(flow.run()["boxes"][0], helpers.Box)
    # Edited, and not imported again: the kernel still knows the old code, and so must all others.
    path.write_text("K = 100\ndef times(x):\n    return K * x * 1000\nclass Box:\n    pass\n")
    with flow_of(executor, "second") as flow:
        task(lambda x: helpers.times(x) + 0, name="again").map([3])
    assert flow.run()["again"] == [6]
    importlib.reload(helpers)
    with flow_of(executor, "third") as flow:
        task(lambda x: helpers.times(x) + 0, name="again").map([3])
    assert flow.run()["again"] == [300_000]


HOLDS = """
K = 1
TABLE = {"a": 1}
def times(x):
    return K * x
def plus(x):
    return x + 100
def minus(x):
    return x - minus.step
minus.step = 1
class Box:
    size = 1
    def __init__(self, x):
        self.x = x
    def whole(self):
        return K, self.size, self.more(), self.x
    def more(self):
        return "more"
KEPT = [Box(0)]
"""


def test_local_modules_hold_what_they_hold_in_the_kernel(flow_of, executor, local_module):
    local_module("law_holds", HOLDS)
    local_module("law_too", "import law_holds\nfrom law_holds import plus, K\ndef both(x): return plus(x), K\n")
    holds, too = importlib.import_module("law_holds"), importlib.import_module("law_too")

    def results(name):
        with flow_of(executor, name) as flow:
            task(lambda x: (holds.K, holds.times(x), holds.TABLE["a"], holds.plus(x), holds.minus(x)), name="f").map(
                [1]
            )
            task(lambda x: too.both(x), name="g").map([1])
            task(lambda box: box.whole(), name="h").map([holds.Box(3)])
            task(lambda: [box.whole() for box in holds.KEPT], name="i")()
        run = flow.run()
        return run["f"][0], run["g"][0], run["h"][0], run["i"]

    as_imported = ((1, 1, 1, 101, 0), (101, 1), (1, 1, "more", 3), [(1, 1, "more", 0)])
    assert results("one") == as_imported
    holds.K, too.K, too.plus = 5, 6, abs
    holds.TABLE["a"] = 7
    holds.Box.size = 8
    holds.Box.more = lambda self: "less"
    holds.minus.step = 10
    # As in a cell: a decorated function bears the name of the one that it replaces.
    cell = "import functools\nplus = holds.plus\nholds.plus = functools.wraps(plus)(lambda x: plus(x) * 2)"
    exec(compile(cell, "cell-1", "exec"), {"holds": holds, "__name__": "__main__"})
    holds.KEPT.append(holds.Box(9))
    kept = [(5, 8, "less", 0), (5, 8, "less", 9)]
    assert results("two") == ((5, 5, 7, 202, -9), (1, 6), (5, 8, "less", 3), kept)
    importlib.reload(holds)
    importlib.reload(too)
    assert results("three") == as_imported


def test_what_a_task_leaves_in_a_module_is_there_until_the_run_ends(flow_of, away, local_module):
    local_module("law_lazy", "LOADED = []\ndef loaded():\n    LOADED.append(1)\n    return len(LOADED)\n")
    lazy = importlib.import_module("law_lazy")
    for _ in range(2):
        with flow_of(away) as flow:
            first = task(lambda: lazy.loaded(), name="first", cache=False)()
            task(lambda x: (x, lazy.loaded()), name="second", cache=False)(first)
        # Which worker gets the second one is open.
        assert flow.run()["second"] in {(1, 1), (1, 2)}


SHARED = """
NOT_GIVEN = object()
LAW_NAMES = {"a": 1}
KINDS = ["x"]
def default(x=NOT_GIVEN, *, names=LAW_NAMES):
    return "none" if x is NOT_GIVEN else len(names)
def kinds():
    return sorted(KINDS)
"""


def test_what_modules_share_they_share_everywhere(flow_of, executor, local_module):
    local_module("law_shared", SHARED)
    local_module(
        "law_sharing",
        "from law_shared import KINDS, NOT_GIVEN, default\n"
        "def add(x):\n    KINDS.append(x)\n    return KINDS\n"
        "def ask():\n    return default(NOT_GIVEN), default(), default(1)\n",
    )
    shared, sharing = importlib.import_module("law_shared"), importlib.import_module("law_sharing")
    vars(shared)["LAW_NAMES"]["b"] = 2
    shared.KINDS.append("y")
    with flow_of(executor) as flow:
        task(lambda: (sharing.ask(), shared.kinds(), sharing.add("z"), shared.kinds()), name="f", cache=False)()
    asked = ("none", "none", 2)
    assert flow.run()["f"] == (asked, ["x", "y"], ["x", "y", "z"], ["x", "y", "z"])


def test_what_a_module_holds_may_be_of_one_that_imports_it(flow_of, executor, local_module):
    local_module("law_registry", "KINDS = {}\ndef known(): return [each.__name__ for each in KINDS.values()]\n")
    local_module("law_kinds", "import law_registry\nclass A: pass\nlaw_registry.KINDS['a'] = A\n")
    kinds, registry = importlib.import_module("law_kinds"), importlib.import_module("law_registry")
    registry.KINDS["b"] = kinds.A
    with flow_of(executor) as flow:
        task(lambda kind: (kinds.A.__name__, registry.known()), name="f").map([1])
    assert flow.run()["f"] == [("A", ["A", "A"])]


def test_a_module_edited_before_anybody_read_it_is_not_run_in_its_new_form(flow_of, away, local_module):
    path = local_module("law_early", "def f(x):\n    return x + 1\n")
    early = importlib.import_module("law_early")
    path.write_text("def f(x):\n    return x + 200\n")
    with flow_of(away) as flow:
        task(lambda x: early.f(x), name="use").map([1])
    error = flow.run().failed("use").error.iloc[0]
    assert "law_early.py was edited right after the kernel imported it" in error
    importlib.reload(early)
    assert flow.run()["use"] == [201]


def test_where_a_task_went_and_what_it_set_is_not_where_the_next_one_begins(flow_of, away):
    def stray():
        seen = os.getcwd(), os.environ.get("LAW_STRAY")
        os.chdir("/")
        os.environ["LAW_STRAY"] = "1"
        return seen

    for _ in range(2):
        with flow_of(away) as flow:
            task(stray, cache=False)()
        assert flow.run()["stray"] == (os.getcwd(), None)


def test_nested_classes_of_a_script_and_those_under_other_names_travel_both_ways(tmp_path):
    script = """
        import collections
        from nbflow import Flow, task, unmapped
        class Outer:
            class Inner:
                def __init__(self, x):
                    self.x = x
        Other = collections.namedtuple("Name", "x")
        def local():
            class Local:
                def __init__(self, x):
                    self.x = x
            return Local
        Local = local()
        if __name__ == "__main__":
            with Flow("class", store="store", executor="processes") as flow:
                task(lambda x, kind: kind.Inner(x).x, name="by").map([1, 2], unmapped(Outer))
            assert flow.run(check=True)["by"] == [1, 2]
            for kind in (Outer.Inner, Other, Local):
                with Flow("f", store="store", executor="processes") as flow:
                    made = task(lambda x: kind(x), name="make").map([1, 2])
                    task(lambda each: each.x, name="read").map(made)
                    task(lambda each: (each.x, repr(type(each))), name="take").map([kind(3)])
                run = flow.run(check=True)
                assert all(type(each) is kind for each in run["make"])
                assert run["read"] == [1, 2]
                assert run["take"] == [(3, repr(kind))], run["take"]
    """
    (tmp_path / "script.py").write_text(textwrap.dedent(script))
    command = [sys.executable, "script.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_cached_helpers_travel(flow_of, executor):
    @functools.cache
    def slow(x):
        return x + 1

    with flow_of(executor) as flow:
        task(lambda x: slow(x), name="quick").map([1, 1, 2])
    assert flow.run()["quick"] == [2, 2, 3]


def test_async_tasks_run(flow_of, executor):
    async def fetch(x):
        import asyncio

        await asyncio.sleep(0)
        return x + 1

    with flow_of(executor) as flow:
        task(fetch).map([1, 2])
    assert flow.run()["fetch"] == [2, 3]


def test_results_without_cache_come_back(flow_of, executor):
    with flow_of(executor) as flow:
        made = task(lambda x: {"x": x}, name="made", cache=False).map([1, 2])
        task(lambda all_: [d["x"] for d in all_], name="all")(made)
    assert flow.run()["all"] == [1, 2]
    assert flow.run()["made"] == [{"x": 1}, {"x": 2}]


def test_timeouts_end_a_call(flow_of, executor):
    import time

    def wait(x):
        time.sleep(30 if x else 0)
        return x

    assert_ends_in_time(wait, flow_of(executor))


def assert_ends_in_time(wait, flow):
    """wait: takes half a minute for what is true."""
    import time

    with flow:
        task(wait, timeout_s=0.5).map([0, 1, 0])
    started = time.monotonic()
    run = flow.run()
    assert time.monotonic() - started < 15
    assert run.values("wait", failed="drop") == [0, 0]
    assert "timeout_s=0.5" in run.frame("wait").error.iloc[1]


def test_timeouts_end_an_async_call(flow_of, executor):
    import asyncio

    async def wait(x):
        await asyncio.sleep(30 if x else 0)
        return x

    flow = flow_of(executor)
    assert_ends_in_time(wait, flow)
    with pytest.raises(RunFailed) as caught:
        flow.run(check=True)
    assert "concurrent" not in str(caught.value)


def test_a_generator_is_refused_with_a_way_out(flow_of, executor):
    with flow_of(executor) as flow:
        task(lambda: (i for i in range(3)), name="lazy")()
    with pytest.raises(Exception, match="return list"):
        flow.run(check=True)


@pytest.mark.parametrize("other", ["sync", "threads", "processes", "dask"])
def test_the_results_of_one_executor_are_a_full_hit_for_another(flow_of, executor, other, calls):
    note = calls.note

    def build(where):
        with flow_of(where) as flow:
            frames = task(lambda x: (note("frames"), pd.DataFrame({"x": [x, x]}))[1], name="frames").map([1, 2, 3])
            points = task(lambda f: (note("points"), Point(int(f.x.sum())))[1], name="points").map(frames)
            arrays = task(lambda p: (note("arrays"), np.full(20_000, p.x))[1], name="arrays").map(points)
            task(lambda all_: (note("end"), float(sum(a.sum() for a in all_)))[1], name="end")(arrays)
        return flow

    first = build(executor).run()
    before = [calls.of(name) for name in ("frames", "points", "arrays", "end")]
    second = build(other).run()
    assert [calls.of(name) for name in ("frames", "points", "arrays", "end")] == before == [3, 3, 3, 1]
    assert second["end"] == first["end"]


class Model:
    """As people write them: with arrays."""

    def __init__(self, size):
        self.weights = np.zeros(size)
        self.fixed = np.zeros(3)
        self.fixed.flags.writeable = False


class Sheet(pd.DataFrame):
    @property
    def _constructor(self):
        return Sheet


def fitted(size):
    return Model(size), Sheet({"x": np.zeros(size)})


def step(pair):
    model, sheet = pair
    model.weights += 1
    sheet.loc[0, "x"] = 5.0
    return model.weights[-1], sheet["x"].tolist()[:2], model.fixed.flags.writeable


@pytest.mark.filterwarnings("ignore:task 'step' changed its argument")
@pytest.mark.parametrize("size", [3, 100_000])
def test_arrays_in_objects_may_be_changed_as_the_task_that_made_them_could(flow_of, executor, size):
    with flow_of(executor) as flow:
        task(step)(task(fitted)(size))
    for _ in range(2):
        run = flow.run(force=["step"])
        assert run["step"] == (1.0, [5.0, 0.0], False)
        model, _ = run["fitted"]
        model.weights += 1
