"""What functions, classes and modules of the user's consist of."""

from __future__ import annotations

import functools
import os
import sys
import types
from typing import TYPE_CHECKING, Any

from nbflow.errors import UnidentifiableError
from nbflow.identity.accessors import accessors_in
from nbflow.identity.asked import reads_texts, with_asked
from nbflow.identity.bytecode import CALLED_CHAINS
from nbflow.identity.classes import class_parts
from nbflow.identity.encoding import framed
from nbflow.identity.environment import reads_arguments, reads_environment
from nbflow.identity.following import followed
from nbflow.identity.modules import kind_of, module_parts
from nbflow.identity.parts import MISSING, Capture, Component, Unit, cell_value, defaults_of, short

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbflow.identity.holes import Holes, Surroundings
    from nbflow.identity.reach import Reach


class Descriptions:
    """Describes each function, class and module once. ignored: names that do not count."""

    def __init__(self, around: Surroundings, holes: Holes, ignored: frozenset[str]) -> None:
        self._around = around
        self._holes = holes
        self._ignored = ignored
        self._units: dict[int, Unit] = {}

    def of(self, thing: Any) -> Unit:
        """What a function, class or module consists of, and what it leads to."""
        key = id(thing)
        if key not in self._units:
            name = getattr(thing, "__qualname__", thing.__name__).rpartition("<locals>.")[2]
            unit = Unit(thing, kind_of(thing), name)
            # Before it is filled: what leads back to it finds it.
            self._units[key] = unit
            try:
                self._fill(unit, thing)
            except BaseException:
                # Who asks again is told the same, and finds no half of it.
                del self._units[key]
                raise
        return self._units[key]

    def _fill(self, unit: Unit, thing: Any) -> None:
        if isinstance(thing, types.ModuleType):
            # Its parts are components of their own.
            self._module(unit, thing)
            return
        if isinstance(thing, type):
            self._class(unit, thing)
            own = unit.local
        else:
            # Without the values it reaches, which are components of their own.
            own = self._function(unit, thing)
        text = self._around.sources.text_of(thing)
        unit.components.insert(0, Component(unit.kind, unit.name, own, text))

    def _function(self, unit: Unit, fn: types.FunctionType) -> bytes:
        meaning = self._around.meanings.of(fn)
        own = meaning.digest
        parts = [own]
        for name, default in defaults_of(fn):
            parts += [name.encode(), self._holes.part(unit, "default", f"{unit.name}({name})", default)]
        cells = dict(zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True))
        for i, free in enumerate(meaning.free):
            if free in cells:
                value = cell_value(cells[free])
                if free in meaning.called and self._around.called_by_name(value) is not None:
                    parts += [b"cell %d" % i, framed("task by name")]
                    continue
                parts += [
                    b"cell %d" % i,
                    self._holes.named(unit, "closure", free, value, functools.partial(cell_value, cells[free])),
                ]
        for name, value in sorted(vars(fn).items()):
            if name not in self._ignored:
                parts += [name.encode(), self._holes.value(unit, value, f"{unit.name}.{name}")]
        for reach in with_asked(fn, meaning.reaches):
            if reach.unseen and reads_texts(fn, reach):
                unit.unseen.append(reach.names[-1])
            parts += ["|".join([*reach.names, str(reach.module)]).encode(), self._global(unit, fn, reach)]
        for name, accessor in accessors_in(meaning.attributes, lambda cls: self._around.origins.of(cls) is None):
            if name not in self._ignored:
                parts += [name.encode(), self._holes.value(unit, accessor, name)]
        unit.local = framed("function", *parts)
        return own

    def _global(self, unit: Unit, fn: types.FunctionType, reach: Reach) -> bytes:
        dotted = ".".join(([reach.module] if reach.module else []) + list(reach.names))
        if dotted in self._ignored or (reach.names and reach.names[0] in self._ignored):
            return framed("ignored")
        fetch = functools.partial(followed, fn, reach, self._around.origins)
        value, name, rest = fetch()
        if reach.guessed and value is MISSING:
            return framed("missing", name.encode())
        if reach.called and self._around.called_by_name(value) is not None and rest in CALLED_CHAINS:
            return framed("task by name")
        if reads_environment(value, rest):
            return self._environment(unit, reach.text)
        if reads_arguments(value, rest) and "sys.argv" not in self._ignored:
            # In place of the module, which is no value.
            return self._holes.part(unit, "global", "sys.argv", sys.argv)
        digest = self._holes.named(unit, "global", name or dotted, value, lambda: fetch()[0])
        if "__subclasses__" in rest and isinstance(value, type):
            below = sorted(_subclasses(value), key=lambda cls: (cls.__module__, cls.__qualname__))
            return framed("subclasses", digest, *(self._holes.value(unit, cls, cls.__qualname__) for cls in below))
        return digest

    def _environment(self, unit: Unit, name: str | None) -> bytes:
        """An environment variable that is read by name; which one a name that is computed means cannot be seen."""
        if name is None or name in self._ignored:
            return framed("environment")
        value = os.environ.get(name)
        digest = framed("environment", name.encode("utf-8", "surrogatepass"), self._holes.value(unit, value, name))
        unit.components.append(Component("env", name, digest, short(value)))
        return digest

    def _class(self, unit: Unit, cls: type) -> None:
        parts: list[bytes] = []
        for name, value in class_parts(cls):
            dotted = f"{unit.name}.{name}"
            if dotted in self._ignored:
                continue
            parts.append(name.encode())
            try:
                parts.append(self._holes.value(unit, value, dotted))
                if type(value) in _COUNTED and name in vars(cls):
                    # Instances may count themselves there.
                    fetch = functools.partial(vars(cls).get, name, MISSING)
                    unit.captures.append(Capture(dotted, fetch, value, parts[-1]))
            except UnidentifiableError:
                # Descriptors and caches of libraries: the text of the class stands for them.
                parts.append(framed("text", self._holes.shape(cls).encode()))
                parts += self._functions_in(unit, value)
        unit.local = framed("class", *parts)

    def _functions_in(self, unit: Unit, value: Any) -> Iterator[bytes]:
        """What a descriptor of a library calls, as far as it can be seen: all that it reaches counts."""
        for name, part in sorted(getattr(value, "__dict__", {}).items()):
            if isinstance(part, types.FunctionType):
                yield framed("function in", name.encode(), self._holes.value(unit, part, name))

    def _module(self, unit: Unit, module: types.ModuleType) -> None:
        parts = [module.__name__.encode()]
        for name, value in module_parts(module):
            dotted = f"{module.__name__}.{name}"
            if dotted in self._ignored or self._around.is_input(value):
                continue
            try:
                parts += [name.encode(), self._holes.part(unit, "global", dotted, value)]
            except UnidentifiableError:
                parts += [name.encode(), self._holes.shape(module).encode()]
        unit.local = framed("module", *parts)


def _subclasses(cls: type) -> set[type]:
    """All classes below one, at any depth."""
    found: set[type] = set()
    todo = [cls]
    while todo:
        below: set[type] = set(type.__subclasses__(todo.pop())) - found
        found |= below
        todo.extend(below)
    return found


# What a class may hold that its instances and methods change.
_COUNTED = frozenset({int, float, str, list, dict, set})
