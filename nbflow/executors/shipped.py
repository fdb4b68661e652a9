"""The user's modules in a worker: as the kernel imported them, whatever their files say by now."""

from __future__ import annotations

import importlib.abc
import importlib.util
import sys
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING, Any

from nbflow.executors.overlay import put_values
from nbflow.probe.listening import apart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import ModuleType

    from nbflow.executors.order import Held, Module, Packed


class Shipped(importlib.abc.MetaPathFinder):
    """Finds the modules that came from the kernel before any others. state_of: tells whether values differ."""

    def __init__(self, state_of: Callable[[Any], bytes | None]) -> None:
        self._state_of = state_of
        self._modules: Mapping[str, Module] = {}
        self._held: Mapping[str, Packed] = {}
        # Imports that are under way, one in another, and the modules that they have made so far.
        self._depth = 0
        self._made: list[ModuleType] = []
        sys.meta_path.insert(0, self)

    def update(self, modules: Mapping[str, Module]) -> None:
        """From now on these are imported; where one that is loaded was another, all of them are loaded anew."""
        known, self._modules = self._modules, modules
        loaded = [name for name in {*known, *modules} if name in sys.modules and name != "__main__"]
        if any(known.get(name) != modules.get(name) for name in loaded):
            for name in loaded:
                del sys.modules[name]

    def hold(self, held: Held, *, anew: bool) -> None:
        """From now on the modules hold this. anew: also where they were given the same before."""
        known, self._held = self._held, held.modules
        for name, packed in held.modules.items():
            if name in sys.modules and (anew or known.get(name) != packed):
                self._put(sys.modules[name])

    @contextmanager
    def importing(self, module: ModuleType) -> Iterator[None]:
        """The module is imported in the block."""
        self._depth += 1
        try:
            yield
            self._made.append(module)
        finally:
            self._depth -= 1
            while self._made and not self._depth:
                # Not before: what one module holds may be of a class of another's that imports it.
                self._put(self._made.pop())

    def _put(self, module: ModuleType) -> None:
        packed = self._held.get(module.__name__)
        if packed is not None:
            # A task may be what imports it: what is read here is none of its files.
            with apart():
                put_values(module, packed.open(), self._state_of)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        module = self._modules.get(fullname)
        if module is None:
            # A folder without a file of its own.
            folders = {
                _folder(fullname, name, each) for name, each in self._modules.items() if _lies_in(name, fullname)
            }
            if not folders:
                return None
            spec = ModuleSpec(fullname, None, is_package=True)
            spec.submodule_search_locations = _NamespacePath(sorted(folders))
            return spec
        if module.outdated:
            raise ImportError(
                f"{module.file} was edited right after the kernel imported it: run importlib.reload() on it, or "
                f"restart the kernel"
            )
        return importlib.util.spec_from_file_location(
            fullname,
            module.file,
            loader=_Loader(module, self),
            submodule_search_locations=[module.file.rpartition("/")[0]] if module.is_package else None,
        )


class _NamespacePath(list[str]):
    """Folders of one package: importlib.resources takes none but those that say so."""

    def __repr__(self) -> str:
        return f"_NamespacePath({super().__repr__()})"


def _lies_in(name: str, package: str) -> bool:
    return name.startswith(f"{package}.")


def _folder(package: str, name: str, module: Module) -> str:
    """The folder of a package, as a module somewhere in it tells."""
    steps = name.removeprefix(package).count(".") + module.is_package
    return module.file.rsplit("/", steps)[0]


class _Loader(importlib.abc.InspectLoader):
    """Loads a module from the kernel's source; data files beside it are those of this machine."""

    def __init__(self, module: Module, shipped: Shipped) -> None:
        self.path = module.file
        self._module = module
        self._shipped = shipped

    def exec_module(self, module: ModuleType) -> None:
        with self._shipped.importing(module):
            super().exec_module(module)

    def get_data(self, path: str) -> bytes:
        """The bytes of a file: pkgutil asks. Raises FileNotFoundError where this machine has none."""
        with open(path, "rb") as stream:
            return stream.read()

    def get_resource_reader(self, fullname: str) -> object:
        """Finds data files for importlib.resources."""
        from importlib.readers import FileReader

        return FileReader(self)  # type: ignore[arg-type]  # all it takes of a loader is its path

    def get_filename(self, fullname: str) -> str:
        return self._module.file

    def is_package(self, fullname: str) -> bool:
        return self._module.is_package

    def get_source(self, fullname: str) -> str:
        return importlib.util.decode_source(self._module.source)

    def get_code(self, fullname: str) -> object:  # type: ignore[override]  # as the base has it, and more exactly
        module = self._module
        return compile(module.source, module.file, "exec", dont_inherit=True, optimize=module.optimize)
