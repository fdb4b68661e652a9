"""The key of a computation: what makes two of them the same."""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING

from xxhash import xxh3_128_digest

from nbflow.lean import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nbflow.identity.parts import CodeIdentity
    from nbflow.model.task import Options

# Part of every key: a change of what keys are made of must never meet an old result.
KEY_SCHEMA = b"nbflow key 1"


@dataclass(frozen=True, slots=True)
class Ingredient:
    """One argument in the making of a key, as `why` tells of it.

    kind: "value", "parameter", "upstream" or "mapped". text: a short form, without secrets.
    """

    kind: str
    name: str
    id: bytes
    text: str = ""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What the keys of a node are made of, apart from its mapped arguments."""

    prefix: bytes
    code: CodeIdentity
    ingredients: tuple[Ingredient, ...]
    extra: tuple[Ingredient, ...] = ()


def make_prefix(code_id: bytes, names: Iterable[str], options: Options, extra: Iterable[Ingredient] = ()) -> bytes:
    """16 bytes for what all elements of a node share: code, names of arguments, options that count.

    The node's and the task's name are not in it: a renamed task keeps its results.
    """
    seed = b"" if options.seed is None else str(options.seed).encode()
    parts = [KEY_SCHEMA, code_id, options.version.encode(), seed]
    parts += [name.encode() for name in names]
    for ingredient in extra:
        parts += [ingredient.kind.encode(), ingredient.name.encode(), ingredient.id]
    return xxh3_128_digest(b"".join(len(part).to_bytes(4, "little") + part for part in parts))


def make_keys(prefix: bytes, columns: Sequence[bytes | Sequence[bytes]], count: int) -> list[bytes]:
    """The keys of count elements. columns: one an argument: an id that all share, or count ids.

    >>> len(make_keys(bytes(16), [b"x" * 16, [b"a" * 16, b"b" * 16]], 2))
    2
    """
    if not columns:
        return [xxh3_128_digest(prefix)] * count
    if len(columns) == 1 and not isinstance(columns[0], bytes):
        return [xxh3_128_digest(prefix + each) for each in columns[0]]
    rows = zip(*(repeat(c, count) if isinstance(c, bytes) else c for c in columns), strict=False)
    return [xxh3_128_digest(prefix + b"".join(row)) for row in rows]
