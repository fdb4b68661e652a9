"""Exceptions as pickles where those give the same again, and else as their parts, put together without `__init__`."""

from __future__ import annotations

import importlib
import io
import pickle
import sys
import types
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from cloudpickle import cloudpickle

from nbflow.errors import in_words
from nbflow.identity.reducers import set_reducers
from nbflow.lean import dataclass, pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from nbflow.executors.failures import Failure


@dataclass(frozen=True, slots=True)
class Name:
    """Where a class is found. token: how cloudpickle knows one that was sent by content, "" for any other."""

    module: str
    path: str
    token: str


@dataclass(frozen=True, slots=True)
class Shown:
    """In place of a value that cannot travel: it shows as that did."""

    as_text: str
    as_repr: str

    def __str__(self) -> str:
        return self.as_text

    def __repr__(self) -> str:
        return self.as_repr


@dataclass(frozen=True, slots=True)
class Parts:
    """What an exception is made of. kinds: its class and its bases, the nearest first.

    text, as_repr: its str() and repr(), None where that raises; words: what is told of it then. args, attributes: a
    pickle each, an exception, or what stands for a value.
    """

    name: str
    module: str
    kinds: tuple[Name, ...]
    text: str | None
    as_repr: str | None
    words: str
    args: tuple[bytes | Failure | Shown, ...]
    attributes: dict[str, bytes | Failure]


def plain_pickle(error: BaseException) -> bytes:
    """The pickle of an exception by its own means; empty where there is none, or it gives another one."""
    try:
        body = _pickled(error)
        again = pickle.loads(body)
        same = (
            type(again) is type(error)
            and _are_alike(texts_of(again), texts_of(error))
            and dict(_state(again)).keys() >= dict(_state(error)).keys()
        )
    # Its own __reduce__ or __init__ may raise anything.
    except Exception:  # noqa: BLE001 (it is taken apart)
        return b""
    return body if same else b""


def opened_pickle(body: bytes) -> Any:
    """What is in a pickle; None where it cannot be opened."""
    try:
        return pickle.loads(body)
    # A class's own way to be rebuilt may raise anything, also where it did not in the worker.
    except Exception:  # noqa: BLE001 (its parts tell of it)
        return None


def parts_of(error: BaseException, failure: Callable[[BaseException], Failure | None], *, in_full: bool) -> Parts:
    """What an exception is made of. failure: how those in it travel; in_full: whether it is made again of that."""
    kind = type(error)
    text, as_repr = texts_of(error) if in_full else (None, None)
    return Parts(
        name=kind.__name__,
        module=kind.__module__,
        kinds=tuple(_name(each) for each in kind.__mro__ if issubclass(each, BaseException)),
        text=text,
        as_repr=as_repr,
        words=in_words(error).removeprefix(kind.__name__).removeprefix(": "),
        args=tuple(_carried(each, failure) or _shown(each) for each in _args(error)) if in_full else (),
        attributes=dict(_carried_attributes(error, failure)) if in_full else {},
    )


def rebuilt(
    parts: Parts, members: Sequence[BaseException], opened: Callable[[Failure], BaseException]
) -> BaseException:
    """An exception of the class that its parts tell of; of a class made for it where that shows as another.

    members: what a group holds; opened: makes the exceptions in it.
    """
    args = tuple(_uncarried(each, opened) for each in parts.args)
    attributes = {name: _uncarried(each, opened) for name, each in parts.attributes.items()}
    for number, name in enumerate(parts.kinds):
        kind = _found(name)
        if kind is None:
            continue
        # What a class's own __new__ and __str__ do, or its metaclass, may raise anything.
        with suppress(Exception):
            error = _made(kind, parts, members, args, attributes)
            if number == 0 and _are_alike(texts_of(error), (parts.text, parts.as_repr)):
                return error
            return _made(_dressed(kind, parts), parts, members, args, attributes)
    return Exception(parts.words)


def texts_of(thing: Any) -> tuple[str | None, str | None]:
    """str() and repr() of something, None for one that raises."""
    return _text(str, thing), _text(repr, thing)


def _text(how: Callable[[Any], str], thing: Any) -> str | None:
    try:
        return how(thing)
    # A user's own __str__ or __repr__ may raise anything.
    except Exception:  # noqa: BLE001 (that is what is told)
        return None


def _are_alike(some: Sequence[str | None], others: Sequence[str | None]) -> bool:
    """Whether texts are the same, wherever in memory lies what they tell of."""
    return all(
        one == other or (one is not None and other is not None and _ADDRESS.sub("", one) == _ADDRESS.sub("", other))
        for one, other in zip(some, others, strict=True)
    )


def _pickled(value: Any) -> bytes:
    stream = io.BytesIO()
    pickler = pickle.Pickler(stream, protocol=5)
    set_reducers(pickler)
    pickler.dump(value)
    return stream.getvalue()


def _state(error: BaseException) -> Iterator[tuple[str, Any]]:
    """The attributes of an exception: its own, and those that its class has a place for."""
    for base in type(error).__mro__:
        if not issubclass(base, BaseException) or base in _MADE_WITH_THEIRS:
            continue
        for name, member in vars(base).items():
            if not isinstance(member, _PLACES) or name.startswith("__") or (base, name) == _AS_LARGE_AS_IT_LIKES:
                continue
            with suppress(Exception):
                value = member.__get__(error)
                if value is not None:
                    yield name, value
    yield from ((name, value) for name, value in _own(error).items() if name != "__notes__")


def _own(error: BaseException) -> dict[str, Any]:
    own: dict[str, Any] = object.__getattribute__(error, "__dict__")
    return own


def _carried(value: Any, failure: Callable[[BaseException], Failure | None]) -> bytes | Failure | None:
    """A value that travels; None where it cannot."""
    if isinstance(value, BaseException):
        return failure(value)
    try:
        body = _pickled(value)
        pickle.loads(body)
    # As above.
    except Exception:  # noqa: BLE001 (what cannot travel is left out)
        return None
    return body


def _args(error: BaseException) -> tuple[Any, ...]:
    """What an exception was made with. Of a group only its message: the others are its members."""
    return (error.message,) if isinstance(error, BaseExceptionGroup) else error.args


def _shown(value: Any) -> Shown:
    text, as_repr = texts_of(value)
    return Shown(text or type(value).__name__, as_repr or type(value).__name__)


def _carried_attributes(
    error: BaseException, failure: Callable[[BaseException], Failure | None]
) -> Iterator[tuple[str, bytes | Failure]]:
    for name, value in _state(error):
        carried = _carried(value, failure)
        if carried is not None:
            yield name, carried


def _uncarried(carried: bytes | Failure | Shown, opened: Callable[[Failure], BaseException]) -> Any:
    if isinstance(carried, Shown):
        return carried
    return opened_pickle(carried) if isinstance(carried, bytes) else opened(carried)


def _name(kind: type[BaseException]) -> Name:
    token = cloudpickle._DYNAMIC_CLASS_TRACKER_BY_CLASS.get(kind, "")
    path = kind.__qualname__ if _at(kind.__module__, kind.__qualname__) is kind else ""
    return Name(kind.__module__, path, token)


def _found(name: Name) -> type[BaseException] | None:
    """The class in this process."""
    found = cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID.get(name.token)
    if found is None and name.path:
        # What an import raises is any exception, and so is what a module's own __getattr__ does.
        with suppress(Exception):
            importlib.import_module(name.module)
        with suppress(Exception):
            found = _at(name.module, name.path)
    return found if isinstance(found, type) and issubclass(found, BaseException) else None


def _at(module: str, path: str) -> Any:
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    return found


def _made(
    kind: type[BaseException],
    parts: Parts,
    members: Sequence[BaseException],
    args: tuple[Any, ...],
    attributes: dict[str, Any],
) -> BaseException:
    error: BaseException
    if issubclass(kind, BaseExceptionGroup):
        error = BaseExceptionGroup.__new__(kind, args[0] if args else parts.words, members)
    else:
        base = next(base for base in kind.__mro__ if base.__module__ == "builtins" and issubclass(base, BaseException))
        error = base.__new__(kind)
        object.__setattr__(error, "args", args)
    for name, value in attributes.items():
        if isinstance(getattr(type(error), name, None), _PLACES):
            # Some cannot be set.
            with suppress(Exception):
                object.__setattr__(error, name, value)
        else:
            _own(error)[name] = value
    return error


def _dressed(kind: type[BaseException], parts: Parts) -> type[BaseException]:
    """A class that shows as the exception did where it was raised."""
    text = parts.words if parts.text is None else parts.text
    as_repr = f"{parts.name}({text!r})" if parts.as_repr is None else parts.as_repr
    shows = {"__str__": lambda _: text, "__repr__": lambda _: as_repr, "__module__": parts.module}
    made: type[BaseException] = types.new_class(parts.name, (kind,), exec_body=lambda space: space.update(shows))
    return made


_PLACES = (types.MemberDescriptorType, types.GetSetDescriptorType)
_MADE_WITH_THEIRS = (BaseException, BaseExceptionGroup)
# What somebody asked for an attribute that it does not have: a whole table, as often as not.
_AS_LARGE_AS_IT_LIKES = (AttributeError, "obj")
_ADDRESS = pattern(r" at 0x[0-9a-f]+")
