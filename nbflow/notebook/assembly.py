"""The graph of a notebook: a node for each `%%task` cell, joined by the names that they give and read."""

from __future__ import annotations

import builtins
from types import ModuleType
from typing import TYPE_CHECKING, Any

from nbflow.errors import CellError, MapError, in_words
from nbflow.model.control import Gate, merge
from nbflow.model.making import make_mapped, make_node, register
from nbflow.model.mapping import items_of, unmapped
from nbflow.model.node import BUILDING, ITEM, Node
from nbflow.model.task import Task
from nbflow.notebook.clusters import unknown_executor
from nbflow.notebook.variables import is_plain
from nbflow.probe.secrets import short_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nbflow.model.graph import Graph
    from nbflow.notebook.declarations import Declared

_LABEL_LENGTH = 24


class Assembly:
    """Builds the nodes of all declared cells into a graph.

    refresh: called with each cell before its node is made, to look at its names again. nodes: one a cell.
    """

    def __init__(
        self,
        graph: Graph,
        declared: Sequence[Declared],
        namespace: dict[str, Any],
        refresh: Callable[[Declared], None],
    ) -> None:
        self.nodes: dict[Declared, Node] = {}
        self._graph = graph
        self._declared = declared
        self._namespace = namespace
        self._refresh = refresh
        self._names = {name for each in declared for name in each.built.outputs}
        self._parts: dict[tuple[Declared, str], Node] = {}

    def build(self) -> dict[Declared, Node]:
        """A node for each cell. Raises CellError for cells that need each other."""
        token = BUILDING.set(self._graph)
        try:
            for declared in self._declared:
                self._node(declared, ())
        finally:
            BUILDING.reset(token)
        # What users call by the name of an output is its last version.
        self._graph.outputs.update({name: self.output_node(name) for name in self._names})
        return self.nodes

    def output_node(self, name: str) -> Node:
        """The node of the last version of an output."""
        return self.version_of(self._last(name), name)

    def task_node(self, name: str) -> Node:
        """The node of the cell that makes the last version of an output."""
        return self.nodes[self._last(name)]

    def _last(self, name: str) -> Declared:
        return [each for each in self._declared if name in each.built.outputs][-1]

    def version_of(self, declared: Declared, name: str) -> Node:
        """The node of the version of an output that a cell makes."""
        return self._parts.get((declared, name), self.nodes[declared])

    def _node(self, declared: Declared, path: tuple[Declared, ...]) -> Node:
        if declared in self.nodes:
            return self.nodes[declared]
        if declared in path:
            cycle = " → ".join(d.name for d in (*path[path.index(declared) :], declared))
            raise CellError(f"these cells need each other, which cannot be: {cycle}")
        self._refresh(declared)
        path = (*path, declared)
        inputs = {name: self._input(name, declared, path) for name in declared.built.inputs}
        gate = self._gate(declared, path)
        if gate is None:
            node = self._made(declared, inputs, path)
        else:
            with gate:
                node = self._made(declared, inputs, path)
        node.problem = node.problem or self._lost_executor(declared)
        node.missing = self._missing(declared)
        node.captured = self._captured(declared)
        self.nodes[declared] = node
        self._split(declared, node)
        return node

    def _made(self, declared: Declared, inputs: dict[str, Node | None], path: tuple[Declared, ...]) -> Node:
        branches = [node for node in inputs.values() if node is not None]
        if declared.built.merges and branches:
            node = merge(*branches)
            self._graph.rename(node, declared.name)
            return node
        if declared.built.loop is None:
            return make_node(declared.task, (), {} if declared.built.merges else inputs)
        return self._mapped_node(declared, inputs, path)

    def _gate(self, declared: Declared, path: tuple[Declared, ...]) -> Gate | None:
        """The branch that a cell with a condition stands in."""
        condition = declared.built.condition
        if condition is None:
            return None
        inputs = {name: self._input(name, declared, path) for name in condition.inputs}
        source = inputs.get(condition.plain) if condition.plain is not None else None
        if source is None or source.mapped:
            source = make_node(Task(condition.function, name=f"[{condition.text}]"), (), inputs, name=condition.text)
        gate = Gate(source, "truthy")
        register(gate)
        return gate

    def _mapped_node(self, declared: Declared, inputs: dict[str, Node | None], path: tuple[Declared, ...]) -> Node:
        """The node of a cell with a `for`; one without elements, that tells why, where the source fails."""
        loop = declared.built.loop
        assert loop is not None
        shared = {name: unmapped(value) for name, value in inputs.items()}
        problem = ""
        try:
            source = self._source(declared, path)
            items_of([] if isinstance(source, Node) else source, loop.text)
        except (CellError, MapError) as error:
            problem = str(error)
        # The expression is the user's own, and may raise anything; it is told when the cell runs.
        except Exception as error:  # noqa: BLE001 (told as the cell's problem)
            problem = f"`for … in {loop.text}`: {in_words(error)}"
        if problem:
            # No elements are known, which is not the same as none: nothing behind it may look fresh.
            source = make_node(_NO_SOURCE, (), {}, name=loop.text)
        node = make_mapped(declared.task, (), {loop.argument: source, **shared})
        node.problem = problem
        return node

    def _input(self, name: str, declared: Declared, path: tuple[Declared, ...]) -> Node | None:
        maker = self.maker(name, declared)
        if maker is not None:
            node = self._node(maker, path)
            return self._parts.get((maker, name), node)
        value = self._namespace.get(name)
        # None where nothing gives it any more: it is among the missing names then.
        return value if isinstance(value, Node) else None

    def maker(self, name: str, reader: Declared) -> Declared | None:
        """The version of an output that a cell reads: the last one declared before it, else the first there is."""
        makers = [d for d in self._declared if name in d.built.outputs and d is not reader]
        before = [d for d in makers if d.place < reader.place]
        if before:
            return before[-1]
        return makers[0] if makers else None

    def _source(self, declared: Declared, path: tuple[Declared, ...]) -> Any:
        loop = declared.built.loop
        assert loop is not None
        inputs = {name: self._input(name, declared, path) for name in loop.inputs}
        if loop.plain is not None and loop.plain in inputs:
            return inputs[loop.plain]
        if not inputs:
            return loop.evaluate()
        return make_node(Task(loop.function, name=f"[{loop.text}]"), (), inputs, name=loop.text)

    def _split(self, declared: Declared, node: Node) -> None:
        """Gives each of several outputs a node of its own."""
        outputs = declared.built.outputs
        if len(outputs) == 1 and not declared.built.shows:
            return
        for i, name in enumerate(outputs):
            label = f"{node.name}[{name}]"
            part = (
                make_mapped(ITEM, (node, unmapped(i)), {}, name=label)
                if node.mapped
                else make_node(ITEM, (node, i), {}, name=label)
            )
            part.part = name if len(outputs) > 1 else ""
            self._parts[declared, name] = part

    def _missing(self, declared: Declared) -> tuple[str, ...]:
        lost = [name for name in declared.built.all_inputs if self.maker(name, declared) is None]
        free = [name for name in declared.built.free_names if not hasattr(builtins, name)]
        outputs = self._names
        return tuple(
            [name for name in lost if not isinstance(self._namespace.get(name), Node)]
            + [name for name in free if name not in self._namespace and name not in outputs]
        )

    def _lost_executor(self, declared: Declared) -> str:
        """What to say where the variable that a head names as its executor holds no cluster any more, else ""."""
        name = declared.source.head.options.task.get("executor")
        if name is None or declared.task.options.executor is not None:
            return ""
        return f"--executor {name}: {unknown_executor(name, self._namespace)}"

    def _captured(self, declared: Declared) -> dict[str, str]:
        """The variables that a cell reads, each with a label: its name, and its value where that is a short literal."""
        loop, ignored = declared.built.loop, declared.task.options.ignore
        names = (*declared.built.free_names, *(loop.free_names if loop is not None else ()))
        found = {name: self._namespace[name] for name in names if name in self._namespace and name not in ignored}
        return {name: _label(name, value) for name, value in found.items() if _is_data(value)}


def _is_data(value: object) -> bool:
    """Whether a variable is neither code nor a node: functions, classes and modules count as code."""
    return not callable(value) and not isinstance(value, ModuleType | Node)


def _label(name: str, value: object) -> str:
    return f"{name} = {short_text(value, name, _LABEL_LENGTH)}" if is_plain(value) else name


def _no_source() -> None:
    raise CellError("this source cannot be read")


_NO_SOURCE = Task(_no_source, name="source")
