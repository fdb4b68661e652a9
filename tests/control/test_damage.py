"""Damaged or missing results of loops, children and branches are made again, and nothing wrong is served."""

import sqlite3

import pytest

from nbflow import Flow, case, loop, merge, task
from nbflow.flow.workshop import _STORES
from nbflow.signals import LOOP
from nbflow.store import EXPRESSION, LOOP_STEP, VALUE


def reopened(store):
    """Closes the store, so that the next run reads what lies on disk."""
    _STORES.pop(store).close()


def damage(store, kind, name, what):
    """Damages or drops the entries of a task."""
    reopened(store)
    with sqlite3.connect(store / "index.sqlite") as database:
        if what == "dropped":
            changed = database.execute("DELETE FROM entry WHERE kind = ? AND task = ?", (kind, name)).rowcount
        else:
            changed = database.execute(
                "UPDATE entry SET payload = zeroblob(length(payload)) WHERE kind = ? AND task = ?",
                (kind, name),
            ).rowcount
    database.close()
    assert changed


@pytest.fixture
def store(tmp_path):
    return tmp_path.resolve() / "store"


@pytest.mark.filterwarnings("ignore::nbflow.errors.NbflowWarning")
@pytest.mark.parametrize("what", ["dropped", "damaged"])
@pytest.mark.parametrize(("kind", "name"), [(EXPRESSION, "parent"), (VALUE, "child"), (VALUE, "after")])
def test_children(store, noted, calls, what, kind, name):
    @noted
    def child(x):
        return [x * 10]

    @noted
    def parent(n):
        return [child(i) for i in range(n)]

    @noted
    def after(xs):
        return sum(x for (x,) in xs)

    def build():
        with Flow("damage", store=store) as flow:
            after(parent(3))
        return flow

    build().run()
    calls.clear()
    damage(store, kind, name, what)
    run = build().run()
    assert run["after"] == 30
    assert run["parent"] == [[0], [10], [20]]
    assert {called for called, *_ in calls} <= {"parent", "child", "after"}
    calls.clear()
    reopened(store)
    assert build().run()["parent"] == [[0], [10], [20]]
    assert calls == []


@pytest.mark.filterwarnings("ignore::nbflow.errors.NbflowWarning")
@pytest.mark.parametrize("what", ["dropped", "damaged"])
@pytest.mark.parametrize("times", [None, 4])
def test_iterations(store, noted, calls, what, times):
    @noted(loop_times=times)
    def steps():
        result = [*(loop.result or []), loop.count]
        if times is None and loop.count < 4:
            raise LOOP(result=result)
        return result

    def build():
        with Flow("damage", store=store) as flow:
            noted(lambda xs: sum(xs), name="total")(steps())
        return flow

    build().run()
    calls.clear()
    damage(store, LOOP_STEP, "steps", what)
    run = build().run(force=["total"])
    assert run["total"] == 10
    assert run["steps"] == [1, 2, 3, 4]


@pytest.mark.filterwarnings("ignore::nbflow.errors.NbflowWarning")
@pytest.mark.parametrize("what", ["dropped", "damaged"])
def test_what_decides_a_branch(store, noted, calls, what):
    @noted
    def kind():
        return "a"

    @noted
    def one():
        return 1

    def build():
        with Flow("damage", store=store) as flow:
            with case(kind(), "a"):
                a = one()
            merge(a)
        return flow

    build().run()
    calls.clear()
    damage(store, VALUE, "kind", what)
    assert build().run()["merge"] == 1
    assert calls == [("kind",)]


def test_a_child_whose_task_is_gone_is_made_by_its_parent_again(store, calls):
    space = {"task": task, "calls": calls}
    source = """
@task(ignore=["calls"])
def child(x):
    calls.append("child")
    return x + 1
@task(ignore=["calls"])
def parent():
    calls.append("parent")
    return child(1) if "child" in globals() else 5
"""
    exec(source, space)

    def build():
        with Flow("gone", store=store) as flow:
            space["parent"]()
        return flow

    assert build().run()["parent"] == 2
    del space["child"]
    calls.clear()
    build().run()
    assert calls == ["parent"]
