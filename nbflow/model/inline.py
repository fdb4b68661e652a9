"""A flow used inside another: its nodes made anew there, with its parameters bound."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from nbflow.errors import GraphError, ParameterError, UnknownName, nearest
from nbflow.model.control import Gate
from nbflow.model.mapping import items_of
from nbflow.model.node import BUILDING, Argument, Node, ancestors
from nbflow.model.resource import Resource
from nbflow.model.tree import fill

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nbflow.model.graph import Graph


class Inlined:
    """A flow's nodes inside another: `part["report"]` is the node of that name."""

    def __init__(self, name: str, nodes: Mapping[str, Node]) -> None:
        self.name = name
        self._nodes = dict(nodes)

    def __getitem__(self, name: str) -> Node:
        if name not in self._nodes:
            raise UnknownName(f"flow {self.name!r} has no node {name!r}" + nearest(name, self._nodes))
        return self._nodes[name]

    def __repr__(self) -> str:
        return f"<{self.name} with the nodes {', '.join(self._nodes)}>"


def inline(graph: Graph, into: Graph, given: Mapping[str, Any]) -> Inlined:
    """Copies the nodes of a graph into another as a cluster. Raises ParameterError."""
    if graph.root is into.root:
        raise GraphError(f"flow {graph.name!r} cannot be used inside itself")
    replaced = _parameters(graph, given)
    label = into.label_for(graph.name)
    copies: dict[Node, Node] = {}
    for node in ancestors(graph.nodes.values()):
        if node in replaced:
            continue
        copies[node] = _copied(node, copies, replaced, (*into.path, label))
        into.add(copies[node])
    names = {name: copies[node] for name, node in graph.nodes.items() if node in copies}
    return Inlined(label, names)


def _parameters(graph: Graph, given: Mapping[str, Any]) -> dict[Node, Any]:
    parameters = graph.parameters
    for name in given:
        if name not in parameters:
            raise ParameterError(f"flow {graph.name!r} has no parameter {name!r}" + nearest(name, parameters))
    values: dict[Node, Any] = {}
    for name, node in parameters.items():
        value = given.get(name, node.default_value)
        if value is ...:
            raise ParameterError(f"flow {graph.name!r}: parameter {name!r} has no default; bind it: ({name}=...)")
        values[node] = value
    return values


def _copied(node: Node, copies: Mapping[Node, Node], replaced: Mapping[Node, Any], cluster: tuple[str, ...]) -> Node:
    """The node again, with what is upstream of it in the copy."""

    def other(up: Node) -> Any:
        return replaced[up] if up in replaced else copies[up]

    made = copy.copy(node)
    made.arguments = tuple(_bound(argument, other) for argument in node.arguments)
    made.order = tuple(copies[up] for up in node.order if up in copies)
    made.gate = None if node.gate is None else _gate(copies[node.gate])
    made.resources = tuple(_resource(copies[up]) for up in node.resources)
    made.data = tuple(dict.fromkeys(_nodes(made)))
    if isinstance(made, Gate):
        source = made.arguments[0].value
        if not isinstance(source, Node):
            raise GraphError(
                f"{node.name}: the branch is decided by a parameter, which is bound to {source!r} here; "
                f"bind it to a node, or decide in a task"
            )
        made.source = source
    made.owner, made.maker, made.switches = None, None, []
    made.cluster = (*cluster, *node.cluster)
    return made


def _bound(argument: Argument, other: Any) -> Argument:
    value = fill(argument.value, Node, other)
    items = argument.items
    if argument.mapped and items is None and not isinstance(value, Node):
        items = items_of(value, argument.name)
        value = items.values
    return Argument(argument.name, value, argument.keyword, argument.mapped, items)


def _nodes(node: Node) -> list[Node]:
    from nbflow.model.tree import leaves

    return [each for argument in node.arguments for each in leaves(argument.value, Node)]


def _gate(node: Node) -> Gate:
    assert isinstance(node, Gate)
    return node


def _resource(node: Node) -> Resource:
    assert isinstance(node, Resource)
    return node


def building_graph() -> Graph | None:
    """The graph that is being built here, if one is."""
    from nbflow.model.graph import Graph

    builder = BUILDING.get()
    return builder if isinstance(builder, Graph) else None
