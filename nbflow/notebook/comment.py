"""`# task`: a cell that stays plain Python for editors, linters and people without nbflow."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any, NoReturn

from nbflow.errors import GraphError, HeadError, nearest
from nbflow.lean import pattern, replace
from nbflow.notebook.header import Generator, Head, names_in
from nbflow.notebook.options import OPTIONS, HeadOptions, check_options

if TYPE_CHECKING:
    from collections.abc import Mapping

_COMMENT = pattern(r"#[ \t]*task[ \t]*(?::(?P<options>.*))?")
_AROUND = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
# What `@task` calls them, and what stands behind `%%task`: both are understood.
_SETS = {option.sets: option.sets for option in OPTIONS.values()}
_SETS |= {name.replace("-", "_"): option.sets for name, option in OPTIONS.items() if option.takes}


def is_task_comment(line: str) -> bool:
    """Whether a first line makes its cell a task.

    >>> is_task_comment("# task: retries=2"), is_task_comment("# Task 1: load the data")
    (True, False)
    """
    return _COMMENT.fullmatch(line.strip()) is not None


def parse_comment(line: str, namespace: Mapping[str, Any] | None = None) -> Head:
    """The head that a comment stands for; its names and its `for` are in the body. Raises HeadError.

    namespace: the notebook's, whose clusters `executor=` may name.

    >>> parse_comment("# task: retries=2").options.task
    {'retries': 2}
    """
    match = _COMMENT.fullmatch(line.strip())
    assert match is not None
    text = (match["options"] or "").strip()
    options = _read(text, line.strip(), namespace or {}) if text else HeadOptions()
    return Head(line.strip(), options=options, commented=True)


def read_as_map(head: Head, tree: ast.Module) -> tuple[Head, ast.Module]:
    """A body that is `out = [f(x) for x in xs if …]` as the map that it is; any other comes back as it was.

    Imports and definitions may stand around it.
    """
    at = [i for i, each in enumerate(tree.body) if not isinstance(each, _AROUND)]
    match [tree.body[i] for i in at]:
        case [ast.Assign(targets=[ast.Name(id=name) as target], value=ast.ListComp() as comprehension) as statement]:
            pass
        case _:
            return head, tree
    generators = tuple(
        Generator(each.target, tuple(names_in(each.target)), each.iter, tuple(each.ifs))
        for each in comprehension.generators
    )
    if not _is_plain(comprehension, generators):
        return head, tree
    one = ast.copy_location(ast.Assign([target], comprehension.elt), statement)
    body = [*tree.body[: at[0]], one, *tree.body[at[0] + 1 :]]
    return replace(head, names=(name,), generators=generators), ast.Module(body, [])


def _is_plain(comprehension: ast.ListComp, generators: tuple[Generator, ...]) -> bool:
    """Whether each item stands for itself: no names go out of it, nothing is awaited, the variables are plain."""
    names = [name for each in generators for name in each.names]
    special = ast.NamedExpr | ast.Await
    return (
        not any(isinstance(node, special) for node in ast.walk(comprehension))
        and not any(each.is_async for each in comprehension.generators)
        and not any(isinstance(n, ast.Attribute | ast.Subscript) for g in generators for n in ast.walk(g.target))
        and all(each.names for each in generators)
        and len(set(names)) == len(names)
    )


def _read(text: str, line: str, namespace: Mapping[str, Any]) -> HeadOptions:
    try:
        call = ast.parse(f"_({text})", "<comment>", mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        _fail(line)
    if not isinstance(call, ast.Call) or call.args or not call.keywords:
        _fail(line)
    values: dict[str, Any] = {}
    for keyword in call.keywords:
        option, value = _option(keyword, line)
        if option in values:
            raise HeadError(f"`{keyword.arg}=` stands twice; keep one of them\n    {line}")
        values[option] = value
    name, lazy = values.pop("name", None), values.pop("lazy", False)
    if not (name is None or isinstance(name, str)) or not isinstance(lazy, bool):
        raise HeadError(f'`name="…"` takes a text, and `lazy=` True or False\n    {line}')
    try:
        check_options(values, namespace)
    except (GraphError, TypeError, ValueError) as error:
        raise HeadError(f"{error}\n    {line}") from None
    return HeadOptions(name, task=values, lazy=lazy)


def _option(keyword: ast.keyword, line: str) -> tuple[str, Any]:
    given = keyword.arg or "**"
    if given == "merge":
        raise HeadError(f"a merge has no body, so it is written `%%task NAME --merge a,b`\n    {line}")
    if given not in _SETS:
        raise HeadError(f"there is no option {given!r}{nearest(given, _SETS)}\n    {line}")
    if given == "executor" and isinstance(keyword.value, ast.Name):
        # A cluster, as `@task` takes it.
        return given, keyword.value.id
    try:
        return _SETS[given], ast.literal_eval(keyword.value)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        raise HeadError(f"`{given}=` takes a plain value, such as a number or a text\n    {line}") from None


def _fail(line: str) -> NoReturn:
    raise HeadError(
        f"options stand behind `# task:` as in a call: `# task: retries=2, cache=False`; "
        f"for a comment that is none, write `# Task`\n    {line}"
    ) from None
