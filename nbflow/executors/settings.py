"""Settings of the interpreter and of libraries that a notebook made: read in the kernel, put in place in a worker."""

from __future__ import annotations

import importlib.abc
import sys
import time
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from cloudpickle import cloudpickle

from nbflow.executors import libraries
from nbflow.lean import dataclass
from nbflow.probe.listening import apart

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType


@dataclass(frozen=True, slots=True)
class Setting:
    """Something that results may depend on. read: gives it as data that can be compared; put: sets it.

    library: it is read and put where that is imported. in_context: whether each context has its own.
    """

    read: Callable[[], Any]
    put: Callable[[Any], None]
    library: str = "sys"
    in_context: bool = False


class Settings:
    """What the kernel has set, by name. What cannot travel is left out."""

    def __init__(self, states: Mapping[str, Any]) -> None:
        self.states = dict(states)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Settings) and libraries.same(self.states, other.states)

    __hash__ = None  # type: ignore[assignment]  # it holds what can change

    def __reduce__(self) -> Any:
        return _Sent, ({name: _packed(state) for name, state in self.states.items()},)


def settings() -> Settings:
    """What is set in this process, as this context sees it."""
    found = {}
    for name, each in SETTINGS.items():
        if each.library in sys.modules:
            # Another thread may be importing it, and what it holds is the user's.
            with suppress(Exception):
                found[name] = each.read()
    return Settings(found)


def put_settings(sent: Settings, *, anew: bool) -> None:
    """Puts in place what the kernel has set. anew: also where it was put before, as tasks may have changed it since."""
    if anew or sent is not _HERE.sent:
        _HERE.put(sent)


def enter_settings() -> None:
    """Puts in place what each context has for itself: before each order, in the context of its calls."""
    for name, each in SETTINGS.items():
        if each.in_context:
            _HERE.set(name, each)


class _Sent(Settings):
    """Settings of another process, opened when they are put: what they lead to is importable only then."""

    def __init__(self, packed: Mapping[str, Any]) -> None:
        super().__init__({})
        self._left = dict(packed)

    def open(self, name: str, default: Any) -> Any:
        # Opening may import, and so begin here again; of two threads that are at it, none may find it half done.
        packed = self._left.get(name)
        if packed is not None:
            self.states[name] = _opened(packed)
            self._left.pop(name, None)
        return self.states.get(name, default)


class _Here:
    """The settings that this process was sent."""

    def __init__(self) -> None:
        self.sent: Settings | None = None
        # As it was before anything was put.
        self._first: dict[str, Any] = {}

    def put(self, sent: Settings) -> None:
        if self.sent is None:
            sys.meta_path.insert(0, _Finder())
        self.sent = sent
        for name, each in SETTINGS.items():
            if not each.in_context:
                self.set(name, each)

    def set(self, name: str, setting: Setting) -> None:
        if not isinstance(self.sent, _Sent) or setting.library not in sys.modules:
            return
        # Not all that one process has set is known to another one, or allowed there; that is no reason not to work.
        with suppress(Exception):
            if name not in self._first:
                self._first[name] = setting.read()
            setting.put(self.sent.open(name, self._first[name]))

    def imported(self, library: str) -> None:
        for name, each in SETTINGS.items():
            if each.library == library:
                self.set(name, each)


class _Finder(importlib.abc.MetaPathFinder):
    """Has settings put when their library is imported: none is imported for them."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _LIBRARIES:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None and spec.loader is not None:
                _then(spec.loader, fullname)
                return spec
        return None


def _then(loader: Any, library: str) -> None:
    load = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        load(module)
        with apart():
            _HERE.imported(library)

    loader.exec_module = exec_module


def _packed(state: Any) -> Any:
    """One by one, so that what cannot travel, or be opened there, takes nothing else along."""
    if type(state) is list:
        return [packed for packed in map(_pickled, state) if packed is not None]
    if type(state) is dict:
        pickled = {name: _pickled(value) for name, value in state.items()}
        return {name: packed for name, packed in pickled.items() if packed is not None}
    return _pickled(state)


def _pickled(value: Any) -> bytes | None:
    # A formatter or class of the user's may raise anything when it is to be pickled.
    try:
        return cloudpickle.dumps(value)  # type: ignore[no-any-return]  # it ships no types
    except Exception:  # noqa: BLE001 (it is left out)
        return None


def _opened(packed: Any) -> Any:
    found: list[Any] = []
    if isinstance(packed, dict):
        return {name: found.pop() for name, each in packed.items() if _open(each, found)}
    if isinstance(packed, list):
        for each in packed:
            _open(each, found)
        return found
    return found[0] if _open(packed, found) else None


def _open(packed: bytes | None, found: list[Any]) -> bool:
    """Adds what was packed, if it can be opened here."""
    with suppress(Exception):
        found.append(cloudpickle.loads(packed))
        return True
    return False


def _put_filters(filters: list[Any]) -> None:
    if warnings.filters != filters:
        warnings.filters[:] = filters  # type: ignore[index]  # a list, as all who look at it know
        warnings._filters_mutated()  # type: ignore[attr-defined]  # has what was shown once be shown again


def _put_timezone(_zone: str | None) -> None:
    # The variable is there already.
    if hasattr(time, "tzset"):
        time.tzset()


def _put_arguments(arguments: list[str]) -> None:
    # In place: some have it under a name of their own.
    sys.argv[:] = arguments


SETTINGS = {
    "arguments": Setting(lambda: list(sys.argv), _put_arguments),
    "recursion": Setting(sys.getrecursionlimit, sys.setrecursionlimit),
    "digits": Setting(sys.get_int_max_str_digits, sys.set_int_max_str_digits),
    "timezone": Setting(libraries.timezone, _put_timezone),
    "warnings": Setting(lambda: list(warnings.filters), _put_filters),
    "loggers": Setting(libraries.logger_levels, libraries.LOGGERS.put, "logging"),
    "locale": Setting(libraries.locale_now, libraries.put_locale, "locale"),
    "socket timeout": Setting(libraries.socket_timeout, libraries.put_socket_timeout, "socket"),
    "processes": Setting(libraries.start_method, libraries.put_start_method, "multiprocessing"),
    "csv field": Setting(libraries.csv_field, libraries.put_csv_field, "csv"),
    "csv dialects": Setting(libraries.csv_dialects, libraries.put_csv_dialects, "csv"),
    "decimal": Setting(libraries.decimal_context, libraries.put_decimal, "decimal", in_context=True),
    "numpy errors": Setting(libraries.numpy_errors, libraries.put_numpy_errors, "numpy", in_context=True),
    "numpy print": Setting(libraries.numpy_print, libraries.put_numpy_print, "numpy", in_context=True),
    "pandas": Setting(libraries.pandas_options, libraries.put_pandas_options, "pandas"),
    "matplotlib": Setting(libraries.RC_PARAMS.read, libraries.put_rc_params, "matplotlib"),
}
_LIBRARIES = frozenset(each.library for each in SETTINGS.values()) - {"sys", "logging"}
_HERE = _Here()
