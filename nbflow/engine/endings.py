"""Runs that end early: what still runs is kept when it ends, and a later run waits for it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from nbflow.engine.late import LATE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nbflow.engine.keeping import Keeper
    from nbflow.engine.ledger import Ledger
    from nbflow.engine.pace import Pace
    from nbflow.executors.base import Batch
    from nbflow.executors.inbox import Inbox
    from nbflow.model.node import Node


class RunCancelled(BaseException):
    """Ends a run, from whichever thread."""


class Endings:
    """Of one run: what it leaves behind, and what earlier ones left behind that it needs.

    look_again: called with an element when what it waited for has ended. tell: called with what users should know.
    """

    def __init__(
        self,
        ledger: Ledger,
        keeper: Keeper,
        inbox: Inbox,
        look_again: Callable[[Node, int], None],
        tell: Callable[[str], None],
    ) -> None:
        # How many elements wait for what an earlier run left behind.
        self.waited_for = 0
        self._ledger = ledger
        self._keeper = keeper
        self._inbox = inbox
        self._look_again = look_again
        self._tell = tell
        self._told: set[Node] = set()

    def leave(self, batch: Batch, pace: Pace | None, *, goes_on: bool) -> None:
        """Lets a batch go on by itself, after its run was ended; goes_on: whether it can, once it has begun."""
        node, indices = batch.tag

        def late(batch: Batch) -> None:
            try:
                self._keeper.keep_late(batch)
            finally:
                LATE.end(batch)
                if pace is not None:
                    pace.end()

        if not batch.begin() and goes_on:
            keys = self._ledger.books[node].keys
            LATE.add(batch, [key for i in indices if (key := keys[i]) is not None])
            if batch.leave(late):
                return
            LATE.end(batch)
        if pace is not None:
            pace.end()

    def without_late(self, node: Node, indices: Sequence[int]) -> Sequence[int]:
        """The elements that are to be called; those that an earlier run is still at are waited for."""
        if not LATE.batches:
            return indices
        keys = self._ledger.books[node].keys
        free: list[int] = []
        for i in indices:
            key = keys[i]
            if key is None or not LATE.wait(key, partial(self._inbox.put, partial(self._again, node, i))):
                free.append(i)
        waiting = len(indices) - len(free)
        self.waited_for += waiting
        if waiting and node not in self._told:
            self._told.add(node)
            self._tell(
                f"{node.name}: {waiting} of its elements still run since the run that was ended early; they are waited "
                f"for, and not started twice"
            )
        return free

    def _again(self, node: Node, index: int) -> None:
        self.waited_for -= 1
        self._look_again(node, index)
