"""Sets resources up when they are first used, and cleans them up when their last user has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbflow.errors import NbflowError, in_words
from nbflow.model.node import Node
from nbflow.model.tree import fill

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from nbflow.engine.collector import Collector
    from nbflow.engine.ledger import Ledger
    from nbflow.engine.machine import Machine
    from nbflow.executors.home import Home
    from nbflow.model.resource import Resource


class ResourceFailed(NbflowError):
    """A resource could not be set up."""


class Resources:
    """The resources of one run that are open."""

    def __init__(self, machine: Machine, ledger: Ledger, collector: Collector, home: Home) -> None:
        self._home = home
        self._collector = collector
        self._machine = machine
        self._ledger = ledger
        self._open: dict[Resource, AbstractContextManager[Any]] = {}

    def set_up(self, node: Resource) -> Any:
        """The value of a resource. Raises ResourceFailed with what its set-up raised."""
        arguments = [(a, fill(a.value, Node, self._ledger.whole)) for a in node.arguments]
        args = [value for a, value in arguments if a.keyword is None]
        kwargs = {a.keyword: value for a, value in arguments if a.keyword is not None}
        rested = self._collector.wake()
        try:
            manager, value = self._at_home(lambda: _entered(node.kind.open(*args, **kwargs)))
        # A set-up is the user's own code, and may raise anything.
        except Exception as error:
            what = in_words(error)
            raise ResourceFailed(f"resource {node.name!r} could not be set up: {what}") from error
        finally:
            if rested:
                self._collector.rest()
        self._open[node] = manager
        return value

    def clean_up(self, tell: Callable[[str], None]) -> None:
        """Closes the resources that nobody needs any more."""
        for node in reversed(list(self._open)):
            if any(_uses(other, node) for other in self._open):
                continue
            if all(track.finished for user, track in self._machine.tracks.items() if _uses(user, node)):
                self._close(node, tell)

    def close(self, tell: Callable[[str], None]) -> None:
        """Closes all that are open, the last first."""
        for node in reversed(list(self._open)):
            self._close(node, tell)

    def _close(self, node: Resource, tell: Callable[[str], None]) -> None:
        manager = self._open.pop(node)
        try:
            self._at_home(lambda: manager.__exit__(None, None, None))
        # The run's results stand, whatever a clean-up raises; it is told.
        except Exception as error:  # noqa: BLE001 (told)
            tell(f"resource {node.name!r}: its clean-up raised {in_words(error)}")

    def _at_home(self, call: Callable[[], Any]) -> Any:
        """Where the tasks are called that it is bound to a thread with."""
        return self._home.call(call) if self._home.away and self._home.attended else call()


def _entered(manager: AbstractContextManager[Any]) -> tuple[AbstractContextManager[Any], Any]:
    return manager, manager.__enter__()


def _uses(user: Node, resource: Resource) -> bool:
    return resource in user.resources or resource in user.data
