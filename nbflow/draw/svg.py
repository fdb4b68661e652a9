"""Graphviz's places, drawn: rounded boxes, stacks, bars, symbols. All user text goes in by `safe`."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from xxhash import xxh3_64_hexdigest

from nbflow.draw.dot import MARGIN, SYMBOL_ROOM, clusters, count_text, label_size, shown
from nbflow.draw.layout import Area
from nbflow.draw.theme import LOOKS, NONE, style, words
from nbflow.lean import pattern

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbflow.draw.layout import Layout, Line
    from nbflow.draw.picture import Arrow, Box, Picture

# Points from a mapped box to the outline behind it; Graphviz keeps as much on each side for its second outline.
_STACK = 4.0
# How far below its middle a line of text stands, as a part of its size.
_BASELINE = 0.35
_LONGEST_TIP = 1000
# Told by what XML cannot hold: a set of all else takes five milliseconds to compile.
_UNPRINTABLE = pattern("[\\x00-\\x08\\x0b-\\x1f]|[\\ud800-\\udfff]|[\\ufffe\\uffff]")


def to_svg(layout: Layout, dot: str, picture: Picture) -> str:
    """An SVG with classes and stable ids, for a page that has the style sheet. layout: of the DOT."""
    width, height = layout.size
    name = _name(dot)
    parts = "".join(_parts(layout, picture, name))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{layout.view}" width="{width:.0f}" height="{height:.0f}"'
        f' class="nf-svg" role="img" aria-label="{safe(shown(f"flow {picture.name}"))}"'
        f' style="max-width:100%;height:auto">'
        f'<g transform="translate({layout.moved[0]:g} {layout.moved[1]:g})">{parts}</g></svg>'
    )


def alone(svg: str, dot: str) -> str:
    """An SVG with its own style sheet. Shown as an image it lies on a page whose colour is not known."""
    name = _name(dot)
    # The first > ends the first tag: in attributes they are escaped.
    head, body = svg.split(">", 1)
    paper = '<rect class="nf-paper" width="100%" height="100%" rx="8" />'
    return f'{head} id="{name}"><style>{escape(style(f"#{name}", in_jupyter=False), quote=False)}</style>{paper}{body}'


def safe(text: str) -> str:
    """Text of a user as it stands in XML and HTML, between tags and in quotes; without what XML cannot hold."""
    return escape(_UNPRINTABLE.sub("�", text))


def _parts(layout: Layout, picture: Picture, name: str) -> Iterator[str]:
    for number, path in enumerate(clusters(picture)):
        yield _cluster(layout.frames[number], path, f"{name}-c{number}")
    for number, arrow in enumerate(picture.arrows):
        if number in layout.lines:
            yield _arrow(layout.lines[number], arrow)
    for number, box in enumerate(picture.boxes):
        yield _box(box, layout.boxes[number], f"{name}-{number}")


def _cluster(area: Area, path: tuple[str, ...], name: str) -> str:
    label = _text("nf-cluster-label", shown(path[-1]), area.x + MARGIN, area.y + 15)
    return f'<g class="nf-cluster" id="{name}">{_rectangle("nf-frame", area, 10)}{label}</g>'


def _arrow(line: Line, arrow: Arrow) -> str:
    kinds = " ".join(["nf-edge"] + ["nf-order"] * arrow.order + ["nf-each"] * arrow.mapped)
    tip = f'<polygon points="{line.tip}" />' if line.tip else ""
    text = ""
    if line.text is not None:
        text = f'<text x="{line.text[0]}" y="{line.text[1]}" text-anchor="middle">{safe(shown(arrow.label))}</text>'
    return f'<g class="{kinds}"><path d="{line.path}" />{tip}{text}</g>'


def _box(box: Box, area: Area, name: str) -> str:
    classes = f"nf-box nf-{box.kind} nf-{box.state or 'none'}" + (" nf-mapped" if box.mapped else "")
    tip = "\n".join(filter(None, (box.name, words(box.state), count_text(box), box.detail)))
    radius = area.height / 2 if box.kind in {"parameter", "input", "merge"} else 7.0
    behind = ""
    if box.mapped:
        front = Area(area.x, area.y, area.width - 2 * _STACK, area.height - 2 * _STACK)
        for offset in (2 * _STACK, _STACK):
            moved = Area(front.x + offset, front.y + offset, front.width, front.height)
            behind += _rectangle("nf-stack", moved, radius)
        area = front
    bar = _bar(area, box.done / box.total) if box.mapped and box.total and box.done is not None else ""
    return (
        f'<g class="{classes}" id="{name}" data-node="{safe(box.name)}" data-state="{box.state}">'
        f"<title>{safe(tip[:_LONGEST_TIP])}</title>"
        f"{behind}{_rectangle('nf-body', area, radius)}{_texts(box, area)}{bar}</g>"
    )


def _texts(box: Box, area: Area) -> str:
    look = LOOKS.get(box.state, NONE)
    count = count_text(box)
    # The bar runs along the bottom: text above it sits a little higher.
    middle = area.y + area.height / 2 + _BASELINE * label_size(box) - (2 if count else 0)
    left = area.x + MARGIN
    texts = ""
    if look.symbol:
        texts += _text("nf-symbol", look.symbol, left, middle)
        left += SYMBOL_ROOM
    if look.symbol or count:
        texts += _text("nf-label", shown(box.label), left, middle)
    else:
        texts += _text("nf-label", shown(box.label), area.x + area.width / 2, middle, anchor="middle")
    if count:
        texts += _text("nf-count", count, area.x + area.width - MARGIN, middle, anchor="end")
    return texts


def _bar(area: Area, part: float) -> str:
    track = Area(area.x + MARGIN, area.y + area.height - 6.5, area.width - 2 * MARGIN, 2.5)
    done = Area(track.x, track.y, track.width * min(1.0, part), track.height)
    return _rectangle("nf-track", track, 1.2) + _rectangle("nf-bar", done, 1.2)


def _rectangle(kind: str, area: Area, radius: float) -> str:
    width, height = max(0.0, area.width), max(0.0, area.height)
    return (
        f'<rect class="{kind}" x="{area.x:.2f}" y="{area.y:.2f}" width="{width:.2f}" height="{height:.2f}"'
        f' rx="{radius:.2f}" />'
    )


def _text(kind: str, text: str, x: float, y: float, anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:.2f}" y="{y:.2f}" text-anchor="{anchor}">{safe(text)}</text>'


def _name(dot: str) -> str:
    """The same for the same layout, so that a saved notebook differs in nothing."""
    return "nf-" + xxh3_64_hexdigest(dot.encode())[:8]
