"""What the user's own modules said when this process imported them: their files may say something else by now."""

from __future__ import annotations

import ast
import sys
import threading
from functools import lru_cache
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING

from nbflow.lean import dataclass
from nbflow.loaded import space_of
from nbflow.probe.files import stamp_of
from nbflow.probe.packages import is_installed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


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

    def is_true_of(self, module: ModuleType) -> bool:
        """Whether the functions that a module has now are those of the source."""
        # Others, such as pytest's, change what they compile.
        if type(getattr(self.spec, "loader", None)) is not SourceFileLoader:
            return True
        made, known, names = _made_by(self.content, self.file)
        for name, value in list(vars(module).items()):
            if not isinstance(value, (type, FunctionType)) or value.__module__ != module.__name__:
                continue
            held = list(vars(value).values()) if isinstance(value, type) else [value]
            codes = [fn.__code__ for fn in held if isinstance(fn, FunctionType)]
            here = [code for code in codes if code.co_filename == self.file and code.co_name in known]
            if any(_shape(code) not in made for code in here) or (value.__qualname__ == name and name not in names):
                return False
        return True


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
            spec = (space_of(module) or {}).get("__spec__")
            if spec is None:
                continue
            if self._seen.get(name) is spec:
                before = found.get(name)
                if before is None or stamp_of(before.file) == before.stamp or before.is_true_of(module):
                    continue
                # %autoreload has put the new functions into the module that there was.
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
    file = (space_of(module) or {}).get("__file__")
    if not isinstance(file, str) or not file.endswith(".py") or is_installed(file, name.partition(".")[0]):
        return None
    return Imported(spec, file, stamp_of(file), _content(file), hasattr(module, "__path__"))


@lru_cache(maxsize=100)
def _made_by(content: bytes, file: str) -> tuple[frozenset[object], frozenset[str], frozenset[str]]:
    """What importing a source makes: the shapes and the names of its functions, and the names at its top."""
    try:
        tree = ast.parse(content)
        # As %autoreload compiles it.
        again = ast.parse(ast.unparse(tree))
    except (SyntaxError, ValueError):
        return frozenset(), frozenset(), frozenset()
    wholes = [compile(each, file, "exec", dont_inherit=True) for each in (tree, again)]
    inner = [code for whole in wholes for code in codes_in(whole)]
    return frozenset(map(_shape, inner)), frozenset(code.co_name for code in inner), frozenset(wholes[0].co_names)


def codes_in(code: CodeType) -> Iterator[CodeType]:
    """The code objects inside one, at any depth."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from codes_in(constant)


def _shape(code: CodeType) -> object:
    """A function without its place in a file."""
    constants = tuple(_shape(each) if isinstance(each, CodeType) else (type(each), each) for each in code.co_consts)
    return code.co_name, code.co_code, code.co_names, code.co_varnames, constants


def _content(file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError:
        return b""


IMPORTED = ImportedModules()
