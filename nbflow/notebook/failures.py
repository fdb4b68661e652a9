"""What a failed run says in a notebook, and one that cannot even begin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbflow.errors import MOST_LINES, CellError, NotSuccessful, RunFailed, undefined
from nbflow.flow.failing import failed_nodes, failure_block, first_error, unsuccessful_text
from nbflow.model.state import UNSUCCESSFUL
from nbflow.notebook.cells import SHELL_NAMES
from nbflow.results.traces import exception_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nbflow.flow.finished import Run
    from nbflow.model.node import Node
    from nbflow.notebook.declarations import Declarations


def refuse_missing(nodes: Iterable[Node], declared: Declarations, namespace: Mapping[str, Any]) -> None:
    """Raises CellError for a name that a task is about to read, and that nothing gives."""
    for node in nodes:
        if node.problem:
            raise CellError(f"{node.name} cannot run: {node.problem}")
        if node.missing:
            name = node.missing[0]
            told = declared.why_missing(name)
            if told is not None:
                raise CellError(f"{node.name} reads `{name}`, which nothing defines: {told}")
            plain = (each for each in namespace if not each.startswith("_") and each not in SHELL_NAMES)
            known = undefined(name, [*declared.outputs(), *plain])
            raise CellError(f"{node.name} reads `{name}`, which nothing defines{known}")


def raise_first_failure(run: Run) -> None:
    """Nothing when the run is ok, else RunFailed for the first task that raised."""
    if run.ok:
        return
    failed = failed_nodes(run)
    if failed:
        raise RunFailed(failure_block(run, failed[0], _next_steps), first_error(run, failed[0])[1]) from None
    broken = next(node for node in run.nodes() if run.track(node).state() in UNSUCCESSFUL)
    raise NotSuccessful(unsuccessful_text(run, broken))


def cell_failure(headline: str, error: BaseException) -> RunFailed:
    """The error for code of a cell that raised outside any task."""
    lines = exception_lines(error, MOST_LINES - 2)
    return RunFailed("\n".join([headline, *lines, "→ %tb shows the whole traceback"]), error)


def _next_steps(name: str, index: int | None, error: BaseException | None) -> list[str]:
    element = name if index is None else f"{name}[{index}]"
    steps = ["%tb shows the whole traceback", f"%flow debug {element} calls it again under the debugger"]
    if index is not None:
        steps.append(f"%flow frame {name} shows all elements; what succeeded is kept")
    if isinstance(error, UnboundLocalError):
        steps.insert(0, "no line gave it a value on the way here; assign it on every path, also where an `if` is false")
    return steps
