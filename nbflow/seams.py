"""What lower layers call in upper ones. The front door fills these, with what loads its layer when it is called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

# One: gives the Flow of nodes that were made outside of any.
FLOW_FACTORY: list[Callable[[list[Any]], Any]] = []
# Each is entered with a Run before that starts, and left when it has ended, also by an error or an interrupt. With what
# ends a run that goes on in the background; None for another one.
WATCHERS: list[Callable[[Any, Callable[[], None] | None], AbstractContextManager[None]]] = []
# One: shows a form or a run in the background in the output of the cell that runs.
DISPLAYS: list[Callable[[Any], None]] = []
# One: gives the front end of this process (`probe.routing.Front`), None in plain Python.
FRONT: list[Callable[[], Any]] = []
