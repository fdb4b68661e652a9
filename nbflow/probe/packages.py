"""Which distribution a module comes from, and in which version."""

from __future__ import annotations

import os
import re
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

_STDLIB = tuple(
    os.path.realpath(path) + os.sep for path in {sysconfig.get_paths()["stdlib"], sysconfig.get_paths()["platstdlib"]}
)
_SITES = ("site-packages", "dist-packages")
# The folder of nbflow itself.
_OWN = str(Path(__file__).parent.parent) + os.sep
PYTHON = ("python", f"{sys.version_info.major}.{sys.version_info.minor}")


class Packages:
    """Names and versions of installed distributions, read from their metadata when they are asked for.

    importlib.metadata would do, and costs more to import than all that nbflow needs of it.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[str, str]] = {}
        self._owners: dict[str, dict[str, tuple[str, str]]] = {}

    def of_module(self, name: str) -> tuple[str, str] | None:
        """(distribution, version) of a loaded module; None for what is the user's own: its content counts."""
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names or top in sys.builtin_module_names:
            return PYTHON
        module = sys.modules.get(name) or sys.modules.get(top)
        return None if module is None else self.of_file(module_file(module), top)

    def of_file(self, file: str | None, top: str = "") -> tuple[str, str] | None:
        """(distribution, version) of a file; None for the user's own files, and where there is none."""
        if file is None:
            return None
        if file.startswith("<frozen"):
            return PYTHON
        if file.startswith(_OWN):
            # Also where it is installed for development: what a task means is told by its version alone.
            return "nbflow", _version_of_module("nbflow")
        site = _site_of(file)
        if site is None:
            return PYTHON if os.path.realpath(file).startswith(_STDLIB) else None
        name = top or Path(file).relative_to(site).parts[0].removesuffix(".py")
        if (site, name) not in self._known:
            self._known[site, name] = self._distribution(Path(site), name)
        return self._known[site, name]

    def _distribution(self, site: Path, top: str) -> tuple[str, str]:
        wanted = _normal(top)
        for folder in _metadata_folders(site):
            name, version = _name_version(folder)
            if _normal(name) == wanted:
                return name, version
        if str(site) not in self._owners:
            self._owners[str(site)] = _owners(site)
        return self._owners[str(site)].get(top) or (top, _version_of_module(top))


def is_installed(file: str, top: str = "") -> bool:
    """Whether a module's file is Python's, nbflow's or of an installed package. top: its package.

    Looks at the path alone, so that it may be asked of all modules.
    """
    if top in sys.stdlib_module_names or file.startswith(_OWN) or _site_of(file) is not None:
        return True
    return os.path.realpath(file).startswith(_STDLIB)


def module_file(module: ModuleType) -> str | None:
    """The file of a module; of a namespace package its first folder."""
    file = getattr(module, "__file__", None)
    if isinstance(file, str):
        return file
    places = list(getattr(module, "__path__", ()))
    return places[0] + os.sep if places else None


def _site_of(file: str) -> str | None:
    parts = file.split(os.sep)
    for at in range(len(parts) - 1, -1, -1):
        if parts[at] in _SITES:
            return os.sep.join(parts[: at + 1])
    return None


def _metadata_folders(site: Path) -> list[Path]:
    try:
        return sorted(path for path in site.iterdir() if path.suffix in {".dist-info", ".egg-info"})
    except OSError:
        return []


def _name_version(folder: Path) -> tuple[str, str]:
    """From METADATA, which tells more exactly than the folder's name does."""
    for file in (folder / "METADATA", folder / "PKG-INFO"):
        try:
            text = file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        head = text.partition("\n\n")[0]
        name, version = (re.search(rf"(?mi)^{field}:\s*(\S+)", head) for field in ("Name", "Version"))
        if name and version:
            return name[1], version[1]
    name_text, _, version_text = folder.stem.partition("-")
    return name_text, version_text


def _owners(site: Path) -> dict[str, tuple[str, str]]:
    """Which distribution a top-level name belongs to, by the lists of installed files."""
    owners: dict[str, tuple[str, str]] = {}
    for folder in _metadata_folders(site):
        try:
            lines = (folder / "RECORD").read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        found = _name_version(folder)
        for line in lines:
            owners.setdefault(line.split("/", 1)[0].split(",", 1)[0].removesuffix(".py"), found)
    return owners


def _version_of_module(top: str) -> str:
    return str(getattr(sys.modules.get(top), "__version__", "unknown"))


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
