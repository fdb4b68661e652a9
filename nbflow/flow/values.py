"""The values of a run's nodes; what was found damaged in the store is made again."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from nbflow.engine.ledger import LostValue
from nbflow.errors import NotSuccessful
from nbflow.model.state import UNSUCCESSFUL, State

if TYPE_CHECKING:
    from nbflow.flow.finished import Run
    from nbflow.model.node import Node


def values_of(run: Run, node: Node, failed: str) -> Any:
    """A node's value; of a mapped node the list. failed: as of `run.values`. Raises NotSuccessful."""
    track = run.track(node)
    if not node.mapped:
        require(run, node)
        return value_of(run, node, 0)
    if failed == "raise" or track.verdict is not None:
        require(run, node)
    kept = [i for i, state in enumerate(run.ledger.states(node)) if state.successful]
    # At once, which takes a fifth of the time; those behind one that is lost come one by one.
    with contextlib.suppress(LostValue):
        run.ledger.load(node, kept)
    if failed != "none":
        return [value_of(run, node, i) for i in kept]
    good = set(kept)
    return [value_of(run, node, i) if i in good else None for i in range(len(track.states))]


def value_of(run: Run, node: Node, index: int) -> Any:
    """The value of one element; 0 for a node that is not mapped."""
    try:
        return run.ledger.value(node, index)
    except LostValue:
        again = made_again(run, node)
        return value_of(again, again.find(node), index)


def require(run: Run, node: Node) -> None:
    """Nothing where a node has a value, else NotSuccessful that says why it has none."""
    track = run.track(node)
    state = track.state()
    if state in {State.SUCCESS, State.CACHED} or (
        node.mapped and track.verdict is None and not _WITHOUT_VALUE & set(track.counts())
    ):
        return
    from nbflow.flow.failing import LINES_IN_SCRIPTS, failure_block, in_python, unsuccessful_text
    from nbflow.flow.unrun import why_skipped

    if state is State.FAILED:
        block = failure_block(run, node, in_python("run"), LINES_IN_SCRIPTS)
        raise NotSuccessful(block, run.error(node)) from None
    if state is State.TRIGGER_FAILED:
        raise NotSuccessful(unsuccessful_text(run, node))
    if state is State.SKIPPED:
        raise NotSuccessful(f"{node.name} has no value: it was skipped, {why_skipped(run, node)}")
    if state is State.PAUSED:
        raise NotSuccessful(
            f"{node.name} has no value: it waits for approval: flow.run(approve=[{run.paused[0]!r}]), "
            f"in a notebook %flow approve {run.paused[0]}"
        )
    raise NotSuccessful(f"{node.name} has no value: it is {state.label}; run.retry() goes on from there")


def made_again(run: Run, node: Node) -> Run:
    """A run that makes again what was found damaged of a node's stored results, as any run does."""
    _look_at_children(run)
    return run.flow.run(targets=[node], **run.parameters)


def _look_at_children(run: Run) -> None:
    """Reads what running tasks made; what cannot be read leaves the store by that."""
    ledger = run.ledger
    for node in run.nodes():
        for index in range(len(ledger.books[node].rows)) if node.maker is not None else ():
            with contextlib.suppress(LostValue):
                ledger.value(node, index)


_WITHOUT_VALUE = UNSUCCESSFUL | {State.PENDING, State.PAUSED}
