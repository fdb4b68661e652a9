"""A cell as the text of a `@task` function."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from nbflow.errors import CellError
from nbflow.model.executor import EXECUTORS
from nbflow.notebook.cell_function import is_shown_name
from nbflow.notebook.comment import read_as_map
from nbflow.notebook.text import Written, double_quoted, indented, magic_in, statements_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nbflow.notebook.declarations import Declared


class CellText:
    """One cell, read for a module. head: with its loop, also where a comment declared it."""

    def __init__(self, declared: Declared) -> None:
        self.declared = declared
        source, built = declared.source, declared.built
        where = f"the cell of {declared.name}"
        tree = ast.parse("\n" * (source.first_line - 1) + source.body)
        written = statements_of(source.body, tree, where, first_line=source.first_line)
        self.head, as_map = read_as_map(source.head, tree) if source.head.commented else (source.head, tree)
        if as_map is not tree:
            written = [Written(each, ast.unparse(each), f"{where}, line {each.lineno}") for each in as_map.body]
        for each in written:
            magic = magic_in(each.tree)
            if magic is not None:
                raise CellError(f"{each.where}: {magic} cannot stand in a module; write it in Python, or leave it out")
        hoisted = {_dumped(each) for each in built.tree.body[:-1]}
        self.prelude = [each for each in written if _dumped(each.tree) in hoisted]
        self._body = [each for each in written if _dumped(each.tree) not in hoisted and not _is_future(each.tree)]

    @property
    def futures(self) -> list[str]:
        body = ast.parse(self.declared.source.body).body
        return [ast.unparse(each) for each in body if _is_future(each)]

    @property
    def definitions(self) -> list[str]:
        """The names of what the cell imports and defines for all cells."""
        return [name for each in self.prelude for name in sorted(_stored(each.tree))]

    def function(self, name: str, decorator: str) -> str:
        """The decorated function. decorator: how `task` is called in the module."""
        built = self.declared.built
        parameters = [*([built.loop.argument] if built.loop is not None else []), *built.inputs]
        definition = built.tree.body[-1]
        kind = "async def" if isinstance(definition, ast.AsyncFunctionDef) else "def"
        lines = [
            *self._left_out(),
            _decorated(decorator, self._options(name)),
            f"{kind} {name}({', '.join(parameters)}):",
        ]
        if built.loop is not None:
            lines += [indented(ast.unparse(each)) for each in built.loop.unpacking]
        return "\n".join([*lines, *self._statements()])

    def _options(self, name: str) -> dict[str, Any]:
        head, outputs = self.declared.source.head, self.declared.built.outputs
        called = {"name": self.declared.name} if self.declared.name != name else {}
        parts = {"nout": len(outputs)} if len(outputs) > 1 else {}
        left_out = {"executor"} if self._left_out() else set()
        return {**called, **parts, **{name: each for name, each in head.options.task.items() if name not in left_out}}

    def _left_out(self) -> list[str]:
        """A comment on a cluster, which is a variable of the notebook: its address and keys stand in no module."""
        executor = self.declared.source.head.options.task.get("executor", EXECUTORS[0])
        if executor in EXECUTORS:
            return []
        return [f"# The notebook calls it on its cluster `{executor}`; for one here: executor=DaskExecutor(…)"]

    def _statements(self) -> list[str]:
        """The body, and what it returns: as in the notebook's own function, so that stored results are found again."""
        outputs = self.declared.built.outputs
        *body, last = self._body or [Written(ast.Pass(), "pass", "")]
        assigned = {name for each in self._body for name in _stored(each.tree)}
        missing = [name for name in outputs if name not in assigned]
        lines = [_spaced(each, indented(each.text)) for each in body]
        if isinstance(last.tree, ast.Expr) and missing:
            lines.append(_spaced(last, indented(_behind_comments(f"{missing[0]} = ", last.text))))
        elif not is_shown_name(last.tree, outputs):
            lines.append(_spaced(last, indented(last.text)))
        return [*lines, f"    return {', '.join(outputs)}"]


def _decorated(decorator: str, options: Mapping[str, Any]) -> str:
    given = ", ".join(f"{name}={value!r}" for name, value in options.items())
    return double_quoted(f"@{decorator}({given})") if options else f"@{decorator}"


def _spaced(statement: Written, text: str) -> str:
    return "\n" * statement.gap + text


def _behind_comments(before: str, text: str) -> str:
    """Text with something in front of its first line of code."""
    lines = text.split("\n")
    at = next(i for i, line in enumerate(lines) if not line.lstrip().startswith("#"))
    return "\n".join([*lines[:at], before + lines[at], *lines[at + 1 :]])


def _stored(tree: ast.stmt) -> set[str]:
    """The names that a statement gives values to, also parts of: `df["x"] = …`."""
    found = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store):
            found |= {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {each.asname or each.name.split(".")[0] for each in node.names}
    return found


def _dumped(tree: ast.AST) -> str:
    return ast.dump(tree)


def _is_future(tree: ast.stmt) -> bool:
    return isinstance(tree, ast.ImportFrom) and tree.module == "__future__"
