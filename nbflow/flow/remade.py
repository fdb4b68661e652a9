"""Which results were let go to make room, and are made again since something that runs needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow.model.node import Node
from nbflow.store.rows import GONE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nbflow.flow.workshop import Workshop


def remade(workshop: Workshop, missed: Mapping[Node, Sequence[int]]) -> dict[Node, tuple[set[int], str]]:
    """The elements that run again only since their value is gone, and the name of a node that needs it.

    missed: the elements that run anyway. What such an element needs may be gone as well.
    """
    found: dict[Node, tuple[set[int], str]] = {}
    todo = [(node, i) for node, indices in missed.items() for i in indices]
    while todo:
        node, index = todo.pop()
        for up, needed in _needs(workshop, node, index):
            rows = workshop.ledger.books[up].rows
            elements, _ = found.setdefault(up, (set(), node.name))
            for i in needed:
                row = rows[i] if i < len(rows) else None
                if row is not None and row.codec == GONE and i not in elements:
                    elements.add(i)
                    todo.append((up, i))
    return {node: (elements, by) for node, (elements, by) in found.items() if elements}


def _needs(workshop: Workshop, node: Node, index: int) -> Iterator[tuple[Node, Sequence[int]]]:
    """The elements of other nodes that one element is given."""
    aligned = {a.value for a in node.arguments if a.mapped and isinstance(a.value, Node) and not node.product}
    for up in node.upstreams:
        if up in workshop.ledger.books:
            count = len(workshop.ledger.books[up].rows)
            yield up, [index] if up in aligned and up.mapped else range(count)
