"""Where results live."""

from nbflow.store.index import Store
from nbflow.store.live import LIVE
from nbflow.store.location import find_store
from nbflow.store.rows import EXPRESSION, LOOP_EXPRESSION, LOOP_STEP, SKIP, VALUE, Entry, Last, Row, RunRow

__all__ = [
    "EXPRESSION",
    "LIVE",
    "LOOP_EXPRESSION",
    "LOOP_STEP",
    "SKIP",
    "VALUE",
    "Entry",
    "Last",
    "Row",
    "RunRow",
    "Store",
    "find_store",
]
