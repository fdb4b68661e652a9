"""Graph: the nodes of a flow under their names, and the flows inside it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nbflow.errors import GraphError, UnknownName, nearest
from nbflow.model.node import Node, Owner, Parameter, ancestors
from nbflow.model.tree import fill

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nbflow.model.task import Options


class Graph:
    """The nodes of a flow under their names, in the order in which they were made.

    outer: the graph that this one was built inside; its nodes are that one's, too.
    """

    def __init__(self, name: str, owner: Owner | None = None) -> None:
        self.name = name
        self.owner = owner
        self.outer: Graph | None = None
        # How this flow is called in the one around it: its own name, with a number where that is taken.
        self.label = name
        self.nodes: dict[str, Node] = {}
        # Where a node's value as users see it is a part of it, such as one of a cell's several outputs.
        self.outputs: dict[str, Node] = {}
        # Names that users gave nodes here, which have another one in the flow around.
        self.aliases: dict[str, str] = {}
        self._uses: dict[str, int] = {}
        self._labels: dict[str, int] = {}

    @property
    def root(self) -> Graph:
        """The outermost graph that this one is part of."""
        graph = self
        while graph.outer is not None:
            graph = graph.outer
        return graph

    @property
    def path(self) -> tuple[str, ...]:
        """The labels of the flows it is nested in and its own; empty for an outermost one."""
        return () if self.outer is None else (*self.outer.path, self.label)

    def outline(self) -> tuple[Any, ...]:
        """The flow as plain data: its functions with their options, and by names how they are joined."""
        return self.name, [
            (
                *(node.name, node.task.fn, _counted(node.task.options), node.mapped, node.product),
                [(a.name, a.mapped, fill(a.value, Node, _by_name)) for a in node.arguments],
                [up.name for up in node.upstreams],
            )
            for node in self.nodes.values()
        ]

    def nest(self, outer: Graph) -> None:
        """Makes this graph a part of another, once."""
        if self.outer is not None or outer is self or outer.root is self:
            return
        if self.nodes:
            raise GraphError(
                f"flow {self.name!r} has nodes of its own already; call it to use it inside {outer.name!r}: "
                f"{self.name}()"
            )
        self.outer = outer
        self.label = outer.label_for(self.name)

    def label_for(self, name: str) -> str:
        """A label for a flow inside this one that no other has."""
        count = self._labels.get(name, 0) + 1
        self._labels[name] = count
        return name if count == 1 else f"{name}-{count}"

    def add(self, node: Node) -> None:
        """Takes a node in, after those upstream of it that belong to no flow yet."""
        if all(self._has(up) for up in node.upstreams):
            self._take(node)
            return
        for each in ancestors([node]):
            if not self._has(each):
                self._take(each)

    def rename(self, node: Node, name: str) -> None:
        """Gives a node another name, or that name with a number where it is taken."""
        del self.nodes[node.name]
        node.name = name
        self.name_node(node, self.name)
        self.nodes[node.name] = node

    def __getitem__(self, name: str) -> Node:
        try:
            return self.nodes[self.aliases.get(name, name)]
        except KeyError:
            raise UnknownName(f"flow {self.name!r} has no node {name!r}" + nearest(name, self.nodes)) from None

    @property
    def parameters(self) -> dict[str, Parameter]:
        return {name: node for name, node in self.nodes.items() if isinstance(node, Parameter)}

    def needed(self, targets: Iterable[Node]) -> list[Node]:
        """The targets and all that they need, each after its upstreams."""
        return ancestors(targets)

    def _has(self, node: Node) -> bool:
        """Whether a node is in here, or in a flow around or inside this one."""
        if self.nodes.get(node.name) is node:
            return True
        # A notebook's flow gets a new graph again and again: what belonged to the old one is not in it yet.
        graph = node.owner.graph if node.owner is not None else None
        return graph is not None and graph.root is self.root and graph.nodes.get(node.name) is node

    def _take(self, node: Node) -> None:
        if node.owner is not None and self.owner is not None and node.owner is not self.owner:
            raise GraphError(
                f"{node.name!r} belongs to flow {node.owner.graph.name!r}, and cannot be used in flow {self.name!r}; "
                f"call its task again inside this flow, or the whole flow"
            )
        wanted = node.name
        self.root.name_node(node, self.name)
        graph: Graph | None = self
        while graph is not None:
            graph.nodes[node.name] = node
            if wanted != node.name:
                graph.aliases.setdefault(wanted, node.name) if wanted not in graph.nodes else None
            graph = graph.outer
        if not node.cluster:
            node.cluster = self.path
        if self.owner is not None:
            node.owner = self.owner

    def name_node(self, node: Node, flow_name: str) -> None:
        """Gives a node a name that no other has; GraphError when it was to have just this one."""
        wanted = node.name
        if wanted not in self.nodes:
            return
        if node.explicit_name is not None and not node.task.name.startswith("[") and not node.cluster:
            raise GraphError(
                f"flow {flow_name!r} has a node {wanted!r} already; give this one another name, or leave name= out"
            )
        count = self._uses.get(wanted, 1)
        while f"{wanted}-{count + 1}" in self.nodes:
            count += 1
        self._uses[wanted] = count + 1
        node.name = f"{wanted}-{count + 1}"


def _counted(options: Options) -> Options:
    """Options as they count: which cluster it is that a task names tells nothing of its results."""
    named = options.executor is not None and not isinstance(options.executor, str)
    return replace(options, executor="dask") if named else options


def _by_name(node: Node) -> tuple[str, str]:
    return "node", node.name
