"""Triggers: whether a node runs, given how its upstreams ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nbflow.model.state import UNSUCCESSFUL, State

Trigger = Callable[[Sequence[State]], bool]


def all_successful(upstreams: Sequence[State]) -> bool:
    """True when every upstream is success or cached: the default.

    >>> all_successful([State.SUCCESS, State.CACHED]), all_successful([State.FAILED])
    (True, False)
    """
    return all(state.successful for state in upstreams)


def decide(trigger: Trigger, upstreams: Sequence[State], *, skip_on_upstream_skip: bool) -> State:
    """PENDING when it may run, else the state it ends in at once.

    A failed upstream beats a skipped one, so that no failure is hidden behind a branch.
    """
    failed = any(state in UNSUCCESSFUL for state in upstreams)
    skipped = State.SKIPPED in upstreams
    if skipped and skip_on_upstream_skip and not failed:
        return State.SKIPPED
    considered = [state for state in upstreams if state is not State.SKIPPED]
    return State.PENDING if trigger(considered) else State.TRIGGER_FAILED
