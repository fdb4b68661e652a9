"""What a static picture tells when it is clicked, with no script: a `<details>` over each box.

Where a front end takes the styles away, as JupyterLab does in a notebook that is not trusted, a plain list of the tasks
is left, which opens just the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow.draw.dot import count_text, shown
from nbflow.draw.svg import safe
from nbflow.draw.theme import LOOKS, NONE, words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbflow.draw.layout import Area
    from nbflow.draw.picture import Box, Picture

_LONGEST = 4_000
RULES = (
    (".nf-drawing", "position:relative;container-type:inline-size"),
    (".nf-drawing>.nf-inline", "display:block!important"),
    (".nf-more>summary", "position:absolute;list-style:none;cursor:pointer;overflow:hidden;color:transparent"),
    (".nf-more>summary", "font-size:1px;border-radius:8px"),
    (".nf-more>summary:hover", "outline:2px solid var(--nf-quiet);outline-offset:1px"),
    (".nf-more>summary:focus-visible", "outline:2px solid var(--nf-quiet);outline-offset:1px"),
    (".nf-more[open]>summary", "outline:2px solid var(--nf-ink);outline-offset:1px"),
    (".nf-more>div", "min-width:320px;width:max-content;max-width:min(80ch,90vw);box-sizing:border-box"),
    (".nf-more>div", "margin:8px 0;padding:8px 14px;border:1px solid var(--nf-line);border-radius:8px"),
    (".nf-more>div", "background:var(--nf-box);color:var(--nf-ink);font-size:13px"),
    (".nf-more b", "color:var(--nf-state)"),
    (".nf-more p", "margin:2px 0;overflow-wrap:anywhere;white-space:pre-wrap"),
    (".nf-more pre", "margin:6px 0 0;max-height:20em;overflow:auto;font-size:12px;background:none;color:inherit"),
)


def rules(areas: Sequence[Area], width: float) -> list[tuple[str, str]]:
    """Style rules that lay the summary of each box over it; the picture scales with the page."""
    return [
        (
            f".nf-m{number}>summary",
            (
                f"left:{100 * area.x / width:.2f}%;width:{100 * area.width / width:.2f}%;"
                f"top:{100 * area.y / width:.2f}cqw;height:{100 * area.height / width:.2f}cqw"
            ),
        )
        for number, area in enumerate(areas)
    ]


def details(picture: Picture, name: str) -> str:
    """The HTML of all boxes. name: of the group of which one is open at a time."""
    needs: dict[str, list[str]] = {}
    for arrow in picture.arrows:
        if arrow.tail != arrow.head:
            needs.setdefault(arrow.head, []).append(arrow.tail)
    return "".join(
        _box(box, number, name, list(dict.fromkeys(needs.get(box.name, ()))))
        for number, box in enumerate(picture.boxes)
    )


def _box(box: Box, number: int, name: str, needs: list[str]) -> str:
    state = words(box.state)
    parts = [LOOKS.get(box.state, NONE).symbol, shown(box.label), count_text(box), state]
    head = " ".join(filter(None, parts))
    tip = "\n".join(filter(None, (box.name, state, count_text(box), box.detail)))
    lines = [
        f"<p><b>{LOOKS.get(box.state, NONE).symbol}</b> <strong>{_text(box.name, 300)}</strong> {_text(state)}</p>"
    ]
    if box.detail:
        lines.append(f"<p>{_text(box.detail)}</p>")
    if needs:
        lines.append(f"<p>needs {_text(', '.join(map(shown, needs)))}</p>")
    if box.source:
        lines.append(f"<pre>{_text(box.source)}</pre>")
    return (
        f'<details name="{name}" class="nf-more nf-m{number} nf-{box.state or "none"}">'
        f'<summary title="{_text(tip, 1000)}">{_text(head)}</summary><div>{"".join(lines)}</div></details>'
    )


def _text(text: str, most: int = _LONGEST) -> str:
    return safe(text if len(text) <= most else text[: most - 1] + "…")
