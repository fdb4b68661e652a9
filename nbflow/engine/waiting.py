"""Elements that wait to be called: the deepest node first, so that a map of maps ends element by element."""

from __future__ import annotations

import heapq
from collections import deque
from typing import TYPE_CHECKING

from nbflow.lean import dataclass, field

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nbflow.model.node import Node


@dataclass(slots=True)
class Line:
    """Elements of one node that are to be called: positions, and those that must run alone on private copies."""

    indices: deque[int] = field(default_factory=deque)
    private: deque[int] = field(default_factory=deque)

    def __len__(self) -> int:
        return len(self.indices) + len(self.private)


class Waiting:
    """All elements that wait. len() counts them."""

    def __init__(self) -> None:
        self._lines: dict[Node, Line] = {}
        # Nodes with a line, by depth; one whose line has ended is passed over when it comes up.
        self._heap: list[tuple[int, int, Node]] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __bool__(self) -> bool:
        return self._count > 0

    def add(self, node: Node, depth: int, indices: Iterable[int], *, private: bool = False) -> None:
        """Puts elements of a node in line. depth: its place in the run."""
        line = self._lines.get(node) or Line()
        before = len(line)
        (line.private if private else line.indices).extend(indices)
        added = len(line) - before
        if added and node not in self._lines:
            self._lines[node] = line
            heapq.heappush(self._heap, (-depth, id(node), node))
        self._count += added

    def deepest(self) -> Node:
        """The node whose elements come next."""
        while self._heap[0][2] not in self._lines:
            heapq.heappop(self._heap)
        return self._heap[0][2]

    def depth(self) -> int:
        """The place in the run of the node whose elements come next."""
        self.deepest()
        return -self._heap[0][0]

    def line(self, node: Node) -> Line:
        return self._lines[node]

    def take(self, node: Node, most: int) -> list[int]:
        """Takes elements out of a node's line: those that must run alone first."""
        line = self._lines[node]
        source = line.private or line.indices
        taken = [source.popleft() for _ in range(min(most, len(source)))]
        self._count -= len(taken)
        if not len(line):
            del self._lines[node]
        return taken
