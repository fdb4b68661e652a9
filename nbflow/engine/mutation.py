"""Tasks that change their inputs in place: found out, named, and kept from harming anybody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbflow.engine.ledger import LostValue
from nbflow.errors import UnidentifiableError
from nbflow.identity.immutable import is_immutable
from nbflow.identity.value import ANONYMOUS
from nbflow.lean import dataclass
from nbflow.model.node import RESOURCE, Argument, Node
from nbflow.model.state import SUCCESSFUL
from nbflow.model.tree import leaves, pairs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from nbflow.engine.batching import Batcher
    from nbflow.engine.ledger import Ledger
    from nbflow.engine.resolve import Resolver
    from nbflow.executors.base import Batch, Outcome


@dataclass(frozen=True, slots=True)
class Guard:
    """An argument's value and its id before the call. node, index: where it came from, if from upstream."""

    argument: str
    value: Any
    id: bytes
    node: Node | None
    index: int


class Guards:
    """Identifies mutable arguments again after each batch; tell: called with the warning, once a task and argument."""

    def __init__(self, batcher: Batcher, resolver: Resolver, ledger: Ledger, tell: Callable[[str], None]) -> None:
        self._batcher = batcher
        self._resolver = resolver
        self._ledger = ledger
        self._tell = tell
        self._told: set[tuple[Node, str]] = set()
        self._guards: dict[Batch, list[Guard]] = {}
        self._tainted: set[Batch] = set()
        self._copies: dict[tuple[Node, str], tuple[Any, bytes]] = {}

    def watch(self, batch: Batch) -> list[bytes]:
        """Notes the mutable arguments of a batch before it is called; gives keys that its elements no longer have."""
        node, indices = batch.tag
        guards: list[Guard] = []
        own: dict[str, bytes | list[bytes]] = {}
        for argument, column in zip(node.arguments, batch.columns, strict=True):
            if not argument.mapped:
                if not is_immutable(column[0]):
                    guards += self._shared(node, argument, column[0], own)
            elif isinstance(argument.value, Node):
                guards += self._mapped(node, argument, indices, column)
            else:
                guards += self._own_items(argument, column, own)
        if guards:
            self._guards[batch] = guards
        return self._follow_changes(batch, own) if own else []

    def clean(self, batch: Batch) -> bool:
        """Whether nothing that the batch uses was changed in place so far."""
        if batch.away:
            return not batch.changed
        guards = self._guards.get(batch, ())
        return batch not in self._tainted and not any(self._changed(guard) for guard in guards)

    def check(self, batch: Batch, outcomes: Sequence[Outcome], in_flight: Iterable[Batch]) -> frozenset[int]:
        """The positions of a batch whose results cannot be trusted and must be made again, alone, on private copies."""
        if batch.away:
            return self._check_away(batch, outcomes)
        guards = self._guards.get(batch, [])
        changed = [guard for guard in guards if self._changed(guard)]
        if not changed and batch not in self._tainted:
            return frozenset()
        for guard in changed:
            if guard.node is not None:
                self._ledger.forget(guard.node, guard.index)
        node, _ = batch.tag
        self._batcher.forget(node)
        objects = {id(guard.value) for guard in changed}
        overlapping = [other for other in in_flight if other is not batch and self._uses(other, objects)]
        if batch.count > 1:
            self._tainted.add(batch)
        for other in overlapping:
            self._tainted.add(other)
            self._batcher.forget(other.tag[0])
        # Alone and with nobody else at work on the same objects, a call saw what its key says.
        if batch.count == 1 and not overlapping and batch not in self._tainted:
            self._blame(node, changed, outcomes)
            if batch.fresh or not any(outcome.count > 1 or outcome.step for outcome in outcomes):
                return frozenset()
            # What an iteration changed the next one saw: each is to get it as it was.
            self._tainted.add(batch)
        return frozenset(outcome.position for outcome in outcomes)

    def _check_away(self, batch: Batch, outcomes: Sequence[Outcome]) -> frozenset[int]:
        """The same for a batch in another process, which has told what it changed of the values it has there."""
        node, _ = batch.tag
        names = {node.arguments[number].name for number in batch.changed | batch.touched}
        if not names:
            return frozenset()
        self._blame(node, [guard for guard in self._guards.get(batch, []) if guard.argument in names], outcomes)
        looped = any(outcome.count > 1 or outcome.step for outcome in outcomes)
        if not batch.changed or (batch.count == 1 and not looped):
            return frozenset()
        return frozenset(outcome.position for outcome in outcomes)

    def release(self, batch: Batch) -> None:
        """Forgets a batch that has ended."""
        self._guards.pop(batch, None)
        self._tainted.discard(batch)

    def _blame(self, node: Node, changed: Iterable[Guard], outcomes: Sequence[Outcome]) -> None:
        for guard in changed:
            if (node, guard.argument) in self._told:
                continue
            self._told.add((node, guard.argument))
            parts = _as_written(node, guard)
            name, value = next(iter(parts.items()))
            names = " or ".join(map(repr, parts))
            copied = f"{name}.copy()" if hasattr(value, "copy") else f"copy.deepcopy({name})"
            returned = any(outcome.value is part for outcome in outcomes for part in parts.values())
            self._tell(
                f"task {node.name!r} changed its argument {names} ({type(value).__name__}) in place. Nobody else sees "
                f"the change; {'the result has it' if returned else 'to have it, return the changed value'} "
                f"(`{name} = {copied}` first silences this)"
            )

    def _changed(self, guard: Guard) -> bool:
        try:
            return self._resolver.codes.identifier(guard.value, guard.argument) != guard.id
        except UnidentifiableError:
            return True

    def _uses(self, batch: Batch, objects: set[int]) -> bool:
        return any(id(guard.value) in objects for guard in self._guards.get(batch, ()))

    def _mapped(self, node: Node, argument: Argument, indices: Sequence[int], column: Sequence[Any]) -> Iterator[Guard]:
        source = argument.value
        for i, value in zip(indices, column, strict=True):
            if is_immutable(value):
                continue
            if isinstance(source, Node) and source.mapped and not node.product:
                yield from self._upstream(argument, source, i, value)
            else:
                yield from self._item(node, argument, i, value)

    def _own_items(
        self, argument: Argument, column: Sequence[Any], own: dict[str, bytes | list[bytes]]
    ) -> Iterator[Guard]:
        """Guards of copies of the user's own items; their ids go into own."""
        if all(map(is_immutable, column)):
            return
        try:
            ids = self._resolver.codes.identifier.ids(column, argument.name)
        except UnidentifiableError:
            return
        own[argument.name] = ids
        for value, id_ in zip(column, ids, strict=True):
            if not is_immutable(value):
                yield Guard(argument.name, value, id_, None, 0)

    def _follow_changes(self, batch: Batch, own: dict[str, bytes | list[bytes]]) -> list[bytes]:
        """What the user changed since a key was made: the key is that of what the call gets."""
        node, indices = batch.tag
        former = self._resolver.rekey(node, indices, own)
        if not former:
            return former
        # Earlier iterations were kept under the key of what they got.
        batch.keep = batch.keep and not batch.starts
        if (node, "") not in self._told:
            self._told.add((node, ""))
            self._tell(
                f"{node.name}: what it gets was changed while the run went on ({', '.join(map(repr, own))}); "
                f"it ran with the changed value"
            )
        return former

    def _item(self, node: Node, argument: Argument, index: int, value: Any) -> Iterator[Guard]:
        """The guard of one item of a list: what a call gets is a copy of it that nobody else has."""
        try:
            (before,) = self._resolver.ids_of(node, argument, [index])
        except (UnidentifiableError, LostValue):
            return
        if not before.startswith(ANONYMOUS):
            yield Guard(argument.name, value, before, None, 0)

    def _shared(
        self, node: Node, argument: Argument, value: Any, own: dict[str, bytes | list[bytes]]
    ) -> Iterator[Guard]:
        whole = isinstance(argument.value, Node)
        has_nodes = whole or next(leaves(argument.value, Node), None) is not None
        if has_nodes:
            for source, part in pairs(argument.value, value, Node):
                if isinstance(source, Node):
                    yield from self._elements(argument, source, part)
        # Copies of the user's own; a container with nodes in it is shared by the elements of a map.
        if not whole and (node.mapped or not has_nodes):
            try:
                id_ = self._id_when_copied(node, argument, value)
            except UnidentifiableError:
                # A connection or client that was declared not to count: nothing to compare.
                return
            if not has_nodes:
                own[argument.name] = id_
            yield Guard(argument.name, value, id_, None, 0)

    def _id_when_copied(self, node: Node, argument: Argument, value: Any) -> bytes:
        """The id of a copy that batches share: one of them may be changing it at this moment."""
        known = self._copies.get((node, argument.name))
        if known is None or known[0] is not value:
            known = self._copies[node, argument.name] = (value, self._resolver.codes.identifier(value, argument.name))
        return known[1]

    def _upstream(self, argument: Argument, node: Node, index: int, value: Any) -> Iterator[Guard]:
        # A resource is a handle, known by what it was made from; using it is no change of it.
        if node.task is RESOURCE or self._ledger.state(node, index) not in SUCCESSFUL:
            return
        before = self._ledger.out_id(node, index)
        if not before.startswith(ANONYMOUS):
            yield Guard(argument.name, value, before, node, index)

    def _elements(self, argument: Argument, source: Node, value: Any) -> Iterator[Guard]:
        """Guards of a node's value, or of those of its elements."""
        if self._resolver.tracks[source].verdict is not None:
            return
        found = zip(self._ledger.present(source), value, strict=True) if source.mapped else [(0, value)]
        for index, part in found:
            if not is_immutable(part):
                yield from self._upstream(argument, source, index, part)


def _as_written(node: Node, guard: Guard) -> dict[str, Any]:
    """The argument as people see it, by name: of an item that a cell's head unpacks, the parts that can change."""
    names = node.task.unpacks
    if not names or not isinstance(guard.value, tuple) or len(guard.value) != len(names):
        return {guard.argument: guard.value}
    parts = {name: part for name, part in zip(names, guard.value, strict=True) if not is_immutable(part)}
    return parts or {guard.argument: guard.value}
