"""Whether this process has the packages that another one has: results must not depend on where they were made."""

from __future__ import annotations

import sys
from functools import lru_cache
from importlib import metadata, util
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# What is compared before anything is sent.
_COMPARED = frozenset({"python", "nbflow"})
_UNKNOWN = "unknown"


def unlike_here(packages: Mapping[str, str]) -> dict[str, str | None]:
    """Those of the packages that are of another version here, with that; None where they are missing."""
    found = {name: _version_here(name) for name in packages.keys() - _COMPARED if packages[name] != _UNKNOWN}
    return {
        name: found[name]
        for name in sorted(found)
        if found[name] != _UNKNOWN and _public(found[name]) != _public(packages[name])
    }


@lru_cache(maxsize=1000)
def _version_here(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        # It may be there without anything that tells its version, as some managers of packages leave it.
        return _UNKNOWN if name in sys.modules or (name.isidentifier() and util.find_spec(name)) else None


def _public(version: str | None) -> str | None:
    """Without the mark of how it was built, as in "2.3.0+cu121": workers with GPUs have builds of their own."""
    return version and version.partition("+")[0]
