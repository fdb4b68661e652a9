"""What would run, and why: the machine of a run, with nobody calling functions."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nbflow.engine import events as m
from nbflow.model.state import Freshness, State

if TYPE_CHECKING:
    from nbflow.engine.machine import Machine
    from nbflow.engine.resolve import Found
    from nbflow.model.graph import Node

Question = m.Size | list[m.Resolve]
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
        if track.finished and track.state() in {State.CACHED, State.SUCCESS} and node not in self.missed:
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
        elif isinstance(command, m.Size):
            todo.extend(machine.handle(_event((yield command))))
        else:
            requests = [command]
            while todo and isinstance(todo[0], m.Resolve):
                requests.append(todo.popleft())  # type: ignore[arg-type]  # isinstance of the element left in place
            for answer in _answers((yield requests)):
                todo.extend(_take(found, answer))
    return found


def _take(survey_: Survey, answer: Found) -> list[m.Command]:
    if answer.misses:
        survey_.missed.setdefault(answer.node, []).extend(answer.misses)
    if answer.stale:
        survey_.stale.setdefault(answer.node, {}).update(answer.stale)
    if answer.refused:
        survey_.refused.setdefault(answer.node, {}).update(answer.refused)
    return survey_.machine.handle(m.Reused(answer.node, answer.hits)) if answer.hits else []


def _event(answer: Answer) -> m.Event:
    assert not isinstance(answer, Sequence)
    return answer


def _answers(answer: Answer) -> Sequence[Found]:
    assert isinstance(answer, Sequence)
    return answer
