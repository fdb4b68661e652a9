"""Exceptions that are huge, nested, circular or broken: a run ends in order, and tells of them in a few lines."""

import os
import re
import sys

import pytest

from nbflow import Flow, task, unmapped
from nbflow.errors import RunFailed


@pytest.fixture
def store(place):
    return os.path.join(place, "store")


class NoStr(Exception):
    def __str__(self):
        raise RuntimeError("no text")

    __repr__ = __str__


class StrIsNoText(Exception):
    def __str__(self):
        return 3  # noqa: PLE0307 (it is the fault)


class NoAttributes(Exception):
    def __getattr__(self, name):
        raise RuntimeError(f"no {name}")


class NoComparing(Exception):
    def __eq__(self, other):
        raise RuntimeError("no comparing")

    def __bool__(self):
        raise RuntimeError("no truth")

    __hash__ = None


class BadNotes(Exception):
    __notes__ = 3


class NoPickle(Exception):
    def __reduce__(self):
        raise RuntimeError("no pickling")


class NoArgs(Exception):
    @property
    def args(self):
        raise RuntimeError("no args")


class NoCause(Exception):
    __cause__ = property(lambda self: None)


class NoSetting(Exception):
    def __setattr__(self, name, value):
        raise RuntimeError("no setting")


class TwoArguments(Exception):
    def __init__(self, a, b):
        super().__init__(f"{a} and {b}")


def chain(depth):
    error = ValueError("the first")
    for i in range(depth):
        try:
            raise KeyError(i) from error
        except KeyError as next_one:
            error = next_one
    raise error


def circle():
    a, b = ValueError("a"), ValueError("b")
    a.__cause__, b.__cause__ = b, a
    raise a


def handling():
    try:
        {}["key"]
    except KeyError:
        raise ValueError("while that was handled")


def group(depth, width):
    errors = [ValueError(f"no {i}") for i in range(width)]
    for _ in range(depth):
        errors = [ExceptionGroup("several", [*errors, KeyError("k")])]
    raise errors[0]


def recursion():
    return recursion()


def syntax():
    compile("x = = 1", "made.py", "exec")


def noted():
    error = ValueError("with notes")
    for i in range(100):
        error.add_note(f"note {i}")
    raise error


def raising(error):
    def bad():
        raise error

    return bad


CASES = {
    "str fails": (lambda: raising(NoStr())(), "NoStr"),
    "str is no text": (lambda: raising(StrIsNoText())(), "StrIsNoText"),
    "no attributes": (lambda: raising(NoAttributes("x"))(), "NoAttributes: x"),
    "no comparing": (lambda: raising(NoComparing("x"))(), "NoComparing: x"),
    "bad notes": (lambda: raising(BadNotes("x"))(), "BadNotes: x"),
    "no pickling": (lambda: raising(NoPickle("x"))(), "NoPickle: x"),
    "no args": (lambda: raising(NoArgs("x"))(), "NoArgs"),
    "no cause": (lambda: raising(NoCause("x"))(), "NoCause: x"),
    "no setting": (lambda: raising(NoSetting("x"))(), "NoSetting: x"),
    "two arguments": (lambda: raising(TwoArguments(1, 2))(), "TwoArguments: 1 and 2"),
    "empty": (lambda: raising(ValueError())(), "ValueError"),
    "10 MB": (lambda: raising(ValueError("x" * 10_000_000))(), "ValueError: xxx"),
    "a million lines": (lambda: raising(ValueError("line\n" * 1_000_000))(), "more lines"),
    "control characters": (lambda: raising(ValueError("\x1b[2J\x07gone\r\n"))(), "ValueError: gone"),
    "half a character": (lambda: raising(ValueError("\ud800"))(), "ValueError"),
    "chain of three": (lambda: chain(3), "caused by KeyError: 1"),
    "chain of a thousand": (lambda: chain(1_000), "and 998 more behind that"),
    "circle": (circle, "caused by ValueError: b"),
    "handling": (handling, "while handling KeyError: 'key'"),
    "group": (lambda: group(1, 3), "it holds 3 × ValueError, 1 × KeyError; the first:"),
    "deep group": (lambda: group(90, 3), "it holds 90 × KeyError, 3 × ValueError"),
    "recursion": (recursion, "RecursionError"),
    "syntax": (syntax, "SyntaxError: invalid syntax"),
    "notes": (noted, "note 1"),
    "sys.exit": (lambda: sys.exit("goodbye"), "SystemExit: goodbye"),
}


@pytest.mark.parametrize(("function", "expected"), CASES.values(), ids=list(CASES))
@pytest.mark.parametrize("count", [1, 20])
def test_it_is_told_in_a_few_lines_and_the_run_ends_in_order(store, function, expected, count):
    with Flow("f", store=store) as flow:
        good = task(lambda: 5, name="good")()
        if count == 1:
            bad = task(lambda f: f(), name="bad")(function)
        else:
            bad = task(lambda x, f: f(), name="bad").map(range(count), f=unmapped(function))
        task(lambda a, b: b, name="after")(bad, good)
    with pytest.raises(RunFailed) as caught:
        flow.run(check=True)
    text = str(caught.value)
    assert expected in text
    assert "task bad failed" in text
    assert len(text.splitlines()) <= 25
    assert len(text) < 10_000
    assert "\x1b" not in text
    run = flow.last_run
    assert run["good"] == 5
    assert run.state("after").label == "trigger_failed"
    shown = [
        run.frame("bad"),
        run.table,
        run.why("bad"),
        flow.history("bad"),
        flow.why("bad"),
        run.summary(),
        flow.plan(),
    ]
    assert all(len(repr(each)) < 100_000 for each in shown)
    assert flow._repr_mimebundle_()["text/plain"]
    assert run.frame("bad")["state"].tolist() == ["failed"] * count


@pytest.mark.parametrize("away", ["processes", "dask"])
def test_in_other_processes_they_cost_their_own_element_alone(store, away):
    # What is far behind in a chain stays there.
    cases = {name: case for name, case in CASES.items() if name != "chain of a thousand"}
    with Flow("f", store=store, executor=away) as flow:
        task(lambda f: f(), name="work").map([lambda: 1, *(function for function, _ in cases.values()), lambda: 2])
    run = flow.run()
    assert run.values("work", failed="drop") == [1, 2]
    for place, (name, (_, expected)) in enumerate(cases.items(), start=1):
        here = Flow(name, store=store)
        with here:
            task(lambda f: f(), name="work").map([cases[name][0]])
        with pytest.raises(RunFailed, match=re.escape(expected)):
            here.run(check=True)
        assert type(run.error("work", place)).__name__ == type(here.last_run.error("work", 0)).__name__, name


def test_the_failure_of_a_group_shows_where_its_first_was_raised(store):
    def deeper(n):
        raise ValueError(n)  # here

    def bad():
        errors = []
        for n in range(3):
            try:
                deeper(n)
            except ValueError as error:
                errors.append(error)
        raise ExceptionGroup("three", errors)

    with Flow("f", store=store) as flow:
        task(bad)()
    with pytest.raises(
        RunFailed, match=r"(?s)ExceptionGroup: three.*deeper.*raise ValueError\(n\)  # here.*ValueError: 0"
    ):
        flow.run(check=True)
