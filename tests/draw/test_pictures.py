"""Pictures: what is in the DOT, the SVG, the text; and that nothing of a user's gets out of its quotes."""

import re
from xml.etree import ElementTree as ET

import pytest

from nbflow.draw import Arrow, Box, Picture, lay_out, mime_bundle, to_dot, to_mermaid, to_text
from nbflow.draw import layout as layout_module

SVG = "{http://www.w3.org/2000/svg}"
FLOW = Picture(
    name="weather",
    boxes=(
        Box("how", "how = 'mean'", "parameter"),
        Box("load", "load", "task", "fresh", mapped=True, done=37, total=100),
        Box("daily", "daily", "task", "failed", detail="ValueError: no"),
        Box("lost (missing)", "lost", "missing"),
    ),
    arrows=(
        Arrow("how", "daily"),
        Arrow("load", "daily", mapped=True),
        Arrow("lost (missing)", "daily", label="[0]"),
        Arrow("how", "load", order=True),
    ),
)


def parsed(picture):
    return ET.fromstring(mime_bundle(picture)["image/svg+xml"])


def texts(root):
    return [each.text for each in root.iter(f"{SVG}text")]


def test_a_mapped_node_is_a_stack_and_order_is_dashed_in_the_dot():
    dot = to_dot(FLOW)
    assert dot.count("peripheries=2") == 1
    assert dot.count("style=dashed") == 1
    assert 'label="[0]"' in dot


def test_every_node_is_there_with_its_state_symbol_and_count():
    root = parsed(FLOW)
    boxes = {each.get("data-node"): each for each in root.iter(f"{SVG}g") if each.get("data-node")}
    assert set(boxes) == {"how", "load", "daily", "lost (missing)"}
    assert "nf-mapped" in boxes["load"].get("class")
    assert len([r for r in boxes["load"] if r.get("class") == "nf-stack"]) == 2
    assert [t.text for t in boxes["load"].iter(f"{SVG}text")] == ["●", "load", "37/100"]
    bar = next(r for r in boxes["load"] if r.get("class") == "nf-bar")
    track = next(r for r in boxes["load"] if r.get("class") == "nf-track")
    assert float(bar.get("width")) == pytest.approx(0.37 * float(track.get("width")), abs=0.01)
    assert boxes["daily"].get("data-state") == "failed"
    assert "ValueError: no" in boxes["daily"].find(f"{SVG}title").text
    assert [t.text for t in boxes["daily"].iter(f"{SVG}text")] == ["✗", "daily"]


def test_arrows_are_drawn_each_with_its_own_style_and_label():
    edges = [each for each in parsed(FLOW).iter(f"{SVG}g") if (each.get("class") or "").startswith("nf-edge")]
    assert len(edges) == 4
    assert [("nf-order" in each.get("class")) for each in edges] == [False, False, False, True]
    assert [t.text for t in edges[2].iter(f"{SVG}text")] == ["[0]"]


def test_the_html_has_a_legend_with_counts():
    html = mime_bundle(FLOW)["text/html"]
    assert "<b>●</b> 1 fresh" in html
    assert "<b>✗</b> 1 failed" in html


def test_all_tags_are_plain_ones_that_a_page_knows():
    bundle = mime_bundle(FLOW)
    for form in ("text/html", "image/svg+xml"):
        assert not re.findall(r"</?\w+:\w+|xmlns:", bundle[form])


def test_the_same_picture_is_the_same_text():
    assert mime_bundle(FLOW) == mime_bundle(FLOW)


def test_two_pictures_in_one_page_share_no_ids():
    other = Picture("other", FLOW.boxes[:2], ())
    ids = [
        {each.get("id") for each in ET.fromstring(mime_bundle(p)["image/svg+xml"]).iter() if each.get("id")}
        for p in (FLOW, other)
    ]
    assert not ids[0] & ids[1]


HOSTILE = [
    "<script>alert(1)</script>", '"quoted"', "back\\slash \\N \\l", "javascript:alert(1)", "</text><image href='x'/>",
    "emoji 🎉 中文", "line\nbreak", "x" * 10_000, "", "&amp; &", "nul\0 and \ud800", "<b>bold</b>", "'); DROP", "%s {}",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_whatever_users_call_things_is_shown_as_text_and_nothing_else(name):
    picture = Picture(
        name,
        (Box(name, name, "task", "fresh", detail=name, source=name), Box("b", "b", "task")),
        (Arrow(name, "b", label=name),),
    )
    bundle = mime_bundle(picture)
    for markup in (bundle["image/svg+xml"], bundle["text/html"]):
        root = ET.fromstring(markup)
        tags = {each.tag.removeprefix(SVG) for each in root.iter()}
        drawn, told = (
            {"svg", "g", "style", "title", "rect", "text", "path", "polygon"},
            {"details", "summary", "p", "pre"},
        )
        assert tags <= drawn | told | {"div", "span", "b", "strong"}
        assert not any(key.startswith("on") or "href" in key for each in root.iter() for key in each.keys())
    shown = name.replace("\n", " ")
    if 0 < len(shown) < 36 and "\0" not in name:
        assert shown in texts(parsed(picture))
    assert len(max((t or "" for t in texts(parsed(picture))), key=len)) <= 36


def test_without_dot_on_the_path_the_wheel_draws(monkeypatch):
    monkeypatch.setattr(layout_module.shutil, "which", lambda name: None)
    layout_module._laid_out.cache_clear()
    assert lay_out(to_dot(FLOW)).boxes
    layout_module._laid_out.cache_clear()


def test_without_any_graphviz_there_is_a_mermaid_chart_and_text(monkeypatch):
    monkeypatch.setattr(layout_module.shutil, "which", lambda name: None)
    monkeypatch.setattr(layout_module.importlib.util, "find_spec", lambda name: None)
    layout_module._laid_out.cache_clear()
    bundle = mime_bundle(FLOW)
    layout_module._laid_out.cache_clear()
    assert set(bundle) == {"text/vnd.mermaid", "text/plain"}
    assert bundle["text/vnd.mermaid"] == to_mermaid(FLOW)
    assert 'b1["● load 37/100"]' in to_mermaid(FLOW)
    assert "b0 -.-> b1" in to_mermaid(FLOW)


def test_a_layout_that_fails_is_no_error(monkeypatch):
    monkeypatch.setattr(layout_module, "_commands", lambda kind: iter([["false"]]))
    layout_module._laid_out.cache_clear()
    assert "text/vnd.mermaid" in mime_bundle(FLOW)
    layout_module._laid_out.cache_clear()


def test_mermaid_quotes_what_could_end_its_labels():
    chart = to_mermaid(Picture("p", (Box("a", 'say "]--> <b>', "task"),), ()))
    assert chart.splitlines()[1].count('"') == 2
    assert "<" not in chart


def test_the_text_tells_one_node_a_line_with_what_it_needs():
    assert to_text(FLOW).splitlines() == [
        "weather",
        "  · how = 'mean'",
        "  ● load 37/100 fresh  ← how",
        "  ✗ daily failed  ← how, load, lost (missing)[0]",
        "  · lost",
    ]


def test_an_empty_flow_says_so():
    assert mime_bundle(Picture("f", (), ())) == {"text/plain": "f\n  (no tasks yet)"}


def test_two_hundred_nodes_are_drawn():
    boxes = tuple(Box(f"n{i}", f"node {i}", "task", "fresh") for i in range(200))
    arrows = tuple(Arrow(f"n{i // 2}", f"n{i}") for i in range(1, 200))
    assert len([g for g in parsed(Picture("p", boxes, arrows)).iter(f"{SVG}g") if g.get("data-node")]) == 200


def test_the_text_tells_which_of_several_outputs_is_used():
    boxes = (Box("low, high", "low, high", "task"), Box("mid", "mid", "task"))
    arrows = (Arrow("low, high", "mid", label="high"), Arrow("low, high", "mid", label="[0]"))
    assert to_text(Picture("p", boxes, arrows)).splitlines()[2] == "  · mid  ← low, high (high), low, high[0]"
