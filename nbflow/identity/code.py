"""Code ids: a function and all that it reaches, by content."""

from __future__ import annotations

import builtins
import functools
import importlib
import os
import sys
import threading
import types
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from nbflow.errors import UnidentifiableError
from nbflow.identity.accessors import accessors_in
from nbflow.identity.bound import bound_code
from nbflow.identity.bytecode import CALLED_CHAINS, Meaning, Reach, meaning_of
from nbflow.identity.classes import class_parts
from nbflow.identity.components import component_ids
from nbflow.identity.encoding import atom_id, framed, set_id
from nbflow.identity.environment import reads_environment
from nbflow.identity.modules import MADE_AT_RUN_TIME, kind_of, module_of, module_parts, shape_of
from nbflow.identity.normal import Normalizer, Trees
from nbflow.identity.parts import (
    MISSING,
    Capture,
    CodeIdentity,
    Component,
    Unit,
    cell_value,
    defaults_of,
    first_as_code,
    short,
)
from nbflow.identity.value import Identifier

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

_HOLE = b"\0" * 16
_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


@dataclass(frozen=True, slots=True)
class _Known:
    """The meaning of a code object. normal: whether it comes from the source, so that layout makes no difference."""

    code: types.CodeType
    meaning: Meaning
    normal: bool


_MEANINGS: dict[int, _Known] = {}


class Sources(Trees, Protocol):
    """Gives trees, and the text of functions and classes."""

    def text_of(self, thing: Any) -> str: ...


class Packages(Protocol):
    """Gives the distribution and version that installed code comes from; None for the user's own."""

    def of_module(self, name: str) -> tuple[str, str] | None: ...
    def of_file(self, file: str | None) -> tuple[str, str] | None: ...


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
        self._sources = sources
        self._packages = packages
        self._is_input = is_input
        self._called_by_name = called_by_name
        self._normalizer = _NORMALIZERS.setdefault(id(sources), Normalizer(sources))
        self._units: dict[tuple[int, frozenset[str]], Unit] = {}
        self._ids: dict[tuple[int, frozenset[str]], bytes] = {}
        self._installed: dict[str, tuple[str, str] | None] = {}
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
            return self._identified(fn, frozenset(ignore), depends_on)

    def _identified(
        self, fn: Callable[..., Any], ignored: frozenset[str], depends_on: Sequence[object]
    ) -> CodeIdentity:
        root = Unit(fn, "code", getattr(fn, "__name__", type(fn).__name__))
        parts = [self._value(root, fn, root.name, ignored)]
        for i, thing in enumerate(depends_on):
            found = self._module(thing, 0, None) if isinstance(thing, str) else thing
            parts.append(self._value(root, found, f"depends_on[{i}]", ignored))
        root.local = framed("task", _PYTHON.encode(), *parts)
        reached = self._reached(root, ignored)
        self._compute(reached, ignored)
        id_ = framed("root", root.local, *(self._edge_id(edge, ignored) for edge in root.edges))
        components = [component for unit in reached for component in unit.components]
        components.append(Component("python", "Python", framed("python", _PYTHON.encode()), _PYTHON))
        return CodeIdentity(
            id_,
            tuple(first_as_code(components)),
            tuple(dict.fromkeys(name for unit in reached for name in unit.inputs)),
            tuple(capture for unit in reached for capture in unit.captures),
            self._digest_now,
        )

    def bound(self, fn: Callable[..., Any]) -> str | None:
        """What binds a function to the main thread; None where nothing does. Hashes nothing."""
        return bound_code(fn, lambda module: module.startswith("nbflow") or self._package(module) is not None)

    def resolve(self, thing: Any) -> bytes:
        """The id of a function, class, builtin or module as a part of a value."""
        unit = Unit(thing, "value", "")
        # Workers ask, too: none may see a unit that another is still describing.
        with self._lock:
            known = self._hole(unit, thing, frozenset())
            if known != _HOLE:
                return known
            self._compute(self._reached(unit, frozenset()), frozenset())
            return self._edge_id(unit.edges[0], frozenset())

    def _reached(self, root: Unit, ignored: frozenset[str]) -> list[Unit]:
        found: dict[int, Unit] = {id(root): root}
        todo = list(reversed(root.edges))
        while todo:
            thing = todo.pop()
            if id(thing) in found:
                continue
            unit = found[id(thing)] = self._described(thing, ignored)
            todo.extend(reversed(unit.edges))
        return list(found.values())

    def _compute(self, units: Sequence[Unit], ignored: frozenset[str]) -> None:
        todo = [
            unit
            for unit in units
            if unit.local and (id(unit.thing), ignored) not in self._ids and unit.kind not in {"code", "value"}
        ]
        local = {id(unit.thing): unit.local for unit in todo}
        edges = {
            id(unit.thing): [id(e) if id(e) in local else self._ids[id(e), ignored] for e in unit.edges]
            for unit in todo
        }
        for key, found in component_ids(local, edges).items():
            self._ids[key, ignored] = found

    def _edge_id(self, thing: Any, ignored: frozenset[str]) -> bytes:
        return self._ids[id(thing), ignored]

    def _described(self, thing: Any, ignored: frozenset[str]) -> Unit:
        key = (id(thing), ignored)
        if key not in self._units:
            name = getattr(thing, "__qualname__", thing.__name__).rpartition("<locals>.")[2]
            unit = Unit(thing, kind_of(thing), name)
            # Before it is filled: what leads back to it finds it.
            self._units[key] = unit
            if isinstance(thing, types.ModuleType):
                # Its parts are components of their own.
                self._describe_module(unit, thing, ignored)
                return unit
            if isinstance(thing, type):
                self._describe_class(unit, thing, ignored)
                own = unit.local
            else:
                # Without the values it reaches, which are components of their own.
                own = self._describe_function(unit, thing, ignored)
            text = self._sources.text_of(thing)
            unit.components.insert(0, Component(unit.kind, unit.name, own, text))
        return self._units[key]

    def _describe_function(self, unit: Unit, fn: types.FunctionType, ignored: frozenset[str]) -> bytes:
        meaning = self._meaning(fn)
        own = meaning.digest
        parts = [own]
        for name, default in defaults_of(fn):
            parts += [name.encode(), self._part(unit, "default", f"{unit.name}({name})", default, ignored)]
        cells = dict(zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True))
        for i, free in enumerate(meaning.free):
            if free in cells:
                value = cell_value(cells[free])
                if free in meaning.called and self._called_by_name(value) is not None:
                    parts += [b"cell %d" % i, framed("task by name")]
                    continue
                parts += [
                    b"cell %d" % i,
                    self._named(unit, "closure", free, value, functools.partial(cell_value, cells[free]), ignored),
                ]
        for name, value in sorted(vars(fn).items()):
            if name not in ignored:
                parts += [name.encode(), self._value(unit, value, f"{unit.name}.{name}", ignored)]
        for reach in meaning.reaches:
            parts += ["|".join([*reach.names, str(reach.module)]).encode(), self._global(unit, fn, reach, ignored)]
        for name, accessor in accessors_in(meaning.attributes, lambda cls: self._origin(cls) is None):
            if name not in ignored:
                parts += [name.encode(), self._value(unit, accessor, name, ignored)]
        unit.local = framed("function", *parts)
        return own

    def _describe_class(self, unit: Unit, cls: type, ignored: frozenset[str]) -> None:
        parts: list[bytes] = []
        for name, value in class_parts(cls):
            dotted = f"{unit.name}.{name}"
            if dotted in ignored:
                continue
            parts.append(name.encode())
            try:
                parts.append(self._value(unit, value, dotted, ignored))
                if type(value) in COUNTED and name in vars(cls):
                    # Instances may count themselves there.
                    fetch = functools.partial(vars(cls).get, name, MISSING)
                    unit.captures.append(Capture(dotted, fetch, value, parts[-1]))
            except UnidentifiableError:
                # Descriptors and caches of libraries: the text of the class stands for them.
                parts.append(framed("text", self._shape(cls).encode()))
                parts += self._functions_in(unit, value, ignored)
        unit.local = framed("class", *parts)

    def _functions_in(self, unit: Unit, value: Any, ignored: frozenset[str]) -> Iterator[bytes]:
        """What a descriptor of a library calls, as far as it can be seen: all that it reaches counts."""
        for name, part in sorted(getattr(value, "__dict__", {}).items()):
            if isinstance(part, types.FunctionType):
                yield framed("function in", name.encode(), self._value(unit, part, name, ignored))

    def _describe_module(self, unit: Unit, module: types.ModuleType, ignored: frozenset[str]) -> None:
        parts = [module.__name__.encode()]
        for name, value in module_parts(module):
            dotted = f"{module.__name__}.{name}"
            if dotted in ignored or self._is_input(value):
                continue
            try:
                parts += [name.encode(), self._part(unit, "global", dotted, value, ignored)]
            except UnidentifiableError:
                parts += [name.encode(), self._shape(module).encode()]
        unit.local = framed("module", *parts)

    def _meaning(self, fn: types.FunctionType) -> Meaning:
        known = _MEANINGS.get(id(fn.__code__))
        if known is not None and known.code is fn.__code__ and known.normal:
            # Also when its file was edited meanwhile: what is in memory runs.
            return known.meaning
        code = self._normalizer.normal(fn.__code__)
        if known is None or known.code is not fn.__code__ or code is not fn.__code__:
            known = _Known(fn.__code__, meaning_of(code), code is not fn.__code__)
            _MEANINGS[id(fn.__code__)] = known
        return known.meaning

    def _global(self, unit: Unit, fn: types.FunctionType, reach: Reach, ignored: frozenset[str]) -> bytes:
        dotted = ".".join(([reach.module] if reach.module else []) + list(reach.names))
        if dotted in ignored or (reach.names and reach.names[0] in ignored):
            return framed("ignored")
        fetch = functools.partial(self._followed, fn, reach)
        value, name, rest = fetch()
        if reach.guessed and value is MISSING:
            return framed("missing", name.encode())
        if reach.called and self._called_by_name(value) is not None and rest in CALLED_CHAINS:
            return framed("task by name")
        if reads_environment(value, rest):
            return self._environment(unit, reach.text, ignored)
        digest = self._named(unit, "global", name or dotted, value, lambda: fetch()[0], ignored)
        if "__subclasses__" in rest and isinstance(value, type):
            below = sorted(_subclasses(value), key=lambda cls: (cls.__module__, cls.__qualname__))
            return framed("subclasses", digest, *(self._value(unit, cls, cls.__qualname__, ignored) for cls in below))
        return digest

    def _environment(self, unit: Unit, name: str | None, ignored: frozenset[str]) -> bytes:
        """An environment variable that is read by name; which one a name that is computed means cannot be seen."""
        if name is None or name in ignored:
            return framed("environment")
        digest = framed("environment", name.encode("utf-8", "surrogatepass"), self.identifier(os.environ.get(name)))
        unit.components.append(Component("env", name, digest, short(os.environ.get(name))))
        return digest

    def _followed(self, fn: types.FunctionType, reach: Reach) -> tuple[Any, str, tuple[str, ...]]:
        """The first thing on a path that is no module of the user's, the part that leads there, and the rest."""
        names = list(reach.names)
        if reach.module is not None:
            value: Any = self._module(reach.module, reach.level, fn.__globals__)
            passed = [reach.module]
        else:
            first = names.pop(0)
            value = fn.__globals__.get(first, vars(builtins).get(first, MISSING))
            passed = [first]
        while names and isinstance(value, types.ModuleType) and self._package(value.__name__) is None:
            passed.append(names.pop(0))
            space = vars(value)
            # A module may make attributes when they are asked for: what makes them counts.
            value = space.get(passed[-1], space.get("__getattr__", MISSING))
        if names and isinstance(value, types.ModuleType):
            put = vars(value).get(names[0])
            if isinstance(put, (types.FunctionType, type)) and self._origin(put) is None:
                # The user put something of their own into an installed module.
                value = put
                passed.append(names.pop(0))
        return value, ".".join(passed), tuple(names)

    def _module(self, name: str, level: int, namespace: dict[str, Any] | None) -> Any:
        try:
            if level and namespace is not None:
                return importlib.import_module("." * level + name, namespace.get("__package__") or None)
            return sys.modules.get(name) or importlib.import_module(name)
        except ImportError:
            return MISSING

    def _named(
        self, unit: Unit, kind: str, name: str, value: Any, fetch: Callable[[], Any], ignored: frozenset[str]
    ) -> bytes:
        """A value that is reached by name: noted as a component, and watched for change."""
        if name in ignored:
            return framed("ignored")
        if self._is_input(value):
            unit.inputs.append(name)
            return framed("input", name.encode())
        digest = self._part(unit, kind, name, value, ignored)
        if value is not MISSING and not isinstance(value, (types.BuiltinFunctionType, types.ModuleType)):
            unit.captures.append(Capture(name, fetch, value, digest))
        return digest

    def _part(self, unit: Unit, kind: str, name: str, value: Any, ignored: frozenset[str]) -> bytes:
        if value is MISSING:
            digest = framed("missing", name.encode())
            unit.components.append(Component("missing", name, digest, ""))
            return digest
        function = self._called_by_name(value)
        if function is not None:
            value = function
        digest = self._value(unit, value, name, ignored)
        if not isinstance(value, (types.FunctionType, type, types.BuiltinFunctionType, types.ModuleType)):
            unit.components.append(Component(kind, name, digest, short(value)))
        return digest

    def _value(self, unit: Unit, value: Any, path: str, ignored: frozenset[str]) -> bytes:
        """The digest of a value with a hole for each function and class of the user's, which become edges."""
        quick = atom_id(value)
        if quick is not None:
            return quick
        return Identifier(lambda thing: self._hole(unit, thing, ignored), noting=True)(value, path)

    def _hole(self, unit: Unit, thing: Any, ignored: frozenset[str]) -> bytes:
        """What stands for a function, class or module in a digest; those of the user's become edges."""
        if isinstance(thing, types.ModuleType):
            return self._whole_module(unit, thing, ignored)
        package = self._origin(thing)
        if package is not None:
            unit.components.append(
                Component("package", package[0], framed("package", *(p.encode() for p in package)), package[1])
            )
            name = getattr(thing, "__qualname__", getattr(thing, "__name__", ""))
            return framed(
                "installed",
                f"{module_of(thing)}.{name}".encode(),
                *(p.encode() for p in package),
                *self._carried(unit, thing, ignored),
            )
        if isinstance(thing, (types.FunctionType, type)):
            unit.edges.append(thing)
            return _HOLE
        return framed(
            "builtin",
            str(getattr(thing, "__module__", "")).encode(),
            str(getattr(thing, "__qualname__", thing)).encode(),
        )

    def _carried(self, unit: Unit, thing: Any, ignored: frozenset[str]) -> Iterator[bytes]:
        """What functions made by installed factories carry: the user's functions in their closures."""
        if not isinstance(thing, types.FunctionType):
            return
        registry = getattr(thing, "registry", None)
        if isinstance(registry, types.MappingProxyType):
            yield set_id(
                framed("case", self._value(unit, k, "registry", ignored), self._value(unit, f, "registry", ignored))
                for k, f in registry.items()
            )
            return
        for name, cell in zip(thing.__code__.co_freevars, thing.__closure__ or (), strict=True):
            value = cell_value(cell)
            if value is not MISSING and value is not thing:
                yield self._value(unit, value, name, ignored)
        wrapped = getattr(thing, "__wrapped__", None)
        if wrapped is not None:
            yield self._value(unit, wrapped, "__wrapped__", ignored)

    def _whole_module(self, unit: Unit, module: types.ModuleType, ignored: frozenset[str]) -> bytes:
        package = self._package(module.__name__)
        if package is not None:
            unit.components.append(
                Component("package", package[0], framed("package", *(p.encode() for p in package)), package[1])
            )
            return framed("module", module.__name__.encode(), *(p.encode() for p in package))
        if module.__name__ == "__main__":
            # It holds the flow and its runs, too: its text stands for it.
            return framed("module", self._shape(module).encode())
        unit.edges.append(module)
        return _HOLE

    def _shape(self, thing: Any) -> str:
        """The text of a class or module, without comments and layout."""
        if isinstance(thing, types.ModuleType):
            found = self._sources.tree(getattr(thing, "__file__", None) or "")
            return shape_of(found[0]) if found else ""
        return shape_of(self._sources.text_of(thing))

    def _origin(self, thing: Any) -> tuple[str, str] | None:
        """(distribution, version) of installed code; None for the user's own."""
        code = getattr(thing, "__code__", None)
        module = module_of(thing)
        if isinstance(code, types.CodeType) and not code.co_filename.startswith("<") and module in {None, "__main__"}:
            return self._packages.of_file(code.co_filename)
        if module == "builtins" and (code is not None or getattr(thing, "__flags__", 0) & MADE_AT_RUN_TIME):
            # Made by exec() without a module's name around it.
            return None
        if not isinstance(module, str) or module == "__main__":
            return None if isinstance(thing, (types.FunctionType, type)) else ("python", _PYTHON)
        return self._package(module)

    def _package(self, module: str) -> tuple[str, str] | None:
        if module not in self._installed:
            self._installed[module] = self._packages.of_module(module)
        return self._installed[module]

    def _digest_now(self, value: Any, name: str) -> bytes:
        scratch = Unit(value, "value", name)
        try:
            function = self._called_by_name(value)
            return self._value(scratch, value if function is None else function, name, frozenset())
        except UnidentifiableError:
            return framed("unidentifiable")


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
COUNTED = frozenset({int, float, str, list, dict, set})
# What is compiled once stays compiled from plan to plan; the sources are one a process.
_NORMALIZERS: dict[int, Normalizer] = {}
