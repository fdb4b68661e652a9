"""What a cell reads and assigns: by compiling it, so that Python's own scope rules decide."""

from __future__ import annotations

import ast
import builtins
import dis
from dataclasses import dataclass
from types import CodeType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

BUILTINS = frozenset(dir(builtins))
_DYNAMIC = frozenset({"eval", "exec", "globals", "locals", "vars", "get_ipython"})
# Run where they stand: they see what was assigned up to there.
_AT_ONCE = ("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>")


@dataclass(frozen=True, slots=True)
class CellNames:
    """The names of a cell, in the order of their first use.

    reads: read before they are assigned in it; assigned: given a value at top level; imported, defined and
    looped: those among them that import statements, functions and classes, and loops bind.
    """

    reads: tuple[str, ...]
    assigned: tuple[str, ...]
    imported: frozenset[str]
    defined: frozenset[str]
    looped: frozenset[str]
    uses_dynamic: bool

    @property
    def outputs(self) -> tuple[str, ...]:
        """The public names that are results: no imports, functions, loop variables."""
        others = self.imported | self.defined | self.looped
        return tuple(name for name in self.assigned if name not in others and not name.startswith("_"))


def read_cell(tree: ast.Module) -> CellNames:
    """The names of a cell; SyntaxError where it does not compile."""
    code = compile(tree, "<cell>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    reads: dict[str, None] = {}
    assigned: dict[str, None] = {}
    deferred: dict[str, None] = {}
    for instruction in dis.get_instructions(code):
        name = instruction.argval
        if instruction.opname in {"LOAD_NAME", "LOAD_GLOBAL"} and name not in assigned:
            reads[name] = None
        elif instruction.opname in {"STORE_NAME", "STORE_GLOBAL"}:
            assigned[name] = None
        elif instruction.opname == "DELETE_NAME" and name not in assigned:
            reads[name] = None
        elif isinstance(name, CodeType):
            inner = dict.fromkeys(_globals_of(name))
            at_once = name.co_name in _AT_ONCE
            (reads if at_once else deferred).update({n: None for n in inner if n not in assigned})
            assigned.update(dict.fromkeys(_stored_globally(name)))
    reads.update({name: None for name in deferred if name not in assigned})
    every = {*code.co_names, *reads}
    return CellNames(tuple(reads), tuple(assigned), *_kinds(tree), uses_dynamic=bool(_DYNAMIC & every))


def _globals_of(code: CodeType) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname in {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_CLASSDEREF"} and isinstance(
            instruction.argval, str
        ):
            yield instruction.argval
        elif isinstance(instruction.argval, CodeType):
            yield from _globals_of(instruction.argval)


def _stored_globally(code: CodeType) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname == "STORE_GLOBAL":
            yield instruction.argval
        elif isinstance(instruction.argval, CodeType):
            yield from _stored_globally(instruction.argval)


def _kinds(tree: ast.Module) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    imported: set[str] = set()
    defined: set[str] = set()
    looped: set[str] = set()
    for node in _same_scope(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            imported |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            defined.add(node.name)
        elif isinstance(node, (ast.For, ast.AsyncFor)):
            looped |= {each.id for each in ast.walk(node.target) if isinstance(each, ast.Name)}
    return frozenset(imported), frozenset(defined), frozenset(looped)


def _same_scope(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes below one that belong to the same scope."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            yield from _same_scope(child)
