"""Python's cyclic garbage collector, at rest while the engine works: a run makes many objects and no cycles of them.

A collection looks at every object there is; for a run of 10,000 nodes that cost more than the nodes themselves. While
functions of the user run, and while the engine waits for them, the collector is as they left it.
"""

from __future__ import annotations

import gc


class Collector:
    """Rests between `rest` and `wake`; does nothing where the user turned the collector off."""

    def __init__(self) -> None:
        self._resting = False

    def rest(self) -> None:
        """The engine goes to work."""
        if gc.isenabled():
            self._resting = True
            gc.disable()

    def wake(self) -> bool:
        """The user's functions go to work, or nobody does; gives whether it was at rest."""
        if not self._resting:
            return False
        self._resting = False
        gc.enable()
        return True
