"""Imports on a thread of their own: an interrupt meanwhile leaves no module half imported."""

from __future__ import annotations

import importlib
import threading
from contextlib import suppress


def import_aside(name: str) -> None:
    """Imports a module; where it cannot be imported, whoever imports it next is told why.

    Interrupted in the middle, a package may be left so that it cannot be imported any more until the kernel is
    restarted: its parts are there, and it does not find them. An interrupt reaches the main thread alone.
    """
    if name in _DONE:
        return
    thread = threading.Thread(target=_import, args=(name,), name="nbflow-import", daemon=True)
    thread.start()
    thread.join()


def _import(name: str) -> None:
    with suppress(ImportError):
        importlib.import_module(name)
        _DONE.add(name)


_DONE: set[str] = set()
