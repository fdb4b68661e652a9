"""Code ids: a function and all that it reaches, by content."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from nbflow.errors import UnidentifiableError
from nbflow.identity.bound import bound_code
from nbflow.identity.components import component_ids
from nbflow.identity.describe import Descriptions
from nbflow.identity.encoding import framed
from nbflow.identity.following import module_named
from nbflow.identity.holes import HOLE, Holes, Surroundings
from nbflow.identity.meanings import Meanings
from nbflow.identity.origin import PYTHON, Origins
from nbflow.identity.parts import CodeIdentity, Component, Unit, first_as_code
from nbflow.identity.value import Identifier

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from nbflow.identity.holes import Sources
    from nbflow.identity.origin import Packages


class CodeIds:
    """Code ids for one plan: the value of every global is looked at anew, each object once.

    is_input: whether a global's value is a node; called_by_name: the function of a task, None for anything else.
    """

    def __init__(
        self,
        sources: Sources,
        packages: Packages,
        *,
        is_input: Callable[[Any], bool] = lambda value: False,
        called_by_name: Callable[[Any], Any] = lambda value: None,
    ) -> None:
        self._origins = Origins(packages)
        self._around = Surroundings(sources, self._origins, Meanings(sources), is_input, called_by_name)
        # By the names that do not count.
        self._reached: dict[frozenset[str], _Reached] = {}
        self._lock = threading.RLock()
        self.identifier = Identifier(self.resolve)

    def identify(
        self, fn: Callable[..., Any], *, ignore: Collection[str] = (), depends_on: Sequence[object] = ()
    ) -> CodeIdentity:
        """The code id of a task's function. Raises UnidentifiableError that names what it reaches.

        ignore: names of globals and closure variables that do not count; depends_on: objects, or names of
        modules, that count although the code does not show them.
        """
        with self._lock:
            return self._identified(fn, self._ignoring(frozenset(ignore)), depends_on)

    def bound(self, fn: Callable[..., Any]) -> str | None:
        """What binds a function to the main thread; None where nothing does. Hashes nothing."""
        return bound_code(fn, lambda module: module.startswith("nbflow") or self._origins.of_module(module) is not None)

    def resolve(self, thing: Any) -> bytes:
        """The id of a function, class, builtin or module as a part of a value."""
        unit = Unit(thing, "value", "")
        # Workers ask, too: none may see a unit that another is still describing.
        with self._lock:
            reach = self._ignoring(frozenset())
            known = reach.holes.hole(unit, thing)
            if known != HOLE:
                return known
            reach.from_root(unit)
            return reach.id_of(unit.edges[0])

    def _identified(self, fn: Callable[..., Any], reach: _Reached, depends_on: Sequence[object]) -> CodeIdentity:
        root = Unit(fn, "code", getattr(fn, "__name__", type(fn).__name__))
        parts = [reach.holes.value(root, fn, root.name)]
        for i, thing in enumerate(depends_on):
            found = module_named(thing) if isinstance(thing, str) else thing
            parts.append(reach.holes.value(root, found, f"depends_on[{i}]"))
        root.local = framed("task", PYTHON.encode(), *parts)
        reached = reach.from_root(root)
        id_ = framed("root", root.local, *(reach.id_of(edge) for edge in root.edges))
        components = [component for unit in reached for component in unit.components]
        components.append(Component("python", "Python", framed("python", PYTHON.encode()), PYTHON))
        return CodeIdentity(
            id_,
            tuple(first_as_code(components)),
            tuple(dict.fromkeys(name for unit in reached for name in unit.inputs)),
            tuple(capture for unit in reached for capture in unit.captures),
            tuple(dict.fromkeys(name for unit in reached for name in unit.unseen)),
            self._digest_now,
        )

    def _ignoring(self, ignored: frozenset[str]) -> _Reached:
        if ignored not in self._reached:
            self._reached[ignored] = _Reached(self._around, ignored)
        return self._reached[ignored]

    def _digest_now(self, value: Any, name: str) -> bytes:
        scratch = Unit(value, "value", name)
        try:
            function = self._around.called_by_name(value)
            return Holes(self._around, frozenset()).value(scratch, value if function is None else function, name)
        except UnidentifiableError:
            return framed("unidentifiable")


class _Reached:
    """What is reached, and the id of each part of it. ignored: names that do not count."""

    def __init__(self, around: Surroundings, ignored: frozenset[str]) -> None:
        self.holes = Holes(around, ignored)
        self._descriptions = Descriptions(around, self.holes, ignored)
        self._ids: dict[int, bytes] = {}

    def from_root(self, root: Unit) -> list[Unit]:
        """A unit and all that it leads to, in the order of the way there; each has an id from now on."""
        found: dict[int, Unit] = {id(root): root}
        todo = list(reversed(root.edges))
        while todo:
            thing = todo.pop()
            if id(thing) in found:
                continue
            unit = found[id(thing)] = self._descriptions.of(thing)
            todo.extend(reversed(unit.edges))
        self._identify(list(found.values()))
        return list(found.values())

    def id_of(self, thing: Any) -> bytes:
        return self._ids[id(thing)]

    def _identify(self, units: Sequence[Unit]) -> None:
        todo = [
            unit
            for unit in units
            if unit.local and id(unit.thing) not in self._ids and unit.kind not in {"code", "value"}
        ]
        local = {id(unit.thing): unit.local for unit in todo}
        edges = {id(unit.thing): [id(e) if id(e) in local else self.id_of(e) for e in unit.edges] for unit in todo}
        self._ids.update(component_ids(local, edges))
