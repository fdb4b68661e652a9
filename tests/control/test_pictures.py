"""How control flow is drawn: what stands in the DOT, and one SVG of each construct."""

import re
from xml.etree import ElementTree as ET

import pytest

from nbflow import Flow, Parameter, loop, merge, resource, signals, switch, task
from nbflow.draw.theme import LOOKS
from nbflow.errors import GraphError


@task
def kind(x):
    return "a"


@task
def one(x=0):
    return 1


@task
def fails(x):
    raise ValueError("no")


def branches(store):
    with Flow("branches", store=store) as flow:
        node = kind(Parameter("x", default=1))
        with switch(node):
            with node.case("a"):
                a = one(name="first")
                one(a, name="inside")
            with node.default():
                b = one(name="other")
        merge(a, b)
    return flow


def loops(store):
    @task
    def three():
        if loop.count < 3:
            raise signals.LOOP(result=loop.count)
        return loop.count

    with Flow("loops", store=store) as flow:
        three()
        task(loop_times=7)(lambda: 1)(name="seven")
    return flow


def dynamic(store):
    @task
    def parent(n):
        return [kind(i) for i in range(n)] + [one(kind(9))]

    with Flow("dynamic", store=store) as flow:
        parent(3)
    return flow


def nested(store):
    with Flow("nested", store=store) as flow:
        with Flow("inner"):
            one(name="in")
            with Flow("innermost"):
                one(name="deep")
        one(name="out")
    return flow


def resources(store):
    @resource
    def client():
        yield 1

    with Flow("resources", store=store) as flow:
        with client() as c:
            kind(c)
        one()
    return flow


def maps(store):
    with Flow("maps", store=store) as flow:
        kinds = kind.map([1, 2, 3])
        with kinds.case("a"):
            one.map([1, 2, 3])
        fails.map(kinds)
    return flow


def order(store):
    with Flow("order", store=store) as flow:
        one(name="a") >> [one(name="b"), one(name="c")]
    return flow


ALL = [branches, loops, dynamic, nested, resources, maps, order]


def edges(drawing):
    """The edges of a drawing as (tail, head, label, dashed), by the labels of their boxes."""
    source = drawing.source
    symbols = "".join(look.symbol for look in LOOKS.values())
    boxes = {
        number: label.strip('"').lstrip(f"{symbols} ")
        for number, label in re.findall(r'^\s*(b\d+) \[label=("[^"]*"|[^\s\]]+)', source, re.MULTILINE)
    }
    found = re.findall(r"(b\d+) -> (b\d+) \[(.*)\]", source)
    labels = [re.search(r'label=("[^"]*"|[^\s\]]+)', rest) for _, _, rest in found]
    return {
        (boxes[tail], boxes[head], (label[1].strip('"') if label else ""), "style=dashed" in rest)
        for (tail, head, rest), label in zip(found, labels, strict=True)
    }


def test_branches_carry_their_case_on_the_edge(store):
    flow = branches(store)
    drawn = edges(flow.visualize(flow.run()))
    assert ("kind", "first", "= 'a'", False) in drawn
    assert ("kind", "other", "default", False) in drawn
    # What follows inside the branch needs no arrow of its own.
    assert ("first", "inside", "", False) in drawn
    assert not any(tail == "kind" and head == "inside" for tail, head, *_ in drawn)
    assert {("first", "merge", "", False), ("other", "merge", "", False)} <= drawn


def test_loops_are_an_arrow_onto_itself_with_the_count(store):
    flow = loops(store)
    assert ("seven", "seven", "×7", False) in edges(flow.visualize())
    assert ("three", "three", "×3", False) in edges(flow.visualize(flow.run()))


def test_what_a_task_made_is_a_cluster_with_one_stack_a_task(store):
    flow = dynamic(store)
    source = flow.visualize(flow.run()).source
    assert 'label="made by parent"' in source
    assert "kind 4/4" in source
    assert re.search(r'label="✓ kind 4/4"[^\]]*peripheries=2', source)
    assert ("parent", "kind 4/4", "", True) in edges(flow.visualize(flow.run()))


def test_nested_flows_are_clusters_inside_each_other(store):
    source = nested(store).visualize().source
    inner, innermost = source.index("label=inner "), source.index("label=innermost")
    assert inner < source.index("label=in ") < innermost < source.index("label=deep")
    assert source.count("subgraph cluster_") == 2


def test_a_resource_is_a_frame_around_what_uses_it(store):
    flow = resources(store)
    source = flow.visualize().source
    frame = source[source.index("subgraph") : source.index("}", source.index("subgraph"))]
    assert "label=kind" in frame
    assert "label=one" not in frame


def test_a_mapped_node_is_a_stack_with_its_count(store):
    flow = maps(store)
    source = flow.visualize(flow.run()).source
    assert "kind 3/3" in source
    assert "fails 0/3" in source
    assert source.count("peripheries=2") == 3


def test_order_is_dashed(store):
    assert edges(order(store).visualize()) == {("a", "b", "", True), ("a", "c", "", True)}


@pytest.mark.parametrize("build", ALL, ids=lambda build: build.__name__)
def test_each_construct_is_drawn_as_svg_with_its_states(store, build):
    flow = build(store)
    run = flow.run()
    for shown in (flow, flow.visualize(run), flow.plan()):
        bundle = shown._repr_mimebundle_()
        html = bundle["text/html"]
        assert "nf-svg" in html
        assert ET.fromstring(html[html.index("<svg") : html.index("</svg>") + 6]).tag.endswith("svg")
    assert 'data-state="success"' in flow.visualize(run)._repr_mimebundle_()["text/html"]


@pytest.mark.parametrize("name", ["picture.svg", "picture.dot", "picture.png"])
def test_a_picture_can_be_saved(store, tmp_path, name):
    path = branches(store).visualize().save(tmp_path / name)
    start = {"svg": b"<svg", "dot": b"digraph", "png": b"\x89PNG"}[path.suffix[1:]]
    assert path.read_bytes().startswith(start)


def test_visualize_saves_under_a_name_in_a_format(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    drawing = branches(store).visualize(filename="flow", format="pdf")
    assert (tmp_path / "flow.pdf").read_bytes().startswith(b"%PDF")
    assert drawing.source.startswith("digraph")
    assert "kind" in repr(drawing)
    with pytest.raises(GraphError, match=r"'jpeg'.*did you mean 'jpg'"):
        branches(store).visualize(format="jpeg")


def test_a_picture_without_graphviz_says_what_to_do(store, tmp_path, monkeypatch):
    from nbflow.draw import layout

    monkeypatch.setattr(layout, "_commands", lambda kind: iter([]))
    layout._laid_out.cache_clear()
    drawing = branches(store).visualize()
    with pytest.raises(GraphError, match="save as 'dot'"):
        drawing.save(tmp_path / "picture.svg")
    assert drawing.save(tmp_path / "picture.dot").read_text().startswith("digraph")
    assert "text/vnd.mermaid" in drawing._repr_mimebundle_()
