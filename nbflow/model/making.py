"""Makes nodes of calls: binds arguments, spreads maps, and puts each node into the flow that is being built."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from nbflow.errors import GraphError
from nbflow.lean import dataclass, field
from nbflow.model.mapping import Unmapped, common_length, items_of, unmapped
from nbflow.model.node import BUILDING, GATHER, MAKING, Argument, Node, ancestors
from nbflow.model.tree import CONTAINERS, leaves

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nbflow.model.control import Gate, Switch
    from nbflow.model.resource import Resource
    from nbflow.model.task import Task


@dataclass(frozen=True, slots=True)
class Block:
    """The `with` blocks that nodes are being made in. elements: mapped nodes whose items `apply_map` handed out."""

    gate: Gate | None = None
    resources: tuple[Resource, ...] = ()
    switches: tuple[Switch, ...] = ()
    elements: set[Node] = field(default_factory=set)
    outer: Block | None = None


BLOCK: ContextVar[Block] = ContextVar("nbflow_block", default=Block())  # noqa: B039 (a Block cannot be changed)


def enter_block(
    *,
    gate: Gate | None = None,
    resource: Resource | None = None,
    switch: Switch | None = None,
    elements: Iterable[Node] = (),
) -> None:
    """Opens a block inside the present one: what is made from now on stands in it."""
    outer = BLOCK.get()
    inner = Block(
        gate=outer.gate if gate is None else gate,
        resources=outer.resources if resource is None else (*outer.resources, resource),
        switches=outer.switches if switch is None else (*outer.switches, switch),
        elements=outer.elements | set(elements),
        outer=outer,
    )
    BLOCK.set(inner)


def leave_block() -> None:
    """Closes the innermost block."""
    outer = BLOCK.get().outer
    assert outer is not None
    BLOCK.set(outer)


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
    elements = BLOCK.get().elements
    if elements and any(node in elements for value in (*args, *kwargs.values()) for node in leaves(value, Node)):
        return _each(task, args, kwargs, elements, upstream=upstream, name=name)
    bound = task.bind(args, kwargs)
    arguments = [Argument(name, value) for name, value in zip(bound.names, bound.args, strict=True)]
    arguments += [Argument(name, value, keyword=name) for name, value in bound.kwargs.items()]
    return register(Node(task, tuple(arguments), upstream=order_of(upstream, task.name), name=name))


def make_mapped(
    task: Task,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    strict: bool = True,
    product: bool = False,
    upstream: Node | Iterable[Node] = (),
    name: str | None = None,
) -> Node:
    """A node for the task mapped over its arguments; lengths that are known are checked at once."""
    bound = task.bind(args, kwargs)
    arguments = [_mapped_argument(n, value, None) for n, value in zip(bound.names, bound.args, strict=True)]
    arguments += [_mapped_argument(n, value, n) for n, value in bound.kwargs.items()]
    lengths = {a.name: len(a.items) for a in arguments if a.items is not None}
    if not any(a.mapped for a in arguments):
        how = "product" if product else "map"
        raise GraphError(
            f"{task.name}.{how} needs at least one argument to map over; "
            f"call {task.name}(...) to run it once, or take the unmapped(...) off one of them"
        )
    if lengths and not product:
        common_length(lengths, strict=strict)
    node = Node(
        task,
        tuple(arguments),
        mapped=True,
        strict=strict,
        product=product,
        upstream=order_of(upstream, task.name),
        name=name,
    )
    return register(node)


def register(node: Node) -> Node:
    """Puts a node into the blocks and the flow that it is made in. Raises GraphError."""
    block = BLOCK.get()
    node.gate, node.resources = block.gate, block.resources
    if node.gate is not None and node.gate.mapped and not node.mapped:
        raise GraphError(
            f"{node.name!r} stands in a branch that is decided for each element of {node.gate.source.name!r}, "
            f"so it must be mapped over the same elements: {node.task.name}.map(...)"
        )
    builder = BUILDING.get()
    making = MAKING.get()
    if builder is not None:
        builder.add(node)
    elif making is not None:
        making.append(node)
    else:
        _join_owner(node)
    return node


def add_order(node: Node, others: Iterable[Node | Iterable[Node]]) -> None:
    """Makes a node wait for others; nothing is changed when that would be a cycle or join two flows."""
    before = [each for other in others for each in order_of(other, node.name)]
    for each in before:
        if each.owner is not None and node.owner is not None and root_of(each) is not root_of(node):
            raise GraphError(
                f"{each.name!r} belongs to flow {each.owner.graph.name!r} and {node.name!r} to "
                f"{node.owner.graph.name!r}; nodes of one flow can be ordered, "
                f"and a flow becomes part of another by calling it there"
            )
    kept = node.order
    node.order = tuple(dict.fromkeys((*kept, *before)))
    try:
        ancestors([node])
    except GraphError:
        node.order = kept
        raise
    if node.owner is not None:
        for each in before:
            if each.owner is None:
                node.owner.graph.add(each)


def root_of(node: Node) -> Any:
    """The outermost graph that a node's flow is part of."""
    return None if node.owner is None else node.owner.graph.root


def order_of(upstream: Node | Iterable[Node], name: str) -> tuple[Node, ...]:
    nodes = (upstream,) if isinstance(upstream, Node) else upstream
    try:
        found = tuple(nodes)
    except TypeError:
        raise GraphError(f"{name}: {upstream!r} is no node to wait for; pass what calling a task gave") from None
    for node in found:
        if not isinstance(node, Node):
            raise GraphError(f"{name}: upstream={node!r} is not a node; pass what calling a task gave")
    return found


def _join_owner(node: Node) -> None:
    owners = {up.owner for up in node.upstreams if up.owner is not None}
    if len({owner.graph.root for owner in owners}) > 1:
        names = " and ".join(sorted(repr(owner.graph.name) for owner in owners))
        raise GraphError(f"{node.name!r} would join nodes of the flows {names}; build it inside one flow")
    for owner in owners:
        owner.graph.add(node)


def _each(
    task: Task,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    elements: set[Node],
    *,
    upstream: Node | Iterable[Node],
    name: str | None,
) -> Node:
    """A call inside `apply_map`: mapped over what is one element's, everything else whole."""

    def spread(value: Any) -> Any:
        if isinstance(value, Node):
            return value if value in elements else unmapped(value)
        if type(value) in CONTAINERS and any(node in elements for node in leaves(value, Node)):
            if type(value) is not list:
                raise GraphError(f"{task.name}: inside apply_map, put elements together in a list, not a "
                                 f"{type(value).__name__}, or pass them as arguments of their own")  # fmt: skip
            return make_mapped(GATHER, tuple(spread(item) for item in value), {}, name="[list]")
        return unmapped(value)

    spread_args = tuple(spread(value) for value in args)
    node = make_mapped(
        task, spread_args, {key: spread(value) for key, value in kwargs.items()}, upstream=upstream, name=name
    )
    elements.add(node)
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
