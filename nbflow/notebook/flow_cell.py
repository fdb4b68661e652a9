"""`%%flow NAME`: a cell of Python that builds a flow of its own."""

from __future__ import annotations

import ast
import linecache
from typing import TYPE_CHECKING, Any

from nbflow.errors import HeadError
from nbflow.flow import Flow
from nbflow.notebook.arguments import HELP
from nbflow.notebook.tracebacks import BodyUnreadable

if TYPE_CHECKING:
    from nbflow.notebook.session import Session

_USAGE = """%%flow NAME                        run the cell's Python inside `with Flow(NAME)`, and draw it

The flow is then a variable of that name, as far as the name can be one; `flow` otherwise.

Example:
  %%flow weather
  result = report(daily.map(paths))

  weather.run()"""
_BUILDING = "__nbflow_flow__"


def build_in_cell(session: Session, line: str, cell: str) -> Flow | None:
    """Runs the cell inside `with Flow(NAME)` and gives the flow. Raises HeadError, and what the cell raises."""
    name = line.strip().strip("\"'")
    if name in HELP:
        print(_USAGE)
        return None
    if not name:
        raise HeadError("%%flow takes the name of the flow, such as `%%flow weather`")
    if name.startswith("-"):
        raise HeadError(f"%%flow has no option {name!r}; write `%%flow NAME`")
    flow = Flow(name, store=session.flow.store.root)
    flow.tell = session.flow.tell
    namespace = session.namespace
    namespace[_BUILDING] = flow
    try:
        exec(_code(session.shell, name, cell), namespace)  # noqa: S102 (the user's own cell)
    finally:
        del namespace[_BUILDING]
    namespace[name if name.isidentifier() else "flow"] = flow
    return flow


def _code(shell: Any, name: str, cell: str) -> Any:
    """The cell inside `with`, under its own lines; what plain cells are prepared with happens to it, too."""
    source = shell.transform_cell("\n" * (len(cell) - len(cell.lstrip("\n"))) + cell)
    text = f"# %%flow {name}\n{source}"
    filename = shell.compile.cache(text)
    try:
        tree = ast.parse(text, filename)
    except SyntaxError as error:
        raise BodyUnreadable(error, filename) from None
    if not tree.body:
        raise HeadError("this cell has no body: call tasks below `%%flow NAME`")
    prepared = shell.transform_ast(tree)
    block = ast.With([ast.withitem(ast.Name(_BUILDING, ast.Load()))], prepared.body)
    module = ast.Module([ast.copy_location(block, tree.body[0])], [])
    try:
        return compile(ast.fix_missing_locations(module), filename, "exec")
    except SyntaxError as error:
        error.text = error.text or linecache.getline(filename, error.lineno or 1)
        raise BodyUnreadable(error, filename) from None
