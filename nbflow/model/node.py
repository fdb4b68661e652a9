"""Node: one use of a task in a graph. What is computed from what; nothing runs here."""

from __future__ import annotations

import operator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, Self

from nbflow.errors import GraphError, NoValueYet, ParameterError
from nbflow.lean import dataclass
from nbflow.model.mapping import Items, unmapped
from nbflow.model.operators import Operators
from nbflow.model.task import Task
from nbflow.model.tree import CONTAINERS, leaves
from nbflow.model.triggers import not_all_skipped
from nbflow.seams import FLOW_FACTORY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nbflow.model.control import Gate, Switch
    from nbflow.model.graph import Graph
    from nbflow.model.resource import Resource

RESERVED_PARAMETERS = frozenset({"targets", "force", "check", "dry", "approve", "element"})


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


class Node(Operators):
    """One use of a task: the task and its arguments. It has no value before it ran."""

    def __init__(
        self,
        task: Task,
        arguments: tuple[Argument, ...] = (),
        *,
        mapped: bool = False,
        strict: bool = True,
        product: bool = False,
        upstream: tuple[Node, ...] = (),
        name: str | None = None,
    ) -> None:
        self.task = task
        self.arguments = arguments
        self.mapped = mapped
        self.strict = strict
        # Whether its elements are all combinations of its mapped arguments' items.
        self.product = product
        self.order = upstream
        # The branch it stands in: it runs only where that is taken.
        self.gate: Gate | None = None
        # The resources whose blocks it stands in, the outermost first.
        self.resources: tuple[Resource, ...] = ()
        # The nested flows it stands in, the outermost first.
        self.cluster: tuple[str, ...] = ()
        if name is not None:
            check_name(name, f"{task.name}: name={name!r}")
        self.explicit_name = name
        self.name = name or task.name
        self.owner: Owner | None = None
        # Names that its code reads and nothing defines: drawn dashed, an error when it runs.
        self.missing: tuple[str, ...] = ()
        # Data that its code reads by name, and how it is called in pictures: drawn as small inputs.
        self.captured: dict[str, str] = {}
        # Why it cannot run as it stands, where that is known before.
        self.problem = ""
        # How a part of another node is called on the arrow from that.
        self.part = ""
        # The switches over it that `case` and `default` opened by themselves, by the block they stand in.
        self.switches: list[tuple[Any, Switch]] = []
        # The node whose task made it while running.
        self.maker: Node | None = None
        self.data = _nodes_in([*(a.value for a in arguments), task.options.loop_times])

    @property
    def upstreams(self) -> tuple[Node, ...]:
        """The nodes it needs: for their values, then those that only order, then what decides its branch."""
        if not self.order and self.gate is None and not self.resources:
            return self.data
        gate = () if self.gate is None else (self.gate,)
        return tuple(dict.fromkeys((*self.data, *self.order, *self.resources, *gate)))

    def aligned(self) -> tuple[Node, ...]:
        """The mapped nodes whose elements it takes one by one."""
        if not self.mapped:
            return ()
        gate = [self.gate] if self.gate is not None and self.gate.mapped else []
        if self.product:
            return tuple(gate)
        taken = [a.value for a in self.arguments if a.mapped and isinstance(a.value, Node) and a.value.mapped]
        return tuple(dict.fromkeys([*taken, *gate]))

    def run(self, **options: Any) -> Any:
        """Brings this node, and all that it needs, up to date; gives the Run."""
        if self.owner is None and MAKING.get() is not None:
            raise GraphError(
                f"{self.name!r} was made by a task that is running; waiting for it inside would block the run. "
                f"Return the node instead: its value stands in its place when the task is done"
            )
        return owner_of(self).run(targets=[self], **options)

    def after(self, *others: Node | Iterable[Node]) -> Self:
        """Lets this node run only after the others, and gives it; no data flows. GraphError for a cycle."""
        from nbflow.model.making import add_order  # makes and checks nodes, so it imports this module

        add_order(self, others)
        return self

    def __rshift__(self, other: Any) -> Any:
        """`a >> b`: b runs after a; gives b, so that `a >> [b, c] >> d` reads as it runs."""
        for each in other if isinstance(other, (list, tuple)) else (other,):
            _node(each, ">>").after(self)
        return other

    def __rrshift__(self, other: Any) -> Node:
        return self.after(*other) if isinstance(other, (list, tuple)) else self.after(_node(other, ">>"))

    def __lshift__(self, other: Any) -> Any:
        """`b << a`: b runs after a; gives a."""
        if isinstance(other, (list, tuple)):
            self.after(*other)
        else:
            self.after(_node(other, "<<"))
        return other

    def __rlshift__(self, other: Any) -> Node:
        for each in other:
            _node(each, "<<").after(self)
        return self

    def case(self, value: Any) -> Any:
        """`with node.case(value):` what is made inside runs only when the node's value equals it."""
        from nbflow.model.control import make_case

        return make_case(self, value)

    def default(self) -> Any:
        """`with node.default():` what is made inside runs when no case of the node was taken."""
        from nbflow.model.control import make_default

        return make_default(self)

    def __enter__(self) -> Node:
        """`with node:` what is made inside runs only when the node's value is truthy."""
        from nbflow.model.control import make_truthy

        make_truthy(self).__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        from nbflow.model.making import leave_block

        leave_block()

    def __getitem__(self, item: Any) -> Node:
        node = ITEM(self, item, name=f"{self.name}[{item!r}]")
        node.part = f"[{item!r}]"
        return node

    def __iter__(self) -> Iterator[Node]:
        count = self.task.nout
        if count is None:
            raise NoValueYet(
                f"{self.name!r} is a node and has no value yet, so it cannot be iterated over here; "
                f"map a task over it (task.map(node)), take parts by position (node[0]), "
                f"or say how many there are: @task(nout=2)"
            )
        return iter([self._part(i) for i in range(count)])

    def __len__(self) -> int:
        if self.task.nout is None:
            raise NoValueYet(f"{self.name!r} is a node and has no value yet, so it has no length here; use a task")
        return self.task.nout

    def __bool__(self) -> NoReturn:
        raise NoValueYet(
            f"{self.name!r} is a node and has no value yet, so `if` and `and` cannot look at it; "
            f"write `with node:` for a branch, or decide inside a task"
        )

    def __contains__(self, item: object) -> NoReturn:
        raise NoValueYet(
            f"{self.name!r} is a node and has no value yet, so `in` cannot look into it; "
            f"decide inside a task, or look at the value after a run: flow.run()[{self.name!r}]"
        )

    def __repr__(self) -> str:
        return f"<Node {self.name}{' (mapped)' if self.mapped else ''}>"

    def _part(self, position: int) -> Node:
        if not self.mapped:
            return self[position]
        part = ITEM.map(self, unmapped(position), name=f"{self.name}[{position}]")
        part.part = f"[{position}]"
        return part

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        return implicit_flow([self])._repr_mimebundle_(include, exclude)


class Parameter(Node):
    """An input that is given when the flow runs.

    >>> Parameter("n", default=5)
    <Parameter n=5>
    """

    def __init__(self, name: str, default: Any = ..., *, help: str = "") -> None:  # noqa: A002 (the word users expect)
        if not isinstance(name, str) or not name.isidentifier():
            raise ParameterError(f"Parameter({name!r}): a name such as 'n' or 'max_rows' is needed")
        if name in RESERVED_PARAMETERS:
            raise ParameterError(
                f"Parameter({name!r}): flow.run has an option of that name; call it {name + '_'!r} or similar"
            )
        super().__init__(PARAMETER, name=name)
        self.default_value = default
        self.help = help
        builder = BUILDING.get()
        if builder is not None:
            builder.add(self)

    @property
    def required(self) -> bool:
        return self.default_value is ...

    def __repr__(self) -> str:
        return f"<Parameter {self.name}" + (">" if self.required else f"={self.default_value!r}>")


class Builder(Protocol):
    """Takes nodes in as they are made: a graph that is being built."""

    def add(self, node: Node) -> None: ...


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
    flow: Owner = FLOW_FACTORY[0](targets)
    return flow


def _node(value: Any, where: str) -> Node:
    if not isinstance(value, Node):
        raise GraphError(
            f"{where}: {value!r} is no node; on both sides stands what calling a task gave, or lists of it"
        )
    return value


def _nodes_in(values: Iterable[Any]) -> tuple[Node, ...]:
    """The nodes in some values, each once."""
    found: dict[Node, None] = {}
    for value in values:
        if isinstance(value, Node):
            found[value] = None
        elif type(value) in CONTAINERS:
            found.update(dict.fromkeys(leaves(value, Node)))
    return tuple(found)


def _gather(*items: Any) -> list[Any]:
    return list(items)


def _derived(*_items: Any) -> NoReturn:
    raise GraphError("this node is worked out by the run itself, it is never called")


def _parameter() -> NoReturn:
    raise ParameterError("a parameter is given to flow.run, it is never called")


# Their names start with a bracket, so that no function's name can be theirs.
ITEM = Task(operator.getitem, name="[item]")
GATHER = Task(_gather, name="[gather]")
ELEMENT = Task(_derived, name="[element]")
FLATTEN = Task(_derived, name="[flatten]")
GATE = Task(_derived, name="[case]")
MERGE = Task(_derived, name="merge", trigger=not_all_skipped)
RESOURCE = Task(_derived, name="[resource]")
PARAMETER = Task(_parameter, name="[parameter]")
# Worked out by the run itself, from what is upstream of them; never stored.
DERIVED = frozenset({ITEM, ELEMENT, GATHER, FLATTEN, GATE, MERGE, RESOURCE})
# Those that users do not see as nodes of their own.
HIDDEN = DERIVED - {MERGE, RESOURCE}

BUILDING: ContextVar[Builder | None] = ContextVar("nbflow_building", default=None)
# The nodes that a running task makes; None outside of tasks.
MAKING: ContextVar[list[Node] | None] = ContextVar("nbflow_making", default=None)


def check_name(name: object, written: str) -> None:
    """GraphError for what cannot be a name. written: as it stands in the user's code."""
    if not isinstance(name, str) or not name.strip():
        raise GraphError(f"{written}: a name is a text, such as 'clean east'")
