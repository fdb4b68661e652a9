"""Nodes that the run works out itself: parts, lists, branches, merges. Their ids follow from what is above them."""

from __future__ import annotations

from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from xxhash import xxh3_128_digest

from nbflow.engine.ledger import MISSING
from nbflow.errors import GraphError, UnidentifiableError, in_words
from nbflow.identity.encoding import list_id
from nbflow.model.control import Gate
from nbflow.model.mapping import items_of
from nbflow.model.node import ELEMENT, FLATTEN, GATE, GATHER, ITEM, MERGE, RESOURCE, Node
from nbflow.model.resource import Resource
from nbflow.model.state import SUCCESSFUL
from nbflow.model.tree import fill

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nbflow.engine.ledger import Ledger
    from nbflow.engine.resolve import Found, Resolver

_TAKEN = xxh3_128_digest(b"nbflow branch taken")


def derive(resolver: Resolver, answer: Found, indices: Sequence[int]) -> Sequence[int]:
    """Takes in what follows from above; gives the elements whose id does not, so that they are called like any task's.

    Raises LostValue.
    """
    node = answer.node
    one = _RULES[node.task.name]
    undecided: list[int] = []
    for i in indices:
        try:
            verdict = one(resolver, node, i)
        except (GraphError, UnidentifiableError) as error:
            answer.refused[i] = error
            continue
        if verdict is None:
            answer.skipped.append(i)
        else:
            (answer.hits if verdict else undecided).append(i)
    return undecided


def _item(resolver: Resolver, node: Node, index: int) -> bool:
    ledger = resolver.ledger
    source, item = node.arguments[0].value, node.arguments[1].value
    if not isinstance(source, Node) or type(item) is not int:
        return False
    if source.mapped and not node.mapped:
        present = [i for i in ledger.present(source) if ledger.state(source, i) in SUCCESSFUL]
        if not -len(present) <= item < len(present):
            return False
        out = ledger.out_id(source, present[item])
        members = ledger.members(source, present[item])
        get: Callable[[int], Any] = partial(_element_of, ledger, source, present[item])
    else:
        known = ledger.members(source, index)
        if known is None or not -len(known) <= item < len(known):
            return False
        out, members = known[item], None
        get = partial(_member, ledger, source, item)
    return _write(resolver, node, index, out, members, get)


def _element(resolver: Resolver, node: Node, index: int) -> bool:
    argument = node.arguments[0]
    (out,) = resolver.ids_of(node, argument, [index])
    items = resolver.ledger.books[node].items[argument.name]
    return _write(resolver, node, index, out, None, items.values.__getitem__)


def _gathered(resolver: Resolver, node: Node, index: int) -> bool:
    ids = tuple(
        resolver.ids_of(node, a, [index])[0] if a.mapped else resolver.tree_id(a.value, a.name) for a in node.arguments
    )
    return _write(resolver, node, index, list_id(ids), ids, partial(_gathered_values, resolver.ledger, node))


def _flattened(resolver: Resolver, node: Node, index: int) -> bool:
    ledger = resolver.ledger
    source = node.arguments[0].value
    if source.mapped:
        present = list(ledger.present(source))
        members = [ledger.members(source, i) for i in present]
        if all(each is not None for each in members):
            ids = tuple(chain.from_iterable(each or () for each in members))
            return _write(resolver, node, index, list_id(ids), ids, partial(_flat, ledger, source))
    value = _flat(ledger, source, 0)
    out, found = resolver.identify_output(value)
    return _write(resolver, node, index, out, found, lambda _: value)


def _gate(resolver: Resolver, node: Node, index: int) -> bool | None:
    assert isinstance(node, Gate)
    value = resolver.ledger.value(node.source, index)
    try:
        taken = node.taken(value)
    # What a user's value does when it is compared or asked for its truth may be anything.
    except Exception as error:
        raise GraphError(
            f"the branch `{node.name}` cannot be decided: {in_words(error)}; "
            f"decide in a task that returns True or False, and branch on that"
        ) from error
    return _write(resolver, node, index, _TAKEN, None, lambda _: True) if taken else None


def _merged(resolver: Resolver, node: Node, index: int) -> bool | None:
    ledger = resolver.ledger
    for argument in node.arguments:
        source, each = argument.value, index if argument.mapped else 0
        if argument.value.mapped and not argument.mapped:
            continue
        if ledger.state(source, each) in SUCCESSFUL:
            out, members = ledger.out_id(source, each), ledger.members(source, each)
            return _write(resolver, node, index, out, members, partial(_chosen, ledger, node))
    return None


def _resource(resolver: Resolver, node: Node, index: int) -> bool:
    """A resource is known by what it is made from; it is set up only when somebody takes its value."""
    assert isinstance(node, Resource)
    code = resolver.codes.identify(node.kind.make).id
    parts = [code, *(resolver.tree_id(a.value, a.name) for a in node.arguments)]
    out = xxh3_128_digest(b"resource".join(parts))
    return _write(resolver, node, index, out, None, partial(_set_up, resolver, node))


def _write(
    resolver: Resolver,
    node: Node,
    index: int,
    out: bytes,
    members: tuple[bytes, ...] | None,
    get: Callable[[int], Any],
) -> bool:
    book = resolver.ledger.books[node]
    book.out[index], book.derive, book.values[index] = out, get, MISSING
    if members is not None:
        book.members[index] = members
    return True


def _element_of(ledger: Ledger, source: Node, position: int, _index: int) -> Any:
    return ledger.value(source, position)


def _member(ledger: Ledger, source: Node, item: int, index: int) -> Any:
    return ledger.value(source, index)[item]


def _gathered_values(ledger: Ledger, node: Node, index: int) -> Any:
    return [
        _mapped_value(ledger, node, a.value, a.name, index) if a.mapped else fill(a.value, Node, ledger.whole)
        for a in node.arguments
    ]


def _mapped_value(ledger: Ledger, node: Node, source: Any, name: str, index: int) -> Any:
    if isinstance(source, Node) and source.mapped:
        return ledger.value(source, index)
    return ledger.books[node].items[name].values[index]


def _flat(ledger: Ledger, source: Node, _index: int) -> list[Any]:
    lists = [ledger.value(source, i) for i in ledger.present(source)] if source.mapped else items_of(
        ledger.value(source), source.name
    ).values  # fmt: skip
    return [item for each in lists for item in items_of(each, source.name).values]


def _chosen(ledger: Ledger, node: Node, index: int) -> Any:
    for argument in node.arguments:
        each = index if argument.mapped else 0
        if ledger.state(argument.value, each) in SUCCESSFUL:
            return ledger.value(argument.value, each)
    raise GraphError(f"{node.name}: nothing to merge")


def _set_up(resolver: Resolver, node: Resource, _index: int) -> Any:
    if resolver.set_up is None:
        raise GraphError(f"resource {node.name!r} is set up while a flow runs, not to look at it")
    return resolver.set_up(node)


_RULES: dict[str, Callable[[Resolver, Node, int], bool | None]] = {
    ITEM.name: _item,
    ELEMENT.name: _element,
    GATHER.name: _gathered,
    FLATTEN.name: _flattened,
    GATE.name: _gate,
    MERGE.name: _merged,
    RESOURCE.name: _resource,
}
