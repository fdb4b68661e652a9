"""Statements as they were written: with the comments over them, and indented without touching texts inside."""

from __future__ import annotations

import ast
import io
import itertools
import re
import textwrap
import tokenize
from typing import TYPE_CHECKING

from nbflow.lean import dataclass
from nbflow.notebook.magic_text import read_magic

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Written:
    """A statement of a cell. text: its lines, from the left edge, with the comments over it; where: its cell and line,
    for messages; gap: empty lines over it.
    """

    tree: ast.stmt
    text: str
    where: str
    gap: int = 0


def statements_of(text: str, tree: ast.Module, where: str, *, first_line: int = 1) -> list[Written]:
    """The statements at the top of a cell. text: what the tree was parsed from; first_line: its number in the cell."""
    lines = text.split("\n")
    spans = [_span(each, first_line) for each in tree.body]
    # Several on one line cannot be told apart by lines.
    shared = any(now[0] <= before[1] for before, now in itertools.pairwise(spans))
    found = []
    above = 0
    for each, (start, end) in zip(tree.body, spans, strict=True):
        place = f"{where}, line {each.lineno}"
        if shared or end > len(lines):
            found.append(Written(each, ast.unparse(each), place))
            continue
        first = next(line for line in range(above, start) if lines[line].strip())
        gap = min(first - above, 1) if found else 0
        found.append(Written(each, "\n".join(lines[first:end]).rstrip().rstrip(";"), place, gap))
        above = end
    return found


def indented(text: str) -> str:
    r"""The text four columns further in; lines inside a string of several lines stay as they are.

    >>> indented("a = 1\nb = '''x\ny'''")
    "    a = 1\n    b = '''x\ny'''"
    """
    try:
        inside = {
            line
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Constant | ast.JoinedStr) and node.end_lineno is not None
            for line in range(node.lineno + 1, node.end_lineno + 1)
        }
    except SyntaxError:
        # A `return` at the left edge: the text is a part of a function.
        return indented_part(text)
    return "\n".join(
        line if i in inside or not line.strip() else f"    {line}" for i, line in enumerate(text.split("\n"), 1)
    )


def indented_part(text: str) -> str:
    """The same for a text that holds a `return` of a function."""
    head = "def _():\n"
    inside = {
        line - 1
        for node in ast.walk(ast.parse(head + textwrap.indent(text, " ")))
        if isinstance(node, ast.Constant | ast.JoinedStr) and node.end_lineno is not None
        for line in range(node.lineno + 1, node.end_lineno + 1)
    }
    return "\n".join(
        line if i in inside or not line.strip() else f"    {line}" for i, line in enumerate(text.split("\n"), 1)
    )


def double_quoted(code: str) -> str:
    r"""Code with its texts in double quotes, where that needs no backslash.

    >>> double_quoted("glob('data/*.csv') + ['\"']")
    'glob("data/*.csv") + [\'"\']'
    """
    pieces, line_starts = list(code), [0]
    for line in code.splitlines(keepends=True):
        line_starts.append(line_starts[-1] + len(line))
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        plain = token.type == tokenize.STRING and re.fullmatch(r"[bru]{0,2}'[^'\"\\\n]*'", token.string)
        if plain:
            start = line_starts[token.start[0] - 1] + token.start[1] + token.string.index("'")
            pieces[start] = pieces[line_starts[token.end[0] - 1] + token.end[1] - 1] = '"'
    return "".join(pieces)


def magic_in(tree: ast.AST) -> str | None:
    """The magic or shell command that a piece of code holds, for a message; None where there is none."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == "get_ipython":
            return "a magic or a shell command"
        if isinstance(node, ast.Call) and (found := read_magic(node)) is not None:
            return f"`{found.magic}`" if found.magic else "a shell command"
    return None


def joined(parts: Sequence[str], blank_lines: int) -> str:
    return ("\n" * (blank_lines + 1)).join(parts)


def _span(statement: ast.stmt, first_line: int) -> tuple[int, int]:
    """(first, last) line of a statement in its text, from 1, with its decorators."""
    decorators = getattr(statement, "decorator_list", [])
    start = min([statement.lineno, *(each.lineno for each in decorators)])
    return start - first_line + 1, (statement.end_lineno or start) - first_line + 1


def ends_in_semicolon(text: str) -> bool:
    """Whether the last token of a source, comments aside, is `;`: Python's way to show no value in a notebook.

    >>> ends_in_semicolon("ax.plot(x);  # no repr"), ends_in_semicolon("'a;'")
    (True, False)
    """
    silent = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    last = ""
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            last = last if token.type in silent else token.string
    except (tokenize.TokenError, SyntaxError):
        return False
    return last == ";"
