"""What of a cell's body is run as the cell is declared, so that later cells see it: imports, functions, classes."""

from __future__ import annotations
import __future__

import ast
from collections import defaultdict
from inspect import ismodule
from typing import TYPE_CHECKING, Any

from nbflow.lean import dataclass, field
from nbflow.notebook.cells import read_cell
from nbflow.notebook.reach import reached_names
from nbflow.notebook.scopes import names_inside, postpones

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_IMPORTS = (ast.Import, ast.ImportFrom)


@dataclass(slots=True)
class Hoisted:
    """A body in two parts. prelude: run as the cell is declared; rest: the task; flags: for compiling both."""

    prelude: list[ast.stmt] = field(default_factory=list)
    rest: list[ast.stmt] = field(default_factory=list)
    flags: int = 0


def hoist(body: Sequence[ast.stmt], kept: Collection[str], namespace: dict[str, Any]) -> Hoisted:
    """Imports go up, and the functions and classes that need nothing of the body's own.

    kept: names of arguments and outputs; what makes or reads them stays in the body. So does what reads data of the
    namespace as it is made, such as a default: the task then sees the data of its run.
    """
    others = [each for each in body if not isinstance(each, (*_DEFINITIONS, *_IMPORTS))]
    own = {*kept, *read_cell(ast.Module(others, [])).local}
    own |= _tied(body, own, namespace)
    parts = Hoisted()
    for each in body:
        if _is_future(each):
            parts.flags |= _future_flags(each)
        elif _names_of(each) and own.isdisjoint(_names_of(each)):
            parts.prelude.append(each)
        elif not _says_nothing(each):
            parts.rest.append(each)
    return parts


def _tied(body: Sequence[ast.stmt], own: set[str], namespace: dict[str, Any]) -> set[str]:
    """Definitions that use the body's own names, or other such definitions; all of one name go together."""
    reads = defaultdict[str, set[str]](set)
    at_once = defaultdict[str, set[str]](set)
    futures = [each for each in body if _is_future(each)]
    postponed = postpones(futures)
    for each in body:
        if isinstance(each, _DEFINITIONS):
            names = read_cell(ast.Module([*futures, each], []))
            # What awaits is made where the event loop is: in the task.
            reads[each.name] |= {*names.reads, each.name, *(own if names.awaits else ())}
            at_once[each.name] |= names_inside(each, postponed=postponed).at_once.keys()
    bound = {name for each in body for name in _names_of(each)}
    tied = {name for name, used in at_once.items() if _reads_data(used, reads, bound, namespace)}
    while more := {name for name, used in reads.items() if name not in tied and used & (own | tied)}:
        tied |= more
    return tied


def _reads_data(
    names: Collection[str], reads: Mapping[str, set[str]], bound: Collection[str], namespace: dict[str, Any]
) -> bool:
    """Whether names are data of the namespace, or lead there through functions. reads: of the body's definitions."""
    todo, seen = set(names), set[str]()
    while todo:
        seen |= todo
        todo = {deeper for name in todo for deeper in reads.get(name, ())} - seen
    outside = seen.difference(bound)
    outside |= reached_names(outside, namespace)
    return any(
        name in namespace and not callable(namespace[name]) and not ismodule(namespace[name]) for name in outside
    )


def _names_of(statement: ast.stmt) -> tuple[str, ...]:
    """The names of an import or definition; a star import has one that nothing else has."""
    if isinstance(statement, _DEFINITIONS):
        return (statement.name,)
    if isinstance(statement, _IMPORTS):
        return tuple(alias.asname or alias.name.split(".")[0] for alias in statement.names)
    return ()


def _is_future(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.ImportFrom) and statement.module == "__future__"


def _future_flags(statement: ast.stmt) -> int:
    """A function cannot hold `from __future__ import …`; it is compiled with what that sets."""
    flags = 0
    for name in _names_of(statement):
        flags |= getattr(__future__, name).compiler_flag
    return flags


def _says_nothing(statement: ast.stmt) -> bool:
    """`global x` and `x: int` mean nothing at the top of a cell, and something else in a function."""
    return isinstance(statement, ast.Global) or (
        isinstance(statement, ast.AnnAssign) and statement.value is None and isinstance(statement.target, ast.Name)
    )
