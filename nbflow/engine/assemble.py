"""Results that consist of nodes, put together when those have ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow.engine.events import Event, Failed, Paused, Reused, Skipped, Succeeded
from nbflow.engine.ledger import Expression, Resume
from nbflow.errors import NotSuccessful, in_words
from nbflow.identity.encoding import list_id, tuple_id
from nbflow.model.node import Node
from nbflow.model.state import UNSUCCESSFUL, State
from nbflow.model.tree import fill

if TYPE_CHECKING:
    from nbflow.engine.resolve import Resolver


def assemble(resolver: Resolver, node: Node, index: int) -> Event | None:
    """What becomes of an element now that the nodes of its result have ended; None: its loop goes on."""
    book = resolver.ledger.books[node]
    expression = book.expressions[index]
    ended = _children_ended(resolver, node, index, expression)
    if ended is not None:
        return ended
    value = expression.value
    if type(value) in {list, tuple}:
        ids = tuple(resolver.tree_id(item, "result") for item in value)
        out = list_id(ids) if type(value) is list else tuple_id(ids)
        book.members[index] = ids
    else:
        out = resolver.tree_id(value, "result")
        known = resolver.ledger.members(value) if isinstance(value, Node) and not value.mapped else None
        if known is not None:
            book.members[index] = known
    if expression.step:
        book.members.pop(index, None)
        count = book.resume[index].count if index in book.resume else 1
        book.resume[index] = Resume(count + 1, out, None, fill(value, Node, resolver.ledger.whole))
        del book.expressions[index]
        return None
    book.out[index] = out
    if all(resolver.ledger.in_memory(leaf) for leaf in expression.leaves):
        book.values[index] = fill(value, Node, resolver.ledger.whole)
    return Reused(node, [index]) if expression.reused else Succeeded(node, [index])


def _children_ended(resolver: Resolver, node: Node, index: int, expression: Expression) -> Event | None:
    """The event for nodes that did not all succeed; None when they did."""
    states = {leaf: resolver.tracks[leaf].state() for leaf in expression.leaves}
    for leaf, state in states.items():
        if state in UNSUCCESSFUL:
            error = next(iter(resolver.ledger.books[leaf].errors.values()), None)
            told = f": {in_words(error)}" if error is not None else ""
            how = state.label.replace("_", " ")
            failure = NotSuccessful(f"{leaf.name}, which {node.name} returned, {how}{told}", error)
            resolver.ledger.books[node].errors[index] = failure
            return Failed(node, index, retriable=False)
    if State.PAUSED in states.values():
        return Paused(node, index)
    if isinstance(expression.value, Node) and states[expression.value] is State.SKIPPED:
        return Skipped(node, [index])
    return None
