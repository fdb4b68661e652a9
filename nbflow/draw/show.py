"""A picture as what a notebook shows: HTML with inline SVG, SVG for itself, and text."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from xxhash import xxh3_64_hexdigest

from nbflow.draw import clicks
from nbflow.draw.collapse import collapse
from nbflow.draw.dot import MOST_IN_CAPTION, shown, to_dot
from nbflow.draw.layout import Area, lay_out
from nbflow.draw.svg import alone, to_svg
from nbflow.draw.theme import LOOKS, style, words
from nbflow.draw.words import legend, to_mermaid, to_text

if TYPE_CHECKING:
    from nbflow.draw.layout import Layout
    from nbflow.draw.picture import Picture


def mime_bundle(picture: Picture, dot: str = "") -> dict[str, str]:
    """The picture by MIME type; without any Graphviz a Mermaid chart, and always text. Large ones are collapsed.

    dot: of a picture of the same boxes and arrows that leaves as much room, where there is one already.
    """
    text = to_text(picture)
    picture, _ = collapse(picture)
    if not picture.boxes:
        return {"text/plain": text}
    dot = dot or to_dot(picture)
    layout = lay_out(dot)
    if layout is None:
        return {"text/vnd.mermaid": to_mermaid(picture), "text/plain": text}
    svg = to_svg(layout, dot, picture)
    return {
        "text/html": _html(svg, layout, dot, picture),
        "image/svg+xml": alone(svg, dot),
        "text/plain": text,
    }


def _html(svg: str, layout: Layout, dot: str, picture: Picture) -> str:
    name = "nf-h" + xxh3_64_hexdigest(dot.encode())[:8]
    parts = "".join(
        f'<span class="nf-{state}"><b>{LOOKS[state].symbol}</b> {count} {escape(words(state))}</span>'
        for state, count in legend(picture.boxes)
    )
    caption = f"<span>{escape(shown(picture.caption, MOST_IN_CAPTION))}</span>" if picture.caption else ""
    (dx, dy), (width, _) = layout.moved, layout.size
    places = [Area(a.x + dx, a.y + dy, a.width, a.height) for _, a in sorted(layout.boxes.items())]
    clickable = [*clicks.RULES, (".nf-drawing", f"max-width:{width:.0f}px"), *clicks.rules(places, width)]
    sheet = style(f"#{name}", in_jupyter=True, more=clickable)
    # Hidden but for the style sheet: where that is taken away, the SVG's tags are, too, and its words would be left.
    return (
        f'<div id="{name}" class="nbflow"><style>{sheet}</style>'
        '<div class="nf-drawing"><div class="nf-inline" style="display:none">'
        f"{svg}</div>{clicks.details(picture, name)}</div>"
        f'<div class="nf-legend">{parts}{caption}</div></div>'
    )
