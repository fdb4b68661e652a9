"""Where results live."""

from nbflow.store.index import Store
from nbflow.store.live import LIVE
from nbflow.store.location import find_store
from nbflow.store.rows import EXPRESSION, LOOP_EXPRESSION, LOOP_STEP, SKIP, VALUE, Entry, Last, Row, RunRow
from nbflow.store.sizes import bytes_text
from nbflow.store.upkeep import Contents, Pruned, Verified, contents, prune, verify

__all__ = [
    "EXPRESSION",
    "LIVE",
    "LOOP_EXPRESSION",
    "LOOP_STEP",
    "SKIP",
    "VALUE",
    "Contents",
    "Entry",
    "Last",
    "Pruned",
    "Row",
    "RunRow",
    "Store",
    "Verified",
    "bytes_text",
    "contents",
    "find_store",
    "prune",
    "verify",
]
