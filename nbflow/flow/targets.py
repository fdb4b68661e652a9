"""Which nodes of a flow are meant: given as nodes or by name, whole or by some of their elements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from nbflow.model.node import Node

if TYPE_CHECKING:
    from nbflow.engine.resolve import Forced
    from nbflow.model.graph import Graph

Targets = Node | str | Iterable[Node | str] | None
Force = Targets | Mapping[Node | str, Iterable[int]]


def node_meant(graph: Graph, target: Node | str) -> Node:
    """A node, or the node of a name. Raises UnknownName."""
    return target if isinstance(target, Node) else graph[target]


def nodes_meant(graph: Graph, targets: Targets) -> list[Node] | None:
    """One node or several; None where nothing is said. Raises UnknownName."""
    if targets is None:
        return None
    if isinstance(targets, (str, Node)):
        targets = [targets]
    return [node_meant(graph, target) for target in targets]


def elements_meant(graph: Graph, force: Force) -> Forced:
    """Nodes with the elements meant, None for all of them. Raises UnknownName."""
    if isinstance(force, Mapping):
        return {node_meant(graph, name): frozenset(elements) for name, elements in force.items()}
    return dict.fromkeys(nodes_meant(graph, force) or ())


def name_meant(graph: Graph, name: Node | str) -> str:
    """The name of a node; also of one that is in the flow no more."""
    if isinstance(name, Node):
        return name.name
    return graph[name].name if name in graph.nodes else name
