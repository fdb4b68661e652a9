"""The user's own modules that were edited on disk after the kernel imported them: it still runs the old code."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from nbflow.probe.files import stamp_of
from nbflow.probe.packages import is_installed

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(slots=True)
class _Imported:
    """A module's file as it was imported. spec: a reload gives the module another one."""

    spec: object
    file: str
    stamp: object
    content: bytes


class LocalModules:
    """What the user's modules said when they were imported."""

    def __init__(self) -> None:
        self._seen: dict[str, object] = {}
        self._imported: dict[str, _Imported] = {}
        self.note()

    def note(self) -> None:
        """Takes in what was imported or reloaded since the last time."""
        for name, module in list(sys.modules.items()):
            # Some put objects of their own into sys.modules, which answer to any attribute.
            spec = module.__dict__.get("__spec__") if isinstance(module, ModuleType) else None
            if spec is None or self._seen.get(name) is spec:
                continue
            self._seen[name] = spec
            file = module.__dict__.get("__file__")
            if isinstance(file, str) and file.endswith(".py") and not is_installed(file, name.partition(".")[0]):
                self._imported[name] = _Imported(spec, file, stamp_of(file), _content(file))

    def edited(self, values: Iterable[Any]) -> list[str]:
        """The names of the files that were edited since, of the modules that these values lead to."""
        reached = self._reached(values)
        return sorted({Path(each.file).name for name in reached if _differs(each := self._imported[name])})

    def _reached(self, values: Iterable[Any]) -> set[str]:
        found: set[str] = set()
        todo = list(values)
        while todo:
            value = todo.pop()
            name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
            if isinstance(name, str) and name in self._imported and name not in found:
                found.add(name)
                todo.extend(vars(sys.modules[name]).values() if name in sys.modules else ())
        return found


def edited_text(files: Iterable[str]) -> str:
    """What to do about edited files."""
    named = ", ".join(f"`{each}`" for each in files)
    return (
        f"{named} was edited after it was imported: restart the kernel, or `%load_ext autoreload` and `%autoreload 2`"
    )


def _differs(imported: _Imported) -> bool:
    return stamp_of(imported.file) != imported.stamp and _content(imported.file) != imported.content


def _content(file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError:
        return b""
