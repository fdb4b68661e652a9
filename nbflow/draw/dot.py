"""A picture as DOT, by the graphviz package: sizes and edges; how it looks is the SVG's business."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbflow.draw.picture import Box, Picture

MOST_CHARACTERS = 36
# Inches: what a box needs beside its label, and what a character takes.
_CHARACTER, _MARGIN = 0.105, 0.36


def to_dot(picture: Picture) -> str:
    """DOT with boxes named b0, b1 …: what users call things is only ever a quoted, escaped label."""
    import graphviz

    graph = graphviz.Digraph(
        graph_attr={"rankdir": picture.direction, "nodesep": "0.35", "ranksep": "0.45", "pad": "0.15"},
        node_attr={"shape": "box", "fontname": "Helvetica", "fontsize": "13", "fixedsize": "true"},
        edge_attr={"fontname": "Helvetica", "fontsize": "11", "arrowsize": "0.7"},
    )
    numbers = {box.name: f"b{i}" for i, box in enumerate(picture.boxes)}
    for box in picture.boxes:
        attributes = {"peripheries": "2"} if box.mapped else {}
        label = graphviz.escape(shown(box.label))
        graph.node(numbers[box.name], label, width=f"{_width(box):.2f}", height=_height(box), **attributes)
    for arrow in picture.arrows:
        if arrow.tail in numbers and arrow.head in numbers:
            attributes = {"style": "dashed"} if arrow.order else {}
            label = graphviz.escape(shown(arrow.label))
            graph.edge(numbers[arrow.tail], numbers[arrow.head], label=label, **attributes)
    source: str = graph.source
    return source


def shown(text: str) -> str:
    """A label as it is drawn: one line, without control characters, and not too long.

    >>> shown("a  b" + "x" * 99)
    'a bxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…'
    """
    line = re.sub(r"\s+", " ", text).strip()
    clean = "".join("�" if unicodedata.category(c) in {"Cc", "Cs", "Cn"} else c for c in line)
    return clean if len(clean) <= MOST_CHARACTERS else clean[: MOST_CHARACTERS - 1].rstrip() + "…"


def count_text(box: Box) -> str:
    """How many elements are done: `37/100`."""
    if not box.mapped or box.total is None:
        return ""
    return f"{box.done if box.done is not None else 0}/{box.total}"


def _width(box: Box) -> float:
    wide = sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in shown(box.label))
    symbol = 0.24 if box.state else 0.0
    count = 0.085 * len(count_text(box)) + 0.3 if box.mapped else 0.0
    return max(0.7, wide * _CHARACTER + _MARGIN + symbol + count)


def _height(box: Box) -> str:
    return "0.3" if box.kind == "parameter" else "0.44"
