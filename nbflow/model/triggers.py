"""Triggers: whether a node runs, given how its upstreams ended. Mapped elements count one by one.

A trigger is a function of the upstream states; it is asked only where there are any. Skipped upstreams
reach it only with `skip_on_upstream_skip=False`, or when something failed beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nbflow.errors import GraphError
from nbflow.model.state import SUCCESSFUL, UNSUCCESSFUL, State

Trigger = Callable[[Sequence[State]], bool]


def all_successful(upstreams: Sequence[State]) -> bool:
    """True when every upstream that was not skipped is success or cached: the default.

    >>> all_successful([State.SUCCESS, State.CACHED]), all_successful([State.FAILED])
    (True, False)
    """
    return all(state in SUCCESSFUL or state is State.SKIPPED for state in upstreams)


def all_failed(upstreams: Sequence[State]) -> bool:
    """True when every upstream that was not skipped failed, and at least one did.

    >>> all_failed([State.FAILED, State.TRIGGER_FAILED]), all_failed([State.FAILED, State.SUCCESS])
    (True, False)
    """
    ran = [state for state in upstreams if state is not State.SKIPPED]
    return bool(ran) and all(state in UNSUCCESSFUL for state in ran)


def any_successful(upstreams: Sequence[State]) -> bool:
    """True when at least one upstream is success or cached."""
    return any(state in SUCCESSFUL for state in upstreams)


def any_failed(upstreams: Sequence[State]) -> bool:
    """True when at least one upstream failed."""
    return any(state in UNSUCCESSFUL for state in upstreams)


def all_finished(upstreams: Sequence[State]) -> bool:
    """True however the upstreams ended."""
    return all(state.finished for state in upstreams)


always_run = all_finished


def not_all_skipped(upstreams: Sequence[State]) -> bool:
    """True when none failed and not all were skipped; a skipped upstream alone does not skip the task."""
    return not any_failed(upstreams) and any(state is not State.SKIPPED for state in upstreams)


def manual_only(upstreams: Sequence[State]) -> bool:
    """True as all_successful is; but the node waits for `flow.run(approve=[name])`, and the run ends as paused."""
    return all_successful(upstreams)


def some_successful(at_least: float | None = None, at_most: float | None = None) -> Trigger:
    """A trigger that is true when enough, and not too many, upstreams are success or cached.

    at_least, at_most: an int counts upstreams, a float from 0.0 to 1.0 is a part of all of them.

    >>> some_successful(at_least=0.5)([State.SUCCESS, State.FAILED])
    True
    """
    return _Some("some_successful", SUCCESSFUL, at_least, at_most)


def some_failed(at_least: float | None = None, at_most: float | None = None) -> Trigger:
    """A trigger that is true when enough, and not too many, upstreams failed; counts as some_successful does."""
    return _Some("some_failed", UNSUCCESSFUL, at_least, at_most)


class _Some:
    """Counts the upstreams in some states. A class, so that two made alike have the same name and repr."""

    def __init__(self, name: str, states: frozenset[State], at_least: float | None, at_most: float | None) -> None:
        self.__name__ = name
        self._states = states
        self._bounds = (at_least, at_most)
        if at_least is None and at_most is None:
            raise GraphError(f"{name}() needs at_least=, at_most=, or both: an int, or a part of all such as 0.5")
        for bound in self._bounds:
            if bound is not None and (bound < 0 or (isinstance(bound, float) and bound > 1)):
                raise GraphError(f"{name}: {bound!r} is neither a number of upstreams nor a part from 0.0 to 1.0")

    def __call__(self, upstreams: Sequence[State]) -> bool:
        found = sum(state in self._states for state in upstreams)
        at_least, at_most = (self._absolute(bound, len(upstreams)) for bound in self._bounds)
        return (at_least is None or found >= at_least) and (at_most is None or found <= at_most)

    def _absolute(self, bound: float | None, count: int) -> float | None:
        return bound * count if isinstance(bound, float) else bound

    def __repr__(self) -> str:
        return f"{self.__name__}(at_least={self._bounds[0]!r}, at_most={self._bounds[1]!r})"


BUILT_IN: dict[str, Trigger] = {
    "all_successful": all_successful,
    "all_failed": all_failed,
    "any_successful": any_successful,
    "any_failed": any_failed,
    "all_finished": all_finished,
    "always_run": always_run,
    "not_all_skipped": not_all_skipped,
    "manual_only": manual_only,
}


def decide(
    trigger: Trigger, data: Sequence[State], order: Sequence[State] = (), *, skip_on_upstream_skip: bool = True
) -> State:
    """PENDING when it may run, else the state it ends in at once.

    data: states of the upstreams it takes values from; order: of those that only come before. A failed upstream
    beats a skipped one, so that no failure is hidden behind a branch; skips pass along order only when
    all were skipped, so that what follows alternative branches runs.
    """
    states = [*data, *order]
    if not states:
        return State.PENDING
    failed = any_failed(states)
    if State.PAUSED in states:
        return State.TRIGGER_FAILED if failed and trigger is all_successful else State.PAUSED
    all_skipped = all(state is State.SKIPPED for state in states)
    if trigger is not_all_skipped:
        skip = all_skipped
    else:
        skip = skip_on_upstream_skip and not failed and (all_skipped or State.SKIPPED in data)
    if skip:
        return State.SKIPPED
    return State.PENDING if trigger(states) else State.TRIGGER_FAILED
