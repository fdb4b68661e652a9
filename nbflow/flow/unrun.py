"""Why a node has no value, though nothing of its own failed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from nbflow.model.state import UNSUCCESSFUL, State
from nbflow.model.triggers import all_successful
from nbflow.probe.secrets import error_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbflow.flow.finished import Run
    from nbflow.model.control import Gate
    from nbflow.model.node import Node


def broken_text(run: Run) -> str:
    """What ended a run before its time; empty where nothing did."""
    return "" if run.broken is None else error_text(run.broken)


def why_skipped(run: Run, node: Node) -> str:
    """Why a node was skipped: the branch it stands in, its own words, or what it needs."""
    gate, notes = node.gate, run.ledger.books[node].notes
    if not run.track(node).wanted:
        return f"since nothing that ran needs it; flow.run(targets=[{node.name!r}]) runs it all the same"
    if gate is not None and not run.track(gate).state().successful:
        return f"since `{gate.source.name}` {_not_taken(gate)}"
    if any(notes.values()):
        return f"as it said itself: {next(filter(None, notes.values()))}"
    above = [f"`{up.name}`" for up in node.upstreams if run.track(up).state() is State.SKIPPED]
    if above:
        return f"since {', '.join(above)} {'was' if len(above) == 1 else 'were'}"
    return "as it said itself"


def _not_taken(gate: Gate) -> str:
    if gate.kind == "truthy":
        return "is not true"
    return f"is not {gate.expected!r}" if gate.kind == "case" else "has a case of its own"


def why_not_run(run: Run, node: Node) -> str:
    """Why a node did not run although nothing was skipped: what ended the run or failed above it, or its trigger."""
    if any(error is run.broken for error in run.ledger.books[node].errors.values()):
        return f"the run ended with an error: {broken_text(run)}"
    names = [f"`{up.name}`" for up in node.upstreams if run.track(up).state() in UNSUCCESSFUL]
    trigger = node.task.options.trigger
    if names and trigger is all_successful:
        return f"{', '.join(names)} failed"
    counts = Counter(label for up in node.upstreams for label in _ends(run, up))
    ends = ", ".join(f"{count} {label}" for label, count in counts.items())
    return f"its trigger {getattr(trigger, '__name__', trigger)!s} is not met: what it needs ended as {ends}"


def _ends(run: Run, node: Node) -> Iterator[str]:
    """How the elements of a node ended, a word each."""
    for state, count in run.track(node).counts().items():
        yield from ["success" if state.successful else state.label.replace("_", " ")] * count
