"""Ids of scipy's sparse arrays: by what they hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbflow.identity.encoding import framed
from nbflow.loaded import loaded

if TYPE_CHECKING:
    from nbflow.identity.walk import Walk

# What scipy notes about the content when it is asked, and how it prints.
_NOTES = frozenset({"_has_canonical_format", "_has_sorted_indices", "has_canonical_format", "maxprint"})


def encode(walk: Walk, value: Any, path: str) -> bytes | None:
    """The id of a sparse array or matrix; None for types that are left to the general way."""
    sparse = loaded("scipy.sparse")
    if sparse is None or not sparse.issparse(value) or not hasattr(value, "__dict__"):
        return None
    parts = {name: part for name, part in sorted(vars(value).items()) if name not in _NOTES}
    return framed("sparse", walk.resolve(type(value)), walk.id(parts, path))
