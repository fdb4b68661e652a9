"""The `for` part of a head: what the cell is mapped over."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

from nbflow.errors import CellError
from nbflow.notebook.cells import BUILTINS, read_cell

if TYPE_CHECKING:
    from nbflow.notebook.header import Head

_ITEM = "_nbflow_item"
# What may be evaluated at every plan: it costs nothing worth keeping.
_CHEAP_CALLS = frozenset(
    {"range", "glob", "iglob", "sorted", "enumerate", "zip", "list", "tuple", "dict", "reversed", "len", "Path", "set"}
    | {"keys", "values", "items", "iterdir", "rglob", "listdir", "join", "split", "str", "int", "min", "max"}
)


@dataclass(frozen=True, slots=True)
class Loop:
    """What a cell is mapped over.

    argument: the function's parameter for one item; unpacking: how the item becomes the head's variables.
    plain: the name of the source where it is only a name. inputs: outputs of tasks that the source reads.
    function: gives the items from the inputs. text: the source as written.
    """

    argument: str
    unpacking: tuple[ast.stmt, ...]
    plain: str | None
    inputs: tuple[str, ...]
    function: FunctionType
    text: str

    def evaluate(self) -> Any:
        """The items of a source that reads no task's output. Raises CellError for what can be read only once."""
        items = self.function()
        if self.plain is not None and isinstance(items, Iterator):
            raise CellError(
                f"`for … in {self.plain}`: `{self.plain}` is an iterator, used up after one run; make it a list"
            )
        return list(items) if isinstance(items, Iterator) else items


def build_loop(head: Head, known: Callable[[str], str | None], namespace: dict[str, Any], filename: str) -> Loop:
    """The loop of a head that has one. Raises CellError where the source should be a task of its own."""
    first = head.generators[0]
    single = len(head.generators) == 1 and not first.conditions
    names = tuple(name for each in head.generators for name in each.names)
    source = first.source if single else _comprehension(head)
    tree = ast.Module([ast.Expr(source)], [])
    reads = read_cell(ast.fix_missing_locations(tree)).reads
    inputs = tuple(name for name in reads if name not in BUILTINS and known(name) is not None)
    if not inputs:
        _require_cheap(head)
    simple = single and isinstance(first.target, ast.Name)
    return Loop(
        argument=names[0] if simple else _ITEM,
        unpacking=() if simple else _unpacking(head, single=single),
        plain=first.source.id if single and isinstance(first.source, ast.Name) else None,
        inputs=inputs,
        function=_source_function(source, inputs, namespace, filename),
        text=", ".join(ast.unparse(each.source) for each in head.generators),
    )


def _comprehension(head: Head) -> ast.expr:
    """All items as tuples of the loop variables: `[(a, b) for a in … for b in … if …]`."""
    names = [name for each in head.generators for name in each.names]
    element = ast.Tuple([ast.Name(name, ast.Load()) for name in names], ast.Load())
    generators = [ast.comprehension(each.target, each.source, list(each.conditions), 0) for each in head.generators]
    return ast.fix_missing_locations(ast.copy_location(ast.ListComp(element, generators), head.generators[0].source))


def _unpacking(head: Head, *, single: bool) -> tuple[ast.stmt, ...]:
    if single:
        target = head.generators[0].target
    else:
        names = [name for each in head.generators for name in each.names]
        target = ast.Tuple([ast.Name(name, ast.Store()) for name in names], ast.Store())
    assign = ast.Assign([target], ast.Name(_ITEM, ast.Load()))
    # On the head's line: an item that cannot be unpacked is the head's matter.
    for node in ast.walk(assign):
        if "lineno" in node._attributes:
            node.lineno = node.end_lineno = 1  # type: ignore[attr-defined]  # those that list it have it
            node.col_offset = node.end_col_offset = 0  # type: ignore[attr-defined]  # as above
    return (assign,)


def _source_function(
    source: ast.expr, inputs: tuple[str, ...], namespace: dict[str, Any], filename: str
) -> FunctionType:
    lambda_ = ast.Lambda(ast.arguments([], [ast.arg(name) for name in inputs], None, [], [], None, []), source)
    for node in ast.walk(lambda_):
        if "lineno" in node._attributes:
            node.lineno = node.end_lineno = 1  # type: ignore[attr-defined]  # those that list it have it
            node.col_offset = node.end_col_offset = 0  # type: ignore[attr-defined]  # as above
    code = compile(ast.Expression(lambda_), f"{filename} head", "eval", dont_inherit=True)
    inner = next(constant for constant in code.co_consts if isinstance(constant, CodeType))
    return FunctionType(inner, namespace, "source")


def _require_cheap(head: Head) -> None:
    for each in head.generators:
        for node in ast.walk(each.source):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "attr", getattr(node.func, "id", "?"))
            if name not in _CHEAP_CALLS:
                variable = each.names[0]
                raise CellError(
                    f"`{ast.unparse(each.source)}` calls `{name}`; a source is looked at before every run. "
                    f"Make it a task of its own: a cell `%%task {variable}s` with `{ast.unparse(each.source)}`, "
                    f"and here `for {ast.unparse(each.target)} in {variable}s`"
                )
