"""The `for` part of a head: what the cell is mapped over."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator

# Type checkers take a function in a field for a method elsewhere than in these.
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, TypeVar

from nbflow.errors import CellError, undefined
from nbflow.notebook.cells import BUILTINS, SHELL_NAMES, read_cell

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from nbflow.notebook.header import Generator, Head

# What may be evaluated at every plan: it costs nothing worth keeping.
_CHEAP_CALLS = frozenset(
    {"range", "glob", "iglob", "sorted", "enumerate", "zip", "list", "tuple", "dict", "reversed", "len", "Path", "set"}
    | {"keys", "values", "items", "iterdir", "rglob", "listdir", "join", "split", "str", "int", "min", "max"}
    | {"startswith", "endswith", "lower", "upper", "strip", "replace", "format", "is_file", "is_dir"}
)
# What gives its items one by one; a list of them can be kept.
_ONE_BY_ONE = frozenset(
    {"enumerate", "zip", "reversed", "glob", "iglob", "iterdir", "rglob", "items", "keys", "values"}
)
_FIRST_LINE = ast.Constant(None, lineno=1, col_offset=0, end_lineno=1, end_col_offset=0)
_Tree = TypeVar("_Tree", bound=ast.AST)


@dataclass(frozen=True, slots=True)
class Loop:
    """What a cell is mapped over.

    argument: the function's parameter for one item; unpacking: how the item becomes the head's variables, names: those
    variables where each gets one part of it. crossed: whether there are several `for`.
    plain: the name of the source where it is only a name. inputs: outputs of tasks that the source reads;
    free_names: globals that it reads. function: gives the items from the inputs. text: the source as written.
    """

    argument: str
    unpacking: tuple[ast.stmt, ...]
    plain: str | None
    inputs: tuple[str, ...]
    free_names: tuple[str, ...]
    function: FunctionType
    text: str
    names: tuple[str, ...] = ()
    crossed: bool = False

    def evaluate(self) -> Any:
        """The items of a source that reads no task's output. Raises CellError for what can be read only once."""
        known = self.function.__globals__
        for name in self.free_names:
            if name not in known:
                raise CellError(
                    f"`for … in {self.text}` reads `{name}`, which nothing defines" + undefined(name, _public(known))
                )
            if isinstance(known[name], Iterator):
                raise CellError(
                    f"`for … in {self.text}`: `{name}` is an iterator, used up after one run; make it a list"
                )
        return self.function()


@dataclass(frozen=True, slots=True)
class Condition:
    """What decides whether a cell runs. plain: the name of the output where it is only a name; else as for Loop."""

    plain: str | None
    inputs: tuple[str, ...]
    free_names: tuple[str, ...]
    function: FunctionType
    text: str


def build_condition(
    condition: ast.expr, known: Callable[[str], str | None], namespace: dict[str, Any], filename: str
) -> Condition:
    """The condition of a head that has one."""
    reads = [name for name in read_cell(ast.Module([ast.Expr(condition)], [])).reads if name not in BUILTINS]
    inputs = tuple(name for name in reads if known(name) is not None)
    return Condition(
        plain=condition.id if isinstance(condition, ast.Name) and condition.id in inputs else None,
        inputs=inputs,
        free_names=tuple(name for name in reads if name not in inputs),
        function=_source_function(condition, inputs, namespace, filename),
        text=ast.unparse(condition),
    )


def build_loop(
    head: Head,
    known: Callable[[str], str | None],
    namespace: dict[str, Any],
    filename: str,
    *,
    taken: Collection[str] = (),
) -> Loop:
    """The loop of a head that has one. Raises CellError where the source should be a task of its own.

    taken: names that the body uses, which an argument made up here must not have.
    """
    first = head.generators[0]
    single = len(head.generators) == 1 and not first.conditions
    names = [name for each in head.generators for name in each.names]
    source = loop_source(head)
    reads = [name for name in read_cell(ast.Module([ast.Expr(source)], [])).reads if name not in BUILTINS]
    inputs = tuple(name for name in reads if known(name) is not None)
    if not inputs:
        _refuse_undefined_calls(source, namespace)
        _require_cheap(head)
    simple = len(names) == 1 and (not single or isinstance(first.target, ast.Name))
    argument = names[0] if simple else _argument_for(names, taken)
    return Loop(
        argument=argument,
        unpacking=() if simple else _unpacking(head, argument, single=single),
        plain=first.source.id if single and isinstance(first.source, ast.Name) else None,
        inputs=inputs,
        free_names=tuple(name for name in reads if name not in inputs),
        function=_source_function(source, inputs, namespace, filename),
        text=", ".join(_as_written(each) for each in head.generators),
        names=() if simple or (single and not _is_flat(first.target)) else tuple(names),
        crossed=len(head.generators) > 1,
    )


def loop_source(head: Head) -> ast.expr:
    """The expression that gives all items of a head's loop."""
    first = head.generators[0]
    return _as_list(first.source) if len(head.generators) == 1 and not first.conditions else _comprehension(head)


def _as_written(generator: Generator) -> str:
    return " if ".join(map(ast.unparse, (generator.source, *generator.conditions)))


def _is_flat(target: ast.expr) -> bool:
    """Whether a target is `a, b`, with nothing nested and no star."""
    return isinstance(target, ast.Tuple) and all(isinstance(each, ast.Name) for each in target.elts)


def _argument_for(names: Sequence[str], taken: Collection[str]) -> str:
    """A name for an item that is unpacked; people see it as a column: `a_b` for the items of `for a, b in …`."""
    argument = "_".join(names)
    while argument in taken or argument in names:
        argument += "_"
    return argument


def _as_list(source: ast.expr) -> ast.expr:
    """An item source that can be kept and read again."""
    called = source.func if isinstance(source, ast.Call) else None
    name = getattr(called, "id", getattr(called, "attr", None))
    if name not in _ONE_BY_ONE and not isinstance(source, ast.GeneratorExp):
        return source
    listed = ast.Call(ast.Name("list", ast.Load()), [source], [])
    return ast.fix_missing_locations(ast.copy_location(listed, source))


def _comprehension(head: Head) -> ast.expr:
    """All items, as tuples where there are several variables: `[(a, b) for a in … for b in … if …]`."""
    generators = [ast.comprehension(each.target, each.source, list(each.conditions), 0) for each in head.generators]
    element = _variables(head, ast.Load())
    return ast.fix_missing_locations(ast.copy_location(ast.ListComp(element, generators), head.generators[0].source))


def _unpacking(head: Head, argument: str, *, single: bool) -> tuple[ast.stmt, ...]:
    target = head.generators[0].target if single else _variables(head, ast.Store())
    # On the head's line: an item that cannot be unpacked is the head's matter.
    return (_on_first_line(ast.Assign([target], ast.Name(argument, ast.Load()))),)


def _variables(head: Head, context: ast.expr_context) -> ast.expr:
    names: list[ast.expr] = [ast.Name(name, context) for each in head.generators for name in each.names]
    return names[0] if len(names) == 1 else ast.Tuple(names, context)


def _source_function(
    source: ast.expr, inputs: tuple[str, ...], namespace: dict[str, Any], filename: str
) -> FunctionType:
    parameters = ast.arguments([], [ast.arg(name) for name in inputs], None, [], [], None, [])
    tree = ast.Expression(_on_first_line(ast.Lambda(parameters, source)))
    code = compile(tree, f"{filename} head", "eval", dont_inherit=True)
    inner = next(constant for constant in code.co_consts if isinstance(constant, CodeType))
    return FunctionType(inner, namespace, "source")


def _on_first_line(root: _Tree) -> _Tree:
    """A copy with all positions in line 1, where a reader looks for the head."""
    copied = copy.deepcopy(root)
    for node in ast.walk(copied):
        if "lineno" in node._attributes:
            ast.copy_location(node, _FIRST_LINE)
    return copied


def _refuse_undefined_calls(source: ast.expr, namespace: dict[str, Any]) -> None:
    """CellError for a function that is none: that it costs too much would be a strange thing to say of it."""
    for node in ast.walk(source):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name not in {*namespace, *BUILTINS, *_CHEAP_CALLS}:
                near = undefined(name, [*_public(namespace), *_CHEAP_CALLS])
                if "did you mean" in near:
                    raise CellError(f"`for … in {ast.unparse(source)}`: nothing defines `{name}`{near}")


def _public(namespace: dict[str, Any]) -> list[str]:
    return [name for name in namespace if not name.startswith("_") and name not in SHELL_NAMES]


def _require_cheap(head: Head) -> None:
    for each in head.generators:
        why = is_costly(each.source)
        if why is not None:
            name = f"{each.names[0]}s"
            raise CellError(
                f"`{ast.unparse(each.source)}` {why}; a source is looked at before every run. "
                f"Make it a task of its own: a cell `%%task {name}` with `{ast.unparse(each.source)}`, "
                f"and here `for {ast.unparse(each.target)} in {name}`"
            )


def is_costly(source: ast.expr) -> str | None:
    """Why a source should be a task of its own; None for what may be evaluated at every plan.

    >>> is_costly(ast.parse("sorted(glob('data/*.csv'))[:5]", mode="eval").body)
    >>> is_costly(ast.parse("fetch(url)", mode="eval").body)
    'calls `fetch`'
    """
    for node in ast.walk(source):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", None))
            if name not in _CHEAP_CALLS:
                return f"calls `{ast.unparse(node.func)}`"
    return None
