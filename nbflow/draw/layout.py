"""DOT to SVG: by `dot` where it is installed, else by the Graphviz inside pygraphviz, always in a child process."""

from __future__ import annotations

import functools
import importlib.util
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Iterator

TIME_LIMIT_S = 20.0
# A fault in Graphviz ends this child and never the kernel.
_CHILD = """
import sys, pygraphviz
graph = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode())
sys.stdout.buffer.write(graph.draw(format="svg", prog="dot"))
"""


class _NoLayout(Exception):
    """No Graphviz here gave an SVG. An exception, since `lru_cache` would keep a None for good."""


def to_svg(dot: str) -> str | None:
    """Graphviz's SVG; None where there is no Graphviz, or none that works. Takes at most TIME_LIMIT_S per Graphviz."""
    try:
        return _laid_out(dot)
    except _NoLayout:
        return None


@functools.lru_cache(maxsize=64)
def _laid_out(dot: str) -> str:
    for command in _commands():
        try:
            done = subprocess.run(command, input=dot.encode(), capture_output=True, timeout=TIME_LIMIT_S, check=True)  # noqa: S603 (our own command)
            svg = done.stdout.decode()
            ET.fromstring(svg)  # noqa: S314 (Graphviz wrote it; it has no entities)
        except (subprocess.SubprocessError, OSError, UnicodeDecodeError, ET.ParseError):
            continue
        return svg
    raise _NoLayout


def _commands() -> Iterator[list[str]]:
    """The ways to run Graphviz, best first: a `dot` that is there may still be broken."""
    if shutil.which("dot"):
        yield ["dot", "-Tsvg"]
    if importlib.util.find_spec("pygraphviz") is not None:
        # -P: a pygraphviz.py or graphviz.py beside the notebook must not be taken for the package.
        yield [sys.executable, "-P", "-c", _CHILD]
