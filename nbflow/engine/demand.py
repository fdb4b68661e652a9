"""Which nodes are wanted: what only branches not taken need does not run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow.model.control import Gate
from nbflow.model.node import Node
from nbflow.model.state import SUCCESSFUL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from nbflow.engine.track import Track


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
        chosen = None if targets is None else set(targets)
        if self._members:
            self._look_back(nodes, chosen)
        if any(node.gate is not None and node.gate.mapped for node in nodes):
            self._look_at_elements(nodes, chosen)

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
        users = _users(nodes)
        for node in reversed(nodes):
            track = self._tracks[node]
            mine = users.get(node, ())
            track.wanted = node in targets if targets is not None else not mine
            track.wanted = track.wanted or any(self._needs(user, node) for user in mine)
            track.undecided = len(mine)

    def _look_at_elements(self, nodes: Sequence[Node], targets: set[Node] | None) -> None:
        """Finds the mapped nodes whose elements are needed only in branches that are decided for each element."""
        users = _users(nodes)
        gates: dict[Node, frozenset[Node]] = {}
        for node in reversed(nodes):
            mine = users.get(node, ())
            wanted = node in targets if targets is not None else not mine
            if wanted or not node.mapped or node.gate is not None or isinstance(node, Gate):
                continue
            by_user = [self._element_gates(user, node, gates) for user in mine]
            if all(by_user):
                gates[node] = frozenset[Node]().union(*by_user)
                self._tracks[node].gates = tuple(self._tracks[gate] for gate in gates[node])

    def _element_gates(self, user: Node, node: Node, gates: Mapping[Node, frozenset[Node]]) -> frozenset[Node]:
        """The branches that decide which elements a user needs of a node; none where it needs them all."""
        if node not in user.aligned() or node in user.order or node in self._tracks[user].whole:
            return frozenset()
        if user.gate is not None and user.gate.mapped:
            return frozenset({user.gate}) if user.gate is not node else frozenset()
        return gates.get(user, frozenset())

    def _needs(self, user: Node, node: Node) -> bool:
        """Whether a user wants a node in any case."""
        if not self._tracks[user].wanted:
            return False
        return user.gate is None or user.gate.mapped or user.gate is node


def _users(nodes: Sequence[Node]) -> dict[Node, list[Node]]:
    """By node, those that need it."""
    users: dict[Node, list[Node]] = {}
    for node in nodes:
        for up in node.upstreams:
            users.setdefault(up, []).append(node)
    return users
