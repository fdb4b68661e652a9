"""What a failed run says in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow.errors import MOST_LINES, NotSuccessful, RunFailed
from nbflow.flow.failing import failed_nodes, failure_block, first_error, unsuccessful_text
from nbflow.model.state import UNSUCCESSFUL
from nbflow.results.traces import exception_lines

if TYPE_CHECKING:
    from nbflow.flow import Run


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
