"""Node and Graph: what is computed from what. Built, checked and ordered here; nothing runs."""

from __future__ import annotations

import operator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from nbflow.errors import GraphError, NoValueYet, ParameterError, UnknownName, nearest
from nbflow.model.mapping import Items, Unmapped, common_length, items_of
from nbflow.model.task import Task
from nbflow.model.tree import leaves

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

RESERVED_PARAMETERS = frozenset({"targets", "force", "check", "dry", "approve"})


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a node. value: as written, may hold nodes. keyword: None for positional ones.

    items: the values of a mapped argument that is no node; mapped: whether elements get one item each.
    """

    name: str
    value: Any
    keyword: str | None = None
    mapped: bool = False
    items: Items | None = None


class Owner(Protocol):
    """The Flow that a node belongs to, as far as a node needs it."""

    graph: Graph

    def run(self, *, targets: Any, check: bool = False, **parameters: Any) -> Any: ...
    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any: ...


class Node:
    """One use of a task: the task and its arguments. It has no value before it ran."""

    def __init__(
        self,
        task: Task,
        arguments: tuple[Argument, ...] = (),
        *,
        mapped: bool = False,
        strict: bool = True,
        upstream: tuple[Node, ...] = (),
        name: str | None = None,
    ) -> None:
        self.task = task
        self.arguments = arguments
        self.mapped = mapped
        self.strict = strict
        self.order = upstream
        self.explicit_name = name
        self.name = name or task.name
        self.owner: Owner | None = None
        # Names that its code reads and nothing defines: drawn dashed, an error when it runs.
        self.missing: tuple[str, ...] = ()
        # Why it cannot run as it stands, where that is known before.
        self.problem = ""
        # How a part of another node is called on the arrow from that.
        self.part = ""
        self.data = tuple(dict.fromkeys(node for a in arguments for node in leaves(a.value, Node)))

    @property
    def upstreams(self) -> tuple[Node, ...]:
        """The nodes it needs: for their values, then those that only order."""
        return tuple(dict.fromkeys((*self.data, *self.order)))

    def aligned(self) -> tuple[Node, ...]:
        """The mapped nodes whose elements it takes one by one."""
        return tuple(a.value for a in self.arguments if a.mapped and isinstance(a.value, Node) and a.value.mapped)

    def run(self, **options: Any) -> Any:
        """Brings this node, and all that it needs, up to date; gives the Run."""
        return owner_of(self).run(targets=[self], **options)

    def __getitem__(self, item: Any) -> Node:
        node = make_node(ITEM, (self, item), {}, name=f"{self.name}[{item!r}]")
        node.part = f"[{item!r}]"
        return node

    def __iter__(self) -> NoReturn:
        raise NoValueYet(
            f"{self.name!r} is a node and has no value yet, so it cannot be iterated over here; "
            f"map a task over it (task.map(node)), or take parts by position: node[0], node[1]"
        )

    def __bool__(self) -> NoReturn:
        raise NoValueYet(
            f"{self.name!r} is a node and has no value yet, so `if` and `and` cannot look at it; "
            f"decide inside a task, or look at the value after a run: flow.run()[{self.name!r}]"
        )

    def __contains__(self, item: object) -> NoReturn:
        raise NoValueYet(
            f"{self.name!r} is a node and has no value yet, so `in` cannot look into it; "
            f"decide inside a task, or look at the value after a run: flow.run()[{self.name!r}]"
        )

    def __repr__(self) -> str:
        return f"<Node {self.name}{' (mapped)' if self.mapped else ''}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        return implicit_flow([self])._repr_mimebundle_(include, exclude)


class Parameter(Node):
    """An input that is given when the flow runs.

    >>> Parameter("n", default=5)
    <Parameter n=5>
    """

    def __init__(self, name: str, default: Any = ..., *, help: str = "") -> None:  # noqa: A002 (the word users expect)
        if not name.isidentifier():
            raise ParameterError(f"Parameter({name!r}): a name such as 'n' or 'max_rows' is needed")
        if name in RESERVED_PARAMETERS:
            raise ParameterError(
                f"Parameter({name!r}): flow.run has an option of that name; call it {name + '_'!r} or similar"
            )
        super().__init__(PARAMETER, name=name)
        self.default = default
        self.help = help
        graph = BUILDING.get()
        if graph is not None:
            graph.add(self)

    @property
    def required(self) -> bool:
        return self.default is ...

    def __repr__(self) -> str:
        return f"<Parameter {self.name}" + (">" if self.required else f"={self.default!r}>")


class Graph:
    """The nodes of a flow under their names, in the order in which they were made."""

    def __init__(self, name: str, owner: Owner | None = None) -> None:
        self.name = name
        self.owner = owner
        self.nodes: dict[str, Node] = {}
        # Where a node's value as users see it is a part of it, such as one of a cell's several outputs.
        self.outputs: dict[str, Node] = {}
        self._uses: dict[str, int] = {}

    def add(self, node: Node) -> None:
        """Takes a node in, after those upstream of it that belong to no flow yet."""
        for each in ancestors([node]):
            if self.nodes.get(each.name) is not each:
                self._take(each)

    def __getitem__(self, name: str) -> Node:
        try:
            return self.nodes[name]
        except KeyError:
            raise UnknownName(f"flow {self.name!r} has no node {name!r}" + nearest(name, self.nodes)) from None

    @property
    def parameters(self) -> dict[str, Parameter]:
        return {name: node for name, node in self.nodes.items() if isinstance(node, Parameter)}

    def needed(self, targets: Iterable[Node]) -> list[Node]:
        """The targets and all that they need, each after its upstreams."""
        return ancestors(targets)

    def _take(self, node: Node) -> None:
        if node.owner is not None and self.owner is not None and node.owner is not self.owner:
            raise GraphError(
                f"{node.name!r} belongs to flow {node.owner.graph.name!r}, and cannot be used in flow {self.name!r}; "
                f"call its task again inside this flow"
            )
        self._name(node)
        self.nodes[node.name] = node
        if self.owner is not None:
            node.owner = self.owner

    def _name(self, node: Node) -> None:
        wanted = node.name
        if wanted not in self.nodes:
            return
        if node.explicit_name is not None and not node.task.name.startswith("["):
            raise GraphError(
                f"flow {self.name!r} has a node {wanted!r} already; give this one another name, or leave name= out"
            )
        count = self._uses.get(wanted, 1)
        while f"{wanted}-{count + 1}" in self.nodes:
            count += 1
        self._uses[wanted] = count + 1
        node.name = f"{wanted}-{count + 1}"


def make_node(
    task: Task,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    upstream: Node | Iterable[Node] = (),
    name: str | None = None,
) -> Node:
    """A node for one call of the task, in the flow that is being built, if one is."""
    for value in (*args, *kwargs.values()):
        if isinstance(value, Unmapped):
            raise GraphError(f"{task.name}: unmapped(...) is for .map; a plain call passes the value whole anyway")
    bound = task.bind(args, kwargs)
    arguments = [Argument(name, value) for name, value in zip(bound.names, bound.args, strict=True)]
    arguments += [Argument(name, value, keyword=name) for name, value in bound.kwargs.items()]
    return _register(Node(task, tuple(arguments), upstream=_order(upstream, task.name), name=name))


def make_mapped(
    task: Task,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    strict: bool = True,
    upstream: Node | Iterable[Node] = (),
    name: str | None = None,
) -> Node:
    """A node for the task mapped over its arguments; lengths that are known are checked at once."""
    bound = task.bind(args, kwargs)
    arguments = [_mapped_argument(n, value, None) for n, value in zip(bound.names, bound.args, strict=True)]
    arguments += [_mapped_argument(n, value, n) for n, value in bound.kwargs.items()]
    lengths = {a.name: len(a.items) for a in arguments if a.items is not None}
    if not any(a.mapped for a in arguments):
        raise GraphError(
            f"{task.name}.map needs at least one argument to map over; "
            f"call {task.name}(...) to run it once, or take the unmapped(...) off one of them"
        )
    if lengths:
        common_length(lengths, strict=strict)
    node = Node(task, tuple(arguments), mapped=True, strict=strict, upstream=_order(upstream, task.name), name=name)
    return _register(node)


def ancestors(targets: Iterable[Node]) -> list[Node]:
    """The targets and all upstream of them, each after what it needs; GraphError tells a cycle."""
    done: dict[Node, None] = {}
    open_nodes: dict[Node, Iterator[Node]] = {}
    for target in targets:
        if target in done:
            continue
        open_nodes[target] = iter(target.upstreams)
        while open_nodes:
            node, rest = next(reversed(open_nodes.items()))
            following = next(rest, None)
            if following is None:
                del open_nodes[node]
                done[node] = None
            elif following in open_nodes:
                path = [each.name for each in open_nodes]
                cycle = " → ".join([following.name, *reversed(path[path.index(following.name) :])])
                raise GraphError(f"these nodes need each other, which cannot be: {cycle}")
            elif following not in done:
                open_nodes[following] = iter(following.upstreams)
    return list(done)


def owner_of(node: Node) -> Owner:
    """The flow a node belongs to; for a node made outside of any, one made of all that it needs."""
    return node.owner or implicit_flow([node])


def implicit_flow(targets: list[Node]) -> Owner:
    """A flow of the targets and all that they need."""
    if not FLOW_FACTORY:
        raise GraphError("a node made without a flow runs after `import nbflow`, which brings Flow along")
    return FLOW_FACTORY[0](targets)


def _register(node: Node) -> Node:
    graph = BUILDING.get()
    if graph is not None:
        graph.add(node)
        return node
    owners = {up.owner for up in node.upstreams if up.owner is not None}
    if len(owners) > 1:
        names = " and ".join(sorted(repr(owner.graph.name) for owner in owners))
        raise GraphError(f"{node.name!r} would join nodes of the flows {names}; build it inside one flow")
    for owner in owners:
        owner.graph.add(node)
    return node


def _mapped_argument(name: str, value: Any, keyword: str | None) -> Argument:
    if isinstance(value, Unmapped):
        return Argument(name, value.value, keyword)
    if isinstance(value, Node):
        return Argument(name, value, keyword, mapped=True)
    if next(leaves(value, Node), None) is not None:
        items = items_of(value, name)
        gathered = make_node(GATHER, tuple(items.values), {}, name=f"[{name}]")
        return Argument(name, gathered, keyword, mapped=True)
    items = items_of(value, name)
    return Argument(name, items.values, keyword, mapped=True, items=items)


def _order(upstream: Node | Iterable[Node], name: str) -> tuple[Node, ...]:
    nodes = (upstream,) if isinstance(upstream, Node) else tuple(upstream)
    for node in nodes:
        if not isinstance(node, Node):
            raise GraphError(f"{name}: upstream={node!r} is not a node; pass what calling a task gave")
    return nodes


def _gather(*items: Any) -> list[Any]:
    return list(items)


def _parameter() -> NoReturn:
    raise ParameterError("a parameter is given to flow.run, it is never called")


# Their names start with a bracket, so that no function's name can be theirs.
ITEM = Task(operator.getitem, name="[item]")
GATHER = Task(_gather, name="[gather]")
PARAMETER = Task(_parameter, name="[parameter]")
DERIVED = frozenset({ITEM, GATHER})

BUILDING: ContextVar[Graph | None] = ContextVar("nbflow_building", default=None)
FLOW_FACTORY: list[Callable[[list[Node]], Owner]] = []
