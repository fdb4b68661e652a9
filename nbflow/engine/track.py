"""Track: what the machine knows of one node of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow.lean import dataclass, field
from nbflow.model.node import Node, Parameter
from nbflow.model.state import FINISHED, State
from nbflow.model.tree import leaves

if TYPE_CHECKING:
    from collections.abc import Iterable

DONE = bytes(sorted(FINISHED))


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
    wanted: bool = True
    """Whether anything that runs needs it; what only a branch not taken needs is not wanted."""
    undecided: int = 0
    """How many of those that use it may still want it, while nobody does."""
    beside: tuple[list[State], list[State]] = ((), ())  # type: ignore[assignment]  # lists once it is opened
    """States of what every element takes whole: for its values, and for order only."""
    expansions: dict[int, int] = field(default_factory=dict)
    """For elements whose result consists of nodes: how many of those have not ended."""
    awaited: list[tuple[Track, int]] = field(default_factory=list)
    """Elements whose result takes this node's value."""
    hooked: bool = False
    gates: tuple[Track, ...] = ()
    """Branches, decided for each element, that alone need this node's elements."""
    waited_for: list[Track] = field(default_factory=list)
    """Of a branch: the nodes whose elements wait for what it decides."""
    tally: list[int] | None = None
    """How many elements are in each state, kept while somebody watches: nobody has to look at all of them."""

    def move(self, indices: Iterable[int], new: State) -> None:
        """Keeps count of elements that are about to change to a new state; the first time all are counted."""
        states = self.states
        if self.tally is None:
            self.tally = [states.count(state) for state in State]
        for i in indices:
            self.tally[states[i]] -= 1
            self.tally[new] += 1

    @property
    def finished(self) -> bool:
        return self.verdict is not None or (self.count is not None and self.left == 0 and self.opened)

    def counts(self) -> dict[State, int]:
        """How many elements are in each state; states that do not occur are left out."""
        if self.verdict is not None:
            return {self.verdict: 1}
        if self.tally is not None:
            return {state: n for state, n in zip(_BY_NUMBER, self.tally, strict=True) if n}
        return {state: n for state in State if (n := self.states.count(state))}

    def state(self) -> State:
        """The state of the node as a whole: the worst of its elements, CACHED when all are."""
        if self.verdict is not None:
            return self.verdict
        if not self.node.mapped:
            return _BY_NUMBER[self.states[0]]
        present = self.counts()
        return next((state for state in PRECEDENCE if state in present), self._empty())

    def _empty(self) -> State:
        return State.SUCCESS if self.finished else State.PENDING

    def column(self, count: int) -> bytes | bytearray:
        """The state of each element, as those see it that take its elements one by one."""
        return self.states if self.verdict is None else bytes([self.verdict]) * count


def new_track(node: Node, depth: int) -> Track:
    """What is known of a node at first. depth: how many nodes come before it."""
    aligned = node.aligned()
    ups = node.upstreams
    whole = tuple(up for up in ups if up not in aligned or _also_whole(node, up)) if aligned else ups
    track = Track(node, depth, None if node.mapped else 1, aligned, whole)
    if not node.mapped:
        track.states = bytearray(1)
        track.left = 1
    if isinstance(node, Parameter):
        track.states[0] = State.SUCCESS
        track.left, track.opened, track.released = 0, True, True
    track.hooked = node.task.options.on_state is not None
    return track


def _also_whole(node: Node, upstream: Node) -> bool:
    """Whether a node that is taken element by element is needed as a whole, too."""
    if upstream in node.order:
        return True
    others: Iterable[object] = (a.value for a in node.arguments if not (a.mapped and a.value is upstream))
    return any(upstream in leaves(value, Node) for value in others)


_BY_NUMBER = tuple(State)
PRECEDENCE = (
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
