"""Tasks that make tasks while they run: their children run, are kept one by one, and outlive restarts."""

import subprocess
import sys
import textwrap

import pytest

from nbflow import Flow, Parameter, State, case, merge, resource, task
from nbflow.errors import GraphError, NotSuccessful


@task
def plain(x):
    return x


def test_returned_nodes_run_and_their_values_stand_in_their_place(store, noted):
    @noted
    def double(x):
        return 2 * x

    @noted
    def make():
        a, b = double(1), double(2)
        return {"list": [a, b], "tuple": (b, 7), "nested": {"deep": [[double(a)]]}}

    @noted
    def alone():
        return double(21)

    with Flow("make", store=store) as flow:
        plain(make())
        alone()
    run = flow.run()
    assert run["make"] == {"list": [2, 4], "tuple": (4, 7), "nested": {"deep": [[4]]}}
    assert run["plain"] == run["make"]
    assert run["alone"] == 42


PROGRAM = """
import os, sys
from nbflow import Flow, task, loop, signals
{prelude}
with Flow("dynamic", store="store") as flow:
    {call}
run = flow.run(check=True)
print("VALUE", run["{name}"])
print("COUNTS", *run.counts())
"""


def execute(folder, prelude, call, name):
    script = folder / "program.py"
    script.write_text(PROGRAM.format(prelude=textwrap.dedent(prelude), call=call, name=name))
    done = subprocess.run([sys.executable, str(script)], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    ran = [line.removeprefix("RAN ") for line in lines if line.startswith("RAN")]
    (value,) = [line.removeprefix("VALUE ") for line in lines if line.startswith("VALUE")]
    return sorted(ran), value


FAMILY = """
@task
def child(x):
    os.write(1, f"RAN child {{x}}\\n".encode())
    return {child}
def helper(n):
    return {helper}
@task
def parent(n):
    os.write(1, f"RAN parent {{n}}\\n".encode())
    return [child(i) for i in helper(n)]
"""


def family(child="x * 10", helper="list(range(n))"):
    return FAMILY.format(child=child, helper=helper)


def test_after_a_restart_neither_parent_nor_children_run(tmp_path):
    first = execute(tmp_path, family(), "parent(3)", "parent")
    assert first == (["child 0", "child 1", "child 2", "parent 3"], "[0, 10, 20]")
    assert execute(tmp_path, family(), "parent(3)", "parent") == ([], "[0, 10, 20]")


def test_an_edit_of_the_child_runs_the_children_and_not_the_parent(tmp_path):
    execute(tmp_path, family(), "parent(3)", "parent")
    edited = execute(tmp_path, family(child="x * 10 + 1"), "parent(3)", "parent")
    assert edited == (["child 0", "child 1", "child 2"], "[1, 11, 21]")
    assert execute(tmp_path, family(), "parent(3)", "parent") == ([], "[0, 10, 20]")


def test_children_come_and_go_and_only_new_ones_run(tmp_path):
    execute(tmp_path, family(), "parent(3)", "parent")
    assert execute(tmp_path, family(), "parent(5)", "parent") == (
        ["child 3", "child 4", "parent 5"],
        "[0, 10, 20, 30, 40]",
    )
    assert execute(tmp_path, family(), "parent(2)", "parent") == (["parent 2"], "[0, 10]")
    # The parent's helper counts for the parent alone.
    assert execute(tmp_path, family(helper="list(range(n))[::-1]"), "parent(3)", "parent") == (
        ["parent 3"],
        "[20, 10, 0]",
    )


INSIDE = """
@task
def parent(n):
    os.write(1, b"RAN parent\\n")
    @task
    def child(x):
        os.write(1, f"RAN child {x}\\n".encode())
        return x + n
    return [child(i) for i in range(2)]
"""


def test_children_defined_inside_the_parent_are_kept_too(tmp_path):
    assert execute(tmp_path, INSIDE, "parent(5)", "parent") == (["child 0", "child 1", "parent"], "[5, 6]")
    assert execute(tmp_path, INSIDE, "parent(5)", "parent") == ([], "[5, 6]")
    edited = INSIDE.replace("return x + n", "return x - n")
    assert execute(tmp_path, edited, "parent(5)", "parent")[1] == "[-5, -4]"


RECURSION = """
@task
def fan(depth, at):
    os.write(1, f"RAN {depth} {at}\\n".encode())
    if depth == 0:
        return at
    return [fan(depth - 1, at + (i,)) for i in range(2)]
"""


def test_a_recursive_fan_out_is_kept_to_its_leaves(tmp_path):
    ran, value = execute(tmp_path, RECURSION, "fan(3, ())", "fan")
    assert len(ran) == 15
    assert value.startswith("[[[(0, 0, 0), (0, 0, 1)]")
    assert execute(tmp_path, RECURSION, "fan(3, ())", "fan") == ([], value)


def test_ten_levels_and_a_thousand_nodes(store):
    @task(cache=False)
    def fan(depth):
        return [fan(depth - 1) for _ in range(2)] if depth else 1

    @task(cache=False)
    def total(nested):
        return sum(map(total.fn, nested)) if isinstance(nested, list) else nested

    with Flow("fan", store=store) as flow:
        total(fan(10))
    run = flow.run()
    assert run["total"] == 1024
    assert run.counts()[0] == 2047 + 1


@pytest.mark.parametrize("cache", [None, False])
def test_a_long_line_of_calls_of_itself(store, cache):
    @task(cache=cache)
    def down(n):
        return down(n - 1) if n else "bottom"

    for _ in range(2):
        with Flow("down", store=store) as flow:
            down(600)
        assert flow.run()["down"] == "bottom"


def test_elements_of_a_map_make_children(store, noted, calls):
    @noted
    def child(x):
        return x * 10

    @noted
    def parent(n):
        return [child(i) for i in range(n)]

    for _ in range(2):
        with Flow("elements", store=store) as flow:
            parent.map([1, 2, 3])
        assert flow.run()["parent"] == [[0], [0, 10], [0, 10, 20]]
    # Equal children are computed once.
    assert sorted(calls) == [("child", i) for i in range(3)] + [("parent", i) for i in (1, 2, 3)]


def test_children_map_branch_and_merge(store, noted):
    @noted
    def double(x):
        return 2 * x

    @noted
    def parent(xs):
        doubled = double.map(xs)
        with case(plain(len(xs)), 3):
            three = double(100)
        with case(plain(len(xs)), 2):
            two = double(200)
        return [doubled, merge(three, two), doubled[0]]

    for _ in range(2):
        with Flow("children", store=store) as flow:
            parent([1, 2, 3])
        assert flow.run()["parent"] == [[2, 4, 6], 200, 2]


def test_a_failed_child_fails_its_parent_and_says_which(store):
    @task
    def child(x):
        if x == 1:
            raise ValueError("no ones")
        return x

    @task
    def parent():
        return [child(i) for i in range(3)]

    with Flow("fails", store=store) as flow:
        plain(parent())
    run = flow.run()
    assert run.state("plain") is State.TRIGGER_FAILED
    with pytest.raises(NotSuccessful, match=r"(?s)parent/child-2.*failed.*no ones"):
        run["parent"]


def test_waiting_for_a_node_inside_a_task_is_an_error_that_says_what_to_do(store):
    @task
    def child():
        return 1

    @task
    def parent():
        return child().run()["child"] + 1

    @task
    def asks():
        return 1 if child() else 2

    with Flow("waits", store=store) as flow:
        parent()
        asks()
    run = flow.run()
    assert "Return the node instead" in str(run.error("parent"))
    assert "no value yet" in str(run.error("asks"))


def test_nodes_that_would_wait_for_each_other_are_an_error(store):
    made = {}

    @task
    def child(x):
        return x

    @task(ignore=["made"])
    def parent():
        return child(made["after"])

    @task
    def after(x):
        return x

    with Flow("cycle", store=store) as flow:
        made["after"] = after(parent())
    run = flow.run()
    assert isinstance(run.error("parent"), GraphError)
    assert "waits for parent" in str(run.error("parent"))


def test_a_child_may_use_a_node_of_the_flow(store):
    made = {}

    @task
    def child(x):
        return ("child", x)

    @task(ignore=["made"])
    def parent():
        return child(made["other"])

    with Flow("uses", store=store) as flow:
        made["other"] = plain("hello")
        parent()
    assert flow.run()["parent"] == ("child", "hello")
    assert flow.run()["parent"] == ("child", "hello")


def test_a_node_that_is_not_returned_does_not_run_and_it_is_said(store):
    @task
    def child():
        raise AssertionError("never called")

    @task
    def parent():
        child()
        return 1

    with Flow("lost", store=store) as flow:
        parent()
    with pytest.warns(match="did not return it"):
        assert flow.run()["parent"] == 1


def test_equal_children_of_a_parent_that_ran_again_change_nothing_behind(store, noted, calls):
    @noted
    def child(x):
        return x

    def flow(items):
        @noted
        def parent(xs):
            return [child(x) for x in xs if x > 0]

        with Flow("cutoff", store=store) as made:
            noted(lambda x: x, name="after")(parent(items))
        return made

    flow([1, 2]).run()
    calls.clear()
    flow([1, 2, -1]).run()
    assert [name for name, *_ in calls] == ["parent"]


def test_a_parameter_made_while_running_is_an_error_that_says_what_to_do(store):
    @task
    def parent():
        return plain(Parameter("late", default=3))

    with Flow("late", store=store) as flow:
        parent()
    error = flow.run().error("parent")
    assert isinstance(error, GraphError)
    assert "Parameter('late')" in str(error)
    assert "test_dynamic.py, line" in str(error)
    assert "Give the child the value itself" in str(error)


def test_a_resource_may_be_used_by_what_a_task_makes(store):
    seen = []

    @resource
    def client(n):
        seen.append("up")
        yield n
        seen.append("down")

    @task(ignore=["client", "seen"])
    def parent():
        with client(5) as value:
            return [plain(value), plain([value, 1])]

    with Flow("resource", store=store) as flow:
        parent()
    assert flow.run()["parent"] == [5, [5, 1]]
    assert seen == ["up", "down"]
