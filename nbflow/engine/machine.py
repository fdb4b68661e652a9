"""Decides what happens next: one event in, a list of commands out. No I/O, no clock, no threads."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from nbflow.engine.events import (
    Command,
    Discarded,
    Event,
    Failed,
    Indices,
    Lost,
    Refused,
    Resolve,
    Reused,
    Size,
    Sized,
    Skipped,
    Started,
    Stopped,
    Submit,
    Succeeded,
)
from nbflow.errors import IllegalTransition
from nbflow.model.graph import Node, Parameter
from nbflow.model.state import FINISHED, NEXT, SUCCESSFUL, UNSUCCESSFUL, State
from nbflow.model.tree import leaves
from nbflow.model.triggers import decide

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_DONE = bytes(sorted(FINISHED))
_GOOD = bytes(sorted(SUCCESSFUL))


@dataclass(slots=True, eq=False)
class Track:
    """What the machine knows of one node."""

    node: Node
    depth: int
    count: int | None
    aligned: tuple[Node, ...]
    whole: tuple[Node, ...]
    states: bytearray = field(default_factory=bytearray)
    claimed: bytearray = field(default_factory=bytearray)
    """1 for elements that were found ready once, so that two upstreams ending together start them once."""
    verdict: State | None = None
    """How the node ended as a whole, where it never had elements."""
    waiting: int = 0
    left: int = 0
    opened: bool = False
    released: bool = False
    followers: list[Track] = field(default_factory=list)
    """Those that wait for all of it."""
    neighbours: list[Track] = field(default_factory=list)
    """Those that take its elements one by one."""
    attempts: dict[int, int] = field(default_factory=dict)
    held: dict[int, list[tuple[Track, int]]] = field(default_factory=dict)
    """Elements of others that wait until a lost element of this one is made again."""

    @property
    def finished(self) -> bool:
        return self.verdict is not None or (self.count is not None and self.left == 0 and self.opened)

    def counts(self) -> dict[State, int]:
        """How many elements are in each state; states that do not occur are left out."""
        if self.verdict is not None:
            return {self.verdict: 1}
        return {state: n for state in State if (n := self.states.count(state))}

    def state(self) -> State:
        """The state of the node as a whole: the worst of its elements, CACHED when all are."""
        if self.verdict is not None:
            return self.verdict
        present = self.counts()
        return next((state for state in _PRECEDENCE if state in present), self._empty())

    def _empty(self) -> State:
        return State.SUCCESS if self.finished else State.PENDING


_PRECEDENCE = (
    State.RUNNING,
    State.RETRYING,
    State.FAILED,
    State.TRIGGER_FAILED,
    State.CANCELLED,
    State.PAUSED,
    State.PENDING,
    State.SUCCESS,
    State.CACHED,
    State.SKIPPED,
)


class Machine:
    """The states of a run. nodes: all that take part, each after its upstreams."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.tracks: dict[Node, Track] = {}
        self._work: deque[Callable[[], None]] = deque()
        self._commands: list[Command] = []
        for depth, node in enumerate(nodes):
            self._add(node, depth)

    def start(self) -> list[Command]:
        """Opens every node that waits for nothing."""
        for track in list(self.tracks.values()):
            if track.waiting == 0 and not track.opened:
                self._open(track)
        return self._drain()

    def handle(self, event: Event) -> list[Command]:
        """What follows from an event."""
        match event:
            case Succeeded(node, indices):
                self._finish(self.tracks[node], indices, State.SUCCESS)
            case Reused(node, indices):
                self._finish(self.tracks[node], indices, State.CACHED)
            case Started(node, indices):
                self._set(self.tracks[node], indices, State.RUNNING)
            case Failed(node, index, retriable):
                self._failed(self.tracks[node], index, retriable=retriable)
            case Sized(node, count):
                self._sized(self.tracks[node], count)
            case Refused(node):
                self._end_whole(self.tracks[node], State.FAILED)
            case Skipped(node, index):
                self._finish(self.tracks[node], [index], State.SKIPPED)
            case Discarded(node, indices):
                self._set(self.tracks[node], indices, State.PENDING)
            case Lost():
                self._lost(event)
            case Stopped():
                self._stop()
        return self._drain()

    @property
    def finished(self) -> bool:
        return all(track.finished for track in self.tracks.values())

    def _add(self, node: Node, depth: int) -> None:
        aligned = node.aligned()
        whole = tuple(up for up in node.upstreams if up not in aligned or _also_whole(node, up))
        track = Track(node, depth, None if node.mapped else 1, aligned, whole)
        if not node.mapped:
            track.states = bytearray(1)
            track.left = 1
        if isinstance(node, Parameter):
            track.states[0] = State.SUCCESS
            track.left, track.opened, track.released = 0, True, True
        self.tracks[node] = track
        for up in whole:
            above = self.tracks[up]
            if not above.released:
                above.followers.append(track)
                track.waiting += 1
        # The size of a map over a mapped node is known when that one's is.
        for up in aligned:
            self.tracks[up].neighbours.append(track)

    def _drain(self) -> list[Command]:
        while self._work:
            self._work.popleft()()
        commands, self._commands = self._commands, []
        return commands

    def _open(self, track: Track) -> None:
        """Decides, once all that is needed whole has ended."""
        if track.opened or track.waiting:
            return
        verdicts = {up: self.tracks[up].verdict for up in track.aligned}
        if any(up not in verdicts or self._unsized(self.tracks[up]) for up in track.aligned):
            return
        track.opened = True
        fate = self._fate(track, [v for v in verdicts.values() if v is not None])
        if fate is not State.PENDING:
            self._end_whole(track, fate)
        elif track.node.mapped:
            self._commands.append(Size(track.node))
        else:
            self._commands.append(Resolve(track.node, (0,)))

    def _unsized(self, track: Track) -> bool:
        return track.count is None and track.verdict is None

    def _fate(self, track: Track, extra: list[State]) -> State:
        states = extra
        for up in track.whole:
            states = states + self._seen_whole(self.tracks[up])
        if all(state in SUCCESSFUL for state in states):
            return State.PENDING
        options = track.node.task.options
        return decide(options.trigger, states, skip_on_upstream_skip=options.skip_on_upstream_skip)

    def _seen_whole(self, above: Track) -> list[State]:
        """The states a node sees of one it takes whole; skipped elements count only when all are."""
        if above.verdict is not None:
            return [above.verdict]
        if not above.states.translate(None, _GOOD):
            return []
        states = [State(s) for s in above.states]
        if not above.node.mapped or all(state is State.SKIPPED for state in states):
            return states
        return [state for state in states if state is not State.SKIPPED]

    def _sized(self, track: Track, count: int) -> None:
        track.count = count
        track.states, track.claimed = bytearray(count), bytearray(count)
        track.left = count
        if count == 0:
            self._release(track)
        for below in track.neighbours:
            self._work.append(partial(self._open, below))
        if not track.aligned:
            self._ready(track, range(count))
            return
        columns = [self.tracks[up].states for up in track.aligned]
        self._ready(track, [i for i in range(count) if all(column[i] in _DONE for column in columns)])

    def _ready(self, track: Track, indices: Indices) -> None:
        """Elements all of whose elements above have ended."""
        indices = [i for i in indices if not track.claimed[i]]
        if not indices:
            return
        for i in indices:
            track.claimed[i] = 1
        columns = [self.tracks[up].states for up in track.aligned]
        if all(column[i] in _GOOD for column in columns for i in indices):
            self._commands.append(Resolve(track.node, indices))
            return
        options = track.node.task.options
        fates: dict[State, list[int]] = {}
        for i in indices:
            states = [State(column[i]) for column in columns]
            fate = decide(options.trigger, states, skip_on_upstream_skip=options.skip_on_upstream_skip)
            fates.setdefault(fate, []).append(i)
        if runnable := fates.pop(State.PENDING, None):
            self._commands.append(Resolve(track.node, runnable))
        for fate, those in fates.items():
            self._finish(track, those, fate)

    def _finish(self, track: Track, indices: Indices, state: State) -> None:
        self._set(track, indices, state)
        track.left -= len(indices)
        if track.held:
            self._release_held(track, indices)
        for below in track.neighbours:
            if below.count is not None and below.opened:
                self._work.append(partial(self._neighbour_ready, below, indices))
        if track.left == 0:
            self._release(track)

    def _neighbour_ready(self, below: Track, indices: Indices) -> None:
        columns = [self.tracks[up].states for up in below.aligned]
        count = below.count or 0
        self._ready(below, [i for i in indices if i < count and all(column[i] in _DONE for column in columns)])

    def _end_whole(self, track: Track, state: State) -> None:
        track.opened = True
        if track.node.mapped:
            track.verdict, track.count, track.left = state, 0, 0
            for below in track.neighbours:
                self._work.append(partial(self._open, below))
            self._release(track)
        else:
            self._finish(track, (0,), state)

    def _release(self, track: Track) -> None:
        if track.released:
            return
        track.released = True
        for below in track.followers:
            below.waiting -= 1
            if below.waiting == 0:
                self._work.append(partial(self._open, below))

    def _failed(self, track: Track, index: int, *, retriable: bool) -> None:
        attempt = track.attempts.get(index, 0)
        if retriable and attempt < track.node.task.options.retries:
            track.attempts[index] = attempt + 1
            self._set(track, (index,), State.RETRYING)
            self._commands.append(Submit(track.node, (index,), attempt + 1))
        else:
            self._finish(track, (index,), State.FAILED)

    def _lost(self, event: Lost) -> None:
        track, user = self.tracks[event.node], self.tracks[event.user]
        again = [i for i in event.indices if track.states[i] in _GOOD]
        if again:
            self._set(track, again, State.PENDING)
            track.left += len(again)
            self._commands.append(Submit(track.node, again))
        first = event.indices[0]
        track.held.setdefault(first, []).extend((user, i) for i in event.user_indices or (_SIZE,))

    def _release_held(self, track: Track, indices: Indices) -> None:
        for index in indices:
            for user, i in track.held.pop(index, ()):
                self._work.append(partial(self._resume, user, i))

    def _resume(self, user: Track, index: int) -> None:
        above = [] if index == _SIZE else [self.tracks[up].states[index] for up in user.aligned]
        above += chain.from_iterable(self.tracks[up].states for up in user.whole)
        if any(state in UNSUCCESSFUL for state in above):
            self._end_whole(user, State.TRIGGER_FAILED) if index == _SIZE else self._finish(
                user, (index,), State.TRIGGER_FAILED
            )
        elif index == _SIZE:
            self._commands.append(Size(user.node))
        else:
            self._commands.append(Resolve(user.node, (index,)))

    def _stop(self) -> None:
        for track in self.tracks.values():
            for i, state in enumerate(track.states):
                if state not in _DONE:
                    track.states[i] = State.CANCELLED
            if track.count is None:
                track.verdict, track.count = State.CANCELLED, 0
            track.opened, track.left = True, 0

    def _set(self, track: Track, indices: Indices, new: State) -> None:
        states = track.states
        allowed = _BEFORE[new]
        for i in indices:
            if states[i] not in allowed:
                old = State(states[i])
                raise IllegalTransition(
                    f"{track.node.name}[{i}]: {old.label} → {new.label} is no legal change of state; please report it"
                )
            states[i] = new


# Stands for an element's position where it is a node's size that waits for a lost value.
_SIZE = -1
_BEFORE = {new: bytes(sorted(old for old in State if new in NEXT[old])) for new in State}


def _also_whole(node: Node, upstream: Node) -> bool:
    """Whether a node that is taken element by element is needed as a whole, too."""
    if upstream in node.order:
        return True
    others: Iterable[object] = (a.value for a in node.arguments if not (a.mapped and a.value is upstream))
    return any(upstream in leaves(value, Node) for value in others)
