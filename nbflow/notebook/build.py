"""A cell's body as a function: its inputs are parameters, its outputs are returned."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

from nbflow.errors import CellError
from nbflow.notebook.cells import BUILTINS, CellNames, read_cell
from nbflow.notebook.loops import Loop, build_loop

if TYPE_CHECKING:
    from nbflow.notebook.header import Head

Known = Callable[[str], str | None]
_SHOWN = "_nbflow_shown"
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True, slots=True)
class CellTask:
    """A cell as a task.

    inputs: names of parameters that other tasks or flow parameters give; all_inputs: with those of the head.
    free_names: globals that it reads. hides: names it assigns for itself. prelude: imports and functions that later
    cells see. shown: the output that is shown as the cell's value; shows: another value is, returned last.
    tree: compiles to the function's code; text: for people.
    """

    name: str
    outputs: tuple[str, ...]
    function: FunctionType
    filename: str
    tree: ast.Module
    text: str
    inputs: tuple[str, ...]
    free_names: tuple[str, ...]
    hides: tuple[str, ...]
    prelude: CodeType | None
    shown: str | None
    shows: bool
    loop: Loop | None

    @property
    def all_inputs(self) -> tuple[str, ...]:
        return self.inputs + (self.loop.inputs if self.loop is not None else ())


def build_task(
    head: Head, body: str, *, filename: str, first_line: int, known: Known, namespace: dict[str, Any]
) -> CellTask:
    """The task of a cell. body: plain Python, IPython's syntax transformed already. Raises CellError, SyntaxError.

    known: tells for a free name whether it is an "output", a "parameter", or None for a plain global.
    """
    tree = ast.parse("\n" * (first_line - 1) + body, filename)
    names = read_cell(tree)
    if not tree.body:
        raise CellError("the body is empty: write below the `%%task` line what the task does")
    loop_names = tuple(name for each in head.generators for name in each.names)
    outputs = _outputs(head, names, tree)
    free = tuple(n for n in names.reads if n not in loop_names and n not in BUILTINS)
    inputs = tuple(name for name in free if known(name) is not None)
    _check_own_names(names, outputs, inputs, loop_names)
    hoisted, rest = _hoist(tree.body, names, {*inputs, *loop_names})
    shown, shows = _shown_value(tree, outputs, body, mapped=bool(loop_names))
    loop = build_loop(head, known, namespace, filename) if head.generators else None
    function = _function(outputs, inputs, loop, rest, shows=shows, line=first_line)
    module = ast.fix_missing_locations(ast.Module([*hoisted, function], []))
    code = compile(module, filename, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    prelude = ast.Module(hoisted, [])
    return CellTask(
        name=", ".join(outputs),
        outputs=outputs,
        function=FunctionType(_code_of(code, function), namespace, function.name),
        filename=filename,
        tree=module,
        text=body.strip("\n"),
        inputs=inputs,
        free_names=tuple(name for name in free if name not in inputs and name not in names.assigned),
        hides=tuple(n for n in names.outputs if n not in outputs),
        prelude=compile(prelude, filename, "exec", dont_inherit=True) if hoisted else None,
        shown=shown,
        shows=shows,
        loop=loop,
    )


def _outputs(head: Head, names: CellNames, tree: ast.Module) -> tuple[str, ...]:
    ends_in_value = bool(tree.body) and isinstance(tree.body[-1], ast.Expr)
    if not head.names:
        if names.outputs:
            return names.outputs
        raise CellError(
            f"this cell assigns no name, so nothing could use its result; give it one: `%%task {_proposal(tree)}`"
        )
    missing = [name for name in head.names if name not in names.assigned]
    if not missing or (len(missing) == 1 and ends_in_value):
        return head.names
    if len(missing) == 1:
        raise CellError(
            f"the body never assigns `{missing[0]}` and does not end in an expression; "
            f"assign it, or write its value as the last line"
        )
    listed = ", ".join(f"`{name}`" for name in missing)
    raise CellError(f"the body never assigns {listed}; each name behind %%task must get a value in the body")


def _proposal(tree: ast.Module) -> str:
    last = tree.body[-1] if tree.body else None
    for node in ast.walk(last) if last is not None else ():
        if isinstance(node, ast.Call) and isinstance(node.func, (ast.Name, ast.Attribute)):
            name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            return name.split("_")[-1] if name.split("_")[-1].isidentifier() else "result"
    return "result"


def _check_own_names(
    names: CellNames, outputs: Sequence[str], inputs: Sequence[str], loop_names: Sequence[str]
) -> None:
    for name in names.reads:
        if name in names.assigned and name not in inputs and name not in loop_names and name not in BUILTINS:
            what = "gives it a new value" if name in outputs else "assigns it later"
            raise CellError(
                f"the body reads `{name}`, a plain variable, and {what}: run twice, it would not do the same. "
                f"Use another name on the left side, such as `{name}_2 = …`"
            )


def _hoist(body: Sequence[ast.stmt], names: CellNames, arguments: set[str]) -> tuple[list[ast.stmt], list[ast.stmt]]:
    """(what later cells see, the rest): imports, and functions and classes that need nothing of the body's own."""
    definitions = {each.name: each for each in body if isinstance(each, _DEFINITIONS)}
    own = (set(names.assigned) - names.imported - set(definitions)) | arguments
    tied = {name for name, each in definitions.items() if own & set(_reads(each))}
    while more := {n for n, each in definitions.items() if n not in tied and tied & set(_reads(each))}:
        tied |= more

    def goes_up(each: ast.stmt) -> bool:
        if isinstance(each, (ast.Import, ast.ImportFrom)):
            return True
        return isinstance(each, _DEFINITIONS) and each.name not in tied

    return [each for each in body if goes_up(each)], [each for each in body if not goes_up(each)]


def _reads(statement: ast.stmt) -> tuple[str, ...]:
    return read_cell(ast.Module([statement], [])).reads


def _shown_value(tree: ast.Module, outputs: Sequence[str], body: str, *, mapped: bool) -> tuple[str | None, bool]:
    """(the output that is shown, whether another value is): what the last expression gives, as in any cell."""
    last = tree.body[-1]
    if not isinstance(last, ast.Expr) or mapped or body.rstrip().endswith(";"):
        return None, False
    if isinstance(last.value, ast.Name) and last.value.id in outputs:
        return last.value.id, False
    unassigned = [name for name in outputs if name not in read_cell(tree).assigned]
    return (unassigned[0], False) if unassigned else (None, True)


def _function(
    outputs: Sequence[str],
    inputs: Sequence[str],
    loop: Loop | None,
    body: Sequence[ast.stmt],
    *,
    shows: bool,
    line: int,
) -> ast.FunctionDef | ast.AsyncFunctionDef:
    statements = [*(loop.unpacking if loop is not None else ()), *body]
    assigned = set(read_cell(ast.fix_missing_locations(ast.Module(list(statements), []))).assigned)
    unassigned = [name for name in outputs if name not in assigned]
    last = statements[-1] if statements else None
    if isinstance(last, ast.Expr) and (unassigned or shows):
        target = ast.Name(unassigned[0] if unassigned else _SHOWN, ast.Store())
        statements[-1] = ast.copy_location(ast.Assign([ast.copy_location(target, last)], last.value), last)
    returned = [*outputs, *([_SHOWN] if shows else [])]
    values: list[ast.expr] = [ast.Name(name, ast.Load()) for name in returned]
    value = values[0] if len(values) == 1 else ast.Tuple(values, ast.Load())
    end = statements[-1] if statements else None
    statements.append(_at(ast.Return(value), getattr(end, "end_lineno", None) or line))
    parameters = [*([loop.argument] if loop is not None else []), *inputs]
    arguments = ast.arguments([], [_at(ast.arg(name), line) for name in parameters], None, [], [], None, [])
    awaits = any(_awaits(each) for each in body)
    kind = ast.AsyncFunctionDef if awaits else ast.FunctionDef
    extra: dict[str, Any] = {"type_params": []} if "type_params" in kind._fields else {}
    function = kind(name=outputs[0], args=arguments, body=statements, decorator_list=[], **extra)
    _at(function, line)
    return function


def _awaits(node: ast.AST) -> bool:
    if isinstance(node, (ast.Await, ast.AsyncFor, ast.AsyncWith)):
        return True
    inner = (*_DEFINITIONS, ast.Lambda)
    return any(_awaits(child) for child in ast.iter_child_nodes(node) if not isinstance(child, inner))


def _at(node: Any, line: int) -> Any:
    """The node with a position, and its new children with it."""
    for each in ast.walk(node):
        if "lineno" in each._attributes and not hasattr(each, "lineno"):
            each.lineno = each.end_lineno = line  # type: ignore[attr-defined]  # those that list it have it
            each.col_offset = each.end_col_offset = 0  # type: ignore[attr-defined]  # as above
    return node


def _code_of(module: CodeType, function: ast.FunctionDef | ast.AsyncFunctionDef) -> CodeType:
    found = [c for c in _codes(module) if c.co_name == function.name and c.co_firstlineno == function.lineno]
    return found[-1]


def _codes(module: CodeType) -> Iterator[CodeType]:
    return (constant for constant in module.co_consts if isinstance(constant, CodeType))
