"""Changes of state: legal ones only, told to hooks and to whoever watches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow.engine import events as m
from nbflow.engine.track import DONE
from nbflow.errors import IllegalTransition
from nbflow.model.state import NEXT, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from nbflow.engine.track import Track


class Changes:
    """Sets states. tell: takes a command for each change of a node that has a hook."""

    def __init__(self, tell: Callable[[m.Command], None]) -> None:
        self._tell = tell
        # The nodes that changed since a watcher emptied this; None while nobody watches.
        self._touched: set[Track] | None = None

    def put(self, track: Track, indices: m.Indices, new: State) -> None:
        """Elements change to a state. Raises IllegalTransition."""
        states = track.states
        allowed = _BEFORE[new]
        if self._touched is not None:
            track.move(indices, new)
        for i in indices:
            if states[i] not in allowed:
                old = State(states[i])
                raise IllegalTransition(
                    f"{track.node.name}[{i}]: {old.label} → {new.label} is no legal change of state; please report it"
                )
            if track.hooked:
                self._tell(m.Changed(track.node, (i,), State(states[i]), new))
            states[i] = new
        self.touch(track)

    def put_whole(self, track: Track, verdict: State) -> None:
        """A mapped node ends as a whole, without elements."""
        track.verdict, track.count, track.left = verdict, 0, 0
        self.touch(track)
        if track.hooked:
            self._tell(m.Changed(track.node, (), State.PENDING, verdict))

    def end(self, track: Track, verdict: State) -> list[int]:
        """All that has not ended by now ends so; no hook is told. Gives which elements; 0 for a map without any yet."""
        left = [i for i, state in enumerate(track.states) if state not in DONE]
        for i in left:
            track.states[i] = verdict
        if track.count is None:
            track.verdict, track.count = verdict, 0
            left = [0]
        track.opened, track.left, track.tally = True, 0, None
        self.touch(track)
        return left

    def touch(self, track: Track) -> None:
        """Whoever watches looks at this node again."""
        if self._touched is not None:
            self._touched.add(track)

    def watch(self, tracks: Iterable[Track]) -> set[Track]:
        """The set that gets each node that changes from now on; at first those given."""
        self._touched = set(tracks)
        return self._touched


_BEFORE = {new: bytes(sorted(old for old in State if new in NEXT[old])) for new in State}
