"""The user's own modules that were edited on disk after the kernel imported them: it still runs the old code."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from nbflow.probe.imported import IMPORTED

if TYPE_CHECKING:
    from collections.abc import Iterable


def edited_files(values: Iterable[Any]) -> list[str]:
    """The names of the files that were edited since their import, of the modules that these values lead to."""
    return sorted({Path(each.file).name for name in _reached(values) if (each := IMPORTED.by_name[name]).differs()})


def edited_text(files: Iterable[str]) -> str:
    """What to do about edited files."""
    named = ", ".join(f"`{each}`" for each in files)
    return (
        f"{named} was edited after it was imported: restart the kernel, or `%load_ext autoreload` and `%autoreload 2`"
    )


def _reached(values: Iterable[Any]) -> set[str]:
    found: set[str] = set()
    todo = list(values)
    while todo:
        value = todo.pop()
        name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
        if isinstance(name, str) and name in IMPORTED.by_name and name not in found:
            found.add(name)
            todo.extend(vars(sys.modules[name]).values() if name in sys.modules else ())
    return found
