"""DOT to places: by `dot` where it is installed, else by the Graphviz inside pygraphviz, always in a child process."""

from __future__ import annotations

import functools
import importlib.util
import re
import shutil
import sys
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from nbflow.lean import dataclass
from nbflow.probe.listening import apart

if TYPE_CHECKING:
    from collections.abc import Iterator

TIME_LIMIT_S = 20.0
# A fault in Graphviz ends this child and never the kernel.
_CHILD = """
import sys, pygraphviz
graph = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode())
sys.stdout.buffer.write(graph.draw(format=sys.argv[1], prog="dot"))
"""
_SVG = "{http://www.w3.org/2000/svg}"


@dataclass(frozen=True, slots=True)
class Area:
    """Where a box lies, in points."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Line:
    """Where an arrow runs. path, tip: as SVG writes them; text: where the middle of its label stands."""

    path: str
    tip: str = ""
    text: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """Where Graphviz put everything. view: its `viewBox`; moved: how far all but that is moved.

    boxes, frames, lines: of boxes, clusters and arrows, by their number. An arrow to a box that is not in the picture
    has none.
    """

    view: str
    moved: tuple[float, float]
    boxes: dict[int, Area]
    frames: dict[int, Area]
    lines: dict[int, Line]

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in points."""
        _, _, width, height = map(float, self.view.split())
        return width, height


class _NoLayout(Exception):
    """No Graphviz here gave what was asked for. An exception, since `lru_cache` would keep a None for good."""


def lay_out(dot: str) -> Layout | None:
    """The places of a graph; None where there is no Graphviz, or none that works. Takes at most TIME_LIMIT_S each."""
    try:
        return _laid_out(dot)
    except _NoLayout:
        return None


@apart()
def render(dot: str, kind: str) -> bytes | None:
    """What Graphviz makes of DOT, as "png", "pdf" …; None where none here can."""
    return next((drawn for drawn in _drawn(dot, kind) if drawn), None)


@functools.lru_cache(maxsize=64)
@apart()
def _laid_out(dot: str) -> Layout:
    for drawn in _drawn(dot, "svg"):
        try:
            return _read(drawn.decode())
        except (UnicodeDecodeError, ET.ParseError):
            continue
    raise _NoLayout


def _drawn(dot: str, kind: str) -> Iterator[bytes]:
    """What each Graphviz that ends well gives."""
    import subprocess

    for command in _commands(kind):
        try:
            done = subprocess.run(command, input=dot.encode(), capture_output=True, timeout=TIME_LIMIT_S, check=True)  # noqa: S603 (our own command)
        except (subprocess.SubprocessError, OSError):
            continue
        yield done.stdout


def _commands(kind: str) -> Iterator[list[str]]:
    """The ways to run Graphviz, best first: a `dot` that is there may still be broken."""
    if shutil.which("dot"):
        yield ["dot", f"-T{kind}"]
    if importlib.util.find_spec("pygraphviz") is not None:
        # -P: a pygraphviz.py or graphviz.py beside the notebook must not be taken for the package.
        yield [sys.executable, "-P", "-c", _CHILD, kind]


def _read(svg: str) -> Layout:
    root = ET.fromstring(svg)  # noqa: S314 (Graphviz wrote it; it has no entities)
    drawing = root.find(f"{_SVG}g")
    parts = {} if drawing is None else {part.get("id", ""): part for part in drawing.iterfind(f"{_SVG}g")}
    transform = "" if drawing is None else drawing.get("transform", "")
    moved = re.search(r"translate\(([-\d.]+)[ ,]+([-\d.]+)\)", transform)
    places: dict[str, dict[int, ET.Element]] = {"b": {}, "c": {}, "e": {}}
    for name, part in parts.items():
        if name[:1] in places:
            places[name[0]][int(name[1:])] = part
    return Layout(
        view=root.get("viewBox", "0 0 100 100"),
        moved=(float(moved[1]), float(moved[2])) if moved else (0.0, 0.0),
        boxes={number: _area(part) for number, part in places["b"].items()},
        frames={number: _area(part) for number, part in places["c"].items()},
        lines={number: _line(part) for number, part in places["e"].items()},
    )


def _area(part: ET.Element) -> Area:
    # A stack has two outlines; arrows end at the outer one.
    pairs = " ".join(shape.get("points", "") for shape in part.iterfind(f"{_SVG}polygon")).split()
    points = [tuple(map(float, pair.split(","))) for pair in pairs]
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    return Area(min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys))


def _line(part: ET.Element) -> Line:
    path, tip, text = (part.find(f"{_SVG}{tag}") for tag in ("path", "polygon", "text"))
    return Line(
        "" if path is None else path.get("d", ""),
        "" if tip is None else tip.get("points", ""),
        None if text is None else (text.get("x", "0"), text.get("y", "0")),
    )
