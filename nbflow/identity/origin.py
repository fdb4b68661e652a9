"""Where code comes from: an installed distribution, Python itself, or the user."""

from __future__ import annotations

import sys
import types
from typing import Any, Protocol

from nbflow.identity.modules import MADE_AT_RUN_TIME, module_of

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


class Packages(Protocol):
    """Gives the distribution and version that installed code comes from; None for the user's own."""

    def of_module(self, name: str) -> tuple[str, str] | None: ...
    def of_file(self, file: str | None) -> tuple[str, str] | None: ...


class Origins:
    """(distribution, version) of installed code, None for the user's own; each module is looked up once."""

    def __init__(self, packages: Packages) -> None:
        self._packages = packages
        self._installed: dict[str, tuple[str, str] | None] = {}

    def of(self, thing: Any) -> tuple[str, str] | None:
        """Where a function, class or builtin comes from."""
        code = getattr(thing, "__code__", None)
        module = module_of(thing)
        if isinstance(code, types.CodeType) and not code.co_filename.startswith("<") and module in {None, "__main__"}:
            return self._packages.of_file(code.co_filename)
        if module == "builtins" and (code is not None or getattr(thing, "__flags__", 0) & MADE_AT_RUN_TIME):
            # Made by exec() without a module's name around it.
            return None
        if not isinstance(module, str) or module == "__main__":
            return None if isinstance(thing, (types.FunctionType, type)) else ("python", PYTHON)
        return self.of_module(module)

    def of_module(self, name: str) -> tuple[str, str] | None:
        """Where the module of a name comes from."""
        if name not in self._installed:
            self._installed[name] = self._packages.of_module(name)
        return self._installed[name]
