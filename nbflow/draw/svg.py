"""Graphviz's positions, drawn anew: rounded boxes, stacks, bars, symbols. All user text goes in as text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from xxhash import xxh3_64_hexdigest

from nbflow.draw.dot import MARGIN, SYMBOL_ROOM, clusters, count_text, label_size, shown
from nbflow.draw.theme import LOOKS, NONE, style

if TYPE_CHECKING:
    from nbflow.draw.picture import Arrow, Box, Picture

_SVG = "{http://www.w3.org/2000/svg}"
# Points from a mapped box to the outline behind it; Graphviz keeps as much on each side for its second outline.
_STACK = 4.0
# How far below its middle a line of text stands, as a part of its size.
_BASELINE = 0.35
_LONGEST_TIP = 1000
_UNPRINTABLE = re.compile("[^\\n\\t\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Area:
    """Where a box lies, in points."""

    x: float
    y: float
    width: float
    height: float


def parsed(laid_out: str) -> ET.Element:
    """Graphviz's SVG as elements."""
    return ET.fromstring(laid_out)  # noqa: S314 (Graphviz wrote it; it has no entities)


def restyle(root: ET.Element, dot: str, picture: Picture) -> str:
    """An SVG with classes and stable ids, for a page that has the style sheet. root: what Graphviz made of the DOT."""
    canvas = _canvas(root, picture)
    drawing = root.find(f"{_SVG}g")
    if drawing is not None:
        group = ET.SubElement(canvas, "g", {"transform": drawing.get("transform", "")})
        _draw_all(group, drawing, picture, _name(dot))
    return ET.tostring(canvas, encoding="unicode")


def alone(svg: str, dot: str) -> str:
    """A restyled SVG with its own style sheet. Shown as an image it lies on a page whose colour is not known."""
    name = _name(dot)
    # The first > ends the first tag: in attributes they are escaped.
    head, body = svg.split(">", 1)
    paper = '<rect class="nf-paper" width="100%" height="100%" rx="8" />'
    return f'{head} id="{name}"><style>{escape(style(f"#{name}", in_jupyter=False), quote=False)}</style>{paper}{body}'


def areas(root: ET.Element, picture: Picture) -> tuple[list[Area], float]:
    """Where the boxes of a picture lie in its SVG, and how wide that is."""
    drawing = root.find(f"{_SVG}g")
    assert drawing is not None
    moved = re.search(r"translate\(([-\d.]+)[ ,]+([-\d.]+)\)", drawing.get("transform", ""))
    dx, dy = (float(moved[1]), float(moved[2])) if moved else (0.0, 0.0)
    parts = {part.get("id", ""): part for part in drawing.findall(f"{_SVG}g")}
    found = [_area(parts[f"b{number}"]) for number in range(len(picture.boxes))]
    width = float(root.get("viewBox", "0 0 100 100").split()[2])
    return [Area(area.x + dx, area.y + dy, area.width, area.height) for area in found], width


def _canvas(root: ET.Element, picture: Picture) -> ET.Element:
    return ET.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": root.get("viewBox", "0 0 100 100"),
            "width": root.get("width", "100").replace("pt", ""),
            "height": root.get("height", "100").replace("pt", ""),
            "class": "nf-svg",
            "role": "img",
            "aria-label": shown(f"flow {picture.name}"),
            "style": "max-width:100%;height:auto",
        },
    )


def _draw_all(group: ET.Element, drawing: ET.Element, picture: Picture, name: str) -> None:
    parts = {part.get("id", ""): part for part in drawing.findall(f"{_SVG}g")}
    for number, path in enumerate(clusters(picture)):
        _draw_cluster(group, parts[f"c{number}"], path, f"{name}-c{number}")
    for number, arrow in enumerate(picture.arrows):
        # An arrow to a box that is not in the picture is not in the DOT either.
        if f"e{number}" in parts:
            _draw_arrow(group, parts[f"e{number}"], arrow)
    for number, box in enumerate(picture.boxes):
        _draw_box(group, box, _area(parts[f"b{number}"]), f"{name}-{number}")


def _draw_cluster(group: ET.Element, part: ET.Element, path: tuple[str, ...], name: str) -> None:
    mine = ET.SubElement(group, "g", {"class": "nf-cluster", "id": name})
    area = _area(part)
    _rectangle(mine, "nf-frame", area, 10)
    _write(mine, "nf-cluster-label", shown(path[-1]), area.x + MARGIN, area.y + 15)


def _draw_arrow(group: ET.Element, part: ET.Element, arrow: Arrow) -> None:
    kinds = ["nf-edge"] + ["nf-order"] * arrow.order + ["nf-each"] * arrow.mapped
    mine = ET.SubElement(group, "g", {"class": " ".join(kinds)})
    for each in part:
        if each.tag == f"{_SVG}path":
            ET.SubElement(mine, "path", {"d": each.get("d", "")})
        elif each.tag == f"{_SVG}polygon":
            ET.SubElement(mine, "polygon", {"points": each.get("points", "")})
        elif each.tag == f"{_SVG}text":
            place = {"x": each.get("x", "0"), "y": each.get("y", "0"), "text-anchor": "middle"}
            ET.SubElement(mine, "text", place).text = shown(arrow.label)


def _area(part: ET.Element) -> Area:
    # A stack has two outlines; arrows end at the outer one.
    pairs = " ".join(shape.get("points", "") for shape in part.findall(f"{_SVG}polygon")).split()
    points = [tuple(map(float, pair.split(","))) for pair in pairs]
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    return Area(min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys))


def _draw_box(group: ET.Element, box: Box, area: Area, name: str) -> None:
    state = box.state or "none"
    classes = f"nf-box nf-{box.kind} nf-{state}" + (" nf-mapped" if box.mapped else "")
    mine = ET.SubElement(
        group, "g", {"class": classes, "id": name, "data-node": printable(box.name), "data-state": box.state}
    )
    tip = "\n".join(part for part in (box.name, box.state.replace("_", " "), count_text(box), box.detail) if part)
    ET.SubElement(mine, "title").text = printable(tip[:_LONGEST_TIP])
    radius = area.height / 2 if box.kind in {"parameter", "input", "merge"} else 7.0
    if box.mapped:
        front = Area(area.x, area.y, area.width - 2 * _STACK, area.height - 2 * _STACK)
        for offset in (2 * _STACK, _STACK):
            behind = Area(front.x + offset, front.y + offset, front.width, front.height)
            _rectangle(mine, "nf-stack", behind, radius)
        area = front
    _rectangle(mine, "nf-body", area, radius)
    _draw_text(mine, box, area)
    if box.mapped and box.total and box.done is not None:
        _draw_bar(mine, area, box.done / box.total)


def _draw_text(mine: ET.Element, box: Box, area: Area) -> None:
    look = LOOKS.get(box.state, NONE)
    count = count_text(box)
    # The bar runs along the bottom: text above it sits a little higher.
    middle = area.y + area.height / 2 + _BASELINE * label_size(box) - (2 if count else 0)
    left = area.x + MARGIN
    if look.symbol:
        _write(mine, "nf-symbol", look.symbol, left, middle)
        left += SYMBOL_ROOM
    if look.symbol or count:
        _write(mine, "nf-label", shown(box.label), left, middle)
    else:
        _write(mine, "nf-label", shown(box.label), area.x + area.width / 2, middle, anchor="middle")
    if count:
        _write(mine, "nf-count", count, area.x + area.width - MARGIN, middle, anchor="end")


def _draw_bar(mine: ET.Element, area: Area, part: float) -> None:
    track = Area(area.x + MARGIN, area.y + area.height - 6.5, area.width - 2 * MARGIN, 2.5)
    _rectangle(mine, "nf-track", track, 1.2)
    _rectangle(mine, "nf-bar", Area(track.x, track.y, track.width * min(1.0, part), track.height), 1.2)


def _rectangle(mine: ET.Element, kind: str, area: Area, radius: float) -> None:
    sizes = {"x": area.x, "y": area.y, "width": max(0.0, area.width), "height": max(0.0, area.height), "rx": radius}
    ET.SubElement(mine, "rect", {"class": kind, **{k: f"{v:.2f}" for k, v in sizes.items()}})


def _write(mine: ET.Element, kind: str, text: str, x: float, y: float, anchor: str = "start") -> None:
    place = {"class": kind, "x": f"{x:.2f}", "y": f"{y:.2f}", "text-anchor": anchor}
    ET.SubElement(mine, "text", place).text = text


def printable(text: str) -> str:
    """Without what XML cannot hold."""
    return _UNPRINTABLE.sub("�", text)


def _name(dot: str) -> str:
    """The same for the same layout, so that a saved notebook differs in nothing."""
    return "nf-" + xxh3_64_hexdigest(dot.encode())[:8]
