"""Progress: what a watcher shows of a run while it goes, and what changed since it last looked."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import TYPE_CHECKING

from nbflow.draw.collapse import collapse, worst
from nbflow.flow.picture import live_picture
from nbflow.lean import dataclass
from nbflow.model.node import DERIVED, Node
from nbflow.model.state import State

if TYPE_CHECKING:
    from nbflow.draw import Picture
    from nbflow.engine.track import Track
    from nbflow.flow.finished import Run


@dataclass(frozen=True, slots=True)
class Standing:
    """How a box stands: state, and how many of its elements are done, there are, failed, run, were tried again."""

    state: str
    done: int
    total: int
    failed: int
    running: int
    retries: int


class Progress:
    """Follows one run. Only `changes` looks, so that a watcher's thread decides how often."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.started = time.monotonic()
        self.picture: Picture
        # Nodes by the box that they are drawn in: one, or many.
        self.members: dict[str, list[Node]] = {}
        self.outgrown = False
        self._homes: dict[str, str] = {}
        self._counts: dict[str, list[int]] = {}
        self._last: dict[Node, State] = {}
        self._touched = run.watch()
        self.redraw()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def redraw(self) -> None:
        """Looks at the graph anew: running tasks may have made nodes since."""
        self.outgrown = False
        self.picture, self._homes = collapse(live_picture(self.run))
        self.members = {}
        nodes = [node for node in self.run.graph.nodes.values() if self.run.takes_part(node)]
        groups = self.run.groups()
        for name, node in [(n.name, n) for n in nodes] + [(g.name, n) for g in groups for n in g.nodes]:
            if name in self._homes and (node.task not in DERIVED or node.maker is None):
                self.members.setdefault(self._homes[name], []).append(node)
        self._counts = {}
        self._last = {}
        self.tell_all()

    def tell_all(self) -> None:
        """Counts every box as changed: somebody looks on anew."""
        self._touched.update(self.run.track(node) for each in self.members.values() for node in each)

    def changes(self) -> dict[str, Standing]:
        """How the boxes stand now that changed since the last call, by name."""
        names = dict[str, None]()
        for _ in range(len(self._touched)):
            track = self._touched.pop()
            name = self._homes.get(_drawn_as(track.node))
            if name is None or name not in self.members:
                self.outgrown |= track.node.maker is not None and track.node.task not in DERIVED
                continue
            names[name] = None
            if len(self.members[name]) > 1:
                self._count(name, track)
        return {name: self._standing(name) for name in names}

    def _count(self, name: str, track: Track) -> None:
        counts = self._counts.get(name)
        if counts is None:
            counts = self._counts[name] = [0] * len(State)
            counts[State.PENDING] = len(self.members[name])
        new = track.state()
        counts[self._last.get(track.node, State.PENDING)] -= 1
        counts[new] += 1
        self._last[track.node] = new

    def _standing(self, name: str) -> Standing:
        nodes = self.members[name]
        if len(nodes) > 1:
            counts = self._counts[name]
            present = {state: counts[state] for state in State if counts[state] > 0}
            return _standing(worst([state.label for state in present]), present, len(nodes), 0)
        track = self.run.track(nodes[0])
        total = len(track.states) if track.verdict is None else 0
        if not nodes[0].mapped:
            return _single(track.state(), total, track.attempts.get(0, 0))
        return _standing(track.state().label, track.counts(), total, sum(list(track.attempts.values())))


def _drawn_as(node: Node) -> str:
    """The name of the box that stands for a node in a picture that is not collapsed."""
    maker = node.maker
    if maker is None:
        return node.name
    while maker.maker is not None:
        maker = maker.maker
    return f"{maker.name}/{node.task.name}"


@lru_cache(maxsize=256)
def _single(state: State, total: int, retries: int) -> Standing:
    """Of a node that is not mapped: there are few ways to stand."""
    return _standing(state.label, {state: 1}, total, retries)


def _standing(state: str, counts: dict[State, int], total: int, retries: int) -> Standing:
    def of(*states: State) -> int:
        return sum(counts.get(each, 0) for each in states)

    begun = total and set(counts) - {State.PENDING}
    return Standing(
        # Between two of its elements a map waits for others to end; it has begun all the same.
        State.RUNNING.label if state == State.PENDING.label and begun else state,
        of(State.SUCCESS, State.CACHED, State.SKIPPED),
        total,
        of(State.FAILED, State.TRIGGER_FAILED),
        of(State.RUNNING),
        retries,
    )
