"""Names that code reaches by texts which a library reads: `frame.query("n > @LIMIT")`, `sql("select * from rows")`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from nbflow.lean import pattern

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from types import CodeType

_TABLE = pattern(r"(?i)\b(?:from|join)\s+([A-Za-z_]\w*)")
# Methods by the names they are called by, how the texts they take name variables of their caller's, and the libraries
# one of which must be there for that.
_READERS = (
    (frozenset({"query", "eval"}), pattern(r"@\s*([A-Za-z_]\w*)"), frozenset[str]()),
    (frozenset({"sql", "query"}), _TABLE, frozenset[str]()),
    # Every database has this one; these alone look for tables among Python's variables.
    (frozenset({"execute"}), _TABLE, frozenset({"duckdb", "polars"})),
)


def names_in_texts(code: CodeType) -> Iterator[str]:
    """The variables that texts in one code object name, as far as a method that reads such texts is called there.

    >>> list(names_in_texts((lambda frame: frame.query("n > @LIMIT")).__code__))
    ['LIMIT']
    """
    yield from named_in(code.co_names, code.co_consts)


def reads_names(called: Collection[str]) -> bool:
    """Whether one of the methods called may read a text that names variables."""
    return any(not methods.isdisjoint(called) for methods, _, _ in _READERS)


def named_in(called: Collection[str], constants: Collection[object]) -> Iterator[str]:
    """The variables that texts among constants name, where the methods called there read such texts."""
    for methods, names, libraries in _READERS:
        if not methods.isdisjoint(called) and (not libraries or not libraries.isdisjoint(sys.modules)):
            for constant in constants:
                if isinstance(constant, str):
                    yield from names.findall(constant)
