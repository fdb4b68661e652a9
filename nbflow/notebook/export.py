"""`%flow export FILE.py`: the notebook's flow as a module that gives the same results."""

from __future__ import annotations

import ast
import keyword
from pathlib import Path
from typing import TYPE_CHECKING

import nbflow
from nbflow.errors import CellError
from nbflow.notebook.export_task import CellText
from nbflow.notebook.failures import refuse_missing
from nbflow.notebook.loops import loop_source
from nbflow.notebook.slicing import Slice
from nbflow.notebook.text import double_quoted, joined

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nbflow.notebook.session import Session

_WIDTH = 100
_MAIN = 'if __name__ == "__main__":\n    print(flow.run(check=True).table.to_string())\n'


def export(session: Session, filename: str, *, force: bool = False) -> str:
    """Writes the module, and says what it holds. Raises CellError for what cannot stand in one."""
    path = Path(filename)
    if path.suffix != ".py" or not path.stem.isidentifier() or keyword.iskeyword(path.stem):
        raise CellError(f"%flow export writes a module that can be imported, such as `weather.py`, not {filename!r}")
    if path.exists() and not force:
        raise CellError(f"{filename} is there already; `%flow export {filename} --force` writes it anew")
    if not path.absolute().parent.is_dir():
        raise CellError(f"the folder of {filename} is not there; make it, or write to another place")
    text, tasks = module_text(session)
    path.write_text(text, encoding="utf-8")
    flow = "flow" if tasks else "flow, which has no tasks yet"
    return (
        f"{filename}: {tasks} task{'s' if tasks != 1 else ''} and the {flow}; `from {path.stem} import flow` to run it"
    )


def module_text(session: Session) -> tuple[str, int]:
    """The module, and how many tasks it has. Raises CellError."""
    graph = session.build().graph
    refuse_missing(graph.needed(graph.nodes.values()), session.declarations, session.namespace)
    cells = [CellText(declared) for declared in session.in_order()]
    module = _Module(session, cells)
    return module.text(), len(cells)


class _Module:
    """Puts the parts together: imports, plain code, tasks, the flow."""

    def __init__(self, session: Session, cells: Sequence[CellText]) -> None:
        self._session = session
        self._cells = cells
        prelude = [each for cell in cells for each in cell.prelude]
        self._slice = Slice([*session.givens.statements(), *prelude], session.namespace, session.outputs())
        self._taken = {*session.outputs(), *session.namespace, "flow", "task", "Flow", "merge", "unmapped"}
        self._names = {cell.declared: self._name(f"make_{cell.declared.built.outputs[0]}") for cell in cells}
        self._uses: dict[str, None] = {"Flow": None, "task": None}
        # Where the notebook calls something else so, nbflow's goes by another name.
        self._ours = {name: self._our_name(name) for name in ("Flow", "task", "merge", "unmapped")}
        self._extra: list[str] = []

    def text(self) -> str:
        block = [line for cell in self._cells for line in self._lines(cell)] or ["pass"]
        functions = [
            cell.function(self._names[cell.declared], self._use("task"))
            for cell in self._cells
            if not cell.declared.built.merges
        ]
        for cell in self._cells:
            built = cell.declared.built
            self._slice.add(cell.definitions, f"task {cell.declared.name}")
            self._slice.add([*built.free_names, *self._given_nodes(built.all_inputs)], f"task {cell.declared.name}")
            if built.loop is not None:
                self._slice.add(built.loop.free_names, f"the source of {cell.declared.name}")
        values = {each.name: each.value for each in self._session.givens.parameters() if each.plain}
        plain = self._slice.texts(values)
        name = self._session.flow.name
        of = "a notebook" if name == "notebook" else f"the notebook {name}"
        head = f'"""The flow of {of}, written by `%flow export`."""\n'
        flow = double_quoted(
            f"with {self._use('Flow')}({name!r}) as flow:\n" + "\n".join(f"    {line}" for line in block)
        )
        parts = [head + "\n" + self._imports()]
        # Short assignments stand together, definitions apart.
        parts += _blocks(plain)
        parts += [*functions, *self._extra, flow, _MAIN]
        return joined([part.rstrip("\n") for part in parts], 2) + "\n"

    def _imports(self) -> str:
        """Those of other packages, then nbflow's; one line a module."""
        futures = dict.fromkeys(line for cell in self._cells for line in cell.futures)
        others = [line for line in self._slice.imports if line not in futures]
        straight = sorted(line for line in others if line.startswith("import "))
        ours = {name if (called := self._ours[name]) == name else f"{name} as {called}" for name in self._uses}
        named: dict[str, set[str]] = {"nbflow": ours}
        for line in others:
            if line.startswith("from "):
                module, _, name = line.removeprefix("from ").partition(" import ")
                named.setdefault(module, set()).add(name)
        modules = [*sorted(named.keys() - {"nbflow"}), "nbflow"]
        grouped = [f"from {module} import {', '.join(sorted(named[module], key=str.lower))}" for module in modules]
        return "\n".join([*futures, *([""] if futures else []), *straight, *grouped])

    def _given_nodes(self, inputs: Iterable[str]) -> list[str]:
        """Inputs that plain cells made: Parameters, and nodes of other tasks."""
        return [name for name in inputs if name not in self._session.outputs()]

    # The flow

    def _lines(self, cell: CellText) -> list[str]:
        """The statements that make a cell's node."""
        built = cell.declared.built
        made = f"{', '.join(built.outputs)} = {self._call(cell)}"
        if built.condition is None:
            return [made]
        return [f"with {self._condition(cell)}:", f"    {made}"]

    def _call(self, cell: CellText) -> str:
        built, name = cell.declared.built, self._names[cell.declared]
        if built.merges:
            return f"{self._use('merge')}({', '.join(built.inputs)}, name={cell.declared.name!r})"
        if built.loop is None:
            return f"{name}({', '.join(built.inputs)})"
        shared = [f"{each}={self._use('unmapped')}({each})" for each in built.inputs]
        return f"{name}.map({', '.join([self._source(cell), *shared])})"

    def _source(self, cell: CellText) -> str:
        """What a cell is mapped over: a node, an expression, or a task of its own that works it out."""
        loop = cell.declared.built.loop
        assert loop is not None
        if loop.plain is not None and loop.plain in loop.inputs:
            return loop.plain
        source = loop_source(cell.head)
        if not loop.inputs:
            return ast.unparse(source)
        return self._extra_task(f"{cell.declared.built.outputs[0]}_source", loop.text, loop.inputs, source)

    def _condition(self, cell: CellText) -> str:
        condition = cell.declared.built.condition
        assert condition is not None
        assert cell.head.condition is not None
        if condition.plain is not None and not self._session.is_mapped(condition.plain, cell.declared):
            return condition.plain
        name = f"{cell.declared.built.outputs[0]}_condition"
        return self._extra_task(name, condition.text, condition.inputs, cell.head.condition)

    def _extra_task(self, proposed: str, called: str, inputs: Sequence[str], expression: ast.expr) -> str:
        name, arguments = self._name(proposed), ", ".join(inputs)
        self._extra.append(
            f"@{self._use('task')}(name={called!r})\ndef {name}({arguments}):\n    return {ast.unparse(expression)}"
        )
        return f"{name}({arguments})"

    def _use(self, name: str) -> str:
        self._uses[name] = None
        return self._ours[name]

    def _our_name(self, name: str) -> str:
        other = self._session.namespace.get(name, ...) is not ... and self._session.namespace[name] is not getattr(
            nbflow, name
        )
        return f"nbflow_{name}" if other or name in self._session.outputs() else name

    def _name(self, proposed: str) -> str:
        name, number = proposed, 2
        while name in self._taken:
            name, number = f"{proposed}_{number}", number + 1
        self._taken.add(name)
        return name


def _blocks(statements: Sequence[str]) -> list[str]:
    """Statements with definitions apart from the others."""
    blocks: list[list[str]] = []
    for text in statements:
        (tree,) = ast.parse(text).body
        apart = isinstance(tree, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        if blocks and not apart and not blocks[-1][0].startswith("\0"):
            blocks[-1].append(text)
        else:
            blocks.append([("\0" if apart else "") + text])
    return ["\n".join(block).removeprefix("\0") for block in blocks]
