"""What functions, classes, lambdas and comprehensions take from the cell around them."""

from __future__ import annotations
import __future__

import ast
import dis
import warnings
from inspect import CO_OPTIMIZED
from types import CodeType
from typing import TYPE_CHECKING

from nbflow.lean import dataclass, field

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Scope = (
    ast.FunctionDef
    | ast.AsyncFunctionDef
    | ast.ClassDef
    | ast.Lambda
    | ast.ListComp
    | ast.SetComp
    | ast.DictComp
    | ast.GeneratorExp
)
_GLOBAL_LOADS = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_GLOBALS"})
_COMPREHENSIONS = frozenset({"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"})


@dataclass(slots=True)
class InnerNames:
    """What a scope inside a cell takes from it. at_once: as it is made; later: when it is called."""

    at_once: dict[str, None] = field(default_factory=dict)
    later: dict[str, None] = field(default_factory=dict)
    global_writes: dict[str, None] = field(default_factory=dict)


def postpones(body: Iterable[ast.stmt]) -> bool:
    """Whether `from __future__ import annotations` stands among statements: annotations are not evaluated then."""
    imports = (each for each in body if isinstance(each, ast.ImportFrom) and each.module == "__future__")
    return any(alias.name == "annotations" for each in imports for alias in each.names)


def names_inside(node: Scope, *, postponed: bool = False) -> InnerNames:
    """By compiling it inside a function, so that Python's own rules say which names it does not bind itself.

    postponed: `from __future__ import annotations` holds.
    """
    flags = __future__.annotations.compiler_flag if postponed else 0
    statement = ast.Expr(node) if isinstance(node, ast.expr) else node
    arguments = ast.arguments([], [], None, [], [], None, [])
    # Async, for comprehensions that await. The newer fields of the node are optional where they exist.
    around = ast.AsyncFunctionDef("_", arguments, [statement], [], None, None)
    tree = ast.fix_missing_locations(ast.copy_location(ast.Module([around], []), node))
    inner = InnerNames()
    try:
        with warnings.catch_warnings():
            # Python gives its warnings when it compiles the cell.
            warnings.simplefilter("ignore")
            module = compile(tree, "<cell>", "exec", flags, dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError):
        # Python will say so itself when it compiles the cell.
        return inner
    (code,) = _nested(module)
    _note(code, inner, inner.at_once)
    _note_nested(code, inner, at_once=True)
    return inner


def _note_nested(code: CodeType, inner: InnerNames, *, at_once: bool) -> None:
    """Classes and comprehensions run where they stand, functions when they are called."""
    for each in _nested(code):
        now = at_once and (not each.co_flags & CO_OPTIMIZED or each.co_name in _COMPREHENSIONS)
        _note(each, inner, inner.at_once if now else inner.later)
        _note_nested(each, inner, at_once=now)


def _note(code: CodeType, inner: InnerNames, loads: dict[str, None]) -> None:
    """The global names of one code object. A class body sees what it has bound itself, up to there."""
    bound = {"__name__", "__annotations__"}
    for instruction in dis.get_instructions(code):
        name = instruction.argval
        if instruction.opname in _GLOBAL_LOADS and name not in bound:
            loads.setdefault(name)
        elif instruction.opname == "STORE_NAME":
            bound.add(name)
        elif instruction.opname == "STORE_GLOBAL":
            inner.global_writes.setdefault(name)


def _nested(code: CodeType) -> Iterator[CodeType]:
    return (constant for constant in code.co_consts if isinstance(constant, CodeType))


def walrus_names(node: ast.AST) -> Iterator[str]:
    """Names that a comprehension binds around it; a lambda keeps its own."""
    todo = [] if isinstance(node, ast.Lambda) else [node]
    while todo:
        each = todo.pop()
        if isinstance(each, ast.NamedExpr):
            yield each.target.id
        if not isinstance(each, ast.Lambda):
            todo.extend(reversed(list(ast.iter_child_nodes(each))))


def awaits(node: ast.AST) -> bool:
    """Whether a statement awaits in the cell's own scope."""
    todo = [node]
    while todo:
        each = todo.pop()
        if isinstance(each, ast.Await | ast.AsyncFor | ast.AsyncWith) or getattr(each, "is_async", False):
            return True
        if not isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            todo.extend(ast.iter_child_nodes(each))
    return False
