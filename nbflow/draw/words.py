"""A picture in words, and as Mermaid: for terminals, and where no Graphviz is to be had."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from nbflow.draw.dot import MOST_IN_CAPTION, clusters, count_text, shown
from nbflow.draw.theme import LOOKS, NONE, words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbflow.draw.picture import Arrow, Box, Picture


def to_text(picture: Picture) -> str:
    """One line a node, in order: symbol, name, count, state, and what it needs."""
    above: dict[str, list[str]] = {}
    for arrow in picture.arrows:
        above.setdefault(arrow.head, []).append(_source(arrow))
    lines = [shown(picture.name)]
    for box in picture.boxes:
        parts = [
            LOOKS.get(box.state, NONE).symbol or "·",
            " › ".join(map(shown, (*box.cluster, box.label))),
            count_text(box),
            words(box.state),
        ]
        needs = ", ".join(above.get(box.name, ()))
        lines.append("  " + " ".join(part for part in parts if part) + (f"  ← {needs}" if needs else ""))
    if not picture.boxes:
        lines.append("  (no tasks yet)")
    if picture.caption:
        lines.append("  " + shown(picture.caption, MOST_IN_CAPTION))
    return "\n".join(lines)


def _source(arrow: Arrow) -> str:
    """`load[0]` for an item, `a, b (a)` for one of several outputs."""
    tail, label = shown(arrow.tail), shown(arrow.label)
    return tail + (label if not label or label[0] in "[." else f" ({label})")


def to_mermaid(picture: Picture) -> str:
    """A flowchart that JupyterLab draws by itself."""
    numbers = {box.name: f"b{i}" for i, box in enumerate(picture.boxes)}
    lines = [f"flowchart {picture.direction}"]
    lines += _mermaid_boxes(picture, ())
    for arrow in picture.arrows:
        if arrow.tail in numbers and arrow.head in numbers:
            line = "-.->" if arrow.order else "-->"
            label = f'|"{_quoted(shown(arrow.label))}"|' if arrow.label else ""
            lines.append(f"  {numbers[arrow.tail]} {line}{label} {numbers[arrow.head]}")
    return "\n".join(lines)


def legend(boxes: tuple[Box, ...]) -> list[tuple[str, int]]:
    """The states that occur, with how many nodes are in each, in the order of the theme."""
    counts = Counter(box.state for box in boxes if box.state)
    return [(state, counts[state]) for state in LOOKS if counts[state]]


def _mermaid_boxes(picture: Picture, path: tuple[str, ...]) -> Iterator[str]:
    indent = "  " * (len(path) + 1)
    for number, box in enumerate(picture.boxes):
        if box.cluster == path:
            parts = (LOOKS.get(box.state, NONE).symbol, shown(box.label), count_text(box))
            yield f'{indent}b{number}["{_quoted(" ".join(part for part in parts if part))}"]'
    for number, inner in enumerate(clusters(picture)):
        if inner[:-1] == path:
            yield f'{indent}subgraph c{number}["{_quoted(shown(inner[-1]))}"]'
            yield from _mermaid_boxes(picture, inner)
            yield f"{indent}end"


def _quoted(text: str) -> str:
    """Text for a Mermaid label: everything but letters, digits and plain punctuation as a numeric entity."""
    return "".join(c if c.isalnum() or c in " _-.,/+=…" or c > "\x7f" else f"#{ord(c)};" for c in text)
