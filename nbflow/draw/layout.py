"""DOT to SVG: by `dot` where it is installed, else by the Graphviz inside pygraphviz, always in a child process."""

from __future__ import annotations

import functools
import importlib.util
import shutil
import subprocess
import sys

TIME_LIMIT_S = 20.0
# A fault in Graphviz ends this child and never the kernel.
_CHILD = """
import sys, pygraphviz
graph = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode())
sys.stdout.buffer.write(graph.draw(format="svg", prog="dot"))
"""


@functools.lru_cache(maxsize=64)
def to_svg(dot: str) -> str | None:
    """Graphviz's SVG; None where there is no Graphviz, or it gave up."""
    command = _command()
    if command is None:
        return None
    try:
        done = subprocess.run(command, input=dot.encode(), capture_output=True, timeout=TIME_LIMIT_S, check=True)  # noqa: S603 (our own command)
    except (subprocess.SubprocessError, OSError):
        return None
    return done.stdout.decode("utf-8", "replace")


def _command() -> list[str] | None:
    if shutil.which("dot"):
        return ["dot", "-Tsvg"]
    if importlib.util.find_spec("pygraphviz") is not None:
        return [sys.executable, "-c", _CHILD]
    return None
