"""DOT to SVG: by `dot` where it is installed, else by the Graphviz inside pygraphviz, always in a child process."""

from __future__ import annotations

import functools
import importlib.util
import shutil
import sys
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

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


class _NoLayout(Exception):
    """No Graphviz here gave an SVG. An exception, since `lru_cache` would keep a None for good."""


def to_svg(dot: str) -> str | None:
    """Graphviz's SVG; None where there is no Graphviz, or none that works. Takes at most TIME_LIMIT_S per Graphviz."""
    drawn = render(dot, "svg")
    return None if drawn is None else drawn.decode()


def render(dot: str, kind: str) -> bytes | None:
    """What Graphviz makes of DOT, as "svg", "png", "pdf" …; None where none here can."""
    try:
        return _laid_out(dot, kind)
    except _NoLayout:
        return None


@functools.lru_cache(maxsize=64)
@apart()
def _laid_out(dot: str, kind: str) -> bytes:
    import subprocess

    for command in _commands(kind):
        try:
            done = subprocess.run(command, input=dot.encode(), capture_output=True, timeout=TIME_LIMIT_S, check=True)  # noqa: S603 (our own command)
            if kind == "svg":
                ET.fromstring(done.stdout.decode())  # noqa: S314 (Graphviz wrote it; it has no entities)
        except (subprocess.SubprocessError, OSError, UnicodeDecodeError, ET.ParseError):
            continue
        if done.stdout:
            return done.stdout
    raise _NoLayout


def _commands(kind: str) -> Iterator[list[str]]:
    """The ways to run Graphviz, best first: a `dot` that is there may still be broken."""
    if shutil.which("dot"):
        yield ["dot", f"-T{kind}"]
    if importlib.util.find_spec("pygraphviz") is not None:
        # -P: a pygraphviz.py or graphviz.py beside the notebook must not be taken for the package.
        yield [sys.executable, "-P", "-c", _CHILD, kind]
