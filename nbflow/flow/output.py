"""Shows what the tasks of one run put out: by task and element, the first few of many, the others counted."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from nbflow.flow.logs import header_of, logs_of
from nbflow.flow.screen import Screen
from nbflow.lean import dataclass
from nbflow.model.state import State
from nbflow.probe.pieces import size_of
from nbflow.probe.routing import front

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbflow.flow.workshop import Workshop
    from nbflow.model.node import Node
    from nbflow.probe.pieces import Log, Piece

# Elements of a node whose output is shown under a cell; a script shows them all.
MOST_GROUPS = 10
# Kept output that is larger is not shown again under the cell of a task that is reused.
MOST_REPLAYED = 2_000_000


@dataclass(frozen=True, slots=True)
class OutputStyle:
    """How a run shows what its tasks put out.

    own: the name of the node whose cell runs: its output looks the same when it is reused. see: how to see all that a
    node put out. begin: called once, before anything is shown. failures: whether a run that failed says so, since its
    Run may never be looked at.
    """

    own: str = ""
    see: str = 'run.log("{name}")'
    begin: Callable[[], None] | None = None
    failures: bool = True


class Presenter:
    """Shows the output of one run, as `engine.output.Output` tells."""

    def __init__(self, workshop: Workshop, style: OutputStyle) -> None:
        self._workshop = workshop
        self._style = style
        self._front = front()
        self._screen = Screen(self._front, style.begin)
        self._shown: Counter[Node] = Counter()
        self._more: Counter[Node] = Counter()
        self._called: set[Node] = set()
        self._live: _Live | None = None
        named = (node for node in workshop.nodes if style.own and node.name == style.own)
        self._own = next(named, None)
        self._ordered = _Ordered(workshop, self._own) if self._own is not None and self._own.mapped else None

    def live(self, node: Node, index: int) -> _Live | None:
        if self._ordered is not None and node is self._own:
            self._in_order()
            if not self._ordered.is_next(index):
                return None
        if self._front is not None and self._shown[node] >= MOST_GROUPS:
            return None
        self._live = _Live(self._screen, self._header(node, index) if self._front is not None else "")
        return self._live

    def ended(self, node: Node, index: int, log: Log, *, live: bool) -> None:
        self._called.add(node)
        if live and self._live is not None:
            self._screen.end_line()
            self._shown[node] += self._live.count()
            if self._ordered is not None and node is self._own:
                self._ordered.skip(index)
        elif self._ordered is None or node is not self._own:
            self._group(node, index, log)
        else:
            self._in_order()

    def close(self) -> None:
        """Shows what is left at the end, and how much is not shown."""
        if self._ordered is not None:
            self._in_order(final=True)
        elif self._own is not None and self._own not in self._called:
            self._replay(self._own)
        for node, count in self._more.items():
            see = self._style.see.format(name=node.name)
            elements = "1 more element" if count == 1 else f"{count:,} more elements"
            self._screen.line(f"{node.name}: {elements} put something out; {see} has all of it")

    def _replay(self, node: Node) -> None:
        """What the one element of a node put out when its kept result was made."""
        track = self._workshop.machine.tracks.get(node)
        if track is None or track.state() is not State.CACHED:
            return
        for index, log in logs_of(self._workshop, node, [0]).items():
            self._group(node, index, log)

    def _in_order(self, *, final: bool = False) -> None:
        assert self._ordered is not None
        assert self._own is not None
        for index, log in self._ordered.ready(final=final):
            self._group(self._own, index, log)

    def _group(self, node: Node, index: int, log: Log) -> None:
        if self._front is not None and self._shown[node] >= MOST_GROUPS:
            self._more[node] += 1
            return
        self._shown[node] += 1
        size = sum(len(piece.text) + size_of(piece) for piece in log)
        if node is self._own and node not in self._called and size > MOST_REPLAYED:
            see = self._style.see.format(name=node.name)
            self._screen.line(f"{header_of(node, index, self._workshop.ledger)} put out {size / 1e6:.0f} MB; {see}")
            return
        self._screen.group(self._header(node, index), log)

    def _header(self, node: Node, index: int) -> str:
        """None above what the one task of a cell puts out, as in any cell."""
        if node is self._own and not node.mapped:
            return ""
        return header_of(node, index, self._workshop.ledger)


class _Ordered:
    """The output of a cell's own elements in their order, so that it is the same each time, reused or not."""

    def __init__(self, workshop: Workshop, node: Node) -> None:
        self._workshop = workshop
        self._node = node
        self._next = 0
        self._kept: dict[int, Log] = {}
        self._looked: set[int] = set()
        self._skipped: set[int] = set()

    def is_next(self, index: int) -> bool:
        """Whether all elements before one have been shown."""
        return index == self._next

    def skip(self, index: int) -> None:
        """An element has shown itself."""
        self._skipped.add(index)

    def ready(self, *, final: bool) -> list[tuple[int, Log]]:
        """What can be shown now: elements that ended, up to the first that did not. final: all that are left."""
        track = self._workshop.machine.tracks.get(self._node)
        if track is None or track.verdict is not None:
            return []
        states = track.states
        if final or not self._looked:
            reused = [i for i in range(self._next, len(states)) if states[i] == State.CACHED]
            self._looked.update(reused)
            self._kept |= logs_of(self._workshop, self._node, reused)
        logs = self._workshop.ledger.books[self._node].logs
        ready: list[tuple[int, Log]] = []
        while self._next < len(states):
            i = self._next
            waits = not State(states[i]).finished or (states[i] == State.CACHED and i not in self._looked)
            if waits and not final:
                break
            log = logs.get(i) or self._kept.get(i)
            if log and i not in self._skipped:
                ready.append((i, log))
            self._next += 1
        return ready


class _Live:
    """Shows what one element puts out at once."""

    def __init__(self, screen: Screen, header: str) -> None:
        self._screen = screen
        self._header = header
        self._begun = self._counted = False

    def count(self) -> int:
        """1 when it has begun, and was not counted yet."""
        counts, self._counted = self._begun and not self._counted, self._begun
        return int(counts)

    def cleared(self) -> None:
        self._begun = False
        self._screen.clear()

    def show(self, piece: Piece) -> None:
        if not self._begun:
            self._begun = True
            self._screen.begin()
            self._screen.header(self._header)
        if piece.data is not None:
            self._screen.end_line()
        self._screen.text(piece)
