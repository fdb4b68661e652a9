"""The user's own modules that were edited on disk after the kernel imported them: it still runs the old code."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from nbflow.probe.imported import IMPORTED

if TYPE_CHECKING:
    from collections.abc import Iterable


class CurrentModules:
    """Keeps the record of what modules the kernel has as it is now, also where autoreload brings them up to date."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._autoreloaded: dict[str, float] = {}

    def note(self) -> None:
        """Takes in what was imported, reloaded or brought up to date since the last time."""
        IMPORTED.note()
        magics = self._shell.magics_manager.registry.get("AutoreloadMagics")
        reloader = getattr(magics, "_reloader", None)
        if reloader is None:
            return
        # It puts changed functions into a module without importing it anew, and says so nowhere else.
        for name in IMPORTED.by_name.keys() & reloader.modules_mtimes.keys():
            time_s = reloader.modules_mtimes[name]
            before_s = self._autoreloaded.setdefault(name, time_s)
            if before_s != time_s and IMPORTED.by_name[name].file not in reloader.failed:
                IMPORTED.renew(name)
            self._autoreloaded[name] = time_s


def edited_files(values: Iterable[Any]) -> list[str]:
    """The names of the files that were edited since their import, of the modules that these values lead to."""
    return sorted({Path(each.file).name for name in _reached(values) if (each := IMPORTED.by_name[name]).differs()})


def edited_text(files: Iterable[str]) -> str:
    """What to do about edited files."""
    named = ", ".join(f"`{each}`" for each in files)
    # autoreload passes over what was edited before it was loaded.
    return (
        f"{named} was edited after it was imported, and the old code still runs: restart the kernel, or reload the "
        "module (`importlib.reload`) and import from it again. `%load_ext autoreload` and `%autoreload 2` do so for "
        "edits that are made after them"
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
