"""What a cell gives: the names of its outputs, and which value it shows."""

from __future__ import annotations

import ast
import keyword
import re
from pathlib import PurePath
from types import ModuleType
from typing import TYPE_CHECKING, Any

from nbflow.errors import CellError, nearest
from nbflow.lean import dataclass
from nbflow.notebook.cells import BUILTINS, SHELL_NAMES, CellNames
from nbflow.notebook.text import ends_in_semicolon

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbflow.notebook.header import Head


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the function returns. last: the name that gets the value of the last expression, if one does."""

    names: tuple[str, ...]
    last: str | None


def outputs_of(head: Head, names: CellNames, tree: ast.Module) -> Outputs:
    if not head.names:
        return Outputs(names.outputs or _refuse_nameless(head, names, tree), None)
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
        return Outputs(head.names, None)
    if len(missing) == 1 and isinstance(tree.body[-1], ast.Expr):
        return Outputs(head.names, missing[0])
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


def shown_value(tree: ast.Module, outputs: Outputs, body: str, *, mapped: bool) -> tuple[str | None, bool]:
    """(the output that is shown, whether another value is): what the last expression gives, as in any cell."""
    last = tree.body[-1]
    if not isinstance(last, ast.Expr) or mapped or ends_in_semicolon(body):
        return None, False
    if outputs.last is not None:
        return outputs.last, False
    if isinstance(last.value, ast.Name) and last.value.id in outputs.names:
        return last.value.id, False
    return None, True


def check_own_names(names: CellNames, outputs: Outputs, arguments: set[str], namespace: dict[str, Any]) -> None:
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


def check_reserved(names: Sequence[str], namespace: dict[str, Any]) -> None:
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
