"""The flow of nodes that were made outside of any."""

from __future__ import annotations

from nbflow.flow.front import Flow
from nbflow.model.graph import Graph
from nbflow.model.node import Node, ancestors


def implicit_flow(targets: list[Node]) -> Flow:
    """The flow of nodes that were made outside any: they, and all that they need."""
    owners = {node.owner for node in targets if node.owner is not None}
    if owners:
        owner = owners.pop()
        assert isinstance(owner, Flow)
        return owner
    flow = Flow("nodes")
    graph = Graph("nodes")
    for node in ancestors(targets):
        graph.add(node)
    flow.graph = graph
    return flow
