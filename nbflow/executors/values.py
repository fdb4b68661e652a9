"""Values as they travel to a worker, and which of them cannot."""

from __future__ import annotations

import io
import pickle
import sys
import types
from typing import TYPE_CHECKING, Any

from nbflow.codecs.pickled import named
from nbflow.errors import NotSendable, NotStorable, place_of
from nbflow.executors.content import found_in_main, name_of, packed_code
from nbflow.executors.failures import error_of, failure_of
from nbflow.executors.nodes import Numbers
from nbflow.executors.order import Packed
from nbflow.executors.special import NAMED
from nbflow.model.state import Failed
from nbflow.model.tree import fill

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nbflow.executors.base import Batch
    from nbflow.executors.failures import Failure


def packed_held(values: Mapping[str, Any], numbers: Numbers) -> Packed:
    """What a module holds. A value that cannot travel stays what the worker's own import makes."""
    try:
        return packed_code(values, numbers)
    # What the user's own __reduce__ raises is any exception.
    except Exception:  # noqa: BLE001 (each is tried alone)
        return packed_code({path: value for path, value in values.items() if _can_be_packed(value)}, Numbers())


def _can_be_packed(value: Any) -> bool:
    try:
        packed_code(value, Numbers())
    # As above.
    except Exception:  # noqa: BLE001 (this is what is asked)
        return False
    return True


def packed_value(value: Any, found: dict[str, Any], numbers: Numbers) -> Packed:
    """A value; what of the user's its pickle tells by name is put into found. Raises NotStorable."""
    # What a value's own __reduce__ raises is any exception; a second try follows.
    try:
        packed = _by_name(value, found)
        return packed if _FAILED not in packed.body else _by_name(fill(value, Failed, _SentFailed), found)
    except Exception:  # noqa: BLE001 (the second try tells)
        return _by_content(fill(value, Failed, _SentFailed), found, numbers)


class _SentFailed:
    """A Failed on its way: its error travels as those of tasks do."""

    def __init__(self, failed: Failed) -> None:
        self._failure = failure_of(failed.error) if failed.error is not None else None

    def __reduce__(self) -> tuple[Any, ...]:
        return _failed, (self._failure,)


def _failed(failure: Failure | None) -> Failed:
    return Failed(error_of(failure) if failure is not None else None)


# Where a value holds one, its pickle names this.
_FAILED = Failed.__module__.encode()


def _by_name(value: Any, found: dict[str, Any]) -> Packed:
    buffers: list[pickle.PickleBuffer] = []
    body = named(value, buffers)
    if b"__main__" in body:
        names = _NamesPickler(io.BytesIO(), protocol=5, buffer_callback=lambda _: None)
        names.dump(value)
        found.update(names.found)
    return Packed(body, tuple(buffer.raw() for buffer in buffers))


def _by_content(value: Any, found: dict[str, Any], numbers: Numbers) -> Packed:
    """A value that holds a function which has no name to be told by. Raises NotStorable."""
    try:
        packed = packed_code(value, numbers)
    # As above.
    except Exception as error:
        raise NotStorable(f"a {type(value).__name__} cannot be pickled ({error})") from error
    # What is made in the worker is told by name on its way back.
    found.update({name: vars(sys.modules["__main__"])[name] for name, _ in packed.classes})
    return Packed(packed.body, packed.buffers)


def packed_argument(
    batch: Batch, number: int, value: Any, where: str, found: dict[str, Any], numbers: Numbers
) -> Packed:
    try:
        return packed_value(value, found, numbers)
    except NotStorable as error:
        name = batch.keywords[number] or parameter(batch.fn, number)
        raise NotSendable(
            f"{batch.label}{where} ({place_of(batch.fn)}): its argument {name!r} cannot be sent to a worker process: "
            f'{error}; make it inside the task, or give the task executor="threads"'
        ) from error


def parameter(fn: Callable[..., Any], number: int) -> str:
    """What a function calls its argument at a position, counted from 0."""
    code = getattr(fn, "__code__", None)
    names = code.co_varnames[: code.co_argcount] if code is not None else ()
    return names[number] if number < len(names) else f"number {number + 1}"


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
        if not _can_be_packed(value):
            return f"it uses {name!r}, and "
    return ""


class _NamesPickler(pickle.Pickler):
    """Finds out what of `__main__`, such as classes and functions, a pickle tells by name."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.found: dict[str, Any] = {}

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, (type, types.FunctionType, *NAMED)) and found_in_main(value):
            # A nested class is found in the one around it.
            name = name_of(value).partition(".")[0]
            self.found[name] = vars(sys.modules["__main__"])[name]
        return NotImplemented
