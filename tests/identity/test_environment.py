"""Environment variables that code reads by name, and the arguments of the script, count by their value."""

import os
import sys
from os import environ, getenv

import pytest

import nbflow
from nbflow import Flow, secret, task

READS = {
    "index": lambda: os.environ["NBFLOW_TEST_A"],
    "get": lambda: os.environ.get("NBFLOW_TEST_A"),
    "get with a default": lambda: os.environ.get("NBFLOW_TEST_A", "nothing"),
    "getenv": lambda: os.getenv("NBFLOW_TEST_A"),
    "environ imported": lambda: environ["NBFLOW_TEST_A"],
    "get of environ imported": lambda: environ.get("NBFLOW_TEST_A"),
    "getenv imported": lambda: getenv("NBFLOW_TEST_A", "nothing"),
    "in": lambda: "NBFLOW_TEST_A" in os.environ,
    "secret": lambda: len(secret("NBFLOW_TEST_A")),
    "nbflow.secret": lambda: len(nbflow.secret("NBFLOW_TEST_A")),
}


def inside():
    import os as system

    return system.environ["NBFLOW_TEST_A"]


def inside_from():
    from os import environ as variables

    return variables.get("NBFLOW_TEST_A")


READS |= {"imported in the body": inside, "imported in the body by from": inside_from}


@pytest.mark.parametrize("name", READS)
def test_a_variable_that_code_reads_counts_and_others_do_not(name, tmp_path, monkeypatch):
    ran = []
    read = READS[name]

    @task(ignore=["ran"])
    def use():
        ran.append(name)
        return read()

    def run():
        ran.clear()
        with Flow("env", store=tmp_path / "store") as flow:
            use()
        flow.run(check=True)
        return list(ran)

    monkeypatch.setenv("NBFLOW_TEST_A", "one")
    assert run() == [name]
    monkeypatch.setenv("NBFLOW_TEST_B", "other")
    assert run() == [], "nobody reads it"
    monkeypatch.setenv("NBFLOW_TEST_A", "two")
    if name != "in":
        assert run() == [name]
    monkeypatch.setenv("NBFLOW_TEST_A", "one")
    assert run() == [], "as it was"


def test_why_tells_of_a_variable_by_name_and_value(tmp_path, monkeypatch):
    @task
    def use():
        return os.environ["NBFLOW_TEST_A"]

    with Flow("env", store=tmp_path / "store") as flow:
        use()
    monkeypatch.setenv("NBFLOW_TEST_A", "one")
    flow.run(check=True)
    monkeypatch.setenv("NBFLOW_TEST_A", "two")
    assert "environment variable NBFLOW_TEST_A: 'one' → 'two'" in str(flow.why("use"))


def arguments_inside():
    from sys import argv

    return argv[-1]


ARGUMENTS = {
    "index": lambda: sys.argv[-1],
    "slice": lambda: sys.argv[1:],
    "in": lambda: "2024" in sys.argv,
    "handed on": lambda: sorted(sys.argv),
    "imported in the body": arguments_inside,
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments_of_the_script_count_where_code_reads_them(name, tmp_path, monkeypatch):
    def results(year, label):
        monkeypatch.setattr(sys, "argv", ["report.py", year])
        with Flow("argv", store=tmp_path / "store") as flow:
            task(ARGUMENTS[name], name="read")()
            task(lambda: sys.version_info[0], name="other")()
        run = flow.run(check=True)
        assert run["read"] == ARGUMENTS[name](), label
        return list(run.table.ran)

    assert results("2024", "first") == [1, 1]
    assert results("2025", "others") == [1, 0]
    assert results("2024", "as they were") == [0, 0]


def test_why_tells_of_other_arguments(tmp_path, monkeypatch):
    with Flow("argv", store=tmp_path / "store") as flow:
        task(lambda: sys.argv[1], name="year")()
    monkeypatch.setattr(sys, "argv", ["report.py", "2024"])
    flow.run(check=True)
    monkeypatch.setattr(sys, "argv", ["report.py", "2025"])
    assert "global `sys.argv`: ['report.py', '2024'] → ['report.py', '2025']" in str(flow.why("year"))


def test_arguments_that_are_ignored_count_nowhere(tmp_path, monkeypatch):
    with Flow("argv", store=tmp_path / "store") as flow:
        task(lambda: len(sys.argv), name="count", ignore=["sys.argv"])()
    for year in ("2024", "2025"):
        monkeypatch.setattr(sys, "argv", ["report.py", year])
        run = flow.run(check=True)
    assert run.table.ran.sum() == 0
