"""Reasons: each kind of difference in its own words, with its evidence."""

import pytest

from nbflow.engine.why import Part, compare


def part(kind, name, text, id_=None):
    return Part(kind, name, (id_ or text).encode(), text)


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        (part("global", "K", "2"), part("global", "K", "3"), "global `K`: 2 → 3"),
        (part("global", "table", "DataFrame", "1"), part("global", "table", "DataFrame", "2"), "global `table` changed (DataFrame)"),
        (part("parameter", "n", "5"), part("parameter", "n", "6"), "parameter n: 5 → 6"),
        (part("upstream", "load", "", "1"), part("upstream", "load", "", "2"), "upstream `load` gave another value"),
        (part("package", "pandas", "3.0.1"), part("package", "pandas", "3.1.1"), "pandas 3.0.1 → 3.1.1"),
        (part("python", "Python", "3.11"), part("python", "Python", "3.12"), "Python 3.11 → 3.12: everything runs again"),
        (part("value", "path", "'a'"), part("value", "path", "'b'"), "argument `path`: 'a' → 'b'"),
        (part("default", "f(n)", "1"), part("default", "f(n)", "2"), "default `f(n)`: 1 → 2"),
        (part("closure", "k", "1"), part("closure", "k", "2"), "closure variable `k`: 1 → 2"),
        (part("env", "MODE", "'a'"), part("env", "MODE", "'b'"), "environment variable MODE: 'a' → 'b'"),
    ],
)  # fmt: skip
def test_a_change_is_told_with_both_values(before, now, told):
    assert [reason.text for reason in compare([before], [now])] == [told]


@pytest.mark.parametrize(
    ("kind", "told"),
    [("code", "code changed"), ("helper", "helper `clean` changed"), ("class", "class `clean` changed")],
)
def test_code_is_told_with_a_diff(kind, told):
    before = part(kind, "clean", "def clean(df):\n    return df.mean()")
    now = part(kind, "clean", "def clean(df):\n    return df.median()")
    (reason,) = compare([before], [now])
    assert reason.text == told
    assert reason.diff == (" def clean(df):", "-    return df.mean()", "+    return df.median()")


def test_what_came_and_went_is_told():
    reasons = compare([part("helper", "old", "def old(): pass")], [part("global", "K", "1")])
    assert [reason.text for reason in reasons] == ["global `K` is used now", "helper `old` is no longer used"]


def test_equal_parts_and_mapped_arguments_are_no_reasons():
    same = [part("code", "f", "x"), part("mapped", "x", "", "1")]
    assert compare(same, [same[0], part("mapped", "x", "", "2")]) == []


def test_packages_that_an_edit_uses_are_shown_by_its_diff_alone():
    before = [part("helper", "clean", "def clean(d):\n    return d")]
    now = [part("helper", "clean", "def clean(d):\n    print(d)"), part("package", "python", "3.11.7")]
    assert [reason.text for reason in compare(before, now)] == ["helper `clean` changed"]
