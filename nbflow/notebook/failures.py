"""What a failed run says in a notebook, and one that cannot even begin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbflow.errors import CellError, NotSuccessful, nearest
from nbflow.model.state import UNSUCCESSFUL, State
from nbflow.notebook.cells import SHELL_NAMES
from nbflow.notebook.tracebacks import TaskFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nbflow.flow import Run
    from nbflow.model.node import Node
    from nbflow.notebook.declarations import Declarations


def refuse_missing(nodes: Iterable[Node], declared: Declarations, namespace: Mapping[str, Any]) -> None:
    """Raises CellError for a name that a task is about to read, and that nothing gives."""
    for node in nodes:
        if node.problem:
            raise CellError(f"{node.name} cannot run: {node.problem}")
        if node.missing:
            name = node.missing[0]
            private = declared.private_to(name)
            if private is not None:
                raise CellError(f"{node.name} reads `{name}`, which nothing defines: {private}")
            plain = (each for each in namespace if not each.startswith("_") and each not in SHELL_NAMES)
            known = nearest(name, [*declared.outputs(), *plain])
            raise CellError(f"{node.name} reads `{name}`, which nothing defines{known}")


def raise_first_failure(run: Run) -> None:
    """Nothing when the run is ok, else TaskFailed for the first task that raised."""
    if run.ok:
        return
    nodes = [node for node in run.graph.nodes.values() if run.takes_part(node)]
    for node in nodes:
        if run.track(node).state() is State.FAILED:
            raise _failure(run, node)
    broken = next(node for node in nodes if run.track(node).state() in UNSUCCESSFUL)
    raise NotSuccessful(f"{broken.name} did not run, because {run.cause(broken)}")


def _failure(run: Run, node: Node) -> TaskFailed:
    index, error = run.first_error(node)
    headline, hints = f"task {node.name} failed", ["%tb shows the whole traceback"]
    while isinstance(error, NotSuccessful) and error.__cause__ is not None:
        # One of the tasks that it made: what that raised is what helps.
        headline += f": {str(error).partition(': ')[0]}"
        error = error.__cause__
    if isinstance(error, UnboundLocalError):
        hints.insert(0, "no line gave it a value on the way here; assign it on every path, also where an `if` is false")
    track = run.track(node)
    if node.mapped and not track.verdict:
        count, failed = len(track.states), track.states.count(State.FAILED)
        arguments = run.describe_arguments(node, index)
        headline = f"task {node.name} failed on {failed} of {count} elements; the first is {node.name}[{index}]"
        headline += f" with {arguments}"
        hints.append(f"%flow frame {node.name} shows all elements; what succeeded is kept")
    return TaskFailed(headline, error, hints)
