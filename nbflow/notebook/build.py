"""From the head and body of a cell to its task."""

from __future__ import annotations

import ast
from collections.abc import Callable
from types import FunctionType
from typing import TYPE_CHECKING, Any

from nbflow.errors import CellError
from nbflow.lean import dataclass
from nbflow.notebook.cell_function import code_of, compiled, function_of, mention
from nbflow.notebook.cell_outputs import Outputs, check_own_names, check_reserved, outputs_of, shown_value
from nbflow.notebook.cell_task import CellTask
from nbflow.notebook.cells import BUILTINS, SHELL_NAMES, CellNames, read_cell
from nbflow.notebook.comment import read_as_map
from nbflow.notebook.hoist import hoist
from nbflow.notebook.loops import Condition, Loop, build_condition, build_loop
from nbflow.notebook.magic_text import read_magic

if TYPE_CHECKING:
    from nbflow.notebook.header import Head

Known = Callable[[str], str | None]


def build_task(
    head: Head, body: str, *, filename: str, first_line: int, known: Known, namespace: dict[str, Any]
) -> CellTask:
    """The task of a cell. body: plain Python, IPython's syntax transformed already. Raises CellError, SyntaxError.

    first_line: of the body in its cell, from 1. known: tells for a free name whether it is an "output", a
    "parameter", or None for a plain global. Nothing of the body runs.
    """
    if head.options.merge:
        return _merging(head, body, filename, known, namespace)
    tree = _parse(body, filename, first_line)
    if head.commented:
        head, tree = read_as_map(head, tree)
    found = _read(head, tree, filename, known, namespace)
    names, outputs, loop, condition = found.names, found.outputs, found.loop, found.condition
    parts = hoist(tree.body, {*head.names, *found.inputs, *found.loop_names}, namespace)
    shown, shows = shown_value(tree, outputs, body, mapped=loop is not None)
    parameters = (loop.argument, *found.inputs) if loop is not None else found.inputs
    statements = [*mention(found.in_magics, first_line), *(loop.unpacking if loop is not None else ()), *parts.rest]
    function = function_of(statements, outputs, parameters, shows=shows, awaits=names.awaits, line=first_line)
    module = ast.Module([*parts.prelude, function], [])
    code = compiled(module, filename, parts.flags)
    return CellTask(
        name=", ".join(outputs.names),
        outputs=outputs.names,
        function=FunctionType(code_of(code, function), namespace, function.name),
        filename=filename,
        tree=module,
        text=body.strip("\n"),
        inputs=found.inputs,
        free_names=found.free_names,
        hides=tuple(n for n in names.outputs if n not in outputs.names),
        prelude=compiled(ast.Module(parts.prelude, []), filename, parts.flags) if parts.prelude else None,
        shown=shown,
        shows=shows,
        loop=loop,
        condition=condition,
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """What a cell's head and body say. in_magics: names that the text of magics reads."""

    names: CellNames
    outputs: Outputs
    inputs: tuple[str, ...]
    free_names: tuple[str, ...]
    loop_names: list[str]
    in_magics: list[str]
    loop: Loop | None
    condition: Condition | None


def _read(head: Head, tree: ast.Module, filename: str, known: Known, namespace: dict[str, Any]) -> _Found:
    names = read_cell(tree)
    outputs = outputs_of(head, names, tree)
    check_reserved(outputs.names, namespace)
    _refuse_our_magics(tree)
    loop = build_loop(head, known, namespace, filename, taken={*names.reads, *names.local}) if head.generators else None
    condition = None
    if head.condition is not None:
        condition = build_condition(head.condition, known, namespace, filename)
    loop_names = [name for each in head.generators for name in each.names]
    in_magics = [name for name in _magic_reads(names, known, namespace) if name not in loop_names]
    free = [*(name for name in names.reads if name not in loop_names), *in_magics]
    inputs = tuple(name for name in free if known(name) is not None)
    check_own_names(names, outputs, {*inputs, *loop_names}, namespace)
    free_names = (
        *(n for n in free if n not in inputs and n not in names.local and n not in BUILTINS),
        *(condition.free_names if condition is not None else ()),
    )
    return _Found(names, outputs, inputs, free_names, loop_names, in_magics, loop, condition)


def _merging(head: Head, body: str, filename: str, known: Known, namespace: dict[str, Any]) -> CellTask:
    """The task of a cell that only joins branches: it has no body."""
    if len(head.names) != 1:
        raise CellError("a merge makes one output: `%%task result --merge a,b`")
    if ast.parse(body).body:
        raise CellError("a cell with --merge has no body: it takes the first of its inputs that was not skipped")
    if head.generators or head.condition is not None:
        raise CellError("a cell with --merge has no `for` and no `if`; they belong to the cells that it joins")
    (name,) = head.names
    check_reserved(head.names, namespace)
    module = ast.parse(f"def {name}(*branches):\n    return next(iter(branches))")
    code = compiled(module, filename, 0)
    inputs = tuple(each for each in head.options.merge if known(each) is not None)
    (function,) = module.body
    assert isinstance(function, ast.FunctionDef)
    return CellTask(
        name=name,
        outputs=head.names,
        function=FunctionType(code_of(code, function), namespace, name),
        filename=filename,
        tree=module,
        text="",
        inputs=inputs,
        free_names=tuple(each for each in head.options.merge if each not in inputs),
        hides=(),
        prelude=None,
        shown=name,
        shows=False,
        loop=None,
        merges=True,
    )


def _parse(body: str, filename: str, first_line: int) -> ast.Module:
    """The body with the cell's own line numbers; SyntaxError for what a cell cannot hold, such as `return`."""
    tree = ast.parse("\n" * (first_line - 1) + body, filename)
    if not tree.body:
        raise CellError("the body is empty: write below the first line what the task does")
    # As a cell, not yet as a function: Python's own words for a `return`, which a function would take.
    compile(tree, filename, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    return tree


def _magic_reads(names: CellNames, known: Known, namespace: dict[str, Any]) -> list[str]:
    """Names in the text of magics that mean something here; a magic's text has many words that are no names."""
    own = {*names.reads, *names.local, *SHELL_NAMES}
    return [n for n in names.in_magics if n not in own and (known(n) is not None or n in namespace)]


def _refuse_our_magics(tree: ast.Module) -> None:
    for node in ast.walk(tree):
        text = read_magic(node) if isinstance(node, ast.Call) else None
        if text is not None and text.magic in {"%flow", "%%task", "%%flow"}:
            raise CellError(f"`{text.magic}` cannot stand inside a task; give it a cell of its own")
