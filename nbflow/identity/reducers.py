"""How instances of a class are pickled, whatever other packages have told copyreg to do with all exceptions."""

from __future__ import annotations

import copyreg
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pickle
    from collections.abc import Callable

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
    """Has a pickler keep to the classes' own ways."""
    if has_foreign_reducers():
        own = {kind: reducer for kind, reducer in dict(copyreg.dispatch_table).items() if not _is_foreign(reducer)}
        # cloudpickle has some of its own beside those.
        pickler.dispatch_table = {**own, **getattr(type(pickler), "_dispatch_table", {})}


def _is_foreign(reducer: Any) -> bool:
    return getattr(reducer, "__module__", None) == _INTRUDER
