"""`on_state`: functions of the user that hear of changes of state, and can change nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nbflow.errors import in_words
from nbflow.model.state import UNSUCCESSFUL, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbflow.engine.events import Changed
    from nbflow.engine.ledger import Ledger


@dataclass(frozen=True, slots=True)
class StateChange:
    """What an `on_state` function is called with.

    name: of the node, or of the flow. element: position in a map, None where it is no map. error: why it failed.
    """

    name: str
    element: int | None
    old: State
    new: State
    error: BaseException | None = None


class Hooks:
    """Calls the hooks of tasks. tell: called with the error of a hook, once a hook and kind of error."""

    def __init__(self, ledger: Ledger, tell: Callable[[str], None]) -> None:
        self._ledger = ledger
        self._tell = tell
        self._told: set[tuple[str, type[BaseException]]] = set()

    def call(self, change: Changed) -> None:
        """Calls a task's hook for elements that changed alike; for a node that ended as a whole, once."""
        node = change.node
        hook = node.task.options.on_state
        if hook is None:
            return
        errors = self._ledger.books[node].errors
        for i in change.indices or (0,):
            error = errors.get(i) if change.new in UNSUCCESSFUL else None
            element = i if node.mapped and change.indices else None
            self.call_one(hook, StateChange(node.name, element, change.old, change.new, error))

    def call_one(self, hook: Callable[[StateChange], Any], change: StateChange) -> None:
        try:
            hook(change)
        # A hook is the user's own function; whatever it raises must not change the run.
        except Exception as error:  # noqa: BLE001 (told)
            if (change.name, type(error)) not in self._told:
                self._told.add((change.name, type(error)))
                self._tell(f"{change.name}: its on_state function raised {in_words(error)}; the run goes on")
