"""Which nodes are wanted: what only branches not taken need does not run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow.model.state import SUCCESSFUL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from nbflow.engine.track import Track
    from nbflow.model.node import Node


class Demand:
    """Follows who wants what. A node is wanted for itself, or by one that is wanted and whose branch is taken.

    nodes: each after its upstreams. wanted, unwanted: called with a track when that is decided during the run.
    A branch that is decided element by element counts as taken here.
    """

    def __init__(
        self,
        tracks: Mapping[Node, Track],
        nodes: Sequence[Node],
        targets: Iterable[Node] | None,
        wanted: Callable[[Track], None],
        unwanted: Callable[[Track], None],
    ) -> None:
        self._tracks = tracks
        self._tell_wanted = wanted
        self._tell_unwanted = unwanted
        # What stands in a branch, by its gate; only branches that are decided as a whole.
        self._members: dict[Node, list[Track]] = {}
        for node in nodes:
            if node.gate is not None and not node.gate.mapped:
                self._members.setdefault(node.gate, []).append(tracks[node])
        if self._members:
            self._look_back(nodes, None if targets is None else set(targets))

    def want(self, track: Track) -> None:
        """Somebody needs this node."""
        todo = [track]
        while todo:
            each = todo.pop()
            if each.wanted:
                continue
            each.wanted = True
            self._tell_wanted(each)
            gate = each.node.gate
            if gate is None or gate.mapped:
                todo.extend(self._tracks[up] for up in each.node.upstreams)
                continue
            todo.append(self._tracks[gate])
            if self._tracks[gate].state() in SUCCESSFUL:
                todo.extend(self._tracks[up] for up in each.node.upstreams)

    def decided(self, gate: Track) -> None:
        """A node has ended: where it is a gate, its branch is taken, or not."""
        for member in self._members.get(gate.node, ()):
            if not member.wanted:
                # Nobody wants it so far; should somebody, `want` looks at the gate again.
                continue
            if gate.state() in SUCCESSFUL:
                for up in member.node.upstreams:
                    self.want(self._tracks[up])
            else:
                self._tell_unwanted(member)
                self._decline(member)

    def _decline(self, track: Track) -> None:
        """A node will not run: what it alone needed does not, either."""
        todo = [track]
        while todo:
            for up in todo.pop().node.upstreams:
                above = self._tracks[up]
                if above.wanted:
                    continue
                above.undecided -= 1
                if above.undecided == 0:
                    self._tell_unwanted(above)
                    todo.append(above)

    def _look_back(self, nodes: Sequence[Node], targets: set[Node] | None) -> None:
        """Finds out what is wanted in any case, from the last nodes to the first."""
        users: dict[Node, list[Node]] = {}
        for node in nodes:
            for up in node.upstreams:
                users.setdefault(up, []).append(node)
        for node in reversed(nodes):
            track = self._tracks[node]
            mine = users.get(node, ())
            track.wanted = node in targets if targets is not None else not mine
            track.wanted = track.wanted or any(self._needs(user, node) for user in mine)
            track.undecided = len(mine)

    def _needs(self, user: Node, node: Node) -> bool:
        """Whether a user wants a node in any case."""
        if not self._tracks[user].wanted:
            return False
        return user.gate is None or user.gate.mapped or user.gate is node
