"""What code ids are made of, and what they tell."""

from __future__ import annotations

import reprlib
import types
from typing import TYPE_CHECKING, Any

from nbflow.identity.immutable import is_immutable
from nbflow.lean import dataclass, field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Stands for a value that cannot be found.
MISSING = object()


@dataclass(frozen=True, slots=True)
class Component:
    """One thing that a code id was made of.

    kind: "code" (the task's own), "helper", "class", "global", "closure", "default", "package", "module", "python",
    "missing". text: source text, a short repr, or a version.
    """

    kind: str
    name: str
    id: bytes
    text: str


@dataclass(frozen=True, slots=True)
class Capture:
    """A value that code reaches by name, as it was when it was identified."""

    name: str
    fetch: Callable[[], Any]
    value: Any
    digest: bytes


@dataclass(frozen=True, slots=True)
class CodeIdentity:
    """A code id and what it was made of. inputs: global names that hold nodes, which are no part of it.

    unseen: functions such as eval that it gives texts to which cannot be seen.
    """

    id: bytes
    components: tuple[Component, ...]
    inputs: tuple[str, ...]
    captures: tuple[Capture, ...]
    unseen: tuple[str, ...]
    digest_of: Callable[[Any, str], bytes]

    def drifted(self) -> str | None:
        """The name of the first reached value that is no longer what it was, else None."""
        for capture in self.captures:
            now = capture.fetch()
            if now is capture.value and (is_immutable(now) or isinstance(now, (type, types.ModuleType))):
                continue
            if now is MISSING or self.digest_of(now, capture.name) != capture.digest:
                return capture.name
        return None


@dataclass(slots=True)
class Unit:
    """A function or class of the user's: its own digest, and what it points to, in order."""

    thing: Any
    kind: str
    name: str
    local: bytes = b""
    edges: list[Any] = field(default_factory=list)
    components: list[Component] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    captures: list[Capture] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)


def short(value: Any) -> str:
    """A short form of a value, which never fails."""
    try:
        shape = getattr(value, "shape", None)
        if isinstance(shape, tuple) and shape:
            return f"{type(value).__name__} {' × '.join(map(str, shape))}"
        return _SHORT.repr(value)[:200]
    # A user's __repr__ or __getattr__ may raise anything; the type is told then.
    except Exception:  # noqa: BLE001 (told by its type instead)
        return f"<{type(value).__name__}>"


def defaults_of(fn: types.FunctionType) -> Iterator[tuple[str, Any]]:
    code = fn.__code__
    names = code.co_varnames[: code.co_argcount]
    defaults = fn.__defaults__ or ()
    yield from zip(names[len(names) - len(defaults) :], defaults, strict=True)
    yield from sorted((fn.__kwdefaults__ or {}).items())


def cell_value(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING


def first_as_code(components: list[Component]) -> Iterator[Component]:
    """The task's own function comes first, and is called its code; each thing is told once."""
    ordered = sorted(components, key=lambda each: each.kind not in {"helper", "class"})
    seen: set[tuple[str, str]] = set()
    for i, each in enumerate(ordered):
        kind = "code" if i == 0 else each.kind
        if (kind, each.name) not in seen:
            seen.add((kind, each.name))
            yield Component(kind, each.name, each.id, each.text)


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 120
