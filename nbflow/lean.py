"""Dataclasses and regular expressions that cost next to nothing before they are used.

The standard library's `dataclass` compiles up to seven functions for each class, which takes half a millisecond to a
millisecond of CPU up to Python 3.12; for the hundred such classes of nbflow that was half of its import. Here they
share their methods, and `__init__` is compiled when the first one is made. To `dataclasses` these are plain classes:
what users may take apart with its `fields` or `asdict`, as `Failed`, is made by it.
"""

from __future__ import annotations

import re
from dataclasses import MISSING, Field, field
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, Literal, TypeVar, dataclass_transform

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["dataclass", "field", "pattern", "replace"]

T = TypeVar("T")


@dataclass_transform(field_specifiers=(field,))
def dataclass(
    *,
    slots: Literal[True],
    frozen: bool = False,
    eq: bool = True,
) -> Callable[[type[T]], type[T]]:
    """As the standard library's with slots, of which it knows these options, and of `field` its default_factory.

    >>> @dataclass(frozen=True, slots=True)
    ... class Span:
    ...     first: int
    ...     last: int = 9
    >>> Span(2), Span(2) == Span(2, 9), replace(Span(2), last=3)
    (Span(first=2, last=9), True, Span(first=2, last=3))
    """
    return lambda cls: _with_slots(cls, frozen=frozen, eq=eq)


def replace(old: T, **changes: Any) -> T:
    """Another one, with some fields changed."""
    kept = {name: getattr(old, name) for name in _names(old) if name not in changes}
    return type(old)(**kept, **changes)


def pattern(text: str, flags: int = 0) -> re.Pattern[str]:
    """As `re.compile`, compiled when one of its methods is first asked for.

    >>> pattern("[a-z]+").findall("of two")
    ['of', 'two']
    """
    made: Any = _Pattern(text, flags)
    return made  # type: ignore[no-any-return]  # has the methods of one


class _Pattern:
    """Stands for a compiled pattern, and has its methods as its own from their first use on."""

    def __init__(self, text: str, flags: int) -> None:
        self._written = text, flags

    def __getattr__(self, name: str) -> Any:
        compiled = re.compile(*self._written)
        vars(self).update((each, getattr(compiled, each)) for each in _METHODS)
        return getattr(compiled, name)


_METHODS = ("search", "match", "fullmatch", "split", "sub", "findall", "finditer")


def _names(one: Any) -> tuple[str, ...]:
    """The fields, in order."""
    names: tuple[str, ...] = one.__match_args__
    return names


def _with_slots(cls: type[T], *, frozen: bool, eq: bool) -> type[T]:
    """The class again: slots can be given only to one that is about to be made."""
    own = dict(vars(cls))
    annotated = tuple(cls.__annotations__)
    defaults = {name: own.pop(name) for name in annotated if name in own}
    inherited: dict[str, Any] = getattr(cls, "__lean_fields__", {})
    fields = {**inherited, **{name: defaults.get(name, MISSING) for name in annotated}}
    own.pop("__dict__", None)
    own.pop("__weakref__", None)
    own |= {"__slots__": annotated, "__match_args__": tuple(fields), "__lean_fields__": fields}
    own["__qualname__"] = cls.__qualname__
    methods: dict[str, Any] = {"__repr__": _shown, "__getstate__": _state, "__setstate__": _restore}
    if frozen:
        methods |= {"__setattr__": _refuse, "__delattr__": _refuse}
    if eq:
        methods |= _equality(tuple(fields), hashed=frozen)
    made: Any = type(cls.__name__, cls.__bases__, {**methods, **own})
    made.__init__ = _first_init(made, fields, frozen=frozen)
    return made  # type: ignore[no-any-return]  # it has all that the class had


def _equality(names: tuple[str, ...], *, hashed: bool) -> dict[str, Any]:
    # Two names at least: of one alone it would give the value, and no tuple.
    values = attrgetter(*names, "__class__", "__class__")

    def __eq__(self: Any, other: Any) -> Any:  # noqa: N807 (becomes the method)
        return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

    def __hash__(self: Any) -> int:  # noqa: N807 (as above)
        return hash(values(self))

    return {"__eq__": __eq__, "__hash__": __hash__ if hashed else None}


def _first_init(cls: type[Any], fields: dict[str, Any], *, frozen: bool) -> Callable[..., None]:
    """An `__init__` that has the true one compiled, and puts that in its place."""

    def __init__(self: Any, *args: Any, **given: Any) -> None:  # noqa: N807 (becomes the method)
        made = _compiled_init(cls, fields, frozen=frozen)
        cls.__init__ = made
        made(self, *args, **given)

    return __init__


def _compiled_init(cls: type[Any], fields: dict[str, Any], *, frozen: bool) -> Callable[..., None]:
    known: dict[str, Any] = {"MISSING": MISSING}
    head, body = ["self"], []
    for name, default in fields.items():
        value = name
        if isinstance(default, Field):
            known[f"new_{name}"] = default.default_factory
            head.append(f"{name}=MISSING")
            value = f"new_{name}() if {name} is MISSING else {name}"
        elif default is MISSING:
            head.append(name)
        else:
            known[f"default_{name}"] = default
            head.append(f"{name}=default_{name}")
        # The slot's own setter passes by the `__setattr__` that refuses.
        known[f"set_{name}"] = getattr(cls, name).__set__
        body.append(f"set_{name}(self, {value})" if frozen else f"self.{name} = {value}")
    exec(f"def __init__({', '.join(head)}):\n " + "\n ".join(body or ["pass"]), known)  # noqa: S102 (names of fields)
    init: Callable[..., None] = known["__init__"]
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    return init


@recursive_repr()
def _shown(self: Any) -> str:
    return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in _names(self))})"


def _state(self: Any) -> list[Any]:
    """What is pickled: as of the standard library's frozen ones with slots."""
    return [getattr(self, name) for name in _names(self)]


def _restore(self: Any, state: list[Any]) -> None:
    for name, value in zip(_names(self), state, strict=True):
        object.__setattr__(self, name, value)


def _refuse(self: Any, name: str, value: Any = None) -> None:
    raise AttributeError(f"{type(self).__name__}.{name} cannot be changed, the class is frozen")
