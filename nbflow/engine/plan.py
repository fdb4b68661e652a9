"""What would run, and why: the machine of a run, with nobody calling functions."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

from nbflow.engine import events as m
from nbflow.lean import dataclass, field
from nbflow.model.state import Freshness, State

if TYPE_CHECKING:
    from nbflow.engine.machine import Machine
    from nbflow.engine.resolve import Found
    from nbflow.model.node import Node

# Nothing would run: it is reused, or its branch is not taken.
_NOTHING_TO_DO = frozenset({State.CACHED, State.SUCCESS, State.SKIPPED})

Question = m.Size | m.Assemble | list[m.Resolve]
Answer = m.Event | Sequence["Found"]


@dataclass(slots=True)
class Survey:
    """What a plan found. missed: elements without a valid result; stale: why a stored one no longer holds."""

    machine: Machine
    missed: dict[Node, list[int]] = field(default_factory=dict)
    stale: dict[Node, dict[int, str]] = field(default_factory=dict)
    refused: dict[Node, dict[int, Exception]] = field(default_factory=dict)

    def freshness(self, node: Node, *, known_before: bool) -> Freshness:
        """How a node stands; known_before: whether a result of it was ever stored under its name."""
        track = self.machine.tracks[node]
        if track.finished and track.state() in _NOTHING_TO_DO and node not in self.missed:
            return Freshness.FRESH
        if not known_before:
            return Freshness.NEW
        decided = node in self.missed or node in self.refused
        return Freshness.STALE if decided else Freshness.UNKNOWN

    def fresh_count(self, node: Node) -> int:
        return self.machine.tracks[node].states.count(State.CACHED)


def survey(machine: Machine) -> Generator[Question, Answer, Survey]:
    """Asks for sizes and known results, and follows only what is known.

    Yields a Size, answered by an Event, or a list of Resolve, answered by as many Found.
    """
    found = Survey(machine)
    todo = deque(machine.start())
    while todo:
        command = todo.popleft()
        if isinstance(command, m.Submit):
            found.missed.setdefault(command.node, []).extend(command.indices)
        elif isinstance(command, m.Blame):
            found.refused.setdefault(command.node, {}).update(dict.fromkeys(command.indices, command.error))
        elif isinstance(command, (m.Size, m.Assemble)):
            answer = yield command
            if isinstance(answer, Sequence):
                for each in _answers(answer):
                    todo.extend(_take(found, each))
            else:
                todo.extend(machine.handle(answer))
        elif isinstance(command, m.Resolve):
            requests = [command]
            while todo and isinstance(todo[0], m.Resolve):
                requests.append(todo.popleft())  # type: ignore[arg-type]  # isinstance of the element left in place
            for one in _answers((yield requests)):
                todo.extend(_take(found, one))
    return found


def _take(survey_: Survey, answer: Found) -> list[m.Command]:
    if answer.misses:
        survey_.missed.setdefault(answer.node, []).extend(answer.misses)
    if answer.stale:
        survey_.stale.setdefault(answer.node, {}).update(answer.stale)
    if answer.refused:
        survey_.refused.setdefault(answer.node, {}).update(answer.refused)
    return [command for event in answer.events() for command in survey_.machine.handle(event)]


def _answers(answer: Answer) -> Sequence[Found]:
    assert isinstance(answer, Sequence)
    return answer
