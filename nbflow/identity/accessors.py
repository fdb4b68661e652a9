"""Accessors and methods of the user's that DataFrames carry: code reaches them as attributes of values not seen."""

from __future__ import annotations

import sys
from types import FunctionType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from collections.abc import Set as AbstractSet

# Where a library notes accessors: (module, classes, the attribute of what it puts in place that holds the class).
_PLACES = (
    ("pandas", ("DataFrame", "Series", "Index"), "_accessor"),
    ("polars", ("DataFrame", "LazyFrame", "Series", "Expr"), "_ns"),
    ("xarray", ("Dataset", "DataArray"), "_accessor"),
)


def accessors_in(names: AbstractSet[str], is_own: Callable[[Any], bool]) -> Iterator[tuple[str, Any]]:
    """(name, class or method) that attributes of these names may be. is_own: whether one is the user's."""
    for library, classes, attribute in _PLACES:
        module = sys.modules.get(library)
        for cls in filter(None, (getattr(module, name, None) for name in classes)):
            registered = getattr(cls, "_accessors", ()) or ()
            for name in sorted(vars(cls).keys() & names):
                put = vars(cls)[name]
                if name in registered:
                    found = getattr(put, attribute, None)
                else:
                    # The user may have given a library's class a method, or another one.
                    found = put.fget if isinstance(put, property) else put
                if isinstance(found, (type, FunctionType)) and is_own(found):
                    yield f"{cls.__name__}.{name}", found
