"""Names in shell commands and magics: IPython makes calls of them whose code is only a string."""

from __future__ import annotations

import ast
import string
from typing import TYPE_CHECKING

from nbflow.lean import dataclass, pattern

if TYPE_CHECKING:
    from collections.abc import Iterator

# Magics that run their text as Python, in a namespace of their own when they stand in a function.
_PYTHON = frozenset({"time", "timeit", "prun", "memit", "capture"})
# Cell magics whose text is no Python, and is not expanded.
_FOREIGN = frozenset(
    {"bash", "sh", "script", "cmd", "perl", "ruby", "system", "sx", "writefile", "file"}
    | {"html", "HTML", "javascript", "js", "latex", "markdown", "svg", "SVG"}
)
_WORD = pattern(r"[^\W\d]\w*")
_DOLLAR = pattern(r"\$([^\W\d]\w*)")
_OPTIONS = pattern(r"\s*(?:-\w+(?:\s+\d+)?\s+)*")


@dataclass(frozen=True, slots=True)
class MagicText:
    """What the text of one call says. magic: its name, "" for a shell command.

    reads: names that it may read; assigned: those that it assigns, which end with it.
    """

    magic: str = ""
    reads: tuple[str, ...] = ()
    assigned: tuple[str, ...] = ()


def read_magic(call: ast.Call) -> MagicText | None:
    """The names in a `!command` or a magic; None for any other call.

    >>> read_magic(ast.parse("get_ipython().system('ls {folder} $HOME')", mode="eval").body).reads
    ('folder', 'HOME')
    """
    match call.func:
        case ast.Attribute(value=ast.Call(func=ast.Name(id="get_ipython")), attr=method):
            texts = [each.value for each in call.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
        case _:
            return None
    match method, texts:
        case "system" | "getoutput", [command]:
            return MagicText(reads=tuple(_expanded(command)))
        case "run_line_magic", ["flow", _]:
            # It names tasks, and sees to them itself: to ask why one runs is not to read it.
            return MagicText("%flow")
        case "run_line_magic", [name, line]:
            return _python(f"%{name}", line) if name in _PYTHON else MagicText(f"%{name}", tuple(_WORD.findall(line)))
        case "run_cell_magic", [name, line, cell]:
            if name in _PYTHON:
                return _python(f"%%{name}", cell)
            words = () if name in _FOREIGN else _WORD.findall(cell)
            return MagicText(f"%%{name}", (*_expanded(line), *words))
    return None


def _expanded(text: str) -> Iterator[str]:
    """What IPython puts values in for: `{expression}` and `$name`."""
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError:
        # IPython leaves such a text as it is.
        return
    for literal, expression, _, _ in parts:
        yield from _DOLLAR.findall(literal)
        yield from _WORD.findall(expression or "")


def _python(magic: str, text: str) -> MagicText:
    code = text[_OPTIONS.match(text).end() :] if not magic.startswith("%%") else text  # type: ignore[union-attr]  # the pattern fits any text
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError):
        return MagicText(magic, tuple(_WORD.findall(text)))
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    inner = [read for node in ast.walk(tree) if isinstance(node, ast.Call) and (read := read_magic(node))]
    return MagicText(
        magic,
        (*(n.id for n in names if isinstance(n.ctx, ast.Load)), *(name for each in inner for name in each.reads)),
        tuple(n.id for n in names if isinstance(n.ctx, ast.Store)),
    )
