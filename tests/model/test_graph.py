"""Building graphs: what is allowed, what is not, and what the errors say."""

import re

import pytest

from nbflow import Flow, Parameter, task, unmapped
from nbflow.errors import (
    BindError,
    GraphError,
    MapError,
    NoValueYet,
    ParameterError,
    UnequalLengths,
    UnknownName,
)
from nbflow.model.node import ancestors


@task
def load(n=0):
    return n


@task
def join(x, y=None):
    return x


def test_calling_a_task_runs_nothing_and_gives_a_node():
    calls = []
    node = task(lambda: calls.append(1))()
    assert calls == []
    assert "Node" in repr(node)


def test_fn_is_the_plain_function():
    assert load.fn(3) == 3


def test_names_are_counted_up_and_can_be_given():
    with Flow("f") as flow:
        load()
        load()
        load(name="load east")
        load()
    assert list(flow.graph.nodes) == ["load", "load-2", "load east", "load-3"]


def test_a_name_given_twice_is_an_error_at_the_line_that_made_it():
    with Flow("f"):
        load(name="east")
        with pytest.raises(GraphError, match="'east' already"):
            load(name="east")


def test_running_a_cell_again_doubles_no_nodes():
    for _ in range(2):
        with Flow("f") as flow:
            join(load())
    assert list(flow.graph.nodes) == ["load", "join"]


def test_nodes_are_found_in_nested_containers():
    with Flow("f"):
        a, b, c = load(), load(), load()
        node = join([a, {"k": (b, [c])}])
    assert node.data == (a, b, c)


def test_upstream_orders_without_data():
    with Flow("f"):
        a = load()
        node = join(1, upstream=a)
    assert node.data == ()
    assert node.order == (a,)
    assert ancestors([node]) == [a, node]


@pytest.mark.parametrize(
    "misuse",
    [bool, list, lambda node: 3 in node, lambda node: [x for x in node]],
    ids=["bool", "list", "in", "comprehension"],
)
def test_a_node_has_no_value_yet(misuse):
    with Flow("f"):
        node = load()
        with pytest.raises(NoValueYet, match="'load' is a node and has no value yet"):
            misuse(node)


def test_equality_stays_pythons():
    with Flow("f"):
        a = load()
    assert (a == a) is True
    assert (a == 3) is False


def test_arguments_that_do_not_fit_are_an_error_at_the_call():
    with Flow("f"), pytest.raises(BindError, match=r"load\(n=0\): too many positional arguments"):
        load(1, 2)


def test_a_node_of_another_flow_is_an_error():
    with Flow("one"):
        a = load()
    with Flow("two"), pytest.raises(GraphError, match="belongs to flow 'one'.*flow 'two'"):
        join(a)


def test_a_node_made_before_the_flow_joins_it():
    a = load()
    with Flow("f") as flow:
        join(a)
    assert list(flow.graph.nodes) == ["load", "join"]


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (lambda: Flow(5), "Flow(5): a name is a text"),
        (lambda: Flow(""), "Flow(''): a name is a text"),
        (lambda: load(name=5), "load: name=5: a name is a text"),
        (lambda: Parameter(5), "Parameter(5): a name such as"),
    ],
)
def test_a_name_that_is_none_is_told_where_it_is_given(written, message):
    with pytest.raises((GraphError, ParameterError), match=re.escape(message)):
        written()


def test_an_option_that_does_not_exist_proposes_the_nearest():
    with pytest.raises(GraphError, match="'retry'.*did you mean.*'retries'"):
        task(retry=2)(lambda: 1)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (3, "'x' is an int, which cannot be iterated over"),
        ("text", "'x' is a str"),
        ({1, 2}, "'x' is a set"),
    ],
)
def test_what_cannot_be_mapped_over_is_named_with_its_type(source, message):
    with Flow("f"), pytest.raises(MapError, match=message):
        join.map(source)


def test_unequal_lengths_tell_both():
    with Flow("f"), pytest.raises(UnequalLengths, match="'x' has 10 elements, 'y' has 4.*strict=False"):
        join.map(range(10), range(4))


def test_a_map_over_nothing_is_an_error():
    with Flow("f"), pytest.raises(GraphError, match="at least one argument to map over"):
        join.map(unmapped(1))


def test_unmapped_in_a_plain_call_is_an_error():
    with Flow("f"), pytest.raises(GraphError, match="unmapped"):
        join(unmapped(1))


def test_a_generator_is_taken_once():
    taken = []

    def numbers():
        for i in range(3):
            taken.append(i)
            yield i

    with Flow("f"):
        node = load.map(numbers())
    assert taken == [0, 1, 2]
    assert list(node.arguments[0].items.values) == [0, 1, 2]


@pytest.mark.parametrize("name", ["targets", "force", "check", "dry", "approve"])
def test_parameters_may_not_be_named_like_options_of_run(name):
    with pytest.raises(ParameterError, match=name):
        Parameter(name)


def test_an_unknown_node_proposes_the_nearest():
    with Flow("f") as flow:
        load()
    with pytest.raises(UnknownName, match="'laod'; did you mean 'load'"):
        flow["laod"]


def test_an_upstream_that_is_no_node_is_an_error():
    with Flow("f"), pytest.raises(GraphError, match="upstream='load' is not a node"):
        join(1, upstream=["load"])
