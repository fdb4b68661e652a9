"""`%%flow NAME`: the cell's Python runs inside `with Flow(NAME)`, and the cell shows the graph."""

from __future__ import annotations

import ast
import re
import shlex
from typing import TYPE_CHECKING, Any

from nbflow.errors import CellError, HeadError, NbflowError
from nbflow.flow.front import Flow
from nbflow.notebook.failures import cell_failure
from nbflow.notebook.source import as_python, kept
from nbflow.notebook.tracebacks import BodyUnreadable

if TYPE_CHECKING:
    from collections.abc import Collection

    from nbflow.notebook.session import Session

_USAGE = (
    "%%flow NAME runs the cell's Python inside `with Flow(NAME)` and draws the flow, which is called NAME from then on"
)


def run_flow_cell(session: Session, line: str, cell: str, commands: Collection[str]) -> Flow | None:
    """The flow that a cell builds, bound to its name. commands: the words behind `%flow`, which are no names."""
    words = _words(line)
    if words in (["-h"], ["--help"]):
        print(_USAGE)
        return None
    if len(words) != 1 or words[0].startswith("-"):
        raise HeadError(f"%%flow takes one name, such as `%%flow weather`; {_USAGE}")
    name = words[0]
    if name in commands:
        raise HeadError(f"`%flow {name}` is a line, with one percent sign; a flow of that name is called otherwise")
    variable = _variable(name)
    if variable in session.outputs():
        raise CellError(f"`{variable}` is made by a task; give the flow another name")
    flow = Flow(name, store=session.store)
    flow.tell = session.flow.tell
    code = _compiled(session, f"%%flow {line}", cell)
    try:
        with flow:
            exec(code, session.namespace)  # noqa: S102 (the user's own cell)
    except NbflowError:
        raise
    except Exception as error:
        raise cell_failure(f"the cell of flow {name!r} failed", error) from error
    session.namespace[variable] = flow
    return flow


def _compiled(session: Session, head: str, cell: str) -> Any:
    """The cell as any plain cell: what it reads of tasks is brought up to date, what it must not do is refused."""
    body = as_python(session.shell, session.forms, cell)
    filename = kept(session.shell, f"# {head}\n{body}")
    try:
        tree = ast.parse(f"\n{body}", filename)
        if session.plain is not None:
            session.plain.visit(tree)
        return compile(tree, filename, "exec", dont_inherit=True)
    except SyntaxError as error:
        raise BodyUnreadable(error, filename) from None


def _variable(name: str) -> str:
    """The variable for a flow.

    >>> _variable("weather of 2024")
    'weather_of_2024'
    """
    variable = re.sub(r"\W+", "_", name).strip("_")
    return variable if variable.isidentifier() else f"flow_{variable}"


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        raise HeadError(f"%%flow {line}: {error}; close the quote") from None
