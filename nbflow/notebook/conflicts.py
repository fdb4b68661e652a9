"""Plain cells that change what tasks are made with, and read on what was made before the change."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Mapping
from typing import Any

from nbflow.lean import dataclass
from nbflow.notebook.cells import CellNames, read_cell
from nbflow.notebook.variables import is_plain

Reads = Callable[[ast.Module, CellNames], set[str]]
# What gives its names their values after it has read all that it reads.
_READS_FIRST = (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Import, ast.ImportFrom)
# What reads when it is called, which may be at any later line.
_READS_LATER = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True, slots=True)
class Conflict:
    """A variable that a cell changes, the task that uses it, and the output behind it that the cell reads then."""

    name: str
    task: str
    output: str

    def text(self) -> str:
        behind = ", which depends on it" if self.output != self.task else ""
        return (
            f"This cell changes `{self.name}`, which task `{self.task}` uses, and reads `{self.output}`"
            f"{behind}: it would show what came of `{self.name}` before, so the cell was not run.\n"
            f"Put the two into cells of their own: one that changes `{self.name}`, and one that reads `{self.output}`"
        )

    def after_text(self) -> str:
        """What to say once a cell that assigned the same until now has run."""
        return (
            f"this time the cell gave another value to `{self.name}`, which task `{self.task}` uses; "
            f"the `{self.output}` that it read was made with the one before. Give the two cells of their own"
        )


def changed_then_read(tree: ast.Module, reads: Reads, namespace: Mapping[str, Any]) -> dict[str, set[str]]:
    """The names that a cell gives another value than they have -> the outputs that it reads after that.

    reads: the outputs that a part of a cell reads.
    """
    steps = [_step(each, reads, namespace) for each in tree.body]
    found: dict[str, set[str]] = {}
    for i, (changed, _, reads_first) in enumerate(steps):
        for name in changed:
            found.setdefault(name, set()).update(*(read for _, read, _ in steps[i + reads_first :]))
    later = set().union(*(read for each, (_, read, _) in zip(tree.body, steps, strict=True) if _is_called_later(each)))
    return {name: read | later for name, read in found.items() if read | later}


def _step(statement: ast.stmt, reads: Reads, namespace: Mapping[str, Any]) -> tuple[set[str], set[str], bool]:
    """(the names that one statement changes, the outputs it reads, whether it reads before it changes)."""
    part = ast.Module([statement], [])
    names = read_cell(part)
    changed = {*names.assigned, *names.mutated, *(name for name, _ in names.lost_in_magics)}
    return changed - _as_before(statement, namespace), reads(part, names), isinstance(statement, _READS_FIRST)


def _is_called_later(statement: ast.stmt) -> bool:
    return isinstance(statement, _READS_LATER) or (
        isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Lambda)
    )


def _as_before(statement: ast.stmt, namespace: Mapping[str, Any]) -> set[str]:
    """Names to which a statement gives the very value that they have: literals, and imports of what is imported."""
    match statement:
        case ast.Assign(targets=targets, value=value) if all(isinstance(each, ast.Name) for each in targets):
            names = {each.id for each in targets if isinstance(each, ast.Name)}
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            names = {name}
        case ast.Import(names=aliases):
            modules = {a.asname or a.name.split(".")[0]: a.name if a.asname else a.name.split(".")[0] for a in aliases}
            return {name for name, module in modules.items() if namespace.get(name, _NONE) is sys.modules.get(module)}
        case ast.ImportFrom(module=str(module), names=aliases):
            source = sys.modules.get(module)
            return {
                a.asname or a.name
                for a in aliases
                if namespace.get(a.asname or a.name, _NONE) is getattr(source, a.name, None)
            }
        case _:
            return set()
    # By their text: 1 == True == 1.0, and a nan equals nothing.
    return {name for name in names if name in namespace and _literal(value) == _text(namespace[name])}


_NONE = object()


def _literal(value: ast.expr) -> str:
    try:
        return _text(ast.literal_eval(value)) or "no literal"
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return "no literal"


def _text(value: Any) -> str:
    return repr(value) if is_plain(value) else ""
