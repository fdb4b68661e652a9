"""A picture as DOT, by the graphviz package: sizes and edges; how it looks is the SVG's business."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

from nbflow.draw.theme import LOOKS

if TYPE_CHECKING:
    from graphviz import Digraph

    from nbflow.draw.picture import Box, Picture

MOST_CHARACTERS = 36
MOST_IN_CAPTION = 400
# The part of an em that characters take at most in the fonts that systems show by default.
_NARROW, _WIDE, _USUAL = "iljtfrI.,:;'`!|()[]{}/\\- ", "mwMWQO@%&", 0.65
_EMS = dict.fromkeys(_NARROW, 0.42) | dict.fromkeys(_WIDE, 1.0)
# Points: labels of tasks; of inputs, counts and arrows. A box keeps these for its symbol and round its text.
LABEL_SIZE, SMALL_SIZE, SYMBOL_ROOM, MARGIN = 13.0, 11.0, 16.0, 10.0
_POINTS_AN_INCH = 72.0


def to_dot(picture: Picture, *, coloured: bool = False) -> str:
    """DOT with ids b0, e0 and c0 for boxes, arrows and clusters: names of users are only ever escaped labels.

    coloured: with the colours of the states, for pictures that get no style sheet.
    """
    import graphviz

    graph = graphviz.Digraph(
        graph_attr={
            "rankdir": picture.direction, "nodesep": "0.35", "ranksep": "0.45", "pad": "0.15",
            "fontname": "Helvetica", "fontsize": "11", "labeljust": "l",
        },
        node_attr={"shape": "box", "fontname": "Helvetica", "fontsize": "13", "fixedsize": "true"},
        edge_attr={"fontname": "Helvetica", "fontsize": "11", "arrowsize": "0.7"},
    )  # fmt: skip
    _add_boxes(graph, picture, (), coloured=coloured)
    numbers = {box.name: f"b{i}" for i, box in enumerate(picture.boxes)}
    for i, arrow in enumerate(picture.arrows):
        if arrow.tail in numbers and arrow.head in numbers:
            style = {"style": "dashed"} if arrow.order else {}
            ends = numbers[arrow.tail], numbers[arrow.head]
            if arrow.label:
                graph.edge(*ends, graphviz.escape(shown(arrow.label)), id=f"e{i}", **style)
            else:
                # What `graph.edge` would write, in a tenth of the time: there is no text of a user to quote.
                graph.body.append(f"\t{ends[0]} -> {ends[1]} [id=e{i}{' style=dashed' if style else ''}]\n")
    source: str = graph.source
    return source


def clusters(picture: Picture) -> list[tuple[str, ...]]:
    """The paths of all clusters, outer ones before what they hold; a cluster's number is its place here.

    >>> from nbflow.draw.picture import Box, Picture
    >>> clusters(Picture("p", (Box("a", "a", "task", cluster=("outer", "inner")),), ()))
    [('outer',), ('outer', 'inner')]
    """
    paths = (box.cluster[:depth] for box in picture.boxes for depth in range(1, len(box.cluster) + 1))
    return list(dict.fromkeys(paths))


def shown(text: str, most: int = MOST_CHARACTERS) -> str:
    """A label as it is drawn: one line, without control characters, and not too long.

    >>> shown("a  b" + "x" * 99)
    'a bxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…'
    """
    clean = " ".join(text.split())
    if not clean.isprintable():
        clean = "".join("�" if unicodedata.category(c) in {"Cc", "Cs", "Cn"} else c for c in clean)
    return clean if len(clean) <= most else clean[: most - 1].rstrip() + "…"


def count_text(box: Box) -> str:
    """How many elements are done: `37/100`, or `×100` where that is not known."""
    if not box.mapped or box.total is None:
        return ""
    return f"×{box.total}" if box.done is None else f"{box.done}/{box.total}"


def _add_boxes(graph: Digraph, picture: Picture, path: tuple[str, ...], *, coloured: bool) -> None:
    import graphviz

    for number, box in enumerate(picture.boxes):
        if box.cluster == path:
            attributes = {"peripheries": "2"} if box.mapped else {}
            if coloured and box.state in LOOKS:
                attributes |= {"color": LOOKS[box.state].colour, "style": "rounded", "penwidth": "2"}
            words = (LOOKS[box.state].symbol, box.label, count_text(box)) if coloured and box.state else (box.label,)
            name, label = f"b{number}", graphviz.escape(shown(" ".join(filter(None, words))))
            graph.node(name, label, id=name, width=f"{_width(box):.2f}", height=_height(box), **attributes)
    for number, inner in enumerate(clusters(picture)):
        if inner[:-1] == path:
            name = f"c{number}"
            with graph.subgraph(name=f"cluster_{name}") as part:
                part.attr(id=name, label=graphviz.escape(shown(inner[-1])), margin="12")
                _add_boxes(part, picture, inner, coloured=coloured)


def label_size(box: Box) -> float:
    return SMALL_SIZE if box.kind == "input" else LABEL_SIZE


def _width(box: Box) -> float:
    """Inches, so that symbol, label and count fit side by side in any common font."""
    points = 2 * MARGIN + _ems(shown(box.label)) * label_size(box)
    if box.state:
        points += SYMBOL_ROOM
    if count := count_text(box):
        points += MARGIN + _ems(count) * SMALL_SIZE
    return max(0.6, points / _POINTS_AN_INCH)


@lru_cache(maxsize=1024)
def _ems(text: str) -> float:
    return sum(_character_ems(c) for c in text)


def _character_ems(character: str) -> float:
    if unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0.0
    if unicodedata.east_asian_width(character) in "WF":
        return 1.3 if unicodedata.category(character) == "So" else 1.0
    return _EMS.get(character, 0.8 if character.isupper() else _USUAL)


def _height(box: Box) -> str:
    if box.mapped:
        return "0.44"
    return {"parameter": "0.3", "input": "0.28", "merge": "0.3", "resource": "0.3"}.get(box.kind, "0.44")
