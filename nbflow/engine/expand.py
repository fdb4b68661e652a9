"""Results that consist of nodes: kept as expressions, and made into nodes of the run again."""

from __future__ import annotations

import io
import pickle
import sys
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any

import cloudpickle
from xxhash import xxh3_128_digest

from nbflow.codecs import Sealed, seal
from nbflow.engine import events as m
from nbflow.engine.ledger import Expression
from nbflow.errors import GraphError, NotStorable
from nbflow.model.node import DERIVED, PARAMETER, Node, ancestors
from nbflow.model.task import Task
from nbflow.model.tree import leaves

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nbflow.engine.ledger import Ledger
    from nbflow.engine.machine import Machine


class Gone(Exception):
    """An expression names a task or node that is there no more."""


class Expander:
    """Makes the nodes of a result part of a run. code_id: of a task's function."""

    def __init__(self, machine: Machine, ledger: Ledger, code_id: Callable[[Task], bytes]) -> None:
        self._machine = machine
        self._ledger = ledger
        self._code_id = code_id
        self._names: dict[str, int] = {}

    def expand(self, node: Node, index: int, value: Any, *, reused: bool, step: bool) -> m.Expanded:
        """The event that adds a result's nodes to the run. Raises GraphError for nodes that wait for each other."""
        tracks = self._machine.tracks
        found = tuple(dict.fromkeys(leaves(value, Node)))
        needed = ancestors(found)
        for each in needed:
            if each in tracks and self._machine.waits_for(each, node):
                raise GraphError(
                    f"{node.name} returned nodes that need {each.name!r}, which itself waits for {node.name}: "
                    f"neither could ever run. Give the child the value it needs as an argument"
                )
        children = [each for each in needed if each not in tracks]
        place = f"{node.name}[{index}]" if node.mapped else node.name
        for child in children:
            child.maker = node
            child.name = self._unique(f"{place}/{child.name}")
            child.owner = node.owner
            self._ledger.add(child)
        self._ledger.books[node].expressions[index] = Expression(value, found, reused=reused, step=step)
        return m.Expanded(node, index, children, found)

    def freeze(self, node: Node, value: Any) -> tuple[bytes, Sealed]:
        """A result's nodes as bytes, with an id. Raises NotStorable.

        Tasks are kept by the name that the node's function knows them by, so that an edit of a child's code is
        seen; tasks made inside the function travel by value. Nodes of the run around go by name.
        """
        found = ancestors(dict.fromkeys(leaves(value, Node)))
        made = [each for each in found if each not in self._machine.tracks or each.maker is not None]
        stream = io.BytesIO()
        names = _Names(node.task.fn)
        for task in dict.fromkeys(each.task for each in made):
            if id(task) not in _SPECIAL_NAMES and names.of(task) is None:
                # Its source may be gone when it is read again, and with it the id that its source gives.
                task.frozen_code = self._code_id(task)
        pickler = _Pickler(stream, made, names)
        try:
            states = [{**each.__dict__, "owner": None, "maker": None, "switches": []} for each in made]
            pickler.dump((states, value))
        # What a value's own __reduce__ raises is any exception.
        except Exception as error:
            raise NotStorable(f"the nodes it returned cannot be pickled ({error})") from error
        body = stream.getvalue()
        return xxh3_128_digest(body), seal(body)

    def thaw(self, node: Node, frozen: bytes) -> Any:
        """The result that was frozen, with its tasks as they are now. Raises Gone."""
        by_name = {each.name: each for each in self._machine.tracks}
        unpickler = _Unpickler(io.BytesIO(frozen), _Names(node.task.fn), by_name)
        states, value = unpickler.load()
        for state, each in zip(states, unpickler.made(len(states)), strict=True):
            each.__dict__.update(state)
        return value

    def _unique(self, name: str) -> str:
        count = self._names.get(name, 0) + 1
        self._names[name] = count
        return name if count == 1 else f"{name}-{count}"


class _Names:
    """How a function reaches tasks: by global, attribute of a module, or closure."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        self._fn = fn
        self._tasks: dict[int, tuple[str, ...]] | None = None

    def of(self, task: Task) -> tuple[str, ...] | None:
        """The path to a task; None for one that was made inside."""
        if self._tasks is None:
            self._tasks = {}
            for path, thing in self._reached():
                self._tasks.setdefault(id(thing), path)
        if id(task) in self._tasks:
            return self._tasks[id(task)]
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
            if isinstance(value, Task):
                yield ("global", name), value
            elif isinstance(value, ModuleType):
                for inner in names:
                    if isinstance(value.__dict__.get(inner), Task):
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


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
    """Nodes go by number or name, tasks by path: neither recursion nor a copy of code that is there anyway."""

    def __init__(self, stream: io.BytesIO, made: list[Node], names: _Names) -> None:
        super().__init__(stream, protocol=5)
        self._numbers = {node: i for i, node in enumerate(made)}
        self._task_names = names

    def persistent_id(self, thing: Any) -> Any:
        if isinstance(thing, Node):
            if thing in self._numbers:
                return ("node", self._numbers[thing], type(thing))
            return ("run", thing.name)
        if isinstance(thing, Task):
            path = _SPECIAL_NAMES.get(id(thing)) or self._task_names.of(thing)
            return None if path is None else ("task", path)
        return None


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: io.BytesIO, names: _Names, by_name: dict[str, Node]) -> None:
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
            case ("run", name):
                if name not in self._by_name:
                    raise Gone(f"the node {name!r} is there no more")
                return self._by_name[name]
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
_SPECIAL_NAMES = {id(task): ("special", name) for name, task in _SPECIAL.items()}
