"""A cell's body as a function: its inputs are parameters, its outputs are returned."""

from __future__ import annotations

import ast
import keyword
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from nbflow.errors import CellError, nearest
from nbflow.notebook.cells import BUILTINS, SHELL_NAMES, CellNames, ends_in_semicolon, read_cell
from nbflow.notebook.comment import read_as_map
from nbflow.notebook.hoist import hoist
from nbflow.notebook.loops import Condition, Loop, build_condition, build_loop
from nbflow.notebook.magic_text import read_magic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbflow.notebook.header import Head

Known = Callable[[str], str | None]
_SHOWN = "_nbflow_shown"


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class CellTask:
    """A cell as a task.

    inputs: names of parameters that other tasks or flow parameters give; all_inputs: with those of the head.
    free_names: globals that it reads. hides: names it assigns for itself. prelude: imports and functions that later
    cells see. shown: the output that is shown as the cell's value; shows: another value is, returned last.
    tree: compiles to the function's code; text: for people. condition: what decides whether it runs. merges: whether it
    takes the first of its inputs that was not skipped.
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
    condition: Condition | None = None
    merges: bool = False

    @property
    def all_inputs(self) -> tuple[str, ...]:
        loop = self.loop.inputs if self.loop is not None else ()
        return self.inputs + loop + (self.condition.inputs if self.condition is not None else ())

    @property
    def new_outputs(self) -> set[str]:
        """The outputs that are no next version of what the cell reads."""
        return set(self.outputs).difference(self.all_inputs)


@dataclass(frozen=True, slots=True)
class _Outputs:
    """What the function returns. last: the name that gets the value of the last expression, if one does."""

    names: tuple[str, ...]
    last: str | None


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
    names = read_cell(tree)
    outputs = _outputs(head, names, tree)
    _check_reserved(outputs.names, namespace)
    _refuse_our_magics(tree)
    loop = build_loop(head, known, namespace, filename, taken={*names.reads, *names.local}) if head.generators else None
    condition = None
    if head.condition is not None:
        condition = build_condition(head.condition, known, namespace, filename)
    loop_names = [name for each in head.generators for name in each.names]
    in_magics = [name for name in _magic_reads(names, known, namespace) if name not in loop_names]
    free = [*(name for name in names.reads if name not in loop_names), *in_magics]
    inputs = tuple(name for name in free if known(name) is not None)
    _check_own_names(names, outputs, {*inputs, *loop_names}, namespace)
    parts = hoist(tree.body, {*head.names, *inputs, *loop_names})
    shown, shows = _shown_value(tree, outputs, body, mapped=loop is not None)
    parameters = (loop.argument, *inputs) if loop is not None else inputs
    statements = [*_mention(in_magics, first_line), *(loop.unpacking if loop is not None else ()), *parts.rest]
    function = _function(statements, outputs, parameters, shows=shows, awaits=names.awaits, line=first_line)
    module = ast.Module([*parts.prelude, function], [])
    code = _compiled(module, filename, parts.flags)
    return CellTask(
        name=", ".join(outputs.names),
        outputs=outputs.names,
        function=FunctionType(_code_of(code, function), namespace, function.name),
        filename=filename,
        tree=module,
        text=body.strip("\n"),
        inputs=inputs,
        free_names=(
            *(n for n in free if n not in inputs and n not in names.local and n not in BUILTINS),
            *(condition.free_names if condition is not None else ()),
        ),
        hides=tuple(n for n in names.outputs if n not in outputs.names),
        prelude=_compiled(ast.Module(parts.prelude, []), filename, parts.flags) if parts.prelude else None,
        shown=shown,
        shows=shows,
        loop=loop,
        condition=condition,
    )


def _merging(head: Head, body: str, filename: str, known: Known, namespace: dict[str, Any]) -> CellTask:
    """The task of a cell that only joins branches: it has no body."""
    if len(head.names) != 1:
        raise CellError("a merge makes one output: `%%task result --merge a,b`")
    if ast.parse(body).body:
        raise CellError("a cell with --merge has no body: it takes the first of its inputs that was not skipped")
    if head.generators or head.condition is not None:
        raise CellError("a cell with --merge has no `for` and no `if`; they belong to the cells that it joins")
    (name,) = head.names
    _check_reserved(head.names, namespace)
    module = ast.parse(f"def {name}(*branches):\n    return next(iter(branches))")
    code = _compiled(module, filename, 0)
    inputs = tuple(each for each in head.options.merge if known(each) is not None)
    (function,) = module.body
    assert isinstance(function, ast.FunctionDef)
    return CellTask(
        name=name,
        outputs=head.names,
        function=FunctionType(_code_of(code, function), namespace, name),
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


def _mention(names: Sequence[str], line: int) -> list[ast.stmt]:
    """A statement that only reads names: what magics use in their text then counts as any name in code does."""
    loads: list[ast.expr] = [ast.Name(name, ast.Load(), **_at(line)) for name in names]
    return [ast.Expr(ast.Tuple(loads, ast.Load(), **_at(line)), **_at(line))] if loads else []


# Outputs


def _refuse_our_magics(tree: ast.Module) -> None:
    for node in ast.walk(tree):
        text = read_magic(node) if isinstance(node, ast.Call) else None
        if text is not None and text.magic in {"%flow", "%%task", "%%flow"}:
            raise CellError(f"`{text.magic}` cannot stand inside a task; give it a cell of its own")


def _check_reserved(names: Sequence[str], namespace: dict[str, Any]) -> None:
    for name in names:
        if name in SHELL_NAMES - BUILTINS or (name.startswith("__") and name.endswith("__")):
            what = "a name that the notebook itself needs"
        elif name in BUILTINS:
            what = "a builtin of Python"
        elif isinstance(namespace.get(name), ModuleType):
            what = f"the imported module {namespace[name].__name__}"
        else:
            continue
        raise CellError(
            f"`{name}` is {what}, which an output of that name would hide from all cells; "
            f"call the output something else, such as `{name.strip('_')}_result`"
        )


def _outputs(head: Head, names: CellNames, tree: ast.Module) -> _Outputs:
    if not head.names:
        return _Outputs(names.outputs or _refuse_nameless(head, names, tree), None)
    # `df["x"] = …` makes the next version of df, like an assignment.
    given = names.local.intersection(names.assigned).union(names.mutated)
    missing = [name for name in head.names if name not in given]
    for name, magic in names.lost_in_magics:
        if name in missing or name in names.reads:
            raise CellError(
                f"`{magic}` keeps what it assigns to itself when it stands in a task, so `{name}` would be lost; "
                f"leave the magic out: `%flow why` tells how long a task took"
            )
    if not missing:
        return _Outputs(head.names, None)
    if len(missing) == 1 and isinstance(tree.body[-1], ast.Expr):
        return _Outputs(head.names, missing[0])
    if len(missing) == 1:
        raise CellError(
            f"the body never assigns `{missing[0]}` and does not end in an expression; "
            f"assign it, or write its value as the last line" + _meant(missing[0], names)
        )
    listed = ", ".join(f"`{name}`" for name in missing)
    raise CellError(f"the body never assigns {listed}; each name behind %%task must get a value in the body")


def _meant(missing: str, names: CellNames) -> str:
    return nearest(missing, names.outputs) if names.outputs else ""


def _refuse_nameless(head: Head, names: CellNames, tree: ast.Module) -> tuple[str, ...]:
    if not isinstance(tree.body[-1], ast.Expr) and (names.imported or names.defined):
        raise CellError(
            f"this cell only imports and defines, which is no task; take the `{head.mark}` line away, "
            "and what uses it runs again when it changes"
        )
    name = _proposal(tree)
    way_out = f"{name} = …" if head.commented else f"%%task {name}"
    raise CellError(f"this cell assigns no name, so nothing could use its result; give it one: `{way_out}`")


def _proposal(tree: ast.Module) -> str:
    """A name for the value of the last expression: of the file it reads, or what the function's name ends in."""
    for node in ast.walk(tree.body[-1]):
        if not isinstance(node, ast.Call):
            continue
        paths = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        called = getattr(node.func, "id", getattr(node.func, "attr", ""))
        for words in (*(PurePath(path).stem for path in paths), called.rpartition("_")[2]):
            name = re.sub(r"\W+", "_", words).strip("_")
            if name.isidentifier() and not keyword.iskeyword(name) and name not in BUILTINS:
                return name
    return "result"


def _shown_value(tree: ast.Module, outputs: _Outputs, body: str, *, mapped: bool) -> tuple[str | None, bool]:
    """(the output that is shown, whether another value is): what the last expression gives, as in any cell."""
    last = tree.body[-1]
    if not isinstance(last, ast.Expr) or mapped or ends_in_semicolon(body):
        return None, False
    if outputs.last is not None:
        return outputs.last, False
    if isinstance(last.value, ast.Name) and last.value.id in outputs.names:
        return last.value.id, False
    return None, True


def _check_own_names(names: CellNames, outputs: _Outputs, arguments: set[str], namespace: dict[str, Any]) -> None:
    """CellError for a name that is the notebook's at first and the body's own later: a function has one of them."""
    own = {*names.local, *(name for name in outputs.names if name in names.mutated)}
    for name in names.global_writes:
        if name in own:
            raise CellError(
                f"a function in the body declares `global {name}`, and the body assigns `{name}` for itself; "
                f"let the function return the value instead"
            )
    for name in names.reads:
        if name not in own or name in arguments:
            continue
        if name not in namespace and name not in BUILTINS:
            raise CellError(
                f"the body reads `{name}` before it assigns it, and nothing before this cell makes `{name}`; "
                f"run the cell that does, or assign it first"
            )
        what = "a builtin" if name not in namespace else "a plain variable"
        raise CellError(
            f"the body reads `{name}`, {what}, and then changes it: run twice, it would not do the same. "
            f"Use another name for the new value, such as `{name}_2`"
        )


# The function


def _function(
    body: Sequence[ast.stmt],
    outputs: _Outputs,
    parameters: Sequence[str],
    *,
    shows: bool,
    awaits: bool,
    line: int,
) -> ast.FunctionDef | ast.AsyncFunctionDef:
    statements = list(body)
    last = statements[-1] if statements else None
    if isinstance(last, ast.Expr) and (outputs.last is not None or shows):
        target = ast.Name(outputs.last or _SHOWN, ast.Store())
        statements[-1] = ast.copy_location(ast.Assign([ast.copy_location(target, last)], last.value), last)
    elif last is not None and is_shown_name(last, outputs.names):
        statements.pop()
    values: list[ast.expr] = [ast.Name(name, ast.Load()) for name in (*outputs.names, *([_SHOWN] if shows else []))]
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


def _compiled(module: ast.Module, filename: str, flags: int) -> CodeType:
    flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code: CodeType = compile(ast.fix_missing_locations(module), filename, "exec", flags, dont_inherit=True)
    return code


def _code_of(module: CodeType, function: ast.FunctionDef | ast.AsyncFunctionDef) -> CodeType:
    codes = (each for each in module.co_consts if isinstance(each, CodeType))
    return next(code for code in codes if code.co_name == function.name)
