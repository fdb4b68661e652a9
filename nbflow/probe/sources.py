"""Source texts: of files, of notebook cells, and of the functions in them."""

from __future__ import annotations

import ast
import inspect
import linecache
import textwrap
from typing import Any


class Sources:
    """Texts and trees by file name; cells are registered, files are read through linecache."""

    def __init__(self) -> None:
        self._registered: dict[str, tuple[str, ast.Module]] = {}
        self._parsed: dict[str, tuple[str, ast.Module | None]] = {}

    def register(self, filename: str, text: str, tree: ast.Module) -> None:
        """A cell's function: text for people, and the tree whose compilation is the code in memory."""
        self._registered[filename] = (text, tree)

    def tree(self, filename: str) -> tuple[str, ast.Module] | None:
        """The text and the syntax tree behind a file name; None where there is none, or it does not parse."""
        if filename in self._registered:
            return self._registered[filename]
        linecache.checkcache(filename)
        text = "".join(linecache.getlines(filename))
        if not text:
            return None
        parsed = self._parsed.get(filename)
        if parsed is None or parsed[0] != text:
            parsed = self._parsed[filename] = (text, _parse(text))
        return None if parsed[1] is None else (text, parsed[1])

    def text_of(self, thing: Any) -> str:
        """The source text of a function or class, dedented; empty when it is not to be had."""
        code = getattr(thing, "__code__", None)
        if code is not None and code.co_filename in self._registered:
            return self._registered[code.co_filename][0]
        try:
            return textwrap.dedent(inspect.getsource(thing)).rstrip()
        except (OSError, TypeError, SyntaxError, IndexError):
            return ""


def _parse(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError):
        return None
