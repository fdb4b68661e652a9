"""A run once more: what failed, what did not run because of it, and elements that are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbflow.errors import GraphError
from nbflow.flow.whys import position_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nbflow.flow.finished import Run
    from nbflow.model.node import Node


def retry(run: Run, node: Node | None, elements: Iterable[Any] | None) -> Run:
    """A new run with the parameters of one before. Failures are never kept: what has a result is reused."""
    targets = run.targets if node is None else [node.name]
    force = None
    if elements is not None:
        if node is None:
            raise GraphError('retry(elements=[...]) needs the task whose elements they are: run.retry("daily", [3, 5])')
        count = run.track(node).count
        force = {node.name: [position_of(node, run.ledger, count, element) for element in elements]}
    return run.flow.run(targets=targets, force=force, approve=run.approved or None, **run.parameters)
