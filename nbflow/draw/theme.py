"""Colours and symbols: each state has both, so that none depends on colour alone."""

from __future__ import annotations

from dataclasses import dataclass


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

# What JupyterLab calls its colours, with the values that hold elsewhere.
_LIGHT = {"paper": "#ffffff", "ink": "#1f2328", "quiet": "#6b7280", "line": "#c3c8d0", "box": "#f7f8fa"}
_DARK = {"paper": "#16181d", "ink": "#e6e8eb", "quiet": "#9aa1ac", "line": "#4a505a", "box": "#22252b"}
_JUPYTER = {
    "paper": "--jp-layout-color0",
    "ink": "--jp-ui-font-color0",
    "quiet": "--jp-ui-font-color2",
    "line": "--jp-border-color1",
    "box": "--jp-layout-color1",
}
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', sans-serif"


def style(scope: str, *, in_jupyter: bool) -> str:
    """The style sheet of one picture. scope: its CSS selector; in_jupyter: whether Jupyter's colours can be had."""

    def colours(values: dict[str, str]) -> str:
        return "".join(
            f"--nf-{name}:var({_JUPYTER[name]},{value});" if in_jupyter else f"--nf-{name}:{value};"
            for name, value in values.items()
        )

    states = "".join(f"{scope} .nf-{name}{{--nf-state:{look.colour}}}" for name, look in LOOKS.items())
    return (
        f"{scope}{{{colours(_LIGHT)}font-family:{FONT};color:var(--nf-ink)}}"
        f"@media (prefers-color-scheme:dark){{{scope}{{{colours(_DARK)}}}}}"
        + (f"[data-jp-theme-light=false] {scope}{{{colours(_DARK)}}}" if in_jupyter else "")
        + (f"[data-jp-theme-light=true] {scope}{{{colours(_LIGHT)}}}" if in_jupyter else "")
        + f"{scope} .nf-box{{--nf-state:{GREY}}}"
        + states
        + f"{scope} text{{font-family:{FONT};fill:var(--nf-ink);font-size:13px}}"
        f"{scope} .nf-body,{scope} .nf-stack{{fill:var(--nf-box);stroke:var(--nf-line);stroke-width:1}}"
        f"{scope} .nf-body{{stroke:color-mix(in srgb,var(--nf-state) 55%,var(--nf-line))}}"
        f"{scope} .nf-edge path{{fill:none;stroke:var(--nf-quiet);stroke-width:1.2}}"
        f"{scope} .nf-edge polygon{{fill:var(--nf-quiet);stroke:none}}"
        f"{scope} .nf-order path{{stroke-dasharray:4 4}}"
        f"{scope} .nf-missing .nf-body{{stroke-dasharray:4 3;fill:none}}"
        f"{scope} .nf-symbol{{fill:var(--nf-state);font-weight:700}}"
        f"{scope} .nf-count,{scope} .nf-edge text{{fill:var(--nf-quiet);font-size:11px}}"
        f"{scope} .nf-track{{fill:var(--nf-line);opacity:.6}}{scope} .nf-bar{{fill:var(--nf-state)}}"
        f"{scope} .nf-accent{{fill:var(--nf-state)}}"
        f"{scope} .nf-box:hover .nf-body{{stroke:var(--nf-state);stroke-width:2}}"
        f"{scope} .nf-legend{{font-size:12px;color:var(--nf-quiet);margin:.35em 0 0 .4em}}"
        f"{scope} .nf-legend span{{margin-right:1.1em}}{scope} .nf-legend b{{color:var(--nf-state)}}"
    )
