"""Functions and classes of the user's by content, as they travel to a worker."""

from __future__ import annotations

import functools
import importlib
import io
import sys
import types
from typing import TYPE_CHECKING, Any

from cloudpickle import cloudpickle

from nbflow.codecs.pickled import with_full_name
from nbflow.executors.order import PackedCode
from nbflow.executors.overlay import is_replaced

if TYPE_CHECKING:
    import pickle
    from collections.abc import Callable, Mapping

    from nbflow.executors.nodes import Numbers


def packed_code(thing: Any, numbers: Numbers, read: set[str] | None = None) -> PackedCode:
    """A function or class by content, with all that it reaches; tasks and nodes also by number.

    read: gets the names that the code in it reads.
    """
    stream = io.BytesIO()
    buffers: list[pickle.PickleBuffer] = []
    pickler = _CodePickler(stream, numbers, protocol=5, buffer_callback=buffers.append)
    pickler.dump(thing)
    if read is not None:
        read.update(pickler.read)
    return PackedCode(stream.getvalue(), tuple(buffer.raw() for buffer in buffers), tuple(pickler.classes))


class _CodePickler(cloudpickle.Pickler):  # type: ignore[misc]  # it ships no types
    def __init__(self, stream: io.BytesIO, numbers: Numbers, **options: Any) -> None:
        super().__init__(stream, **options)
        self._numbers = numbers
        self.read: set[str] = set()
        self.classes: dict[tuple[str, str], None] = {}

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
            self.read.update(thing.co_names)
            return _code_of_file, (super().dispatch_table[types.CodeType](thing), thing.co_filename)
        if isinstance(thing, types.FunctionType) and is_replaced(thing):
            return self._dynamic_function_reduce(thing)
        reduced = with_full_name(thing, super().reducer_override(thing))
        if isinstance(thing, type) and thing.__qualname__ == thing.__name__ and found_in_main(thing):
            # By its id: others may have its name, such as the one that a dataclass with slots was made of.
            self.classes[thing.__name__, cloudpickle._get_or_create_tracker_id(thing)] = None
        return reduced


def found_in_main(thing: Any) -> bool:
    """Whether a class or function of the notebook's is what its name leads to there."""
    found: Any = sys.modules["__main__"]
    for name in thing.__qualname__.split("."):
        found = getattr(found, name, None)
    return thing.__module__ == "__main__" and found is thing


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
