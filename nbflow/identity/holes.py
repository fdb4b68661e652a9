"""Digests of values, with a hole for each function, class and module of the user's that they hold."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any, Protocol

from nbflow.identity.encoding import atom_id, framed, set_id
from nbflow.identity.modules import module_of, shape_of
from nbflow.identity.normal import Trees
from nbflow.identity.parts import MISSING, Capture, Component, Unit, cell_value, short
from nbflow.identity.value import Identifier
from nbflow.lean import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nbflow.identity.meanings import Meanings
    from nbflow.identity.origin import Origins

HOLE = b"\0" * 16


class Sources(Trees, Protocol):
    """Gives trees, and the text of functions and classes."""

    def text_of(self, thing: Any) -> str: ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is known of code from outside it.

    is_input: whether a value is a node; called_by_name: the function of a task, None for anything else.
    """

    sources: Sources
    origins: Origins
    meanings: Meanings
    is_input: Callable[[Any], bool]
    called_by_name: Callable[[Any], Any]


class Holes:
    """Digests values for the unit that reaches them; what fills a hole becomes an edge of that unit.

    ignored: names that do not count.
    """

    def __init__(self, around: Surroundings, ignored: frozenset[str]) -> None:
        self._around = around
        self._ignored = ignored

    def named(self, unit: Unit, kind: str, name: str, value: Any, fetch: Callable[[], Any]) -> bytes:
        """A value that is reached by name: noted as a component, and watched for change."""
        if name in self._ignored:
            return framed("ignored")
        if self._around.is_input(value):
            unit.inputs.append(name)
            return framed("input", name.encode())
        digest = self.part(unit, kind, name, value)
        if value is not MISSING and not isinstance(value, (types.BuiltinFunctionType, types.ModuleType)):
            unit.captures.append(Capture(name, fetch, value, digest))
        return digest

    def part(self, unit: Unit, kind: str, name: str, value: Any) -> bytes:
        """A value that is a part of a unit: noted as a component, where it is none by itself."""
        if value is MISSING:
            digest = framed("missing", name.encode())
            unit.components.append(Component("missing", name, digest, ""))
            return digest
        function = self._around.called_by_name(value)
        if function is not None:
            value = function
        digest = self.value(unit, value, name)
        if not isinstance(value, (types.FunctionType, type, types.BuiltinFunctionType, types.ModuleType)):
            unit.components.append(Component(kind, name, digest, short(value)))
        return digest

    def value(self, unit: Unit, value: Any, path: str) -> bytes:
        """The digest of a value with a hole for each function and class of the user's, which become edges."""
        quick = atom_id(value)
        if quick is not None:
            return quick
        return Identifier(lambda thing: self.hole(unit, thing), noting=True)(value, path)

    def hole(self, unit: Unit, thing: Any) -> bytes:
        """What stands for a function, class or module in a digest; those of the user's become edges."""
        if isinstance(thing, types.ModuleType):
            return self._whole_module(unit, thing)
        package = self._around.origins.of(thing)
        if package is not None:
            unit.components.append(_component(package))
            name = getattr(thing, "__qualname__", getattr(thing, "__name__", ""))
            return framed(
                "installed",
                f"{module_of(thing)}.{name}".encode(),
                *(p.encode() for p in package),
                *self._carried(unit, thing),
            )
        if isinstance(thing, (types.FunctionType, type)):
            unit.edges.append(thing)
            return HOLE
        return framed(
            "builtin",
            str(getattr(thing, "__module__", "")).encode(),
            str(getattr(thing, "__qualname__", thing)).encode(),
        )

    def _whole_module(self, unit: Unit, module: types.ModuleType) -> bytes:
        package = self._around.origins.of_module(module.__name__)
        if package is not None:
            unit.components.append(_component(package))
            return framed("module", module.__name__.encode(), *(p.encode() for p in package))
        if module.__name__ == "__main__":
            # It holds the flow and its runs, too: its text stands for it.
            return framed("module", self.shape(module).encode())
        unit.edges.append(module)
        return HOLE

    def _carried(self, unit: Unit, thing: Any) -> Iterator[bytes]:
        """What functions made by installed factories carry: the user's functions in their closures."""
        if not isinstance(thing, types.FunctionType):
            return
        registry = getattr(thing, "registry", None)
        if isinstance(registry, types.MappingProxyType):
            yield set_id(
                framed("case", self.value(unit, k, "registry"), self.value(unit, f, "registry"))
                for k, f in registry.items()
            )
            return
        for name, cell in zip(thing.__code__.co_freevars, thing.__closure__ or (), strict=True):
            value = cell_value(cell)
            if value is not MISSING and value is not thing:
                yield self.value(unit, value, name)
        wrapped = getattr(thing, "__wrapped__", None)
        if wrapped is not None:
            yield self.value(unit, wrapped, "__wrapped__")

    def shape(self, thing: Any) -> str:
        """The text of a class or module, without comments and layout."""
        if isinstance(thing, types.ModuleType):
            found = self._around.sources.tree(getattr(thing, "__file__", None) or "")
            return shape_of(found[0]) if found else ""
        return shape_of(self._around.sources.text_of(thing))


def _component(package: tuple[str, str]) -> Component:
    return Component("package", package[0], framed("package", *(part.encode() for part in package)), package[1])
