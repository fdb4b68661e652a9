"""How instances of a class are pickled, whatever other packages have told copyreg to do with all exceptions."""

from __future__ import annotations

import copyreg
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pickle
    from collections.abc import Callable, Mapping

# Dask has it installed. With it, exceptions take their traceback and their causes along, and some lose their message.
_INTRUDER = "tblib.pickling_support"


def reducer_of(kind: type) -> Callable[[Any], Any] | None:
    """What copyreg was told of a class; None for its own way."""
    reducer = copyreg.dispatch_table.get(kind)
    return None if _is_foreign(reducer) else reducer


def has_foreign_reducers() -> bool:
    """Whether exceptions may be pickled in another way than their own."""
    return _INTRUDER in sys.modules


def set_reducers(pickler: pickle.Pickler) -> None:
    """Has a pickler that was not begun yet, or is Python's own, keep to the classes' own ways."""
    if has_foreign_reducers():
        pickler.dispatch_table = _own_reducers(getattr(pickler, "_dispatch_table", None))


def _own_reducers(others: Mapping[type, Any] | None) -> Mapping[type, Any]:
    """What copyreg was told by others than that package. others: what a pickler has beside, as cloudpickle's do."""
    known = _TABLES.get(id(others))
    if known is None or known[0] != copyreg.dispatch_table:
        told = dict(copyreg.dispatch_table)
        own = {kind: reducer for kind, reducer in told.items() if not _is_foreign(reducer)}
        known = _TABLES[id(others)] = (told, {**own, **(others or {})}, others)
    return known[1]


def _is_foreign(reducer: Any) -> bool:
    return getattr(reducer, "__module__", None) == _INTRUDER


# Made anew when copyreg was told something else; with what their ids belong to.
_TABLES: dict[int, tuple[dict[type, Any], Mapping[type, Any], Any]] = {}
