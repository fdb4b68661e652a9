"""The notebook's `__main__` in a worker: one namespace for all that came from it in a run, as it is in the kernel.

What is sent comes in several pickles: the task's function, the class of an argument. Each brings the globals that its
own code names. The first to bring one puts it there; what tasks made of it since is left as it is.
"""

from __future__ import annotations

import sys
import threading
import types
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from cloudpickle import cloudpickle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Space:
    """The globals of a run in this process. It lives as long as a Worker holds something of that run."""

    def __init__(self) -> None:
        self.globals: dict[str, Any] = {}
        # The names that came from the kernel, and the classes as far as they are as that has them, by cloudpickle's id.
        self.sent: set[str] = set()
        self.filled: dict[str, Any] = {}

    @staticmethod
    def of(run: str) -> Space:
        """That of a run, for all threads."""
        with _LOCK:
            return _SPACES.setdefault(run, Space())


class Home:
    """Stands for the globals of the notebook's functions on their way to a worker."""

    def __init__(self, run: str, base: dict[str, Any]) -> None:
        self._state = (run, base)

    def __reduce__(self) -> tuple[Any, ...]:
        return _globals_of, self._state


class Main(types.ModuleType):
    """`__main__` in a worker: shows what came from the kernel's to what looks there, such as pickle.

    Other threads of this process may be at work for another run, in which a name stands for another class.
    """

    def __getattribute__(self, name: str) -> Any:
        now = _now()
        if name in now.names:
            return now.names[name]
        # Before what is its own: that may be the script of the kernel, imported once more.
        if now.space is not None and name in now.space.sent and name in now.space.globals:
            return now.space.globals[name]
        return super().__getattribute__(name)


class _Now:
    """Whose `__main__` a thread sees. names: what its order tells by name."""

    def __init__(self, space: Space | None) -> None:
        self.space = space
        self.names: dict[str, Any] = {}


def _now() -> _Now:
    return getattr(_AT_WORK, "now", None) or _latest[0]


def enter(space: Space) -> None:
    """From now on this thread's `__main__` is that of a run; that of threads that it starts is the latest run's."""
    main = sys.modules["__main__"]
    if type(main) is types.ModuleType:
        main.__class__ = Main
    _AT_WORK.now = _latest[0] = _Now(space)


def leave() -> None:
    """From now on the `__main__` of this thread is that of the process: others may use it, too."""
    _AT_WORK.now = _Now(None)


def show(name: str, thing: Any) -> None:
    """From now on this thread finds it under its name in `__main__`; others do where they find nothing else."""
    _now().names[name] = thing
    setattr(sys.modules["__main__"], name, thing)


def function_at_home(reduced: tuple[Any, ...], run: str) -> tuple[Any, ...]:
    """What cloudpickle makes of a function of `__main__`: its globals are those of its run."""
    make, arguments, state, items, pairs, put = reduced
    return make, arguments, (run, put, state), items, pairs, _fill_function


def class_at_home(reduced: Any, run: str) -> Any:
    """What cloudpickle makes of a class by content: it is made once, and is what it was when the run began."""
    if not isinstance(reduced, tuple) or reduced[0].__name__ not in _PLACES_OF_ID:
        return reduced
    make, arguments, state, items, pairs, put = reduced
    id_ = arguments[_PLACES_OF_ID[make.__name__]]
    return _make_class, (id_, make, arguments), (run, id_, put, state), items, pairs, _fill_class


def _globals_of(run: str, base: dict[str, Any]) -> dict[str, Any]:
    space = _SPACES.get(run)
    if space is None:
        return base
    for name, value in base.items():
        space.globals.setdefault(name, value)
    return space.globals


def _fill_function(fn: types.FunctionType, everything: tuple[Any, ...]) -> None:
    run, put, (attributes, slots) = everything
    space = _SPACES.get(run)
    found = slots["__globals__"]
    if space is not None:
        space.sent.update(found)
    for name, value in found.items():
        fn.__globals__.setdefault(name, value)
    put(fn, (attributes, {**slots, "__globals__": {}}))


def _make_class(id_: str, make: Callable[..., type], arguments: tuple[Any, ...]) -> type:
    known: type | None = cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID.get(id_)
    if known is not None:
        return known
    with _quiet(arguments):
        return make(*arguments)


def _fill_class(cls: type, everything: tuple[Any, ...]) -> None:
    run, id_, put, state = everything
    space = _SPACES.get(run)
    if space is None or space.filled.get(id_) is not cls:
        put(cls, state)
    if space is not None:
        space.filled[id_] = cls


@contextmanager
def _quiet(arguments: tuple[Any, ...]) -> Iterator[None]:
    """In the block no class of the user's hears of a new subclass: it did in the kernel, and that is what travels."""
    bases = types.resolve_bases(next(each for each in arguments if isinstance(each, tuple)))
    heirs = dict.fromkeys(each for base in bases for each in base.__mro__)
    with _LOCK:
        hearing = [
            (each, vars(each)["__init_subclass__"])
            for each in heirs
            if "__init_subclass__" in vars(each) and each in cloudpickle._DYNAMIC_CLASS_TRACKER_BY_CLASS
        ]
        try:
            for each, _ in hearing:
                type.__setattr__(each, "__init_subclass__", _deaf(each))
            yield
        finally:
            for each, own in hearing:
                type.__setattr__(each, "__init_subclass__", own)


def _deaf(parent: type) -> Any:
    def init(cls: Any) -> None:
        # Those of libraries above it set up what their classes need.
        super(parent, cls).__init_subclass__()  # type: ignore[arg-type]  # a class is what it gets

    return classmethod(init)


_SPACES: WeakValueDictionary[str, Space] = WeakValueDictionary()
_AT_WORK = threading.local()
# For threads that a task started.
_latest = [_Now(None)]
_LOCK = threading.RLock()
_PLACES_OF_ID = {"_make_skeleton_class": 4, "_make_skeleton_enum": 5}
