"""Graphviz's positions, drawn anew: rounded boxes, stacks, bars, symbols. All user text goes in as text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from xxhash import xxh3_64_hexdigest

from nbflow.draw.dot import count_text, shown
from nbflow.draw.theme import LOOKS, NONE, style

if TYPE_CHECKING:
    from nbflow.draw.picture import Arrow, Box, Picture

_SVG = "{http://www.w3.org/2000/svg}"
ET.register_namespace("", "http://www.w3.org/2000/svg")
_STACK = 4.0


@dataclass(frozen=True, slots=True)
class Area:
    """Where a box lies, in points."""

    x: float
    y: float
    width: float
    height: float


def restyle(laid_out: str, dot: str, picture: Picture, *, in_jupyter: bool) -> str:
    """An SVG with classes, stable ids and its own style sheet. laid_out: what Graphviz made of the DOT."""
    root = ET.fromstring(laid_out)  # noqa: S314 (see the import)
    name = "nf-" + xxh3_64_hexdigest(dot.encode())[:8]
    canvas = ET.Element(
        f"{_SVG}svg",
        {
            "viewBox": root.get("viewBox", "0 0 100 100"),
            "width": root.get("width", "100").replace("pt", ""),
            "height": root.get("height", "100").replace("pt", ""),
            "class": "nf-svg",
            "role": "img",
            "aria-label": shown(f"flow {picture.name}"),
            "style": "max-width:100%;height:auto",
        },
    )
    if not in_jupyter:
        canvas.set("id", name)
        ET.SubElement(canvas, f"{_SVG}style").text = style(f"#{name}", in_jupyter=False)
    drawing = root.find(f"{_SVG}g")
    group = ET.SubElement(canvas, f"{_SVG}g")
    if drawing is None:
        return _text(canvas)
    group.set("transform", drawing.get("transform", ""))
    arrows = [arrow for arrow in picture.arrows if _known(picture, arrow)]
    _draw_edges(group, drawing, arrows)
    for number, box in enumerate(picture.boxes):
        area = _area(drawing, f"b{number}")
        if area is not None:
            _draw_box(group, box, area, f"{name}-{number}")
    return _text(canvas)


def _known(picture: Picture, arrow: Arrow) -> bool:
    names = {box.name for box in picture.boxes}
    return arrow.tail in names and arrow.head in names


def _draw_edges(group: ET.Element, drawing: ET.Element, arrows: list[Arrow]) -> None:
    laid = [g for g in drawing.findall(f"{_SVG}g") if g.get("class") == "edge"]
    # Graphviz writes edges in the order of their numbers, edge1, edge2 …, which is that of the DOT.
    laid.sort(key=lambda g: int(re.sub(r"\D", "", g.get("id", "0")) or 0))
    for edge, arrow in zip(laid, arrows, strict=False):
        kind = "nf-edge nf-order" if arrow.order else "nf-edge"
        mine = ET.SubElement(group, f"{_SVG}g", {"class": kind})
        for part in edge:
            if part.tag == f"{_SVG}path":
                ET.SubElement(mine, f"{_SVG}path", {"d": part.get("d", "")})
            elif part.tag == f"{_SVG}polygon":
                ET.SubElement(mine, f"{_SVG}polygon", {"points": part.get("points", "")})
            elif part.tag == f"{_SVG}text":
                place = {"x": part.get("x", "0"), "y": part.get("y", "0"), "text-anchor": "middle"}
                ET.SubElement(mine, f"{_SVG}text", place).text = shown(arrow.label)


def _area(drawing: ET.Element, number: str) -> Area | None:
    for each in drawing.findall(f"{_SVG}g"):
        title = each.find(f"{_SVG}title")
        shapes = each.findall(f"{_SVG}polygon")
        if each.get("class") == "node" and title is not None and title.text == number and shapes:
            # A stack has two outlines; arrows end at the outer one.
            pairs = " ".join(shape.get("points", "") for shape in shapes).split()
            points = [tuple(map(float, pair.split(","))) for pair in pairs]
            xs, ys = [p[0] for p in points], [p[1] for p in points]
            return Area(min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys))
    return None


def _draw_box(group: ET.Element, box: Box, area: Area, name: str) -> None:
    state = box.state or "none"
    classes = f"nf-box nf-{box.kind} nf-{state}" + (" nf-mapped" if box.mapped else "")
    mine = ET.SubElement(
        group, f"{_SVG}g", {"class": classes, "id": name, "data-node": box.name, "data-state": box.state}
    )
    tip = "\n".join(part for part in (box.name, box.state.replace("_", " "), count_text(box), box.detail) if part)
    ET.SubElement(mine, f"{_SVG}title").text = _printable(tip[:1000])
    radius = area.height / 2 if box.kind == "parameter" else 7.0
    if box.mapped:
        for offset in (2 * _STACK, _STACK):
            _rectangle(
                mine,
                "nf-stack",
                Area(area.x + offset, area.y + offset, area.width - 2 * _STACK, area.height - 2 * _STACK),
                radius,
            )
        area = Area(area.x, area.y, area.width - 2 * _STACK, area.height - 2 * _STACK)
    _rectangle(mine, "nf-body", area, radius)
    _draw_text(mine, box, area)
    if box.mapped and box.total:
        _draw_bar(mine, area, (box.done or 0) / box.total)


def _draw_text(mine: ET.Element, box: Box, area: Area) -> None:
    look = LOOKS.get(box.state, NONE)
    middle, left = area.y + area.height / 2 + 4.5, area.x + 10
    if look.symbol:
        _write(mine, "nf-symbol", look.symbol, left, middle)
        left += 16
    count = count_text(box)
    if look.symbol or count:
        _write(mine, "nf-label", shown(box.label), left, middle)
    else:
        _write(mine, "nf-label", shown(box.label), area.x + area.width / 2, middle, anchor="middle")
    if count:
        _write(mine, "nf-count", count, area.x + area.width - 9, middle, anchor="end")


def _draw_bar(mine: ET.Element, area: Area, part: float) -> None:
    track = Area(area.x + 8, area.y + area.height - 5, area.width - 16, 2.5)
    _rectangle(mine, "nf-track", track, 1.2)
    _rectangle(mine, "nf-bar", Area(track.x, track.y, track.width * min(1.0, part), track.height), 1.2)


def _rectangle(mine: ET.Element, kind: str, area: Area, radius: float) -> None:
    sizes = {"x": area.x, "y": area.y, "width": max(0.0, area.width), "height": max(0.0, area.height), "rx": radius}
    ET.SubElement(mine, f"{_SVG}rect", {"class": kind, **{k: f"{v:.2f}" for k, v in sizes.items()}})


def _write(mine: ET.Element, kind: str, text: str, x: float, y: float, anchor: str = "start") -> None:
    place = {"class": kind, "x": f"{x:.2f}", "y": f"{y:.2f}", "text-anchor": anchor}
    ET.SubElement(mine, f"{_SVG}text", place).text = text


def _printable(text: str) -> str:
    """Without what XML cannot hold."""
    return "".join(
        c if c in "\n\t" or (c >= " " and not "\ud800" <= c <= "\udfff" and c not in "\ufffe\uffff") else "�"
        for c in text
    )


def _text(canvas: ET.Element) -> str:
    for each in canvas.iter():
        for key, value in each.attrib.items():
            each.set(key, _printable(value))
    return ET.tostring(canvas, encoding="unicode")
