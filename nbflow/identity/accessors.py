"""Accessors of the user's that DataFrames carry: code reaches them as attributes of values that nobody can see."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

# Where a library notes accessors: (module, classes, the attribute of what it puts in place that holds the class).
_PLACES = (
    ("pandas", ("DataFrame", "Series", "Index"), "_accessor"),
    ("polars", ("DataFrame", "LazyFrame", "Series", "Expr"), "_ns"),
    ("xarray", ("Dataset", "DataArray"), "_accessor"),
)


def accessors_in(names: Collection[str], is_own: Callable[[Any], bool]) -> Iterator[tuple[str, Any]]:
    """(name, class) of the accessors that attributes of these names may be. is_own: whether a class is the user's."""
    for library, classes, attribute in _PLACES:
        module = sys.modules.get(library)
        for name in classes if module is not None else ():
            cls = getattr(module, name, None)
            for accessor in sorted(getattr(cls, "_accessors", ()) or ()):
                if accessor in names:
                    found = getattr(vars(cls).get(accessor), attribute, None)
                    if isinstance(found, type) and is_own(found):
                        yield f"{name}.{accessor}", found
