"""Every exception a user can see. Each message says what happened, where, and the next step."""

from __future__ import annotations

import linecache
import os
import sys
from typing import TYPE_CHECKING

from nbflow.lean import pattern

if TYPE_CHECKING:
    from collections.abc import Iterable


class NbflowError(Exception):
    """Base of all errors that nbflow raises itself."""

    def _render_traceback_(self) -> list[str]:
        # IPython asks for this: a notebook shows the user's own line and the message, not nbflow's frames.
        return [*_user_line(self), *cut_lines(f"{type(self).__name__}: {self}", MOST_LINES - 1)]


class NbflowWarning(UserWarning):
    """Something that users should know, and that stops nothing."""


class Interrupted(KeyboardInterrupt):
    """The user stopped a run: which frames of nbflow it was in says nothing to anybody."""

    def _render_traceback_(self) -> list[str]:
        # What happened stands above, as nbflow told it; front ends write the type for an empty text.
        return ["stopped"]


# Front ends, and who drives them, know an interrupt by this name.
Interrupted.__name__ = KeyboardInterrupt.__name__


class GraphError(NbflowError):
    """The graph as written cannot be: a cycle, a name twice, a node of another flow."""


class NoValueYet(GraphError, TypeError):
    """A node was used as if it had its value already: `bool(node)`, `in`, iteration."""


class BindError(GraphError, TypeError):
    """The arguments of a task's call do not fit its function's signature."""


class MapError(GraphError, ValueError):
    """A task cannot be mapped over what it was given."""


class UnequalLengths(MapError):
    """Mapped arguments have different lengths."""


class ParameterError(NbflowError, ValueError):
    """A parameter is missing, unknown, or has a name that is taken."""


class UnknownName(NbflowError, KeyError):
    """No node, task or option of that name."""

    def __str__(self) -> str:
        # KeyError would show its message in quotes.
        return str(self.args[0]) if self.args else ""


class TaskError(NbflowError):
    """What a task raised, as one short block. error: the task's own exception, None where nothing was raised."""

    def __init__(self, message: str, error: BaseException | None = None) -> None:
        super().__init__(message)
        self.error = error

    def _render_traceback_(self) -> list[str]:
        if self.error is not None and getattr(sys, "last_value", None) is self:
            # Once this was shown, `%tb` and `%debug` tell of the task's own exception: it is what is left to tell.
            sys.last_type, sys.last_value, sys.last_traceback = type(self.error), self.error, self.error.__traceback__
            # Python 3.12 has one name for the three.
            sys.__dict__.update({"last_exc": self.error} if hasattr(sys, "last_exc") else {})
        return cut_lines(str(self), MOST_LINES)


class RunFailed(TaskError):
    """A run had failed nodes, and its caller asked to be told by an exception."""


class NotSuccessful(TaskError):
    """A value was asked for that the run did not make."""


class NotAccepted(NbflowError):
    """Old results cannot stand for new ones: there are none, or inputs differ."""


class RunawayLoop(NbflowError):
    """A loop went on beyond max_loops."""


class TaskTimeout(NbflowError, TimeoutError):
    """A task took longer than its timeout_s."""


class TaskCancelled(NbflowError):
    """An async task raised asyncio.CancelledError though nobody had called it off."""


class UnidentifiableError(NbflowError, TypeError):
    """A value has no identity; says the path to it and the two ways out.

    path: where it lies, such as `config["db"].socket`.
    """

    def __init__(self, path: str, kind: str, why: str = "") -> None:
        self.path = path
        self.kind = kind
        self.why = why
        reason = f" ({why})" if why else ""
        super().__init__(
            f"`{path}` is a {kind}, which has no identity{reason}, so nbflow cannot tell whether it changed. "
            f"If it never matters for the result (a client, a connection), name it in ignore=[...] "
            f'or wrap it: nbflow.opaque(x, id="..."). If it does, give its class a method '
            f"`__nbflow_id__(self)` that returns what identifies it."
        )


class StoreRefused(NbflowError):
    """The store's folder cannot be trusted or used."""


class DamagedEntry(NbflowError):
    """A stored result is missing or its digest does not match; it is dropped and computed again."""

    def __init__(self, key: bytes, why: str) -> None:
        self.key = key
        self.why = why
        super().__init__(f"stored result {key.hex()[:8]} {why}; it is computed again")


class NotStorable(NbflowError):
    """A value that cannot be encoded; it is returned, not stored."""


class NotSendable(NbflowError):
    """A function, argument or result that cannot travel between processes."""


class WorkerDied(NbflowError):
    """The process that ran an element ended before the element did, several times."""


class ClusterError(NbflowError):
    """A Dask cluster cannot be used as it is, or does not answer any more."""


class IllegalTransition(NbflowError):
    """A state change that the table does not allow: a defect in nbflow, with the story so far."""


class MissingExtra(NbflowError, ImportError):
    """Something that only an optional package can do was asked for, and that is not installed."""


class HeadError(NbflowError, ValueError):
    """The line after `%%task` or `%flow` cannot be read."""


class CellError(NbflowError):
    """A cell cannot become a task, or must not run."""


def in_words(error: BaseException, longest: int = 5_000) -> str:
    """An exception's type and message in one text, cut at a length, also where its own `__str__` raises.

    >>> in_words(ValueError("no such year")), in_words(KeyError())
    ('ValueError: no such year', 'KeyError')
    """
    try:
        # Half of a character can be written nowhere.
        message = str(error)[:longest].encode("utf-8", "backslashreplace").decode()
    # What is told of a failure must not fail for what the user's class does.
    except Exception as other:  # noqa: BLE001 (a user's own __str__ may raise anything)
        message = f"(its message cannot be shown: its __str__ raised {type(other).__name__})"
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def cut_lines(text: str, most: int, longest: int = 500) -> list[str]:
    r"""The lines of a text, no more and none longer than that, without control characters.

    >>> cut_lines("a\nb\nc\nd", 3)
    ['a', 'b', '… 2 more lines']
    """
    # Huge texts are not taken apart in full.
    start = text[: most * longest * 4]
    lines = _CONTROL.sub("", start).splitlines() or [""]
    count = len(lines) + text.count("\n", len(start))
    if count > most:
        lines = [*lines[: most - 1], f"… {count - most + 1} more lines"]
    return [line if len(line) <= longest else line[: longest - 1] + "…" for line in lines]


def place_of(function: object) -> str:
    """Where a function of the user's stands, for a message: `flow.py, line 12`, or `a cell, line 3`; "" if unknown.

    >>> place_of(len)
    ''
    """
    code = getattr(getattr(function, "__wrapped__", function), "__code__", None)
    return "" if code is None else _place(code.co_filename, code.co_firstlineno)


def is_cell(filename: str) -> bool:
    """Whether code of that file name stands in a cell: plain, as the kernel names it, or of a task."""
    return "ipykernel_" in filename or filename.startswith("<ipython-input")


def _place(filename: str, line: int) -> str:
    in_cell = filename.startswith("<") or f"{os.sep}ipykernel_" in filename
    return f"{'a cell' if in_cell else os.path.basename(filename)}, line {line}"


def _user_line(error: BaseException) -> list[str]:
    """The line of the user's code that an error came from; nothing where it did not come from one."""
    found: tuple[str, int] | None = None
    trace = error.__traceback__
    while trace is not None:
        filename = trace.tb_frame.f_code.co_filename
        if not filename.startswith(_OWN) and f"{os.sep}IPython{os.sep}" not in filename:
            found = (filename, trace.tb_lineno)
        trace = trace.tb_next
    if found is None:
        return []
    source = linecache.getline(*found).strip()
    return [f"  {_place(*found)}: {source}"] if source and not source.startswith("get_ipython()") else []


# What an error takes up at most, unless more is asked for.
MOST_LINES = 24
_CONTROL = pattern(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x08\x0e-\x1b\x7f]")
# The folder of nbflow itself.
_OWN = os.path.dirname(os.path.abspath(__file__)) + os.sep


def undefined(name: str, known: Iterable[str]) -> str:
    """The end of a message on a name that nothing defines: the nearest known one, or what to do.

    >>> undefined("globb", ["glob", "prices"]), undefined("orders", [])
    ('; did you mean `glob`?', '; run the cell that makes it first')
    """
    import difflib

    close = difflib.get_close_matches(name, sorted(set(known)), n=1, cutoff=0.6)
    return f"; did you mean `{close[0]}`?" if close else "; run the cell that makes it first"


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a message that proposes the nearest known names, or lists them when few.

    >>> nearest("cleam", ["clean", "load"])
    "; did you mean 'clean'?"
    """
    import difflib

    names = sorted(set(known))
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    if close:
        return "; did you mean " + " or ".join(repr(c) for c in close) + "?"
    if not names:
        return "; there are none"
    if len(names) > 12:
        # Too many to be of help.
        return ""
    if len(names) == 1:
        return f"; there is only {names[0]!r}"
    return "; there are " + ", ".join(repr(n) for n in names)
