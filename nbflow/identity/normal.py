"""The normal form of source: docstrings dropped, every position a constant, so that only meaning is compiled."""

from __future__ import annotations
import __future__

import ast
import pickle
from typing import TYPE_CHECKING, Any, Protocol

from nbflow.identity.bytecode import same_code
from nbflow.identity.nested import nested_code
from nbflow.lean import dataclass

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType

# `type X = …`, where Python knows it, has code of its own.
_ALIAS: tuple[type[ast.AST], ...] = tuple(filter(None, [getattr(ast, "TypeAlias", None)]))
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef, *_ALIAS)
_COMPREHENSIONS = {
    ast.ListComp: "<listcomp>",
    ast.SetComp: "<setcomp>",
    ast.DictComp: "<dictcomp>",
    ast.GeneratorExp: "<genexpr>",
}
# The flag that `from __future__ import annotations` leaves on code, and that compile() takes.
_FUTURES = __future__.annotations.compiler_flag
_DOCUMENTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module)


class Trees(Protocol):
    """Gives the text and tree behind a file name."""

    def tree(self, filename: str) -> tuple[str, ast.Module] | None: ...


@dataclass(frozen=True, slots=True)
class _Compiled:
    """One text, compiled as it stands and in its normal form. scopes: (name, first line) → numbers of scopes."""

    plain: tuple[CodeType, ...]
    normal: dict[int, CodeType]
    scopes: dict[tuple[str, int], list[int]]


class Normalizer:
    """Finds for code in memory its counterpart in normal form; compiles each text once."""

    def __init__(self, sources: Trees) -> None:
        self._sources = sources
        self._compiled: dict[tuple[str, int], tuple[ast.Module, _Compiled | None]] = {}
        self._normal: dict[int, tuple[CodeType, ast.Module, CodeType]] = {}

    def normal(self, code: CodeType) -> CodeType:
        """The code in normal form; the code itself where its source is not to be had, or is another by now."""
        found = self._sources.tree(code.co_filename)
        if found is None:
            return code
        known = self._normal.get(id(code))
        if known is None or known[0] is not code or known[1] is not found[1]:
            known = self._normal[id(code)] = (code, found[1], self._found(code, found[1]))
        return known[2]

    def _found(self, code: CodeType, tree: ast.Module) -> CodeType:
        compiled = self._compile(code, tree)
        if compiled is None:
            return code
        place = (code.co_name, code.co_firstlineno)
        candidates = [each for each in compiled.plain if (each.co_name, each.co_firstlineno) == place]
        normals = [compiled.normal.get(number) for number in compiled.scopes.get(place, ())]
        if len(candidates) != len(normals):
            # Python makes one of equal lambdas on one line, or several of one in a `finally`.
            candidates = candidates[:1] * len(normals) if _all_same(normals) else []
        for candidate, normal in zip(candidates, normals, strict=False):
            if normal is not None and same_code(candidate, code):
                return normal
        return code

    def _compile(self, code: CodeType, tree: ast.Module) -> _Compiled | None:
        flags = code.co_flags & _FUTURES
        key = (code.co_filename, flags)
        known = self._compiled.get(key)
        if known is None or known[0] is not tree:
            known = self._compiled[key] = (tree, _compiled(tree, code.co_filename, flags))
        return known[1]


def _compiled(tree: ast.Module, filename: str, flags: int) -> _Compiled | None:
    flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    try:
        plain = compile(tree, filename, "exec", flags, dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError):
        return None
    # A copy this way takes a fifth of the time that copy.deepcopy takes.
    changed = pickle.loads(pickle.dumps(tree))
    scopes: dict[tuple[str, int], list[int]] = {}
    _Positions(scopes).set(changed)
    normal = compile(changed, filename, "exec", flags, dont_inherit=True)
    by_number = {each.co_firstlineno: each for each in nested_code(normal)}
    return _Compiled(tuple(nested_code(plain)), by_number, scopes)


def _all_same(codes: Sequence[CodeType | None]) -> bool:
    return all(each is not None and codes[0] is not None and same_code(codes[0], each) for each in codes)


class _Positions:
    """Drops docstrings, and gives every scope a number that all positions in it are set to."""

    def __init__(self, scopes: dict[tuple[str, int], list[int]]) -> None:
        self._scopes = scopes
        self._count = 1

    def set(self, tree: ast.AST) -> None:
        todo: list[tuple[ast.AST, int]] = [(tree, 1)]
        while todo:
            node, line = todo.pop()
            if isinstance(node, _DOCUMENTED):
                _drop_docstring(node)
            if isinstance(node, _SCOPES) or type(node) in _COMPREHENSIONS:
                self._count += 1
                line = self._count
                self._scopes.setdefault(_place(node), []).append(line)
            if node._attributes:
                # Any: the positions are on the node classes that have them, not on AST itself.
                placed: Any = node
                placed.lineno = placed.end_lineno = line
                placed.col_offset = placed.end_col_offset = 0
            todo.extend((child, line) for child in reversed(_children(node)))


def drop_docstrings(tree: ast.AST) -> None:
    """Takes all docstrings out of a tree."""
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED):
            _drop_docstring(node)


def _place(node: ast.AST) -> tuple[str, int]:
    decorators = getattr(node, "decorator_list", None)
    line: int = decorators[0].lineno if decorators else node.lineno  # type: ignore[attr-defined]  # scopes have one
    name = getattr(node, "name", None) or _COMPREHENSIONS.get(type(node), "<lambda>")
    return name.id if isinstance(name, ast.Name) else name, line


def _children(node: ast.AST) -> list[ast.AST]:
    """What ast.iter_child_nodes gives, in half its time: every function of a file is seen when one is asked for."""
    found: list[ast.AST] = []
    for name in node._fields:
        value = getattr(node, name, None)
        if isinstance(value, ast.AST):
            found.append(value)
        elif isinstance(value, list):
            found.extend(each for each in value if isinstance(each, ast.AST))
    return found


def _drop_docstring(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module) -> None:
    first = node.body[0] if node.body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        node.body = node.body[1:] or ([] if isinstance(node, ast.Module) else [ast.copy_location(ast.Pass(), first)])
