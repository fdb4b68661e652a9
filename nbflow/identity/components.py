"""Strongly connected components and their ids: code that calls itself in circles has one meaning, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow.identity.encoding import framed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


def component_ids(local: Mapping[int, bytes], edges: Mapping[int, Sequence[int | bytes]]) -> dict[int, bytes]:
    """The id of each node of a graph, from its own digest and the ids of what it points to, in order.

    local: 16 bytes a node; edges: numbers of nodes, or ids that are known already. Within a circle the ids are
    refined as often as it has members, so that where a walk began makes no difference.
    """
    ids: dict[int, bytes] = {}
    for members in _components(local, edges):
        if len(members) == 1 and members[0] not in edges[members[0]]:
            (node,) = members
            ids[node] = framed("unit", local[node], *(_known(ids, target) for target in edges[node]))
            continue
        inside = {node: local[node] for node in members}
        for _ in members:
            inside = {
                node: framed(
                    "circle",
                    inside[node],
                    *(inside[t] if isinstance(t, int) and t in inside else _known(ids, t) for t in edges[node]),
                )
                for node in members
            }
        ids.update(inside)
    return ids


def _known(ids: Mapping[int, bytes], target: int | bytes) -> bytes:
    return target if isinstance(target, bytes) else ids[target]


def _components(nodes: Mapping[int, bytes], edges: Mapping[int, Sequence[int | bytes]]) -> Iterator[list[int]]:
    """Tarjan's algorithm without recursion: each component after those it points to."""
    order: dict[int, int] = {}
    low: dict[int, int] = {}
    path: list[int] = []
    on_path: set[int] = set()
    for root in nodes:
        if root in order:
            continue
        work = [(root, iter(edges[root]))]
        order[root] = low[root] = len(order)
        path.append(root)
        on_path.add(root)
        while work:
            node, rest = work[-1]
            target = next((t for t in rest if isinstance(t, int)), None)
            if target is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == order[node]:
                    at = path.index(node)
                    members, path[at:] = path[at:], []
                    on_path.difference_update(members)
                    yield members
            elif target not in order:
                order[target] = low[target] = len(order)
                path.append(target)
                on_path.add(target)
                work.append((target, iter(edges[target])))
            elif target in on_path:
                low[node] = min(low[node], order[target])
