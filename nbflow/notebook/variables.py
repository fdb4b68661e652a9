"""What plain cells assign: which cell gave a variable its value, and which are plain literals, so that tasks that read
them have parameters.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from nbflow.lean import dataclass

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

_PLAIN = (bool, int, float, complex, str, bytes, type(None))


@dataclass(frozen=True, slots=True)
class GivenParameter:
    """One parameter of a notebook. annotation: as it was written, "" without one.

    plain: it is a variable such as `n = 5`, which papermill may set; else a Parameter.
    """

    name: str
    value: Any
    annotation: str = ""
    plain: bool = True


class PlainVariables:
    """The variables that plain cells gave values to."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        self._namespace = namespace
        self._cells: dict[str, str] = {}
        self._literals: dict[str, str] = {}  # name -> annotation
        self._texts: dict[str, str] = {}

    def note(self, tree: ast.Module, assigned: Iterable[str], cell: str | None, text: str = "") -> None:
        """Remembers what a cell that is about to run assigns. text: of the cell."""
        literals = dict(_literals(tree))
        for name in assigned:
            self._texts[name] = text
            if cell is not None:
                self._cells[name] = cell
            if name in literals:
                self._literals[name] = literals[name]
            else:
                self._literals.pop(name, None)

    def is_from(self, text: str, name: str) -> bool:
        """Whether a name has the value that a cell of this text gave it."""
        return name in self._namespace and bool(text) and self._texts.get(name) == text

    def left_by(self, cell: str, names: Iterable[str]) -> list[str]:
        """Those of the names that an earlier plain run of a cell gave values to."""
        return [name for name in names if self._cells.get(name) == cell]

    def parameters(self, read: Collection[str]) -> list[GivenParameter]:
        """Those that are plain literals and are read by tasks, in the order in which they were first assigned."""
        return [
            GivenParameter(name, self._namespace[name], annotation)
            for name, annotation in self._literals.items()
            if name in read and is_plain(self._namespace.get(name, ...))
        ]

    def give(self, values: Mapping[str, Any]) -> None:
        self._namespace.update(values)


def is_plain(value: Any) -> bool:
    """Whether a value can be written as a literal: a number, a text, or lists, tuples and dicts of them."""
    if type(value) in {list, tuple}:
        return all(map(is_plain, value))
    if type(value) is dict:
        return all(is_plain(each) for pair in value.items() for each in pair)
    return type(value) in _PLAIN


def _literals(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=targets, value=value) if _is_literal(value):
                yield from ((target.id, "") for target in targets if isinstance(target, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=ast.expr() as value):
                if _is_literal(value):
                    yield name, ast.unparse(annotation)


def _is_literal(value: ast.expr) -> bool:
    try:
        return is_plain(ast.literal_eval(value))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
