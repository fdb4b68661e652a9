"""Decides what happens next: one event in, a list of commands out. No I/O, no clock, no threads."""

from __future__ import annotations

from collections import deque
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from nbflow.engine import events as m
from nbflow.engine.changes import Changes
from nbflow.engine.demand import Demand
from nbflow.engine.fate import GOOD, Fates, wanted_elements
from nbflow.engine.track import DONE, new_track
from nbflow.model.state import UNSUCCESSFUL, State
from nbflow.model.triggers import all_successful

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from nbflow.engine.track import Track
    from nbflow.model.node import Node


class Machine:
    """The states of a run. nodes: all that take part, each after its upstreams.

    targets: those that are wanted for themselves; by default all that nothing else uses.
    """

    def __init__(self, nodes: Sequence[Node], *, targets: Iterable[Node] | None = None) -> None:
        self.tracks: dict[Node, Track] = {}
        # The nodes that results of running tasks consist of, by the node whose task made them.
        self.children: dict[Node, list[Node]] = {}
        self._work: deque[Callable[[], None]] = deque()
        self._commands: list[m.Command] = []
        self._changes = Changes(self._commands.append)
        self._fates = Fates(self.tracks)
        for node in nodes:
            self._add(node)
        self._demand = Demand(self.tracks, nodes, targets, self._wanted, self._unwanted)
        for track in self.tracks.values():
            for gate in track.gates:
                gate.waited_for.append(track)

    def start(self) -> list[m.Command]:
        """Opens every node that waits for nothing."""
        for track in list(self.tracks.values()):
            if track.waiting == 0 and not track.opened:
                self._open(track)
        return self._drain()

    def handle(self, event: m.Event) -> list[m.Command]:
        """What follows from an event."""
        match event:
            case m.Succeeded(node, indices):
                self._finish(self.tracks[node], indices, State.SUCCESS)
            case m.Reused(node, indices):
                self._finish(self.tracks[node], indices, State.CACHED)
            case m.Started(node, indices):
                self._changes.put(self.tracks[node], indices, State.RUNNING)
            case m.Failed():
                self._failed(event)
            case m.Sized(node, count):
                self._sized(self.tracks[node], count)
            case m.Refused(node):
                self._end_whole(self.tracks[node], State.FAILED)
            case m.Skipped(node, indices):
                self._finish(self.tracks[node], indices, State.SKIPPED)
            case m.Paused(node, index):
                self._finish(self.tracks[node], [index], State.PAUSED)
            case m.Expanded():
                self._expanded(event)
            case m.Discarded(node, indices):
                self._changes.put(self.tracks[node], indices, State.PENDING)
            case m.Lost():
                self._lost(event)
            case m.Stopped(error):
                self._stop(error)
        return self._drain()

    def watch(self) -> set[Track]:
        """The set that gets each node that changes from now on, for the watcher to empty; at first all of them.

        Any thread may ask, also in the middle of a run.
        """
        return self._changes.watch(self.tracks.values())

    @property
    def finished(self) -> bool:
        return all(track.finished for track in self.tracks.values())

    def waits_for(self, node: Node, other: Node) -> bool:
        """Whether a node has not ended, and cannot before another has."""
        seen: set[Node] = set()
        todo = [node]
        while todo:
            each = todo.pop()
            if each is other:
                return True
            track = self.tracks.get(each)
            if each in seen or track is None or track.finished:
                continue
            seen.add(each)
            todo.extend(each.upstreams)
            todo.extend(self.children.get(each, ()))
        return False

    def _add(self, node: Node) -> Track:
        track = new_track(node, len(self.tracks))
        self.tracks[node] = track
        self._changes.touch(track)
        for up in track.whole:
            above = self.tracks[up]
            if not above.released:
                above.followers.append(track)
                track.waiting += 1
        # The size of a map over a mapped node is known when that one's is.
        for up in track.aligned:
            self.tracks[up].neighbours.append(track)
        return track

    def _drain(self) -> list[m.Command]:
        while self._work:
            self._work.popleft()()
        commands = self._commands[:]
        self._commands.clear()
        return commands

    def _open(self, track: Track) -> None:
        """Decides, once all that is needed whole has ended."""
        if track.opened or track.waiting or not track.wanted:
            return
        if any(self._unsized(self.tracks[up]) for up in track.aligned):
            return
        track.opened = True
        fate, error = self._fates.branch(track), None
        if fate is State.PENDING and track.node.upstreams:
            self._fates.look_beside(track)
        if fate is State.PENDING:
            fate, error = self._fates.whole(track)
        if error is not None:
            self._commands.append(m.Blame(track.node, (0,), error))
        if fate is not State.PENDING:
            self._end_whole(track, fate)
        elif track.node.mapped:
            self._commands.append(m.Size(track.node))
        else:
            self._commands.append(m.Resolve(track.node, (0,)))

    def _unsized(self, track: Track) -> bool:
        return track.count is None and track.verdict is None

    def _sized(self, track: Track, count: int) -> None:
        track.count = count
        track.states, track.claimed = bytearray(count), bytearray(count)
        track.left = count
        self._changes.touch(track)
        if count == 0:
            self._release(track)
        for below in track.neighbours:
            self._work.append(partial(self._open, below))
        if not track.aligned:
            self._ready(track, range(count))
            return
        columns = [self.tracks[up].column(count) for up in track.aligned]
        self._ready(track, [i for i in range(count) if all(column[i] in DONE for column in columns)])

    def _ready(self, track: Track, indices: m.Indices) -> None:
        """Elements all of whose elements above have ended."""
        indices = [i for i in indices if not track.claimed[i]]
        if track.gates:
            indices, unwanted = wanted_elements(track, indices)
            for i in unwanted:
                track.claimed[i] = 1
            if unwanted:
                self._finish(track, unwanted, State.SKIPPED)
        if not indices:
            return
        for i in indices:
            track.claimed[i] = 1
        runnable, fates, errors = self._fates.elements(track, indices)
        if runnable:
            self._commands.append(m.Resolve(track.node, runnable))
        for i, error in errors.items():
            self._commands.append(m.Blame(track.node, (i,), error))
        for fate, those in fates.items():
            self._finish(track, those, fate)

    def _finish(self, track: Track, indices: m.Indices, state: State) -> None:
        self._changes.put(track, indices, state)
        track.left -= len(indices)
        if track.held:
            self._release_held(track, indices)
        for below in (*track.neighbours, *track.waited_for) if track.waited_for else track.neighbours:
            if below.count is not None and below.opened and below.verdict is None:
                self._work.append(partial(self._neighbour_ready, below, indices))
        if track.left == 0:
            self._release(track)

    def _neighbour_ready(self, below: Track, indices: m.Indices) -> None:
        count = below.count or 0
        columns = [self.tracks[up].column(count) for up in below.aligned]
        self._ready(below, [i for i in indices if i < count and all(column[i] in DONE for column in columns)])

    def _end_whole(self, track: Track, state: State) -> None:
        track.opened = True
        if track.node.mapped:
            self._changes.put_whole(track, state)
            for below in track.neighbours:
                self._work.append(partial(self._open, below))
            for below in track.waited_for:
                if below.opened and below.verdict is None:
                    self._work.append(partial(self._neighbour_ready, below, range(below.count or 0)))
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
        if track.awaited:
            self._settle(track)
        self._demand.decided(track)

    # Nodes that are wanted, or not, only when a branch is decided.

    def _wanted(self, track: Track) -> None:
        if track.waiting == 0:
            self._work.append(partial(self._open, track))

    def _unwanted(self, track: Track) -> None:
        if not track.finished and not track.opened:
            fate = self._fates.branch(track)
            self._end_whole(track, State.SKIPPED if fate is State.PENDING else fate)

    # Elements whose result consists of nodes.

    def _expanded(self, event: m.Expanded) -> None:
        track = self.tracks[event.node]
        if track.states[event.index] == State.PENDING:
            self._changes.put(track, (event.index,), State.RUNNING)
        for child in event.children:
            self._add(child)
        self.children.setdefault(event.node, []).extend(event.leaves)
        pending = [self.tracks[leaf] for leaf in event.leaves if not self.tracks[leaf].released]
        track.expansions[event.index] = len(pending)
        for each in pending:
            each.awaited.append((track, event.index))
            self._demand.want(each)
        for child in event.children:
            for up in child.upstreams:
                self._demand.want(self.tracks[up])
            if self.tracks[child].waiting == 0:
                self._work.append(partial(self._open, self.tracks[child]))
        if not pending:
            self._commands.append(m.Assemble(event.node, event.index))

    def _settle(self, track: Track) -> None:
        for user, index in track.awaited:
            user.expansions[index] -= 1
            if user.expansions[index] == 0:
                self._commands.append(m.Assemble(user.node, index))
        track.awaited.clear()

    # Failures and losses.

    def _failed(self, event: m.Failed) -> None:
        track, index = self.tracks[event.node], event.index
        if event.anew:
            track.attempts.pop(index, None)
        attempt = track.attempts.get(index, 0)
        if event.retriable and attempt < self._attempts(track, event):
            track.attempts[index] = attempt + 1
            self._changes.put(track, (index,), State.RETRYING)
            self._commands.append(m.Submit(event.node, (index,), attempt + 1, event.delay_s))
        else:
            self._finish(track, (index,), State.FAILED)

    def _attempts(self, track: Track, event: m.Failed) -> int:
        options = track.node.task.options
        return options.retries or (options.max_loops if event.asked else 0)

    def _lost(self, event: m.Lost) -> None:
        track, user = self.tracks[event.node], self.tracks[event.user]
        again = [i for i in event.indices if track.states[i] in GOOD]
        if again:
            self._changes.put(track, again, State.PENDING)
            track.left += len(again)
            self._commands.append(m.Submit(event.node, again))
        first = event.indices[0]
        track.held.setdefault(first, []).extend((user, i) for i in event.user_indices or (_SIZE,))

    def _release_held(self, track: Track, indices: m.Indices) -> None:
        for index in indices:
            for user, i in track.held.pop(index, ()):
                self._work.append(partial(self._resume, user, i))

    def _resume(self, user: Track, index: int) -> None:
        count = user.count or 0
        above = [] if index == _SIZE else [self.tracks[up].column(count)[index] for up in user.aligned]
        above += chain.from_iterable(self.tracks[up].column(1) for up in user.whole)
        if user.node.task.options.trigger is all_successful and any(state in UNSUCCESSFUL for state in above):
            self._end_whole(user, State.TRIGGER_FAILED) if index == _SIZE else self._finish(
                user, (index,), State.TRIGGER_FAILED
            )
        elif index == _SIZE:
            self._commands.append(m.Size(user.node))
        else:
            self._commands.append(m.Resolve(user.node, (index,)))

    def _stop(self, error: Exception | None) -> None:
        for track in self.tracks.values():
            left = self._changes.end(track, State.CANCELLED if error is None else State.TRIGGER_FAILED)
            if error is not None and left:
                self._commands.append(m.Blame(track.node, left, error))


# Stands for an element's position where it is a node's size that waits for a lost value.
_SIZE = -1
