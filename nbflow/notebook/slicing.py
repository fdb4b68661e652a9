"""The part of a notebook's plain code that gives values to some names, and all that this part needs itself."""

from __future__ import annotations

import ast
import builtins
import inspect
import textwrap
import types
from collections import Counter
from typing import TYPE_CHECKING, Any

from nbflow.errors import CellError
from nbflow.notebook.cells import SHELL_NAMES, CellNames, read_cell
from nbflow.notebook.text import Written, magic_in
from nbflow.notebook.variables import is_plain

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

_IMPORTS = (ast.Import, ast.ImportFrom)


class Slice:
    """Statements that define names. imports: those that import, one name each."""

    def __init__(self, recorded: Iterable[Written], namespace: Mapping[str, Any], outputs: Collection[str]) -> None:
        self._recorded = [(each, read_cell(ast.Module([each.tree], []))) for each in recorded]
        self._namespace = namespace
        self._outputs = outputs
        self._chosen: dict[int, Written] = {}
        self._made_up: dict[str, Written] = {}
        self._done: set[str] = set()
        self.imports: dict[str, None] = {}

    def add(self, names: Iterable[str], reader: str) -> None:
        """Takes in what defines these names. reader: who reads them, for messages. Raises CellError."""
        todo = [(name, reader) for name in names]
        while todo:
            name, by = todo.pop()
            # IPython's own is among its builtins.
            if name in self._done or (hasattr(builtins, name) and name != "display") or name in SHELL_NAMES:
                continue
            self._done.add(name)
            if name in self._outputs:
                raise CellError(
                    f"{by} reads `{name}`, which a task makes, through a global; in a module it has no value there. "
                    f"Pass it on as an argument"
                )
            todo += self._defining(name, by)

    def texts(self, values: Mapping[str, Any]) -> list[str]:
        """The statements in order, imports left out. values: present values of names that are plain literals."""
        pending = [*(self._chosen[at] for at in sorted(self._chosen)), *self._made_up.values()]
        bound = Counter(name for at in self._chosen for name in self._recorded[at][1].assigned)
        literals = {name: value for name, value in values.items() if bound[name] == 1}
        return [_with_value(each, literals) for each in _ordered(pending)]

    def _defining(self, name: str, by: str) -> list[tuple[str, str]]:
        """Takes in the statements that give one name its value; gives what they read."""
        found: list[tuple[str, str]] = []
        for at in range(len(self._recorded) - 1, -1, -1):
            written, names = self._recorded[at]
            if name not in names.assigned and name not in names.mutated:
                continue
            if isinstance(written.tree, _IMPORTS):
                self.imports.setdefault(_import_of(written.tree, name))
                return found
            magic = magic_in(written.tree)
            if magic is not None:
                raise CellError(f"{written.where}: {magic} gives `{name}` its value, and cannot stand in a module")
            self._chosen[at] = written
            found += [(each, f"`{name}`") for each in _all_reads(names) if each != name]
            if name in names.assigned and name not in names.reads and _always_binds(written.tree):
                return found
        if not found and not any(name in names.assigned for _, names in self._recorded):
            return self._from_value(name, by)
        return found

    def _from_value(self, name: str, by: str) -> list[tuple[str, str]]:
        """A name that no cell defines as it stands: by what it is now."""
        value = self._namespace.get(name, ...)
        if isinstance(value, types.ModuleType):
            self.imports.setdefault(f"import {value.__name__}" + (f" as {name}" if value.__name__ != name else ""))
            return []
        if name == "display":
            self.imports.setdefault("from IPython.display import display")
            return []
        module = getattr(value, "__module__", None)
        origin = getattr(value, "__name__", None)
        if isinstance(module, str) and module != "__main__" and isinstance(origin, str):
            self.imports.setdefault(f"from {module} import {origin}" + (f" as {name}" if origin != name else ""))
            return []
        text = _source(value) if isinstance(value, type | types.FunctionType) else f"{name} = {value!r}"
        if value is ... or text is None or not (text.startswith(("def", "async", "class", "@")) or is_plain(value)):
            raise CellError(
                f"{by} reads `{name}`, and no cell shows how it is made; assign it in a cell of plain Python"
            )
        tree = ast.parse(text).body[0]
        self._made_up[name] = Written(tree, text, "")
        return [(each, f"`{name}`") for each in _all_reads(read_cell(ast.Module([tree], [])))]


def _ordered(pending: Sequence[Written]) -> list[Written]:
    """Each statement behind those that make what it reads; else as they stand."""
    names = {id(each): read_cell(ast.Module([each.tree], [])) for each in pending}
    done: list[Written] = []
    open_: set[int] = set()

    def place(each: Written) -> None:
        if id(each) in open_ or each in done:
            return
        open_.add(id(each))
        at = pending.index(each)
        for name in names[id(each)].reads:
            makers = [other for other in pending if name in names[id(other)].assigned and other is not each]
            before = [other for other in makers if pending.index(other) < at]
            for other in before or makers:
                place(other)
        done.append(each)

    for each in pending:
        place(each)
    return done


def _with_value(written: Written, values: Mapping[str, Any]) -> str:
    """The text of a statement; of a literal that was set otherwise meanwhile, with its present value."""
    tree = written.tree
    targets = tree.targets if isinstance(tree, ast.Assign) else [tree.target] if isinstance(tree, ast.AnnAssign) else []
    match targets:
        case [ast.Name(id=name)] if name in values and isinstance(tree, ast.Assign | ast.AnnAssign) and tree.value:
            try:
                same = repr(ast.literal_eval(tree.value)) == repr(values[name])
            except ValueError:
                return written.text
            if not same:
                annotation = f": {ast.unparse(tree.annotation)}" if isinstance(tree, ast.AnnAssign) else ""
                return f"{name}{annotation} = {values[name]!r}"
    return written.text


def _import_of(tree: ast.Import | ast.ImportFrom, name: str) -> str:
    """The import of one name, out of a statement that may import several."""
    alias = next(each for each in tree.names if (each.asname or each.name.split(".")[0]) == name)
    one = ast.Import([alias]) if isinstance(tree, ast.Import) else ast.ImportFrom(tree.module, [alias], tree.level)
    return ast.unparse(one)


def _always_binds(tree: ast.stmt) -> bool:
    return isinstance(
        tree, ast.Assign | ast.AnnAssign | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.With
    )


def _all_reads(names: CellNames) -> list[str]:
    return [name for name in names.reads if name not in names.local or name in names.mutated]


def _source(value: Any) -> str | None:
    try:
        return textwrap.dedent(inspect.getsource(value))
    except (OSError, TypeError):
        return None
