"""How the nodes of a run stand, while it goes on and after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow.errors import UnknownName, nearest
from nbflow.model.state import UNSUCCESSFUL, State
from nbflow.results.report import Group, groups_of, is_visible, node_counts, shared_with

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nbflow.engine.ledger import Ledger
    from nbflow.engine.track import Track
    from nbflow.flow.front import Flow
    from nbflow.flow.workshop import Workshop
    from nbflow.model.node import Node


class RunStates:
    """The states of a run's nodes and elements; any thread may ask."""

    def __init__(self, flow: Flow, workshop: Workshop) -> None:
        self.flow = flow
        self.graph = flow.graph
        self._workshop = workshop
        # What ended the run before its time, where that was neither a task nor the user.
        self.broken: Exception | None = None
        self._nodes = {node.name: node for node in workshop.nodes}

    @property
    def ledger(self) -> Ledger:
        """What this run knows of each node's elements."""
        return self._workshop.ledger

    @property
    def tracks(self) -> Mapping[Node, Track]:
        """How each node stands; nodes that tasks make come in while the run goes on."""
        return self._workshop.machine.tracks

    def track(self, node: Node) -> Track:
        """How a node that took part stands."""
        return self.tracks[node]

    def nodes(self) -> list[Node]:
        """All that took part, in running order; with those that running tasks made."""
        return list(self.tracks)

    def takes_part(self, node: Node) -> bool:
        """Whether a node was among those that this run looked at."""
        return node in self.tracks

    def state(self, node: Node | str) -> State:
        """The state of a node as a whole."""
        return self.track(self.find(node)).state()

    @property
    def ok(self) -> bool:
        """Whether no node failed; with `flow.reference`, whether none of those did."""
        nodes = self._workshop.nodes if self.flow.reference is None else self.flow.reference
        return not any(self.tracks[node].state() in UNSUCCESSFUL for node in nodes if node in self.tracks)

    @property
    def overall(self) -> State:
        """How the run ended as a whole: success, failed, paused or cancelled."""
        states = {track.state() for track in self.tracks.values()}
        if not self.ok:
            return State.CANCELLED if State.CANCELLED in states else State.FAILED
        return State.PAUSED if State.PAUSED in states else State.SUCCESS

    @property
    def paused(self) -> list[str]:
        """The names of the nodes that wait for `flow.run(approve=[...])`."""
        waiting = [node for node, track in self.tracks.items() if track.state() is State.PAUSED]
        return [node.name for node in waiting if not any(up in waiting for up in node.upstreams)]

    def counts(self) -> tuple[int, int, int]:
        """How many elements ran (failed ones among them), were reused, failed."""
        rows = [node_counts(track) for node, track in self.tracks.items() if is_visible(node)]
        ran, reused, failed = zip(*rows, strict=True) if rows else ((), (), ())
        return sum(ran), sum(reused), sum(failed)

    def shared(self, node: Node) -> dict[int, int]:
        """The elements of a node that took the result of an equal one which ran, with the position of that."""
        return shared_with(self.track(node), self.ledger.books[node])

    def groups(self) -> list[Group]:
        """The nodes that running tasks made, by the task that made them."""
        # A watcher's thread asks while the run adds nodes.
        return groups_of(self.nodes())

    def watch(self) -> set[Track]:
        """The set that gets each node that changes from now on, for the watcher to empty."""
        return self._workshop.machine.watch()

    def loops(self, node: Node) -> int | None:
        """How many iterations a node's loop took; of a mapped node the longest."""
        counts = self.ledger.books[node].loops.values()
        return max(counts, default=None)

    def error(self, node: Node | str, index: int | None = None) -> BaseException | None:
        """The exception of a node, or of one of its elements; the first one there is by default."""
        found = self.find(node)
        errors = self.ledger.books[found].errors
        if index is not None:
            return errors.get(index)
        return next(iter(errors.values()), None)

    def named(self, name: str) -> Node | None:
        """The node of that name, as the run began; None where there was none."""
        return self._nodes.get(name)

    def find(self, node: Node | str) -> Node:
        """The node of this run that is meant. Raises UnknownName."""
        if not isinstance(node, str) and self.takes_part(node):
            return node
        name = node if isinstance(node, str) else node.name
        name = self.graph.aliases.get(name, name)
        if name in self._nodes:
            return self._nodes[name]
        part = self.graph.outputs.get(name)
        if part is not None and self.takes_part(part):
            return part
        for made in self.tracks:
            if made.name == name:
                return made
        if name in self.graph.nodes:
            raise UnknownName(f"{name!r} did not take part in this run; run it: flow.run(targets=[{name!r}])")
        raise UnknownName(f"the run has no node {name!r}" + nearest(name, self._nodes))
