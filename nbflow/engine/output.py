"""Where the shell of a run hands on what tasks put out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from nbflow.model.node import Node
    from nbflow.probe.capture import Live
    from nbflow.probe.pieces import Log


class Output(Protocol):
    """Shows what tasks put out. Called by one thread at a time."""

    def live(self, node: Node, index: int) -> Live | None:
        """What shows at once what an element puts out that runs alone, on this thread; None: when it has ended."""

    def ended(self, node: Node, index: int, log: Log, *, live: bool) -> None:
        """A call has ended that put something out. live: whether it was shown at once."""


class _Unshown:
    """Shows nothing."""

    def live(self, node: Node, index: int) -> Live | None:
        return None

    def ended(self, node: Node, index: int, log: Log, *, live: bool) -> None:
        """Nothing."""


UNSHOWN = _Unshown()
