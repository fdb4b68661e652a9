"""Reasons, made from what a key consisted of last time and what it consists of now."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nbflow.probe.secrets import DOTS, is_secret_name, redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from nbflow.engine.keys import Recipe
    from nbflow.identity.parts import Component

# Kinds of components whose text is source code, best shown as a diff.
SOURCE_KINDS = frozenset({"code", "helper", "class"})


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that a key was made of, as it is kept for `why`: no secret is in it."""

    kind: str
    name: str
    id: bytes
    text: str


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something runs. diff: lines of a unified diff, where it was code that changed."""

    text: str
    diff: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join([self.text, *("    " + line for line in self.diff)])


def parts_of(components: Iterable[Component], salted: Callable[[bytes], bytes]) -> list[Part]:
    """A code id's components, with secrets taken out; salted: makes an id of which nobody can guess the value."""
    return [
        Part(c.kind, c.name, salted(c.id) if _is_secret(c.kind, c.name) else c.id, _clean(c.kind, c.name, c.text))
        for c in components
    ]


def argument_parts(recipe: Recipe) -> list[Part]:
    """A recipe's arguments and declared environment, with secrets taken out (they are texts already)."""
    return [Part(i.kind, i.name, i.id, i.text) for i in (*recipe.ingredients, *recipe.extra)]


def compare(before: Sequence[Part], now: Sequence[Part]) -> list[Reason]:
    """What differs between two lists of parts, in the order of the present one.

    >>> compare([Part("parameter", "n", b"1", "5")], [Part("parameter", "n", b"2", "6")])[0].text
    'parameter n: 5 → 6'
    """
    old = {(part.kind, part.name): part for part in before}
    reasons = [
        _difference(old.get((part.kind, part.name)), part)
        for part in now
        if part.kind != "mapped" and (p := old.get((part.kind, part.name))) != part and not _same(p, part)
    ]
    present = {(part.kind, part.name) for part in now}
    reasons += [
        Reason(f"{_NOUNS.get(part.kind, part.kind)} `{part.name}` is no longer used")
        for key, part in old.items()
        if key not in present
    ]
    return reasons


def _same(before: Part | None, now: Part) -> bool:
    return before is not None and before.id == now.id


def _difference(before: Part | None, now: Part) -> Reason:
    noun = _NOUNS.get(now.kind, now.kind)
    if now.kind == "upstream":
        return Reason(f"upstream `{now.name}` gave another value")
    if now.kind == "code":
        return Reason("code changed", _diff(before.text if before else "", now.text))
    if before is None:
        return Reason(f"{noun} `{now.name}` is used now")
    if now.kind in SOURCE_KINDS:
        return Reason(f"{noun} `{now.name}` changed", _diff(before.text, now.text))
    if now.kind == "package":
        return Reason(f"{now.name} {before.text} → {now.text}")
    if now.kind == "python":
        return Reason(f"Python {before.text} → {now.text}: everything runs again")
    if now.kind in {"parameter", "env"}:
        return Reason(f"{noun} {now.name}: {before.text} → {now.text}")
    if before.text == now.text:
        return Reason(f"{noun} `{now.name}` changed ({now.text})")
    return Reason(f"{noun} `{now.name}`: {before.text} → {now.text}")


def _diff(before: str, now: str) -> tuple[str, ...]:
    lines = list(difflib.unified_diff(before.splitlines(), now.splitlines(), lineterm="", n=1))
    # The first two lines name files, which there are none of.
    return tuple(line for line in lines[2:] if not line.startswith("@@"))


def _clean(kind: str, name: str, text: str) -> str:
    return DOTS if _is_secret(kind, name) else redact(text)


def _is_secret(kind: str, name: str) -> bool:
    return kind not in SOURCE_KINDS and is_secret_name(name)


_NOUNS = {
    "helper": "helper",
    "class": "class",
    "global": "global",
    "closure": "closure variable",
    "default": "default",
    "package": "package",
    "module": "module",
    "missing": "undefined name",
    "parameter": "parameter",
    "value": "argument",
    "env": "environment variable",
}
