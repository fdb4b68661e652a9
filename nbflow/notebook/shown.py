"""What a task's cell shows: its value, like any cell, and one line that is the same each time it is fresh."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow.flow.unrun import why_skipped
from nbflow.model.state import SUCCESSFUL, State

if TYPE_CHECKING:
    from nbflow.flow.finished import Run
    from nbflow.model.node import Node
    from nbflow.notebook.declarations import Declared


def has_value(run: Run | None, node: Node) -> bool:
    return run is not None and run.state(node) not in {State.SKIPPED, State.PAUSED}


def is_made(run: Run, node: Node) -> bool:
    """Whether a run made a node's value, or found it."""
    return node in run.nodes() and run.state(node) in SUCCESSFUL


def state_line(declared: Declared, node: Node, run: Run | None) -> str:
    """One line without times, and without counts of what ran. run: None where the cell only declares."""
    outputs = ", ".join(declared.built.outputs)
    if run is None:
        return f"○ {outputs} · declared"
    track = run.track(node)
    if track.state() is State.SKIPPED:
        return f"⤼ {outputs} · skipped: {why_skipped(run, node)}"
    if track.state() is State.PAUSED:
        return f"Ⅱ {outputs} · waits for approval: %flow approve {run.paused[0]}"
    elements = len(track.states)
    if node.mapped and not elements:
        filtered = any(each.conditions for each in declared.source.head.generators)
        return f"○ {outputs} · 0 elements: {'no item is left by its `if`' if filtered else 'its source is empty'}"
    count = f" · {elements} element{'s' if elements != 1 else ''}" if node.mapped else ""
    return f"✓ {outputs}{count} · fresh"
