"""The states of an element or node, and the table of the changes between them that are legal."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from nbflow.errors import IllegalTransition


class State(IntEnum):
    """What has happened to an element; small integers, so that a mapped node keeps them in a bytearray."""

    PENDING = 0
    RUNNING = 1
    RETRYING = 2
    SUCCESS = 3
    CACHED = 4
    SKIPPED = 5
    FAILED = 6
    TRIGGER_FAILED = 7
    PAUSED = 8
    CANCELLED = 9

    @property
    def label(self) -> str:
        return self.name.lower()

    @property
    def finished(self) -> bool:
        return self in FINISHED

    @property
    def successful(self) -> bool:
        return self in SUCCESSFUL


class Freshness(IntEnum):
    """What a plan says of a node before it runs."""

    FRESH = 0
    STALE = 1
    NEW = 2
    UNKNOWN = 3

    @property
    def label(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Failed:
    """Stands for the value of an upstream that failed, in a task whose trigger lets it run all the same. Falsy."""

    error: BaseException | None = None

    def __bool__(self) -> bool:
        return False


class _Skipped:
    """Stands for the value of an upstream that was skipped. Falsy; there is only one."""

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "Skipped"

    def __reduce__(self) -> str:
        return "Skipped"


Skipped = _Skipped()


SUCCESSFUL = frozenset({State.SUCCESS, State.CACHED})
UNSUCCESSFUL = frozenset({State.FAILED, State.TRIGGER_FAILED, State.CANCELLED})
FINISHED = SUCCESSFUL | UNSUCCESSFUL | {State.SKIPPED, State.PAUSED}

# A finished element goes back to pending only when its stored result proves missing or damaged.
NEXT: dict[State, frozenset[State]] = {
    State.PENDING: frozenset(State) - {State.PENDING, State.RETRYING},
    State.RUNNING: frozenset(
        {State.SUCCESS, State.CACHED, State.FAILED, State.SKIPPED, State.RETRYING, State.PAUSED}
        | {State.CANCELLED, State.PENDING, State.RUNNING, State.TRIGGER_FAILED}
    ),
    State.RETRYING: frozenset({State.RUNNING, State.CANCELLED}),
    State.SUCCESS: frozenset({State.PENDING}),
    State.CACHED: frozenset({State.PENDING}),
    State.SKIPPED: frozenset(),
    State.FAILED: frozenset(),
    State.TRIGGER_FAILED: frozenset(),
    State.PAUSED: frozenset(),
    State.CANCELLED: frozenset(),
}


def check_transition(old: State, new: State, where: str) -> None:
    """Nothing when the change is legal, else IllegalTransition that names the element.

    >>> check_transition(State.PENDING, State.RUNNING, "load[3]")
    """
    if new not in NEXT[old]:
        raise IllegalTransition(
            f"{where}: {old.label} → {new.label} is not a legal change of state; please report this as a defect"
        )
