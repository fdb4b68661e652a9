"""Plain cells: before one runs, the task outputs that it reads are brought up to date."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any

from IPython.core.error import InputRejected

from nbflow.errors import NbflowError
from nbflow.identity.texts import named_in
from nbflow.notebook.cells import BUILTINS, read_cell
from nbflow.notebook.comment import is_task_comment
from nbflow.notebook.conflicts import changed_then_read
from nbflow.notebook.magic_text import read_magic
from nbflow.notebook.reach import reached_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbflow.notebook.cells import CellNames
    from nbflow.notebook.session import Session

PREPARE = "__nbflow_prepare__"
_MISPLACED = (
    "`%%{0}` takes a whole cell and stands in its first line, with no more than comments above it{1}: put it and what "
    "is below it into a cell of its own"
)
_ONE_SIGN = "`%task` has one percent sign, so the cell was not run: the cell of a task begins with `%%task`"


class CellStopped(InputRejected, NbflowError):
    """A cell that must not run as it is; IPython shows the message and runs nothing."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def misplaced_text(magic: str, consequence: str = ", so the cell was not run") -> str:
    """What to say of a magic for whole cells that stands elsewhere."""
    return _MISPLACED.format(magic, consequence)


class PlainCells(ast.NodeTransformer):
    """Reads each cell before it runs, and inserts the preparation at its head.

    An AST transformer that raises anything but InputRejected is dropped by IPython: it raises nothing else.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def visit(self, tree: ast.AST) -> ast.AST:
        if not isinstance(tree, ast.Module) or self._session.busy:
            return tree
        # Just before the cell, autoreload has reloaded what was edited.
        self._session.givens.modules.note()
        if not _declares(tree):
            self._session.leave_cell()
        misplaced = next((magic for magic in _magics(tree) if magic in {"%task", "%%task", "%%flow"}), None)
        if misplaced is not None:
            raise CellStopped(_ONE_SIGN if misplaced == "%task" else misplaced_text(misplaced[2:]))
        if _is_our_magic(tree, "task", "flow"):
            return tree
        outputs = self._session.outputs()
        cell = read_cell(tree)
        self._tell_private(cell.reads)
        rebound = sorted(outputs & set(cell.assigned))
        if rebound:
            raise CellStopped(_rebinding(rebound[0]))
        deleted = sorted(outputs & (cell.local - set(cell.assigned)))
        if deleted:
            raise CellStopped(_deleting(deleted[0]))
        needed = sorted(self._reads(tree, cell)) if outputs else []
        if needed:
            self._stop_if_asked(tree, cell, needed)
        self._session.givens.note(tree, cell)
        if needed:
            self._session.namespace[PREPARE] = self._session.givens.prepare
            tree.body.insert(0, _call(PREPARE, needed))
            ast.fix_missing_locations(tree)
        return tree

    def _reads(self, tree: ast.Module, cell: CellNames) -> set[str]:
        """The outputs that a cell reads, also through functions of the notebook."""
        reached = reached_names(cell.reads, self._session.namespace)
        return self._session.outputs() & {*cell.reads, *reached, *_names_in_strings(tree, cell.uses_dynamic)}

    def _stop_if_asked(self, tree: ast.Module, cell: CellNames, needed: list[str]) -> None:
        try:
            changed = changed_then_read(tree, self._reads, self._session.namespace)
            conflict = self._session.givens.conflict(changed, cell) if changed else None
            why = conflict.text() if conflict is not None else self._session.stop_text(needed)
        except NbflowError:
            # The preparation says it, in the cell.
            return
        if why is not None:
            raise CellStopped(why)

    def _tell_private(self, names: tuple[str, ...]) -> None:
        """A word on names that will be a NameError in a moment."""
        known = {*self._session.namespace, *self._session.outputs(), *BUILTINS}
        for name in names:
            if name in known:
                continue
            told = self._session.declarations.why_missing(name)
            if told is None and self._made_before(name):
                told = f"the task that makes `{name}` was not declared since the kernel started; run its cell first"
            if told is not None:
                print(f"nbflow: {told}")

    def _made_before(self, name: str) -> bool:
        """Whether a task of this notebook made an output of that name when it last ran."""
        # A wrong name alone makes no store.
        if not self._session.store.exists():
            return False
        try:
            last = self._session.flow.store.last(self._session.flow.name)
        except NbflowError:
            # A store that is refused is told when tasks run.
            return False
        return any(name in task.split(", ") for task in last)


def _magics(tree: ast.Module) -> Iterator[str]:
    """The line magics of a cell, with their signs: IPython takes `%%task` below the first line for one."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Call(func=ast.Name(id="get_ipython")), attr="run_line_magic"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield f"%{name}"


def _declares(tree: ast.Module) -> bool:
    """Whether a cell is that of a task, also inside a magic such as %%time."""
    return _is_our_magic(tree, "task") or any(
        "%%task" in text or is_task_comment(text.partition("\n")[0]) for text in _texts(tree)
    )


def _is_our_magic(tree: ast.Module, *names: str) -> bool:
    """Whether a cell is one call of %%task or %flow, which prepare for themselves."""
    return (
        any(
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in {"run_cell_magic", "run_line_magic"}
            and node.args
            and isinstance(node.args[0], ast.Constant)
            and node.args[0].value in names
            for node in ast.walk(tree)
        )
        and len(tree.body) == 1
    )


def _names_in_strings(tree: ast.Module, uses_dynamic: bool) -> Iterator[str]:
    """Names inside the text that magics such as %time get, which run it as code, and in queries."""
    if uses_dynamic:
        for text in _texts(tree):
            yield from re.findall(r"[^\W\d]\w*", text)
    else:
        used = {getattr(node, "attr", getattr(node, "id", "")) for node in ast.walk(tree)}
        yield from named_in(used, list(_texts(tree)))


def _texts(tree: ast.AST) -> Iterator[str]:
    """The texts in a cell but those that %flow gets, which sees itself to the tasks that it names."""
    if isinstance(tree, ast.Call) and (text := read_magic(tree)) is not None and text.magic == "%flow":
        return
    if isinstance(tree, ast.Constant) and isinstance(tree.value, str):
        yield tree.value
    for child in ast.iter_child_nodes(tree):
        yield from _texts(child)


def _call(function: str, names: list[str]) -> ast.stmt:
    arguments: Any = [ast.Tuple([ast.Constant(name) for name in names], ast.Load())]
    call = ast.Call(ast.Name(function, ast.Load()), arguments, [])
    return ast.copy_location(ast.Expr(call), ast.Expr(ast.Constant(None), lineno=1, col_offset=0))


def _rebinding(name: str) -> str:
    same = f"%%task {name}"
    return (
        f"This cell gives a new value to `{name}`, which a task makes: a later run would not know of the change, "
        f"so the cell was not run. Three ways out:\n"
        f"  make it a task: put `{same}` above the cell, and it makes the next version of `{name}`\n"
        f"  use another name on the left side\n"
        f"  take the task out, where it took the name by mistake: %flow rm {name}"
    )


def _deleting(name: str) -> str:
    return (
        f"This cell deletes `{name}`, which a task makes: the next cell that reads it would make it again, "
        f"so the cell was not run.\nTo take the task out: %flow rm {name}"
    )
