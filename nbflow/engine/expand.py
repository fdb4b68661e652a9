"""Results that consist of nodes: kept as expressions, and made into nodes of the run again."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from xxhash import xxh3_128_digest

from nbflow.codecs import Sealed, seal
from nbflow.engine import events as m
from nbflow.engine.ledger import Expression
from nbflow.errors import GraphError, NotStorable, place_of
from nbflow.model.node import Node, Parameter, ancestors
from nbflow.model.tree import leaves

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbflow.engine.ledger import Ledger
    from nbflow.engine.machine import Machine
    from nbflow.model.task import Task


class Expander:
    """Makes the nodes of a result part of a run. code_id: of a task's function."""

    def __init__(self, machine: Machine, ledger: Ledger, code_id: Callable[[Task], bytes]) -> None:
        self._machine = machine
        self._ledger = ledger
        self._code_id = code_id
        self._names: dict[str, int] = {}

    def expand(self, node: Node, index: int, value: Any, *, reused: bool, step: bool) -> m.Expanded:
        """The event that adds a result's nodes to the run. Raises GraphError for nodes that wait for each other."""
        tracks = self._machine.tracks
        found = tuple(dict.fromkeys(leaves(value, Node)))
        needed = ancestors(found)
        for each in needed:
            if each in tracks and self._machine.waits_for(each, node):
                raise GraphError(
                    f"{node.name} ({place_of(node.task.fn)}) returned nodes that need {each.name!r}, which itself "
                    f"waits for {node.name}: neither could ever run. Give the child the value it needs as an argument"
                )
        children = [each for each in needed if each not in tracks]
        for child in children:
            if isinstance(child, Parameter):
                raise GraphError(
                    f"{node.name} ({place_of(node.task.fn)}) made Parameter({child.name!r}) while it ran; parameters "
                    f"are given to flow.run before that. Give the child the value itself"
                )
        place = f"{node.name}[{index}]" if node.mapped else node.name
        for child in children:
            child.maker = node
            child.name = self._unique(f"{place}/{child.name}")
            child.owner = node.owner
            self._ledger.add(child)
        self._ledger.books[node].expressions[index] = Expression(value, found, reused=reused, step=step)
        return m.Expanded(node, index, children, found)

    def freeze(self, node: Node, value: Any) -> tuple[bytes, Sealed]:
        """A result's nodes as bytes, with an id. Raises NotStorable.

        Tasks are kept by the name that the node's function knows them by, so that an edit of a child's code is
        seen; tasks made inside the function travel by value. Nodes of the flow around go by such a name, too,
        or, where the function has none for them, by theirs in the flow.
        """
        found = ancestors(dict.fromkeys(leaves(value, Node)))
        made = [each for each in found if each not in self._machine.tracks or each.maker is not None]
        from nbflow.engine.frozen import Names, Pickler, is_special  # cloudpickle is slow to import, and seldom needed

        stream = io.BytesIO()
        names = Names(node.task.fn)
        by_value = [t for t in dict.fromkeys(each.task for each in made) if not is_special(t) and names.of(t) is None]
        kept = [task.frozen_code for task in by_value]
        pickler = Pickler(stream, made, names)
        try:
            for task in by_value:
                # Its source may be gone when it is read again, and with it the id that its source gives.
                task.frozen_code = self._code_id(task)
            states = [{**each.__dict__, "owner": None, "maker": None, "switches": []} for each in made]
            pickler.dump((states, value))
        # What a value's own __reduce__ raises is any exception.
        except Exception as error:
            raise NotStorable(f"the nodes it returned cannot be pickled ({error})") from error
        finally:
            # Here it goes on counting by what it is now: what it reaches may change.
            for task, code in zip(by_value, kept, strict=True):
                task.frozen_code = code
        body = stream.getvalue()
        return xxh3_128_digest(body), seal(body)

    def thaw(self, node: Node, frozen: bytes) -> Any:
        """The result that was frozen, with its tasks as they are now. Raises Gone."""
        from nbflow.engine.frozen import Names, Unpickler

        by_name = {each.name: each for each in self._machine.tracks}
        unpickler = Unpickler(io.BytesIO(frozen), Names(node.task.fn), by_name)
        states, value = unpickler.load()
        for state, each in zip(states, unpickler.made(len(states)), strict=True):
            each.__dict__.update(state)
        return value

    def _unique(self, name: str) -> str:
        count = self._names.get(name, 0) + 1
        self._names[name] = count
        return name if count == 1 else f"{name}-{count}"
