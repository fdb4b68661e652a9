"""A cell's statements as a function: its inputs are parameters, its outputs are returned."""

from __future__ import annotations

import ast
from types import CodeType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbflow.notebook.cell_outputs import Outputs


def function_of(
    body: Sequence[ast.stmt],
    outputs: Outputs,
    parameters: Sequence[str],
    *,
    shows: bool,
    awaits: bool,
    line: int,
) -> ast.FunctionDef | ast.AsyncFunctionDef:
    statements = list(body)
    last = statements[-1] if statements else None
    if isinstance(last, ast.Expr) and (outputs.last is not None or shows):
        target = ast.Name(outputs.last or SHOWN, ast.Store())
        statements[-1] = ast.copy_location(ast.Assign([ast.copy_location(target, last)], last.value), last)
    elif last is not None and is_shown_name(last, outputs.names):
        statements.pop()
    values: list[ast.expr] = [ast.Name(name, ast.Load()) for name in (*outputs.names, *([SHOWN] if shows else []))]
    value = values[0] if len(values) == 1 else ast.Tuple(values, ast.Load())
    end = getattr(last, "end_lineno", None) or line
    statements.append(ast.Return(value, **_at(end)))
    arguments = ast.arguments([], [ast.arg(name) for name in parameters], None, [], [], None, [])
    kind = ast.AsyncFunctionDef if awaits else ast.FunctionDef
    extra: dict[str, Any] = {"type_params": []} if "type_params" in kind._fields else {}
    return kind(outputs.names[0], arguments, statements, [], **extra, **_at(line))


def is_shown_name(last: ast.stmt, outputs: Sequence[str]) -> bool:
    """Whether a body's last line only shows an output: with it or without it, the task is the same."""
    return isinstance(last, ast.Expr) and isinstance(last.value, ast.Name) and last.value.id in outputs


def _at(line: int) -> dict[str, Any]:
    """A position for a node that the cell does not show."""
    return {"lineno": line, "end_lineno": line, "col_offset": 0, "end_col_offset": 0}


def compiled(module: ast.Module, filename: str, flags: int) -> CodeType:
    flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code: CodeType = compile(ast.fix_missing_locations(module), filename, "exec", flags, dont_inherit=True)
    return code


def code_of(module: CodeType, function: ast.FunctionDef | ast.AsyncFunctionDef) -> CodeType:
    codes = (each for each in module.co_consts if isinstance(each, CodeType))
    return next(code for code in codes if code.co_name == function.name)


def mention(names: Sequence[str], line: int) -> list[ast.stmt]:
    """A statement that only reads names: what magics use in their text then counts as any name in code does."""
    loads: list[ast.expr] = [ast.Name(name, ast.Load(), **_at(line)) for name in names]
    return [ast.Expr(ast.Tuple(loads, ast.Load(), **_at(line)), **_at(line))] if loads else []


SHOWN = "_nbflow_shown"
