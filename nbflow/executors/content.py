"""Functions and classes of the user's by content, as they travel to a worker."""

from __future__ import annotations

import io
import sys
import types
from typing import TYPE_CHECKING, Any

from cloudpickle import cloudpickle

from nbflow.codecs.pickled import array_reduced, with_full_name
from nbflow.executors.order import PackedCode
from nbflow.executors.overlay import bases_in_modules, is_replaced
from nbflow.executors.patches import original
from nbflow.executors.spaces import Home, class_at_home, function_at_home
from nbflow.executors.special import specially_reduced, with_members
from nbflow.identity.asked import with_asked
from nbflow.identity.bytecode import reaches_of
from nbflow.identity.reducers import set_reducers
from nbflow.probe.imported import IMPORTED

if TYPE_CHECKING:
    import pickle
    from collections.abc import Iterator

    from nbflow.executors.nodes import Numbers
    from nbflow.identity.reach import Reach


def packed_code(thing: Any, numbers: Numbers, read: set[str] | None = None) -> PackedCode:
    """A function or class by content, with all that it reaches; tasks and nodes also by number.

    read: gets the names that the code in it reads.
    """
    try:
        return _packed(thing, numbers, read, guesses=True)
    # What the user's own __reduce__ raises is any exception.
    except Exception:  # noqa: BLE001 (the second try tells)
        # A word in a text may be the name of something else, that cannot travel.
        return _packed(thing, numbers, read, guesses=False)


def _packed(
    thing: Any, numbers: Numbers, read: set[str] | None, *, guesses: bool, beside: tuple[type, ...] = ()
) -> PackedCode:
    """beside: classes that go along, of which the code knows by their base alone."""
    stream = io.BytesIO()
    buffers: list[pickle.PickleBuffer] = []
    pickler = _CodePickler(stream, numbers, guesses=guesses, protocol=5, buffer_callback=buffers.append)
    try:
        pickler.dump(_Beside(beside, thing) if beside else thing)
    except _Outdated:
        # The worker would go on with what came first.
        numbers.begin_run()
        return _packed(thing, numbers, read, guesses=guesses, beside=beside)
    bases = pickler.bases if "__subclasses__" in pickler.read else {}
    known = dict.fromkeys(beside)
    below = (cls for base in (*bases, *(bases_in_modules() if guesses else ())) for cls in _below(base))
    # Compared as mappings: the order in which they are met changes with what goes along.
    if (larger := {**known, **dict.fromkeys(below)}) != known:
        return _packed(thing, numbers, read, guesses=guesses, beside=tuple(larger))
    if read is not None:
        read.update(pickler.read)
    return PackedCode(stream.getvalue(), tuple(buffer.raw() for buffer in buffers), tuple(pickler.classes))


def _below(base: type) -> Iterator[type]:
    """The user's classes below one, in the order in which they were made."""
    direct: list[type] = type.__subclasses__(base)
    for cls in direct:
        if _is_users(cls):
            yield cls
        yield from _below(cls)


def _is_users(cls: type) -> bool:
    return cls.__module__ == "__main__" or cls.__module__ in IMPORTED.by_name


class _Beside:
    """Stands for a thing; what is beside it is made first."""

    def __init__(self, beside: tuple[type, ...], thing: Any) -> None:
        self._all = (beside, thing)

    def __reduce__(self) -> tuple[Any, ...]:
        return _thing, self._all


def _thing(_beside: tuple[type, ...], thing: Any) -> Any:
    # Their bases know of them as long as somebody holds them: the run's space does, or their module.
    return thing


class _Outdated(Exception):
    """A global of the notebook is not what it was when it was sent before in this run."""


class _CodePickler(cloudpickle.Pickler):  # type: ignore[misc]  # it ships no types
    """guesses: whether globals that code may find by texts go along, too."""

    def __init__(self, stream: io.BytesIO, numbers: Numbers, *, guesses: bool, **options: Any) -> None:
        # Looked at once, when it begins.
        set_reducers(self)
        super().__init__(stream, **options)
        self._numbers = numbers
        self._guesses = guesses
        self._home: Home | None = None
        self.read: set[str] = set()
        self.classes: dict[tuple[str, str], None] = {}
        # The user's, in the order in which they were met.
        self.bases: dict[type, None] = {}

    def reducer_override(self, thing: Any) -> Any:
        reduced = self._numbers.reduced(thing) or specially_reduced(thing) or original(thing)
        if reduced is not None:
            return reduced
        if isinstance(thing, types.CodeType):
            # cloudpickle leaves the file's name out; tracebacks and ids need it.
            self.read.update(thing.co_names)
            return _code_of_file, (super().dispatch_table[types.CodeType](thing), thing.co_filename)
        if isinstance(thing, types.FunctionType) and is_replaced(thing):
            return self._dynamic_function_reduce(thing)
        if not isinstance(thing, type):
            reduced = array_reduced(thing)
            return super().reducer_override(thing) if reduced is NotImplemented else reduced
        if _is_users(thing):
            self.bases[thing] = None
        reduced = super().reducer_override(thing)
        if thing.__qualname__ == thing.__name__ and found_in_main(thing):
            # By its id: others may have its name, such as the one that a dataclass with slots was made of.
            self.classes[thing.__name__, cloudpickle._get_or_create_tracker_id(thing)] = None
        return class_at_home(with_members(thing, with_full_name(thing, reduced)), self._numbers.run)

    def _dynamic_function_reduce(self, func: types.FunctionType) -> Any:
        reduced = super()._dynamic_function_reduce(func)
        if self._guesses:
            # What the task's key counts, `df.query("n > @LIMIT")` finds.
            names = {name for each in with_asked(func, reaches_of(func.__code__)) for name in _guessed(func, each)}
            self.read |= names
            found = {name: func.__globals__[name] for name in sorted(names) if name in func.__globals__}
            reduced[2][1]["__globals__"].update(found)
        if not _is_of_main(func):
            return reduced
        if self._numbers.differ(reduced[2][1]["__globals__"]):
            raise _Outdated
        return function_at_home(reduced, self._numbers.run)

    def _function_getnewargs(self, func: types.FunctionType) -> Any:
        code, base, *rest = super()._function_getnewargs(func)
        if _is_of_main(func):
            self._home = self._home or Home(self._numbers.run, base)
            base = self._home
        return code, base, *rest


def found_in_main(thing: Any) -> bool:
    """Whether a class, function or the like of the notebook's is what its name leads to there."""
    found: Any = sys.modules["__main__"]
    for name in name_of(thing).split("."):
        found = getattr(found, name, None)
    return thing.__module__ == "__main__" and found is thing


def _is_of_main(fn: types.FunctionType) -> bool:
    return fn.__globals__ is vars(sys.modules["__main__"])


def name_of(thing: Any) -> str:
    """What a pickle tells a class, function or the like by."""
    name: str = getattr(thing, "__qualname__", thing.__name__)
    return name


def _guessed(fn: types.FunctionType, reach: Reach) -> tuple[str, ...]:
    """The global that code reaches by a text, or as an attribute of `__main__`."""
    first, *rest = reach.names or ("",)
    if reach.guessed or reach.module == "__main__":
        return (first,)
    return tuple(rest[:1]) if fn.__globals__.get(first) is sys.modules["__main__"] else ()


def _code_of_file(reduced: tuple[Any, ...], file: str) -> types.CodeType:
    make, arguments, *_ = reduced
    code: types.CodeType = make(*arguments)
    return code.replace(co_filename=file)
