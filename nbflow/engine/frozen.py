"""Nodes as bytes: tasks by the names that a function knows them by, or by value where it made them itself."""

from __future__ import annotations

import pickle
import sys
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any

import cloudpickle

from nbflow.engine.ledger import Gone
from nbflow.model.node import DERIVED, PARAMETER, Node
from nbflow.model.task import Task

if TYPE_CHECKING:
    import io
    from collections.abc import Callable, Iterator


def is_special(task: Task) -> bool:
    """Whether a task is one of nbflow's own, which every version of it has."""
    return id(task) in _SPECIAL_PATHS


class Names:
    """How a function reaches tasks and nodes: by global, attribute of a module, or closure."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        self._fn = fn
        self._tasks: dict[int, tuple[str, ...]] | None = None

    def of(self, thing: Task | Node) -> tuple[str, ...] | None:
        """The path to a task or node; None for one that was made inside."""
        if self._tasks is None:
            self._tasks = {}
            for path, reached in self._reached():
                self._tasks.setdefault(id(reached), path)
        if id(thing) in self._tasks:
            return self._tasks[id(thing)]
        if isinstance(thing, Node):
            return None
        task = thing
        module, name = getattr(task.fn, "__module__", None), getattr(task.fn, "__qualname__", "")
        if module and self._walk(sys.modules.get(module), name.split(".")) is task:
            return ("module", module, *name.split("."))
        return None

    def find(self, path: tuple[str, ...]) -> Any:
        """What lies at a path now; None where there is nothing."""
        kind, first, *rest = path
        if kind == "module":
            return self._walk(sys.modules.get(first), rest)
        if kind == "closure":
            return self._closure().get(first)
        return self._walk(getattr(self._fn, "__globals__", {}).get(first), rest)

    def _reached(self) -> Iterator[tuple[tuple[str, ...], Any]]:
        code = getattr(self._fn, "__code__", None)
        if code is None:
            return
        for name, value in self._closure().items():
            yield ("closure", name), value
        space = getattr(self._fn, "__globals__", {})
        names = _names_in(code)
        for name in names:
            value = space.get(name)
            if isinstance(value, (Task, Node)):
                yield ("global", name), value
            elif isinstance(value, ModuleType):
                for inner in names:
                    if isinstance(value.__dict__.get(inner), (Task, Node)):
                        yield ("global", name, inner), value.__dict__[inner]

    def _closure(self) -> dict[str, Any]:
        code, cells = getattr(self._fn, "__code__", None), getattr(self._fn, "__closure__", None)
        if code is None or not cells:
            return {}
        found = {}
        for name, cell in zip(code.co_freevars, cells, strict=True):
            try:
                found[name] = cell.cell_contents
            except ValueError:
                continue
        return found

    @staticmethod
    def _walk(thing: Any, path: list[str]) -> Any:
        for name in path:
            thing = getattr(thing, name, None)
        return thing


def _names_in(code: CodeType) -> list[str]:
    names = dict.fromkeys(code.co_names)
    for const in code.co_consts:
        if isinstance(const, CodeType):
            names.update(dict.fromkeys(_names_in(const)))
    return list(names)


class Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
    """Nodes go by number or name, tasks by path: neither recursion nor a copy of code that is there anyway."""

    def __init__(self, stream: io.BytesIO, made: list[Node], names: Names) -> None:
        super().__init__(stream, protocol=5)
        self._numbers = {node: i for i, node in enumerate(made)}
        self._task_names = names

    def persistent_id(self, thing: Any) -> Any:
        if isinstance(thing, Node):
            if thing in self._numbers:
                return ("node", self._numbers[thing], type(thing))
            # A node's name in the flow may be another one's next time; how the function reaches it may not.
            return ("outside", self._task_names.of(thing) or ("flow", thing.name))
        if isinstance(thing, Task):
            path = _SPECIAL_PATHS.get(id(thing)) or self._task_names.of(thing)
            return None if path is None else ("task", path)
        return None


class Unpickler(pickle.Unpickler):
    """The way back; `made` gives the nodes, which are empty until their states are put in."""

    def __init__(self, stream: io.BytesIO, names: Names, by_name: dict[str, Node]) -> None:
        super().__init__(stream)
        self._task_names = names
        self._by_name = by_name
        self._made: dict[int, Node] = {}

    def persistent_load(self, pid: Any) -> Any:
        match pid:
            case ("node", int(number), kind):
                if number not in self._made:
                    self._made[number] = kind.__new__(kind)
                return self._made[number]
            case ("outside", path):
                node = self._by_name.get(path[1]) if path[0] == "flow" else self._task_names.find(path)
                if not isinstance(node, Node):
                    raise Gone(f"the node {'.'.join(path[1:])!r} is there no more")
                return node
            case ("task", ("special", name)):
                return _SPECIAL[name]
            case ("task", path):
                task = self._task_names.find(path)
                if not isinstance(task, Task):
                    raise Gone(f"the task {'.'.join(path[1:])!r} is there no more")
                return task
        raise Gone(f"{pid!r} is not known")

    def made(self, count: int) -> list[Node]:
        return [self._made[number] for number in range(count)]


_SPECIAL = {task.name: task for task in (*DERIVED, PARAMETER)}
_SPECIAL_PATHS = {id(task): ("special", name) for name, task in _SPECIAL.items()}
