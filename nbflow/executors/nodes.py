"""Tasks and nodes on their way: to a worker, whose functions make nodes of them, and back to the run they belong to."""

from __future__ import annotations

import io
import pickle
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import cloudpickle

from nbflow.errors import NotStorable
from nbflow.model.node import DERIVED, PARAMETER, Node, ancestors
from nbflow.model.task import Task
from nbflow.model.tree import leaves

if TYPE_CHECKING:
    from collections.abc import Mapping

# Under this name what was sent has the number that the kernel knows it by.
_NUMBER = "_sent_number"
# What a node of the flow leads to stays in the kernel: in a worker it can be an argument, and nothing else.
_LEFT_BEHIND: dict[str, Any] = {
    "arguments": (), "order": (), "gate": None, "resources": (), "owner": None, "switches": [], "maker": None,
    "data": (), "captured": {},
}  # fmt: skip
_COMPUTED = ("signature", "_positional", "nout")


class Numbers:
    """The tasks and nodes that functions took along, by number. run: in whose namespace functions live in a worker."""

    def __init__(self) -> None:
        self.begin_run()
        self._things: list[Task | Node] = []
        self._numbers: dict[int, int] = {}

    def begin_run(self) -> None:
        """From now on functions live in another namespace: one of its names leads to something else here."""
        self.run = uuid4().hex
        self._globals: dict[str, Any] = {}

    def differ(self, found: Mapping[str, Any]) -> bool:
        """Whether a name of the notebook's led to something else when it was sent before; notes what they lead to."""
        if any(name in self._globals and self._globals[name] is not value for name, value in found.items()):
            return True
        self._globals.update(found)
        return False

    def reduced(self, thing: Any) -> Any:
        """How a task or node travels to a worker; None for anything else."""
        if not isinstance(thing, (Task, Node)):
            return None
        if isinstance(thing, Task) and id(thing) in _SPECIAL_NAMES:
            return _special, (_SPECIAL_NAMES[id(thing)],)
        number = self._numbers.get(id(thing))
        if number is None:
            number = self._numbers[id(thing)] = len(self._things)
            self._things.append(thing)
        if isinstance(thing, Node):
            return _empty, (type(thing), number), {**vars(thing), **_LEFT_BEHIND}
        state = {name: value for name, value in vars(thing).items() if name not in _COMPUTED}
        # Callbacks are called in the kernel, nothing is identified in a worker, and a connection cannot travel.
        where = thing.options.executor if isinstance(thing.options.executor, str) else None
        state["options"] = replace(thing.options, on_state=None, depends_on=(), executor=where)
        return _empty, (Task, number), state

    def opened(self, body: bytes) -> Any:
        """The result that a worker packed, with the tasks and nodes of this process in it."""
        unpickler = _Unpickler(io.BytesIO(body), self._things)
        states, value = unpickler.load()
        for number, state in enumerate(states):
            unpickler.made[number].__dict__.update(state)
        return value


def packed_nodes(value: Any) -> bytes:
    """A result that consists of nodes, from a worker. Raises NotStorable."""
    made = [node for node in ancestors(dict.fromkeys(leaves(value, Node))) if _NUMBER not in vars(node)]
    stream = io.BytesIO()
    states = [{**vars(node), "owner": None, "maker": None, "switches": []} for node in made]
    try:
        _Pickler(stream, made).dump((states, value))
    # What a value's own __reduce__ raises is any exception.
    except Exception as error:
        raise NotStorable(f"consists of nodes that cannot be pickled ({error})") from error
    return stream.getvalue()


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # it ships no types
    """Nodes go by number, so that long lines of them need no recursion; tasks as far as the kernel knows them."""

    def __init__(self, stream: io.BytesIO, made: list[Node]) -> None:
        super().__init__(stream, protocol=5)
        self._made = {id(node): number for number, node in enumerate(made)}

    def persistent_id(self, thing: Any) -> Any:
        if not isinstance(thing, (Task, Node)):
            return None
        if id(thing) in self._made:
            return ("made", self._made[id(thing)], type(thing))
        if _NUMBER in vars(thing):
            return ("sent", vars(thing)[_NUMBER])
        name = _SPECIAL_NAMES.get(id(thing))
        return None if name is None else ("special", name)


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: io.BytesIO, sent: list[Task | Node]) -> None:
        super().__init__(stream)
        self._sent = sent
        self.made: dict[int, Node] = {}

    def persistent_load(self, pid: Any) -> Any:
        match pid:
            case ("made", int(number), kind):
                if number not in self.made:
                    self.made[number] = kind.__new__(kind)
                return self.made[number]
            case ("sent", int(number)):
                return self._sent[number]
            case ("special", name):
                return _SPECIAL[name]
        raise pickle.UnpicklingError(f"{pid!r} is not known")


def _special(name: str) -> Task:
    return _SPECIAL[name]


def _empty(kind: type[Task | Node], number: int) -> Any:
    thing = kind.__new__(kind)
    setattr(thing, _NUMBER, number)
    return thing


_SPECIAL = {task.name: task for task in (*DERIVED, PARAMETER)}
_SPECIAL_NAMES = {id(task): name for name, task in _SPECIAL.items()}
