"""A picture as what a notebook shows: HTML with inline SVG, SVG for itself, and text."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from xxhash import xxh3_64_hexdigest

from nbflow.draw.dot import shown, to_dot
from nbflow.draw.layout import to_svg
from nbflow.draw.svg import restyle
from nbflow.draw.theme import LOOKS, style
from nbflow.draw.words import legend, to_mermaid, to_text

if TYPE_CHECKING:
    from nbflow.draw.picture import Picture


def mime_bundle(picture: Picture) -> dict[str, str]:
    """The picture by MIME type; without any Graphviz a Mermaid chart, and always text."""
    text = to_text(picture)
    if not picture.boxes:
        return {"text/plain": text}
    dot = to_dot(picture)
    laid_out = to_svg(dot)
    if laid_out is None:
        return {"text/vnd.mermaid": to_mermaid(picture), "text/plain": text}
    return {
        "text/html": _html(laid_out, dot, picture),
        "image/svg+xml": restyle(laid_out, dot, picture, in_jupyter=False),
        "text/plain": text,
    }


def _html(laid_out: str, dot: str, picture: Picture) -> str:
    name = "nf-h" + xxh3_64_hexdigest(dot.encode())[:8]
    parts = "".join(
        f'<span class="nf-{state}"><b>{LOOKS[state].symbol}</b> {count} {escape(state.replace("_", " "))}</span>'
        for state, count in legend(picture.boxes)
    )
    caption = f"<span>{escape(shown(picture.caption))}</span>" if picture.caption else ""
    return (
        f'<div id="{name}" class="nbflow"><style>{style("#" + name, in_jupyter=True)}</style>'
        f"{restyle(laid_out, dot, picture, in_jupyter=True)}"
        f'<div class="nf-legend">{parts}{caption}</div></div>'
    )
