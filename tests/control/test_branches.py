"""Branches: which nodes run, which are skipped, and what only a branch not taken needs."""

import numpy as np
import pandas as pd
import pytest

from nbflow import Flow, Parameter, State, Switch, apply_map, case, merge, switch, task, unmapped
from nbflow.errors import GraphError, NotSuccessful
from nbflow.triggers import all_finished, always_run


@pytest.fixture
def shop(noted):
    """A flow's tasks: what it is, two ways to treat it, and what follows."""

    class Shop:
        @noted
        def kind(what):
            return what

        @noted
        def one(x=0):
            return ("one", x)

        @noted
        def two(x=0):
            return ("two", x)

        @noted
        def after(x):
            return ("after", x)

    return Shop


def three_ways(shop, store):
    with Flow("ways", store=store) as flow:
        what = Parameter("what", default="a")
        kind = shop.kind(what)
        with switch(kind):
            with kind.case("a"):
                a = shop.one()
            with kind.case("b"):
                b = shop.two()
            with kind.default():
                c = shop.one("default", name="other")
        shop.after(merge(a, b, c))
    return flow


@pytest.mark.parametrize(
    ("what", "value"), [("a", ("one", 0)), ("b", ("two", 0)), ("z", ("one", "default")), (None, ("one", "default"))]
)
def test_a_switch_runs_the_branch_of_the_case_that_matches(shop, store, what, value):
    run = three_ways(shop, store).run(what=what)
    assert run["after"] == ("after", value)
    assert run.ok


def test_the_other_branches_are_skipped(shop, store, calls):
    run = three_ways(shop, store).run(what="a")
    assert [run.state(name) for name in ("one", "two", "other")] == [State.SUCCESS, State.SKIPPED, State.SKIPPED]
    assert [name for name, *_ in calls] == ["kind", "one", "after"]


def test_a_branch_that_flips_and_flips_back_runs_nothing_twice(shop, store, calls):
    for what in ("a", "b", "a", "b"):
        three_ways(shop, store).run(what=what)
    assert [name for name, *_ in calls] == ["kind", "one", "after", "kind", "two", "after"]


def test_a_value_that_matches_no_case_skips_all_of_them(shop, store):
    with Flow("none", store=store) as flow:
        kind = shop.kind("z")
        with kind.case("a"):
            a = shop.one()
        with kind.case("b"):
            b = shop.two()
        shop.after(merge(a, b))
    run = flow.run()
    assert [run.state(n) for n in ("one", "two", "merge", "after")] == [State.SKIPPED] * 4
    with pytest.raises(NotSuccessful, match="skipped"):
        run["after"]


@pytest.mark.parametrize(
    ("value", "case_value", "taken"),
    [
        (1, 1, True), (1, 1.0, True), (True, 1, False), (1, True, False), (True, True, True), (0, False, False),
        (np.bool_(True), True, True), ("a", "b", False), (None, None, True), ((1, 2), (1, 2), True),
    ],
)  # fmt: skip
def test_a_case_matches_by_equality_except_that_true_and_one_differ(store, value, case_value, taken):
    @task
    def give():
        return value

    @task
    def inside():
        return "ran"

    with Flow("match", store=store) as flow, case(give(), case_value):
        inside()
    assert (flow.run().state("inside") is State.SUCCESS) == taken


@pytest.mark.parametrize(("value", "taken"), [(1, True), (0, False), ("", False), ([0], True), (None, False)])
def test_with_node_runs_what_is_inside_if_the_value_is_truthy(store, value, taken):
    @task
    def give():
        return value

    @task
    def inside():
        return "ran"

    with Flow("truthy", store=store) as flow:
        node = give()
        with node:
            inside()
    assert (flow.run().state("inside") is State.SUCCESS) == taken


def test_what_only_the_branch_not_taken_needs_does_not_run(noted, shop, store, calls):
    @noted
    def fetch(x):
        return x

    @noted
    def clean(x):
        return x

    with Flow("lazy", store=store) as flow:
        kind = shop.kind("a")
        cheap, dear = fetch("cheap"), clean(fetch("dear"))
        with kind.case("a"):
            a = shop.one(cheap)
        with kind.case("b"):
            b = shop.two(dear)
        shop.after(merge(a, b))
    run = flow.run()
    assert ("fetch", "dear") not in calls
    assert run.state("clean") is State.SKIPPED
    calls.clear()
    # Asked for by name it runs.
    assert flow.run(targets=["clean"])["clean"] == "dear"
    assert ("fetch", "dear") in calls


def test_what_another_task_needs_too_runs_although_one_branch_is_not_taken(noted, shop, store):
    @noted
    def fetch():
        return 3

    with Flow("shared", store=store) as flow:
        kind, data = shop.kind("a"), fetch()
        with kind.case("b"):
            shop.two(data)
        shop.after(data)
    assert flow.run()["after"] == ("after", 3)


def test_what_decides_a_branch_and_is_used_inside_another_runs(noted, shop, store):
    @noted
    def number():
        return 3

    with Flow("decides", store=store) as flow:
        n = number()
        with case(n, 4):
            first = shop.one(n)
        other = shop.kind(merge(first, shop.two()))
        with case(other, ("two", 0)):
            shop.after(n)
    assert flow.run()["after"] == ("after", 3)


def test_blocks_nest(shop, store, calls):
    def build(outer, inner):
        with Flow("nested", store=store) as flow:
            first, second = shop.kind(outer), shop.kind(inner, name="second")
            with first.case("yes"):
                shop.one("outer")
                with second.case("yes"):
                    shop.two("inner")
        return flow

    assert build("yes", "yes").run().state("two") is State.SUCCESS
    run = build("no", "yes").run()
    assert [run.state(n) for n in ("one", "two", "second")] == [State.SKIPPED] * 3
    assert build("yes", "no").run().state("two") is State.SKIPPED


def test_a_gate_is_absolute_whatever_trigger_and_skip_rule(noted, shop, store, calls):
    @noted(trigger=always_run, skip_on_upstream_skip=False)
    def always():
        return 1

    with Flow("absolute", store=store) as flow:
        with case(shop.kind("a"), "b"):
            always()
    assert flow.run().state("always") is State.SKIPPED


def test_when_the_switch_fails_its_branches_do_not_run(shop, store):
    @task
    def broken():
        raise ValueError("no kind")

    with Flow("broken", store=store) as flow:
        node = broken()
        with node.case("a"):
            a = shop.one()
        shop.after(merge(a))
    run = flow.run()
    assert run.state("one") is State.TRIGGER_FAILED
    assert run.state("after") is State.TRIGGER_FAILED
    assert not run.ok


def test_a_value_whose_truth_is_not_clear_is_a_clear_error(store):
    @task
    def frame():
        return pd.DataFrame({"a": [1, 2]})

    @task
    def inside():
        return 1

    with Flow("unclear", store=store) as flow:
        node = frame()
        with node:
            inside()
    run = flow.run()
    assert run.state("inside") is State.TRIGGER_FAILED
    (gate,) = [node for node in flow.graph.nodes.values() if node.name.startswith("frame =")]
    assert "decide in a task that returns True or False" in str(run.error(gate))


def test_merge_takes_the_first_that_was_not_skipped_and_keeps_none_and_zero(store):
    @task
    def give(x):
        return x

    for value in (None, 0, False, "x"):
        with Flow("merge", store=store) as flow:
            kind = give("a", name="kind")
            with kind.case("b"):
                b = give("b", name="b")
            with kind.case("a"):
                a = give(value, name="a")
            merge(b, a, give("later", name="c"))
        assert flow.run()["merge"] == value


def test_a_failed_branch_is_not_hidden_by_merge(shop, store):
    @task
    def fails():
        raise ValueError("no")

    with Flow("hidden", store=store) as flow:
        kind = shop.kind("a")
        with kind.case("a"):
            a = fails()
        with kind.case("b"):
            b = shop.two()
        merge(b, a)
    assert flow.run().state("merge") is State.TRIGGER_FAILED


def test_merge_in_a_branch_and_map_over_the_result_of_a_branch(store):
    @task
    def kind():
        return "many"

    @task
    def few():
        return [1]

    @task
    def many():
        return [1, 2, 3]

    @task
    def double(x):
        return 2 * x

    with Flow("maps", store=store) as flow:
        node = kind()
        with node.case("few"):
            a = few()
        with node.case("many"):
            b = many()
        double.map(merge(a, b))
    assert flow.run()["double"] == [2, 4, 6]


def test_a_map_over_a_branch_not_taken_is_skipped(store):
    @task
    def items():
        return [1, 2]

    @task
    def double(x):
        return 2 * x

    @task
    def total(xs):
        return sum(xs)

    with Flow("skipped map", store=store) as flow:
        with case(total([1], name="kind"), 5):
            xs = items()
        total(double.map(xs))
    run = flow.run()
    assert run.state("double") is State.SKIPPED
    assert run.state("total") is State.SKIPPED


# Branches that are decided for each element


def parity_flow(noted, store, numbers):
    @noted
    def parity(x):
        return x % 2

    @noted
    def even(x):
        return ("even", x)

    @noted
    def odd(x):
        return ("odd", x)

    @noted
    def collect(xs):
        return xs

    with Flow("each", store=store) as flow:
        kinds = parity.map(numbers)
        with kinds.case(0):
            a = even.map(numbers)
        with kinds.case(1):
            b = odd.map(numbers)
        collect(a, name="evens")
        collect(merge(a, b), name="all")
    return flow


def test_a_branch_on_a_mapped_node_decides_for_each_element(noted, store, calls):
    run = parity_flow(noted, store, [1, 2, 3, 4]).run()
    assert run["all"] == [("odd", 1), ("even", 2), ("odd", 3), ("even", 4)]
    assert sorted(c for c in calls if c[0] in {"even", "odd"}) == [("even", 2), ("even", 4), ("odd", 1), ("odd", 3)]
    assert run.frame("even")["state"].tolist() == ["skipped", "success", "skipped", "success"]


def test_a_plain_task_gets_a_list_without_the_skipped_elements(noted, store):
    run = parity_flow(noted, store, [1, 2, 3, 4]).run()
    assert run["evens"] == [("even", 2), ("even", 4)]
    assert parity_flow(noted, store, [1, 3]).run().state("evens") is State.SKIPPED


def test_elements_that_change_sides_run_alone(noted, store, calls):
    parity_flow(noted, store, [1, 2, 3]).run()
    calls.clear()
    run = parity_flow(noted, store, [1, 2, 4]).run()
    assert [c for c in calls if c[0] != "collect"] == [("parity", 4), ("even", 4)]
    assert run["all"] == [("odd", 1), ("even", 2), ("even", 4)]


def test_in_a_branch_for_each_element_only_maps_over_the_same_elements_may_stand(noted, store):
    @noted
    def parity(x):
        return x % 2

    with Flow("wrong", store=store), pytest.raises(GraphError, match=r"parity\.map"):
        with parity.map([1, 2]).case(0):
            parity(3)
    with Flow("lengths", store=store) as flow:
        with parity.map([1, 2]).case(0):
            parity.map([1, 2, 3], name="other")
    run = flow.run()
    assert "3 elements" in str(run.error("other"))
    assert "map over the same elements" in str(run.error("other"))


def test_apply_map_builds_branches_for_each_element(store):
    @task
    def parity(x):
        return x % 2

    @task
    def half(x):
        return x // 2

    @task
    def triple(x, plus):
        return 3 * x + plus

    def step(x, plus):
        kind = parity(x)
        with case(kind, 0):
            a = half(x)
        with case(kind, 1):
            b = triple(x, plus)
        return merge(a, b)

    with Flow("collatz", store=store) as flow:
        node = apply_map(step, [1, 2, 3, 4], unmapped(1))
    assert flow.run()[node] == [4, 1, 10, 2]


def test_apply_map_over_a_node_and_with_lists_of_elements(store):
    @task
    def numbers():
        return [1, 2, 3]

    @task
    def total(xs):
        return sum(xs)

    with Flow("lists", store=store) as flow:
        node = apply_map(lambda x: total([x, x, 10]), numbers())
    assert flow.run()[node] == [12, 14, 16]


# What cannot be


def test_wrong_branches_are_errors_at_their_line(shop, store):
    with Flow("wrong", store=store):
        kind = shop.kind("a")
        with pytest.raises(GraphError, match="belongs to a node"):
            case("a", 1)
        with switch(kind), pytest.raises(GraphError, match="default already"):
            with kind.default():
                shop.one()
            kind.default()
        with pytest.raises(GraphError, match=r"merge\(\) of nothing"):
            merge()
        with pytest.raises(GraphError, match="merge: 3 is no node"):
            merge(kind, 3)
        with pytest.raises(GraphError, match="a node is needed"):
            switch("a")
        with kind.case("a"):
            pass
        with pytest.raises(GraphError, match="a case for 'a' already"):
            kind.case("a")
        with pytest.raises(GraphError, match="a case is a plain value"):
            kind.case(kind)


def test_two_switches_over_one_node_have_a_default_each(shop, store):
    with Flow("two", store=store) as flow:
        kind = shop.kind("a")
        with Switch(kind):
            with kind.case("a"):
                shop.one()
            with kind.default():
                shop.two("first")
        with Switch(kind):
            with kind.case("b"):
                shop.one("b", name="b")
            with kind.default():
                shop.two("second", name="second")
    run = flow.run()
    assert run.state("two") is State.SKIPPED
    assert run["second"] == ("two", "second")


def test_a_branch_by_a_parameter(shop, store):
    with Flow("parameter", store=store) as flow:
        mode = Parameter("mode", default="fast")
        with mode.case("fast"):
            fast = shop.one("fast")
        with mode.default():
            slow = shop.two("slow")
        merge(fast, slow)
    assert flow.run()["merge"] == ("one", "fast")
    assert flow.run(mode="thorough")["merge"] == ("two", "slow")


def test_a_task_after_skipped_ones_runs_where_it_waits_for_order_alone(shop, store):
    with Flow("order", store=store) as flow:
        kind = shop.kind("a")
        with kind.case("a"):
            a = shop.one()
        with kind.case("b"):
            b = shop.two()
        shop.after("x", upstream=[a, b])
        shop.after("y", upstream=[b], name="only b")
    run = flow.run()
    assert run["after"] == ("after", "x")
    assert run.state("only b") is State.SKIPPED


def test_a_task_that_lets_skips_through_gets_skipped_in_their_place_and_is_not_kept(noted, shop, store, calls):
    from nbflow import Skipped

    @noted(skip_on_upstream_skip=False, trigger=all_finished)
    def report(a, b):
        return [a is Skipped, b is Skipped]

    for _ in range(2):
        with Flow("through", store=store) as flow:
            kind = shop.kind("a")
            with kind.case("a"):
                a = shop.one()
            with kind.case("b"):
                b = shop.two()
            report(a, b)
        assert flow.run()["report"] == [False, True]
    assert [name for name, *_ in calls].count("report") == 2
    assert [name for name, *_ in calls].count("one") == 1


def test_a_plan_tells_what_is_skipped(shop, store):
    flow = three_ways(shop, store)
    flow.run()
    plan = three_ways(shop, store).plan()
    assert plan.will_run == []
    assert "not taken" in str(plan["two"].reasons[0])


def test_elements_that_only_a_branch_not_taken_needs_do_not_run(noted, store, calls):
    @noted
    def parity(x):
        return x % 2

    @noted
    def fetch(x):
        return x

    @noted
    def clean(x):
        return x + 0

    @noted
    def use(x):
        return ("used", x)

    with Flow("lazy elements", store=store) as flow:
        numbers = [1, 2, 3, 4]
        kinds, dear = parity.map(numbers), clean.map(fetch.map(numbers))
        with kinds.case(0):
            a = use.map(dear)
        with kinds.case(5):
            b = use.map(dear, name="never")
        merge(a, b)
    run = flow.run()
    assert sorted(call for call in calls if call[0] in {"fetch", "clean"}) == [
        ("clean", 2), ("clean", 4), ("fetch", 2), ("fetch", 4),
    ]  # fmt: skip
    assert run["merge"] == [("used", 2), ("used", 4)]
    assert run.frame("clean")["state"].tolist() == ["skipped", "success", "skipped", "success"]
    assert flow.plan().will_run == []
    # What somebody else needs, too, runs for all elements.
    calls.clear()
    with Flow("lazy elements", store=store) as flow:
        kinds, dear = parity.map(numbers), clean.map(fetch.map(numbers))
        with kinds.case(0):
            use.map(dear)
        noted(lambda xs: len(xs), name="count")(dear)
    assert flow.run()["count"] == 4
    assert sorted(call for call in calls if call[0] == "fetch") == [("fetch", 1), ("fetch", 3)]


def test_elements_wait_for_a_branch_that_fails(noted, store):
    @noted
    def fails(x):
        raise ValueError("no")

    @noted
    def fetch(x):
        return x

    with Flow("fails", store=store) as flow:
        dear = fetch.map([1, 2])
        with fails.map([1, 2]).case(0):
            fetch.map(dear, name="use")
    run = flow.run()
    assert run.frame("use")["state"].tolist() == ["trigger_failed"] * 2
    assert run.frame("fetch")["state"].tolist() == ["skipped"] * 2
