"""What Dask logs here of nbflow's own cluster and connections is for nobody: whatever matters, nbflow tells."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_PACKAGES = frozenset({"distributed", "tornado", "asyncio"})


class _Here(threading.local):
    """Of this thread: whether it is the loop of something of nbflow's own. It ends with the thread."""

    is_own = False


def hush(coming: Iterable[str] = ()) -> None:
    """From now on this thread's part of the logs is dropped; what others log there stays. coming: logs of later."""
    _HERE.is_own = True
    # A filter counts for what its very logger is told, and not for those below it.
    for name in [*logging.root.manager.loggerDict, *coming]:
        if name.partition(".")[0] in _PACKAGES:
            logging.getLogger(name).addFilter(_is_of_others)


def _is_of_others(record: logging.LogRecord) -> bool:
    return not _HERE.is_own


_HERE = _Here()
