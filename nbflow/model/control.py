"""Branches, order, and maps made of many tasks: what decides which nodes of a graph run, and when."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Self

from nbflow.errors import GraphError
from nbflow.model.making import BLOCK, enter_block, leave_block, make_mapped, register
from nbflow.model.mapping import Unmapped
from nbflow.model.node import BUILDING, ELEMENT, FLATTEN, GATE, MERGE, Argument, Node

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Gate(Node):
    """Decides a branch by the value of its source; on a mapped source, for each element.

    kind: "case", "default" or "truthy". expected: the value of a case.
    """

    def __init__(self, source: Node, kind: str, expected: Any = None, switch: Switch | None = None) -> None:
        argument = Argument("value", source, mapped=source.mapped)
        label = {"case": f"{expected!r}", "default": "default", "truthy": "true"}[kind]
        super().__init__(GATE, (argument,), mapped=source.mapped, name=f"{source.name} = {label}")
        self.source = source
        self.kind = kind
        self.expected = expected
        self.label = f"= {label}" if kind == "case" else label
        self._switch = switch

    def taken(self, value: Any) -> bool:
        """Whether the branch is taken for a value of the source."""
        if self.kind == "truthy":
            return bool(value)
        if self.kind == "default":
            assert self._switch is not None
            return not any(matches(value, expected) for expected in self._switch.expected)
        return matches(value, self.expected)

    def __enter__(self) -> Self:
        enter_block(gate=self)
        return self


class Switch:
    """Alternatives by the value of a node: cases and at most one default.

    >>> from nbflow import task
    >>> @task
    ... def kind(): return "a"
    >>> @task
    ... def one(): return 1
    >>> with Switch(kind()) as node:
    ...     with node.case("a"):
    ...         x = one()
    >>> x.run()["one"]
    1
    """

    def __init__(self, node: Node) -> None:
        if not isinstance(node, Node):
            raise GraphError(f"switch({node!r}): a node is needed, whose value decides; what calling a task gave")
        self.node = node
        # The values of its cases; the gates themselves would keep each other alive.
        self.expected: list[Any] = []
        self._default: Gate | None = None

    def __enter__(self) -> Node:
        enter_block(switch=self)
        return self.node

    def __exit__(self, *exception: object) -> None:
        leave_block()

    def case(self, value: Any) -> Gate:
        """`with ….case(value):` nodes made inside run only when the value equals it (True and 1 differ)."""
        if isinstance(value, Node):
            raise GraphError(
                f"case({value.name!r}): a case is a plain value; to compare two nodes, write `with {self.node.name}"
                f".eq(other):`"
            )
        if any(matches(expected, value) for expected in self.expected):
            raise GraphError(f"{self.node.name!r} has a case for {value!r} already; put both bodies into that one")
        gate = Gate(self.node, "case", value)
        register(gate)
        self.expected.append(value)
        return gate

    def default(self) -> Gate:
        """`with ….default():` nodes made inside run when no case was taken."""
        if self._default is not None:
            raise GraphError(f"{self.node.name!r} has a default already; there can be only one")
        self._default = Gate(self.node, "default", switch=self)
        register(self._default)
        return self._default


def switch(node: Node) -> Switch:
    """A block of alternatives; inside it stand `with node.case(value):` and `with node.default():`."""
    return Switch(node)


def case(node: Node, value: Any) -> Gate:
    """A block whose nodes run only when the node's value equals value (True and 1 differ)."""
    if not isinstance(node, Node):
        raise GraphError(
            f"case({node!r}, {value!r}): a case belongs to a node, whose value decides; pass what calling a task gave"
        )
    return make_case(node, value)


def make_case(node: Node, value: Any) -> Gate:
    return _switch_of(node).case(value)


def make_default(node: Node) -> Gate:
    return _switch_of(node).default()


def make_truthy(node: Node) -> Gate:
    gate = Gate(node, "truthy")
    register(gate)
    return gate


def matches(value: Any, expected: Any) -> bool:
    """Whether a case is taken: by ==, except that True and 1 are different values.

    >>> matches(1, 1.0), matches(True, 1), matches("a", "b")
    (True, False, False)
    """
    if _is_bool(value) != _is_bool(expected):
        return False
    return value is expected or bool(value == expected)


def merge(*nodes: Node, name: str | None = None) -> Node:
    """The value of the first node, in argument order, that was not skipped: it joins branches.

    None and 0 are values like any other. With mapped nodes it joins by position. name: of this use.
    """
    if len(nodes) == 1 and isinstance(nodes[0], (list, tuple)):
        nodes = tuple(nodes[0])
    if not nodes:
        raise GraphError("merge() of nothing: pass the nodes of the branches, merge(a, b)")
    for node in nodes:
        if not isinstance(node, Node):
            raise GraphError(f"merge: {node!r} is no node; pass the nodes of the branches, merge(a, b)")
    mapped = any(node.mapped for node in nodes)
    arguments = tuple(Argument(f"#{i}", node, mapped=node.mapped) for i, node in enumerate(nodes))
    return register(Node(MERGE, arguments, mapped=mapped, name=name))


def flatten(node: Any) -> Node:
    """A node of one level less: of a list of lists (or of a mapped node of lists) all items in one list."""
    if not isinstance(node, Node):
        kind = type(node).__name__
        raise GraphError(f"flatten({kind}): a node is needed; plain lists are flattened by itertools.chain")
    return register(Node(FLATTEN, (Argument("lists", node),), name=f"flatten({node.name})"))


def chain(*steps: Node | Iterable[Node]) -> None:
    """Orders nodes one after the other; a list in between fans out and joins: `chain(a, [b, c], d)`.

    No data flows. Raises GraphError for a cycle, or a node of another flow; nothing is ordered then.
    """
    stages = [tuple(step) if isinstance(step, (list, tuple)) else (step,) for step in steps]
    for stage in stages:
        for node in stage:
            if not isinstance(node, Node):
                raise GraphError(f"chain: {node!r} is no node; pass what calling tasks gave, or lists of it")
    before = [(node, node.order) for stage in stages for node in stage]
    filled = [stage for stage in stages if stage]
    try:
        for earlier, later in itertools.pairwise(filled):
            for node in later:
                node.after(*earlier)
    except GraphError:
        for node, order in before:
            node.order = order
        raise


def apply_map(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What a function gives that builds nodes for one element, built for all elements of its arguments.

    The function is called once; every task it calls with (something made of) an element is mapped, branches
    inside are decided element by element, and everything else is passed whole. `unmapped(x)` marks
    arguments that all elements share.

    >>> from nbflow import task
    >>> @task
    ... def double(x): return 2 * x
    >>> @task
    ... def add(x, y): return x + y
    >>> node = apply_map(lambda x: add(double(x), x), [1, 2, 3])
    >>> node.run()["add"]
    [3, 6, 9]
    """
    elements: list[Node] = []

    def spread(value: Any) -> Any:
        if isinstance(value, Unmapped):
            return value.value
        element = value if isinstance(value, Node) and value.mapped else make_mapped(ELEMENT, (value,), {})
        elements.append(element)
        return element

    spread_args = [spread(value) for value in args]
    spread_kwargs = {name: spread(value) for name, value in kwargs.items()}
    if not elements:
        raise GraphError("apply_map needs at least one argument to map over; all of them are unmapped(...)")
    enter_block(elements=elements)
    try:
        return function(*spread_args, **spread_kwargs)
    finally:
        leave_block()


def _switch_of(node: Node) -> Switch:
    """The innermost open switch over the node, else the one that all its cases in this place share."""
    if not isinstance(node, Node):
        raise GraphError(f"case: {node!r} is no node; a case belongs to a node, whose value decides")
    block = BLOCK.get()
    for opened in reversed(block.switches):
        if opened.node is node:
            return opened
    place = (block.gate, BUILDING.get())
    for known_place, known in node.switches:
        if known_place == place:
            return known
    made = Switch(node)
    node.switches.append((place, made))
    return made


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool) or type(value).__name__ in {"bool_", "bool"}
