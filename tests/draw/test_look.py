"""How pictures look and where they come from: clusters, inputs, widths, themes, and a Graphviz that is broken."""

import os
import re
from xml.etree import ElementTree as ET

import pytest

from nbflow.draw import Arrow, Box, Picture, lay_out, mime_bundle, to_dot, to_mermaid, to_text
from nbflow.draw import layout as layout_module

SVG = "{http://www.w3.org/2000/svg}"
NESTED = Picture(
    "p",
    (
        Box("a", "a", "task", "new"),
        Box("b", "b", "task", "stale", cluster=("quality",)),
        Box("c", "c", "task", "fresh", cluster=("quality", "inner checks")),
        Box("d", "d", "input"),
    ),
    (Arrow("a", "b"), Arrow("b", "c", mapped=True), Arrow("b", "b", label="×3"), Arrow("a", "d", order=True)),
)


def svg(picture):
    return ET.fromstring(mime_bundle(picture)["image/svg+xml"])


def groups(root, kind):
    return [each for each in root.iter(f"{SVG}g") if kind in (each.get("class") or "").split()]


def rectangle(group, kind):
    shape = next(each for each in group if each.get("class") == kind)
    return tuple(float(shape.get(side)) for side in ("x", "y", "width", "height"))


def holds(outer, inner):
    return (
        outer[0] <= inner[0]
        and outer[1] <= inner[1]
        and outer[0] + outer[2] >= inner[0] + inner[2]
        and outer[1] + outer[3] >= inner[1] + inner[3]
    )


@pytest.fixture
def only(tmp_path, monkeypatch):
    """Sets a `dot` that does what the shell text says as the only one on the PATH."""

    def use(text):
        script = tmp_path / "dot"
        script.write_text(f"#!/bin/sh\n{text}\n")
        script.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path) + os.pathsep + "/usr/bin" + os.pathsep + "/bin")
        layout_module._laid_out.cache_clear()

    yield use
    layout_module._laid_out.cache_clear()


def test_a_nested_flow_is_a_frame_round_its_own_nodes_only():
    root = svg(NESTED)
    frames = {
        next(each.text for each in group.iter(f"{SVG}text")): rectangle(group, "nf-frame")
        for group in groups(root, "nf-cluster")
    }
    boxes = {group.get("data-node"): rectangle(group, "nf-body") for group in groups(root, "nf-box")}
    assert set(frames) == {"quality", "inner checks"}
    assert holds(frames["quality"], frames["inner checks"])
    assert {name for name, area in boxes.items() if holds(frames["quality"], area)} == {"b", "c"}
    assert {name for name, area in boxes.items() if holds(frames["inner checks"], area)} == {"c"}


def test_clusters_stand_in_mermaid_and_text_too():
    lines = to_mermaid(NESTED).splitlines()
    assert '  subgraph c0["quality"]' in lines
    assert '    subgraph c1["inner checks"]' in lines
    assert to_text(NESTED).splitlines()[3] == "  ● quality › inner checks › c fresh  ← b"


@pytest.mark.parametrize("name", ["<script>", '"]; x [', "a\\nb\\N", "&amp;", "cluster_c0", ""])
def test_a_cluster_may_be_called_anything(name):
    root = svg(Picture("p", (Box("a", "a", "task", cluster=(name,)),), ()))
    label = next(each for each in groups(root, "nf-cluster")[0].iter(f"{SVG}text"))
    assert (label.text or "") == name


def test_the_arrow_of_a_loop_shows_its_count_and_a_mapped_arrow_is_marked():
    root = svg(NESTED)
    edges = groups(root, "nf-edge")
    assert [each.text for each in edges[2].iter(f"{SVG}text")] == ["×3"]
    assert groups(root, "nf-each") == [edges[1]]


def test_an_arrow_to_a_box_that_is_not_there_is_left_out_and_the_others_keep_their_labels():
    arrows = (Arrow("gone", "a", label="lost"), Arrow("a", "b", label="kept"))
    edges = groups(svg(Picture("p", NESTED.boxes, arrows)), "nf-edge")
    assert [[each.text for each in edge.iter(f"{SVG}text")] for edge in edges] == [["kept"]]


def test_an_input_is_smaller_than_a_task_and_a_parameter_is_a_pill():
    root = svg(Picture("p", (Box("t", "x", "task"), Box("i", "x", "input"), Box("k", "x", "parameter")), ()))
    heights = {group.get("data-node"): rectangle(group, "nf-body")[3] for group in groups(root, "nf-box")}
    assert heights["i"] < heights["t"]
    pill = next(each for each in groups(root, "nf-parameter")[0] if each.get("class") == "nf-body")
    assert float(pill.get("rx")) == pytest.approx(heights["k"] / 2, abs=0.01)


@pytest.mark.parametrize("letters", ["W" * 30, "中" * 30, "m" * 30])
def test_wide_letters_get_a_wider_box(letters):
    root = svg(Picture("p", (Box("wide", letters, "task"), Box("thin", "i" * 30, "task")), ()))
    widths = {group.get("data-node"): rectangle(group, "nf-body")[2] for group in groups(root, "nf-box")}
    assert widths["wide"] > 30 * 13 * 0.95
    assert widths["thin"] < widths["wide"] / 2


def test_where_it_is_not_known_how_many_are_done_only_the_total_stands_and_no_bar():
    group = groups(svg(Picture("p", (Box("a", "a", "task", "new", mapped=True, total=100),), ())), "nf-box")[0]
    assert [each.text for each in group.iter(f"{SVG}text")] == ["○", "a", "×100"]
    assert not [each for each in group if each.get("class") == "nf-bar"]


def test_no_box_is_told_by_colour_alone():
    states = "pending running retrying success cached skipped failed trigger_failed paused cancelled".split()
    for table in (states, ["new", "stale", "fresh", "unknown"]):
        root = svg(Picture("p", tuple(Box(state, state, "task", state) for state in table), ()))
        symbols = [each.text for each in root.iter(f"{SVG}text") if each.get("class") == "nf-symbol"]
        assert len(set(symbols)) == len(table)


def test_the_image_brings_its_paper_and_both_themes_and_needs_nothing_of_jupyter():
    markup = mime_bundle(NESTED)["image/svg+xml"]
    assert "prefers-color-scheme:dark" in markup
    assert "--jp-" not in markup
    paper = next(each for each in ET.fromstring(markup).iter(f"{SVG}rect") if each.get("class") == "nf-paper")
    assert (paper.get("width"), paper.get("height")) == ("100%", "100%")


def test_the_html_follows_the_theme_of_jupyter_and_has_no_paper_of_its_own():
    html = mime_bundle(NESTED)["text/html"]
    assert "var(--jp-layout-color1,#f7f8fa)" in html
    assert "[data-jp-theme-light=false]" in html
    assert 'class="nf-paper"' not in html


def test_all_rules_of_the_style_stay_within_the_picture():
    html = mime_bundle(NESTED)["text/html"]
    name = re.search(r'<div id="([^"]+)"', html)[1]
    rules = re.search(r"<style>(.*?)</style>", html, re.S)[1].replace("@media (prefers-color-scheme:dark)", "")
    selectors = [part for rule in re.findall(r"([^{}]+)\{", rules) for part in rule.split(",")]
    assert len(selectors) > 30
    assert all(f"#{name}" in selector for selector in selectors)


@pytest.mark.parametrize("text", ["exit 1", "echo this is no picture", "exit 0", "kill -SEGV $$"])
def test_where_dot_is_broken_the_wheel_draws(only, text):
    only(text)
    assert lay_out(to_dot(NESTED)).boxes


def test_a_layout_that_failed_is_tried_again(only, monkeypatch):
    with monkeypatch.context() as alone:
        alone.setattr(layout_module.importlib.util, "find_spec", lambda name: None)
        only("exit 1")
        assert "text/html" not in mime_bundle(NESTED)
    assert "text/html" in mime_bundle(NESTED)


def test_a_dot_that_hangs_is_given_up(only, monkeypatch):
    monkeypatch.setattr(layout_module, "TIME_LIMIT_S", 0.2)
    monkeypatch.setattr(layout_module.importlib.util, "find_spec", lambda name: None)
    only("exec sleep 60")
    assert set(mime_bundle(NESTED)) == {"text/vnd.mermaid", "text/plain"}


def test_a_file_called_pygraphviz_beside_the_notebook_is_not_run(only, tmp_path, monkeypatch):
    (tmp_path / "pygraphviz.py").write_text("raise SystemExit(1)")
    monkeypatch.chdir(tmp_path)
    only("exit 1")
    assert lay_out(to_dot(NESTED)).boxes
