"""Source texts: of files, of notebook cells, and of the functions in them."""

from __future__ import annotations

import ast
import inspect
import linecache
import textwrap
from types import CodeType
from typing import Any


class Sources:
    """Texts and trees by file name; cells are registered, files are read through linecache."""

    def __init__(self) -> None:
        self._registered: dict[str, tuple[str, ast.Module]] = {}
        self._parsed: dict[str, tuple[object, tuple[str, ast.Module] | None]] = {}
        self._texts: dict[int, tuple[CodeType, object, str]] = {}

    def register(self, filename: str, text: str, tree: ast.Module) -> None:
        """A cell's function: text for people, and the tree whose compilation is the code in memory."""
        self._registered[filename] = (text, tree)

    def tree(self, filename: str) -> tuple[str, ast.Module] | None:
        """The text and the syntax tree behind a file name; None where there is none, or it does not parse."""
        if filename in self._registered:
            return self._registered[filename]
        linecache.checkcache(filename)
        lines = linecache.getlines(filename)
        # linecache makes another list of another file, and keeps the one it has.
        known = self._parsed.get(filename)
        if known is None or known[0] is not lines or not lines:
            text = "".join(lines)
            parsed = _parse(text) if text else None
            known = self._parsed[filename] = (lines, None if parsed is None else (text, parsed))
        return known[1]

    def text_of(self, thing: Any) -> str:
        """The source text of a function or class, dedented; empty when it is not to be had."""
        code = getattr(thing, "__code__", None)
        if code is not None and code.co_filename in self._registered:
            return self._registered[code.co_filename][0]
        if not isinstance(code, CodeType) or hasattr(thing, "__wrapped__"):
            return _text_of(thing)
        lines = linecache.getlines(code.co_filename)
        known = self._texts.get(id(code))
        if known is None or known[0] is not code or known[1] is not lines:
            known = self._texts[id(code)] = (code, lines, _text_of(thing))
        return known[2]


def _text_of(thing: Any) -> str:
    try:
        return textwrap.dedent(inspect.getsource(thing)).rstrip()
    except (OSError, TypeError, SyntaxError, IndexError):
        return ""


def _parse(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError):
        return None
