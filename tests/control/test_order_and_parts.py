"""Order without data, flows inside flows, and nodes made of nodes: operators, parts, products, flattening."""

import numpy as np
import pandas as pd
import pytest

from nbflow import Flow, Parameter, State, chain, flatten, task, tasks, unmapped
from nbflow.errors import GraphError, NoValueYet, ParameterError, UnknownName


@pytest.fixture
def step(noted):
    @noted
    def step(name):
        return name

    return step


def order_of(calls):
    return [call[1] for call in calls]


@pytest.mark.parametrize("how", ["chain", "flow.chain", ">>", "after", "upstream"])
def test_ways_to_say_what_comes_first(store, step, calls, how):
    with Flow("order", store=store, executor="sync") as flow:
        d, c, b, a = step("d", name="d"), step("c", name="c"), step("b", name="b"), step("a", name="a")
        if how == "chain":
            chain(a, [b, c], d)
        elif how == "flow.chain":
            flow.chain(a, [b, c], d)
        elif how == ">>":
            a >> [b, c] >> d
        elif how == "after":
            d.after(b, c)
            b.after(a)
            c.after([a])
        else:
            b << a
            c << a
            d << [b, c]
    flow.run()
    assert order_of(calls)[0] == "a"
    assert order_of(calls)[-1] == "d"


def test_a_failure_passes_along_order(store, step):
    @task
    def fails():
        raise ValueError("no")

    with Flow("order", store=store) as flow:
        fails() >> step("after")
    assert flow.run().state("step") is State.TRIGGER_FAILED


def test_order_is_no_part_of_what_is_computed(store, step, calls):
    with Flow("one", store=store) as flow:
        chain(step("a", name="a"), step("b", name="b"))
    flow.run()
    with Flow("one", store=store) as flow:
        chain(step("b", name="b"), step("a", name="a"))
    flow.run()
    assert len(calls) == 2


def test_an_order_that_cannot_be_is_an_error_at_its_line_and_changes_nothing(store, step):
    with Flow("cycle", store=store) as flow:
        a, b, c = step("a", name="a"), step("b", name="b"), step("c", name="c")
        chain(a, b)
        with pytest.raises(GraphError, match="need each other"):
            chain(c, b, a)
        with pytest.raises(GraphError, match="no node"):
            chain(a, 3)
        with pytest.raises(GraphError, match=">>: 3 is no node"):
            a >> 3
    assert c.order == ()
    assert flow.run().ok
    with Flow("other", store=store):
        other = step("x")
        with pytest.raises(GraphError, match="belongs to flow 'cycle'"):
            chain(a, other)


# Flows in flows


def test_a_flow_inside_a_flow_is_a_part_of_it_and_runs_alone(store, step, calls):
    with Flow("outer", store=store) as outer:
        first = step("first", name="first")
        with Flow("inner", store=store) as inner:
            second = step(first, name="second")
        step(second, name="third")
    assert [node.name for node in outer] == ["first", "second", "third"]
    assert [node.name for node in inner] == ["second"]
    assert inner.run()["second"] == "first"
    assert calls == [("step", "first")]
    assert outer.run()["third"] == "first"
    # Equal calls are computed once.
    assert len(calls) == 1


def test_names_inside_a_nested_flow_are_its_own(store, step):
    with Flow("outer", store=store) as outer:
        step("a")
        with Flow("inner", store=store) as inner:
            step("b")
    assert outer.run()["step"] == "a"
    assert inner.run()["step"] == "b"
    assert outer.run()["step-2"] == "b"


def test_a_flow_called_inside_another_is_a_copy_with_its_parameters_bound(store, step):
    with Flow("inner", store=store) as inner:
        n = Parameter("n", default=1)
        xs = Parameter("xs", default=[1])
        doubled = (n * 2) + 1
        step(doubled, name="result")
        step.map(xs, name="each")

    with Flow("outer", store=store) as outer:
        three = inner(n=3, xs=[1, 2])
        node = inner(n=three["result"])
        step(node["result"], name="last")
    run = outer.run()
    assert run["result"] == 7
    assert run["last"] == 15
    assert run["each"] == [1, 2]
    assert inner.run()["result"] == 3
    assert {node.cluster for node in outer} == {("inner",), ("inner-2",), ()}


def test_a_flow_cannot_be_called_with_what_it_does_not_know(store, step):
    with Flow("inner", store=store) as inner:
        step(Parameter("n"))
    with pytest.raises(GraphError, match="called inside another flow"):
        inner(n=3)
    with Flow("outer", store=store):
        with pytest.raises(ParameterError, match="did you mean 'n'"):
            inner(nn=3)
        with pytest.raises(ParameterError, match="no default"):
            inner()
        with pytest.raises(UnknownName, match="'stepp'"):
            inner(n=1)["stepp"]


def test_branches_loops_and_resources_are_inlined_too(store):
    @task
    def kind(x):
        return x

    @task
    def named(x):
        return x

    from nbflow import merge

    with Flow("inner", store=store) as inner:
        what = kind(Parameter("what", default="a"))
        with what.case("a"):
            a = named("A", name="A")
        with what.case("b"):
            b = named("B", name="B")
        merge(a, b)
    with Flow("outer", store=store) as outer:
        one, two = inner(), inner(what="b")
    run = outer.run()
    assert [run[one["merge"]], run[two["merge"]]] == ["A", "B"]


# Operators and parts


def test_operators_give_nodes(store):
    @task
    def five():
        return 5

    with Flow("operators", store=store) as flow:
        x = five()
        nodes = {
            6: x + 1, 4: x - 1, 10: 2 * x, 2.5: x / 2, 2: x // 2, 1: x % 2, 25: x**2, -5: -x, 95: 100 - x,
        }  # fmt: skip
        bools = {"lt": x < 6, "ge": x >= 6, "eq": x.eq(5), "ne": x.ne(5)}
    run = flow.run()
    assert {run[node]: None for node in nodes.values()} == dict.fromkeys(nodes)
    assert [run[node] for node in bools.values()] == [True, False, True, False]
    assert nodes[6].name == "five + 1"


def test_operators_on_a_mapped_node_work_element_by_element(store):
    @task
    def double(x):
        return 2 * x

    with Flow("elements", store=store) as flow:
        doubled = double.map([1, 2, 3])
        big = doubled > 2
        both = doubled + doubled
    run = flow.run()
    assert run[big] == [False, True, True]
    assert run[both] == [4, 8, 12]


def test_equality_stays_pythons():
    node, other = task(lambda: 1)(), task(lambda: 2)()
    assert node != other
    assert node in [other, node]


@pytest.mark.parametrize("use", [bool, iter, len, lambda node: 3 in node, lambda node: 1 if node else 2])
def test_a_node_has_no_value_yet(use):
    with pytest.raises(NoValueYet, match="no value yet"):
        use(task(lambda: 1)())


def test_several_results_are_unpacked(store):
    @task(nout=2)
    def split(x):
        return x // 10, x % 10

    @task
    def annotated(x) -> tuple[int, str]:
        return x, str(x)

    with Flow("parts", store=store) as flow:
        tens, ones = split(42)
        number, text = annotated(ones)
        many_tens, many_ones = split.map([11, 23])
    run = flow.run()
    assert [run[tens], run[ones], run[number], run[text]] == [4, 2, 2, "2"]
    assert [run[many_tens], run[many_ones]] == [[1, 2], [1, 3]]


# Maps


def test_a_product_runs_all_combinations_the_last_fastest(store, noted, calls):
    @noted
    def pair(a, b, c):
        return f"{a}{b}{c}"

    with Flow("product", store=store) as flow:
        pair.product([1, 2], b={"x": "X", "y": "Y"}, c=unmapped("!"))
    run = flow.run()
    assert run["pair"] == ["1X!", "1Y!", "2X!", "2Y!"]
    frame = run.frame("pair")
    assert frame.index.tolist() == [(1, "x"), (1, "y"), (2, "x"), (2, "y")]
    assert list(frame.index.names) == ["a", "b"]
    assert frame.loc[(2, "y"), "result"] == "2Y!"
    assert frame.reset_index()["a"].tolist() == [1, 1, 2, 2]


def test_a_product_of_nodes_reuses_its_combinations(store, noted, calls):
    @noted
    def give(xs):
        return xs

    @noted
    def each(x):
        return x * 10

    @noted
    def pair(a, b):
        return (a, b)

    def build(numbers):
        with Flow("product", store=store) as flow:
            pair.product(give(numbers), each.map([1, 2]))
        return flow

    assert build([5, 6]).run()["pair"] == [(5, 10), (5, 20), (6, 10), (6, 20)]
    calls.clear()
    assert build([6, 7]).run()["pair"] == [(6, 10), (6, 20), (7, 10), (7, 20)]
    assert sorted(call for call in calls if call[0] == "pair") == [("pair", 7, 10), ("pair", 7, 20)]


def test_an_empty_axis_gives_an_empty_product(store, step):
    @task
    def pair(a, b):
        return a, b

    with Flow("empty", store=store) as flow:
        pair.product([1, 2], [])
    run = flow.run()
    assert run["pair"] == []
    assert len(run.frame("pair")) == 0


def test_flatten_opens_one_level(store, noted, calls):
    @noted
    def upto(n):
        return list(range(n))

    @noted
    def double(x):
        return 2 * x

    def build(numbers):
        with Flow("flat", store=store) as flow:
            double.map(flatten(upto.map(numbers)))
        return flow

    assert build([2, 3]).run()["double"] == [0, 2, 0, 2, 4]
    calls.clear()
    assert build([2, 4]).run()["double"] == [0, 2, 0, 2, 4, 6]
    assert calls == [("upto", 4), ("double", 3)]


def test_flatten_of_a_list_of_lists_and_of_tables(store):
    @task
    def nested():
        return [[1, 2], (3,), [], np.array([4])]

    @task
    def table(n):
        return pd.Series([n, n + 1])

    @task
    def total(xs):
        return sum(xs)

    with Flow("flat", store=store) as flow:
        total(flatten(nested()))
        total(flatten(table.map([1, 10])), name="tables")
    run = flow.run()
    assert run["total"] == 10
    assert run["tables"] == 24
    with pytest.raises(GraphError, match="a node is needed"):
        flatten([[1]])


def test_the_function_form_of_map(store):
    @task
    def double(x):
        return 2 * x

    with Flow("map", store=store) as flow:
        tasks.map(double)([1, 2])
        tasks.map(abs)([-1], name="absolute")
    assert flow.run()["double"] == [2, 4]
    assert flow.run()["absolute"] == [1]


def test_maps_of_maps_run_depth_first(store, calls, noted):
    @noted(cache=False)
    def first(x):
        return x

    @noted(cache=False)
    def second(x):
        return x

    with Flow("deep", store=store, executor="sync") as flow:
        second.map(first.map(range(3)))
    flow.run()
    assert calls[:2] == [("first", 0), ("second", 0)]


def test_elements_of_a_product_that_are_looked_up_alone_keep_their_own_keys(store, noted, calls):
    @noted
    def pair(a, b):
        return f"{a}{b}"

    @noted
    def kind(x):
        return x

    def build(kinds):
        with Flow("partial", store=store) as flow:
            with kind.map(kinds).case("yes"):
                pair.product(["a", "b"], ["c", "d"])
        return flow

    with Flow("known", store=store) as flow:
        kind.map(["yes", "no"])
    flow.run()
    # Only the second and the third, both at once: their items of the second argument come in the other order.
    assert build(["no", "yes", "yes", "no"]).run()["pair"] == ["ad", "bc"]
    run = build(["yes", "yes", "yes", "yes"]).run()
    assert run["pair"] == ["ac", "ad", "bc", "bd"]
    assert run.frame("pair")["state"].tolist() == ["success", "cached", "cached", "success"]
