"""Colours and symbols: each state has both, so that none depends on colour alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow.lean import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Look:
    """How a state looks. colour: of the Okabe-Ito palette, told apart also by colour-blind people."""

    symbol: str
    colour: str


BLUE, SKY, GREEN, ORANGE, VERMILION, PURPLE, GREY = (
    "#0072B2", "#56B4E9", "#009E73", "#E69F00", "#D55E00", "#CC79A7", "#8A8F98",
)  # fmt: skip

LOOKS = {
    "pending": Look("○", GREY),
    "running": Look("▶", BLUE),
    "retrying": Look("↻", ORANGE),
    "success": Look("✓", GREEN),
    "cached": Look("●", SKY),
    "skipped": Look("⤼", GREY),
    "failed": Look("✗", VERMILION),
    "trigger_failed": Look("⊘", PURPLE),
    "paused": Look("Ⅱ", ORANGE),
    "cancelled": Look("■", GREY),
    "fresh": Look("●", GREEN),
    "stale": Look("◐", ORANGE),
    "new": Look("○", BLUE),
    "unknown": Look("?", GREY),
}
NONE = Look("", GREY)


def words(state: str) -> str:
    """A state as people read it.

    >>> words("trigger_failed"), words("running")
    ('not run', 'running')
    """
    return "not run" if state == "trigger_failed" else state.replace("_", " ")


# What JupyterLab calls its colours, with the values that hold elsewhere. lift: how much white the colours of the
# states are mixed with, for Okabe-Ito is made for white paper.
_LIGHT = {"paper": "#ffffff", "ink": "#1f2328", "quiet": "#6b7280", "line": "#c3c8d0", "box": "#f7f8fa", "lift": "0%"}
_DARK = {"paper": "#16181d", "ink": "#e6e8eb", "quiet": "#9aa1ac", "line": "#4a505a", "box": "#22252b", "lift": "28%"}
_JUPYTER = {
    "paper": "--jp-layout-color0",
    "ink": "--jp-ui-font-color0",
    "quiet": "--jp-ui-font-color2",
    "line": "--jp-border-color1",
    "box": "--jp-layout-color1",
}
_FONT = "font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',sans-serif"

_RULES = (
    (".nf-paper", "fill:var(--nf-paper)"),
    ("text", f"{_FONT};fill:var(--nf-ink);font-size:13px"),
    (".nf-body", "stroke:color-mix(in srgb,var(--nf-state) 65%,var(--nf-line));stroke-width:1.2"),
    (".nf-body", "fill:color-mix(in srgb,var(--nf-state) 7%,var(--nf-box))"),
    (".nf-stack", "fill:var(--nf-box);stroke:var(--nf-line);stroke-width:1"),
    (".nf-frame", "fill:var(--nf-quiet);fill-opacity:.05;stroke:var(--nf-line);stroke-width:1"),
    (".nf-edge path", "fill:none;stroke:var(--nf-quiet);stroke-width:1.2"),
    (".nf-edge polygon", "fill:var(--nf-quiet);stroke:none"),
    (".nf-order path", "stroke-dasharray:4 4"),
    (".nf-each path", "stroke-width:2"),
    (".nf-missing .nf-body", "stroke-dasharray:4 3;fill:none"),
    (".nf-symbol", "fill:var(--nf-state);font-weight:700"),
    (".nf-count", "fill:var(--nf-quiet);font-size:11px"),
    (".nf-edge text", "fill:var(--nf-quiet);font-size:11px;paint-order:stroke;stroke:var(--nf-paper);stroke-width:3"),
    (".nf-cluster-label", "fill:var(--nf-quiet);font-size:11px;font-weight:600"),
    (".nf-input .nf-label", "fill:var(--nf-quiet);font-size:11px"),
    (".nf-track", "fill:var(--nf-line);opacity:.6"),
    (".nf-bar", "fill:var(--nf-state)"),
    (".nf-box:hover .nf-body", "stroke:var(--nf-state);stroke-width:2"),
    (".nf-legend", "font-size:12px;color:var(--nf-quiet);margin:.5em 0 0 .4em"),
    (".nf-legend span", "display:inline-block;margin-right:1.2em"),
    (".nf-legend b", "color:var(--nf-state)"),
)


def style(scope: str, *, in_jupyter: bool, more: Iterable[tuple[str, str]] = ()) -> str:
    """The style sheet of one picture. scope: its CSS selector; in_jupyter: whether Jupyter's colours can be had.

    more: further rules, as selector and declarations.
    """
    light, dark = _colours(_LIGHT, in_jupyter=in_jupyter), _colours(_DARK, in_jupyter=in_jupyter)
    # A front end's own theme, where it tells one, counts more than the system's.
    themes = (
        f"[data-jp-theme-light=false] {scope},.vscode-dark {scope}{{{dark}}}"
        f"[data-jp-theme-light=true] {scope},.vscode-light {scope}{{{light}}}"
    )
    states = [(".nf-box", _state_colour(GREY))]
    states += [(f".nf-{name}", _state_colour(look.colour)) for name, look in LOOKS.items()]
    return (
        f"{scope}{{{light};{_FONT};color:var(--nf-ink)}}"
        f"@media (prefers-color-scheme:dark){{{scope}{{{dark}}}}}"
        + (themes if in_jupyter else "")
        + "".join(f"{scope} {selector}{{{declarations}}}" for selector, declarations in (*states, *_RULES, *more))
    )


def _colours(values: dict[str, str], *, in_jupyter: bool) -> str:
    def value(name: str) -> str:
        return f"var({_JUPYTER[name]},{values[name]})" if in_jupyter and name in _JUPYTER else values[name]

    return ";".join(f"--nf-{name}:{value(name)}" for name in values)


def _state_colour(colour: str) -> str:
    return f"--nf-state:color-mix(in srgb,white var(--nf-lift),{colour})"
