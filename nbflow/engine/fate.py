"""What becomes of elements before they run: triggers, skips and branches, decided from the states above them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow.engine.track import DONE
from nbflow.errors import GraphError, in_words, place_of
from nbflow.model.node import MERGE
from nbflow.model.state import SUCCESSFUL, State
from nbflow.model.triggers import all_successful, decide

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nbflow.engine.track import Track
    from nbflow.model.node import Node

GOOD = bytes(sorted(SUCCESSFUL))


class Fates:
    """Decides for the nodes of one run."""

    def __init__(self, tracks: Mapping[Node, Track]) -> None:
        self._tracks = tracks

    def branch(self, track: Track) -> State:
        """PENDING when the branch a node stands in is taken as a whole, or is decided element by element."""
        gate = track.node.gate
        if gate is None or (gate.mapped and self._tracks[gate].verdict is None):
            return State.PENDING
        return _through_gate(self._tracks[gate].state())

    def look_beside(self, track: Track) -> None:
        """Notes the states of all that a node takes whole; none where they are good and nothing else is asked."""
        node = track.node
        above = [self._tracks[up] for up in track.whole if up is not node.gate]
        if node.task.options.trigger is all_successful and all(map(_all_good, above)):
            track.beside = ([], [])
            return
        data: list[State] = []
        order: list[State] = []
        for each in above:
            (data if each.node in node.data else order).extend(_seen_whole(each))
        track.beside = (data, order)

    def whole(self, track: Track) -> tuple[State, Exception | None]:
        """What becomes of a node as a whole, as far as that can be told before its size is known."""
        node = track.node
        if not node.mapped:
            return self._decide(node, *track.beside)
        for up in {a.value for a in node.arguments if a.mapped and a.value in track.whole}:
            # Without the list itself there is nothing to map over, whatever the trigger.
            above = self._tracks[up].state()
            if not (up.mapped or above in SUCCESSFUL):
                return (above if above in {State.SKIPPED, State.PAUSED} else State.TRIGGER_FAILED), None
        verdicts = [v for up in track.aligned if (v := self._tracks[up].verdict) is not None]
        if verdicts and (node.task is not MERGE or len(verdicts) == len(track.aligned)):
            return self._decide(node, verdicts, [])
        if track.aligned or not any(track.beside):
            # Decided with the elements, which have states of their own.
            return State.PENDING, None
        return self._decide(node, *track.beside)

    def elements(
        self, track: Track, indices: Sequence[int]
    ) -> tuple[Sequence[int], dict[State, list[int]], dict[int, Exception]]:
        """Elements that may run, those that end at once by the state they end in, and errors of triggers."""
        node, count = track.node, track.count or 0
        columns = [self._tracks[up].column(count) for up in track.aligned if up is not node.gate]
        gate = node.gate
        gates = self._tracks[gate].column(count) if gate is not None and gate.mapped else None
        plain = node.task.options.trigger is all_successful and not any(track.beside)
        if plain and gates is None and all(column[i] in GOOD for column in columns for i in indices):
            return indices, {}, {}
        known: dict[tuple[State, ...], tuple[State, Exception | None]] = {}
        fates: dict[State, list[int]] = {}
        errors: dict[int, Exception] = {}
        for i in indices:
            fate, error = _through_gate(State(gates[i])) if gates is not None else State.PENDING, None
            if fate is State.PENDING:
                states = tuple(State(column[i]) for column in columns)
                if states not in known:
                    known[states] = self._decide(node, [*track.beside[0], *states], track.beside[1])
                fate, error = known[states]
            if error is not None:
                errors[i] = error
            fates.setdefault(fate, []).append(i)
        return fates.pop(State.PENDING, []), fates, errors

    def _decide(self, node: Node, data: Sequence[State], order: Sequence[State]) -> tuple[State, Exception | None]:
        options = node.task.options
        try:
            fate = decide(options.trigger, data, order, skip_on_upstream_skip=options.skip_on_upstream_skip)
        # A trigger may be the user's own function, and raise anything: that is the node's failure.
        except Exception as error:  # noqa: BLE001 (told as the node's error)
            trigger = getattr(options.trigger, "__name__", repr(options.trigger))
            place = place_of(options.trigger)
            where = f" ({place})" if place else ""
            told = GraphError(f"{node.name}: its trigger {trigger!r}{where} raised {in_words(error)}")
            told.__cause__ = error
            return State.FAILED, told
        return fate, None


def wanted_elements(track: Track, indices: Sequence[int]) -> tuple[list[int], list[int]]:
    """Of elements that only branches need: those that one taken needs, and those that none will need.

    What is in neither is not decided yet.
    """
    count = track.count or 0
    columns = [gate.column(count) for gate in track.gates if gate.count is not None]
    decided = len(columns) == len(track.gates)
    wanted: list[int] = []
    unwanted: list[int] = []
    for i in indices:
        states = [column[i] if i < len(column) else State.SUCCESS for column in columns]
        if any(state in GOOD for state in states):
            wanted.append(i)
        elif decided and all(state in DONE for state in states):
            unwanted.append(i)
    return wanted, unwanted


def _through_gate(state: State) -> State:
    if state in SUCCESSFUL:
        return State.PENDING
    return state if state in {State.SKIPPED, State.PAUSED} else State.TRIGGER_FAILED


def _all_good(above: Track) -> bool:
    return above.verdict is None and not above.states.translate(None, GOOD)


def _seen_whole(above: Track) -> list[State]:
    """The states a node sees of one it takes whole; skipped elements count only when all are."""
    if above.verdict is not None:
        return [above.verdict]
    states = [State(s) for s in above.states]
    if not above.node.mapped or all(state is State.SKIPPED for state in states):
        return states
    return [state for state in states if state is not State.SKIPPED]
