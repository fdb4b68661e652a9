"""What the user's own modules said when this process imported them: their files may say something else by now."""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from nbflow.probe.files import stamp_of
from nbflow.probe.packages import is_installed

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, eq=False)
class Imported:
    """A module's file as it was imported. spec: a reload gives the module another one."""

    spec: object
    file: str
    stamp: object
    content: bytes
    is_package: bool

    def differs(self) -> bool:
        """Whether the file says something else now."""
        return stamp_of(self.file) != self.stamp and _content(self.file) != self.content


class ImportedModules:
    """The user's modules by name. They are looked at when somebody says so: soon after each import, at best."""

    def __init__(self) -> None:
        self.by_name: Mapping[str, Imported] = {}
        self._seen: dict[str, object] = {}
        self._lock = threading.Lock()

    def note(self) -> None:
        """Takes in what was imported or reloaded since the last time."""
        with self._lock:
            self._note()

    def _note(self) -> None:
        # Another thread may be reading the one that there is.
        found = dict(self.by_name)
        for name, module in list(sys.modules.items()):
            # Some put objects of their own into sys.modules, which answer to any attribute.
            spec = module.__dict__.get("__spec__") if isinstance(module, ModuleType) else None
            if spec is not None and self._seen.get(name) is not spec:
                self._seen[name] = spec
                if (imported := _imported(module, name, spec)) is not None:
                    found[name] = imported
        self.by_name = found

    def renew(self, name: str) -> None:
        """Takes in what a module's file says now: its new code was put into the module, which is no reload."""
        module = sys.modules[name]
        with self._lock:
            imported = _imported(module, name, module.__spec__)
            if imported is not None:
                self.by_name = {**self.by_name, name: imported}


def _imported(module: ModuleType, name: str, spec: object) -> Imported | None:
    """A module as its file is now; None for one that is not the user's."""
    file = module.__dict__.get("__file__")
    if not isinstance(file, str) or not file.endswith(".py") or is_installed(file, name.partition(".")[0]):
        return None
    return Imported(spec, file, stamp_of(file), _content(file), hasattr(module, "__path__"))


def _content(file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError:
        return b""


IMPORTED = ImportedModules()
