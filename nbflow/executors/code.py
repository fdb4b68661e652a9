"""Functions and classes of the user's as bytes: by content, with all that they reach."""

from __future__ import annotations

import functools
import importlib
import io
import sys
import types
from typing import TYPE_CHECKING, Any

import cloudpickle

from nbflow.executors.nodes import Numbers
from nbflow.executors.order import Packed

if TYPE_CHECKING:
    import pickle
    from collections.abc import Callable, Mapping


def packed_code(thing: Any, numbers: Numbers) -> Packed:
    """A function or class by content, with all that it reaches; tasks and nodes also by number."""
    stream = io.BytesIO()
    buffers: list[pickle.PickleBuffer] = []
    _CodePickler(stream, numbers, protocol=5, buffer_callback=buffers.append).dump(thing)
    return Packed(stream.getvalue(), tuple(buffer.raw() for buffer in buffers))


def culprit(fn: Callable[..., Any]) -> str:
    """Which of the values that a function reaches by name cannot be pickled."""
    code = getattr(fn, "__code__", None)
    if code is None:
        return ""
    space = fn.__globals__
    reached = {name: space[name] for name in code.co_names if name in space}
    for name, cell in zip(code.co_freevars, fn.__closure__ or (), strict=False):
        try:
            reached[name] = cell.cell_contents
        except ValueError:
            continue
    for name, value in reached.items():
        try:
            packed_code(value, Numbers())
        # As above.
        except Exception:  # noqa: BLE001 (this is what is looked for)
            return f"it uses {name!r}, and "
    return ""


class _CodePickler(cloudpickle.Pickler):  # type: ignore[misc]  # it ships no types
    def __init__(self, stream: io.BytesIO, numbers: Numbers, **options: Any) -> None:
        super().__init__(stream, **options)
        self._numbers = numbers

    def reducer_override(self, thing: Any) -> Any:
        reduced = self._numbers.reduced(thing)
        if reduced is not None:
            return reduced
        if isinstance(thing, functools._lru_cache_wrapper) and _is_users(thing):
            # By itself it goes by name, which in a worker leads nowhere.
            return _cached, (thing.__wrapped__, thing.cache_parameters())
        if isinstance(thing, types.MethodType) and thing.__name__ == "get_ipython":
            # Magics and commands in a task are the worker's own shell's.
            return _get_ipython, ()
        if isinstance(thing, types.CodeType):
            # cloudpickle leaves the file's name out; tracebacks and ids need it.
            return _code_of_file, (super().dispatch_table[types.CodeType](thing), thing.co_filename)
        return super().reducer_override(thing)


def _is_users(thing: Any) -> bool:
    module = getattr(thing, "__module__", None)
    if module == "__main__" or "<locals>" in getattr(thing, "__qualname__", ""):
        return True
    return getattr(sys.modules.get(str(module)), getattr(thing, "__qualname__", ""), None) is not thing


def _get_ipython() -> Any:
    return importlib.import_module("IPython.core.getipython").get_ipython


def _code_of_file(reduced: tuple[Any, ...], file: str) -> types.CodeType:
    make, arguments, *_ = reduced
    code: types.CodeType = make(*arguments)
    return code.replace(co_filename=file)


def _cached(fn: Callable[..., Any], parameters: Mapping[str, Any]) -> Any:
    return functools.lru_cache(**parameters)(fn)
