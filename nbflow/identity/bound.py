"""What is bound to one thread: the code and the values that only the main thread, one after the other, may use."""

from __future__ import annotations

import builtins
import functools
import sys
import types
from typing import TYPE_CHECKING, Any

from nbflow.identity.asked import with_asked
from nbflow.identity.bytecode import reaches_of
from nbflow.identity.modules import module_of
from nbflow.identity.nested import nested_code
from nbflow.identity.parts import MISSING, cell_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from nbflow.identity.reach import Reach

# What a search looks at, at most: what a task reaches lies near.
_MOST_UNITS, _MOST_PARTS, _DEPTH = 2_000, 200, 3
# Modules that keep the state of what they show or draw for the whole process.
_MODULES = (
    *("matplotlib.pyplot", "matplotlib.pylab", "pylab", "seaborn", "IPython", "ipykernel", "turtle", "tkinter"),
    # Only one can ask at a time.
    *("builtins.input", "builtins.breakpoint", "getpass"),
)
# What makes a handle that only the thread can use which made it.
MAKERS = frozenset({"sqlite3.connect"})
# Attributes through which tables draw with pyplot, whatever object they are taken from.
_DRAWING = frozenset({"plot", "hist", "boxplot"})
# Data, however much of it: no handle lies in it.
_DATA = ("numpy", "pandas.", "polars.", "pyarrow.")
# Handles that refuse, or do not bear, another thread than the one that made them; subclasses count too.
_KINDS = frozenset(
    {
        "sqlite3.Connection",
        "sqlite3.Cursor",
        "sqlite3.Blob",
        "sqlalchemy.engine.base.Connection",
        "sqlalchemy.orm.session.Session",
        "sqlalchemy.orm.scoping.scoped_session",
        "pymysql.connections.Connection",
        "MySQLdb.connections.Connection",
        "pyodbc.Connection",
        "pyodbc.Cursor",
        "cx_Oracle.Connection",
        "_duckdb.DuckDBPyConnection",
        "duckdb.duckdb.DuckDBPyConnection",
        "_thread._local",
        "h5py._hl.files.File",
        "matplotlib.figure.FigureBase",
        "matplotlib.artist.Artist",
        "ipywidgets.widgets.widget_output.Output",
        "playwright.sync_api._generated.Page",
        "playwright.sync_api._generated.Browser",
        "playwright.sync_api._generated.BrowserContext",
        "tkinter.Misc",
        "IPython.core.interactiveshell.InteractiveShell",
    }
)


def bound_code(fn: Callable[..., Any], is_installed: Callable[[str], bool]) -> str | None:
    """What binds a function to the main thread: the name of a module or of a value's type; None where nothing does.

    Looks at all that it reaches by name, also at what does not count for its identity, and hashes nothing.
    is_installed: whether a module lies outside the user's code, so that what it does inside is its own affair.

    Of MAKERS only when nothing else binds it.

    >>> bound_code(lambda: 1, lambda module: False) is None
    True
    """
    todo: list[Any] = [fn]
    seen: set[int] = set()
    makes: str | None = None
    while todo and len(seen) < _MOST_UNITS:
        thing = todo.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        found = _module_bound(thing) or bound_value(thing)
        for name, value in () if found is not None else _reached(thing, is_installed):
            found = found or _listed(name)
            todo.append(value)
        if found in MAKERS:
            makes = found
        elif found is not None:
            return found
    return makes


def bound_value(value: Any) -> str | None:
    """The kind of a handle that is bound to its thread, in a value or near its surface; None where there is none.

    >>> import sqlite3
    >>> bound_value({"db": sqlite3.connect(":memory:")}), bound_value([1, 2])
    ('Connection', None)
    """
    if type(value) in PLAIN:
        return None
    todo: list[tuple[Any, int]] = [(value, 0)]
    seen: set[int] = set()
    while todo and len(seen) < _MOST_PARTS:
        each, depth = todo.pop()
        if (
            type(each) in PLAIN
            or str(type(each).__module__).startswith(_DATA)
            or isinstance(each, (type, types.ModuleType, types.FunctionType))
            or id(each) in seen
        ):
            continue
        seen.add(id(each))
        if any(f"{kind.__module__}.{kind.__qualname__}" in _KINDS for kind in type(each).__mro__[:-1]):
            return type(each).__name__
        if depth < _DEPTH:
            todo.extend((part, depth + 1) for part in _parts(each))
    return None


def is_drawing(name: str) -> bool:
    """Whether what binds code is a module that draws or displays, and no handle: any process has that for itself."""
    return name in _MODULES


def _reached(thing: Any, is_installed: Callable[[str], bool]) -> Iterator[tuple[str, Any]]:
    """(dotted name, value) of what the user's code leads to next."""
    if isinstance(thing, types.FunctionType):
        if not _users(thing, is_installed):
            # A decorator of a library carries the user's function.
            yield from (("", cell_value(cell)) for cell in thing.__closure__ or ())
            return
        yield from _of_function(thing, is_installed)
    elif isinstance(thing, type):
        if _users(thing, is_installed):
            yield from (("", part) for part in (*vars(thing).values(), *thing.__bases__))
    elif isinstance(thing, types.MethodType):
        yield from (("", thing.__func__), ("", thing.__self__))
    elif isinstance(thing, functools.partial):
        yield from (("", part) for part in (thing.func, *thing.args, *thing.keywords.values()))
    elif isinstance(thing, (staticmethod, classmethod)):
        yield "", thing.__func__
    elif isinstance(thing, property):
        yield from (("", part) for part in (thing.fget, thing.fset))
    elif type(thing) not in PLAIN and not isinstance(thing, types.ModuleType):
        yield "", type(thing)
        # functools.cache and its like are no functions, and lead to one.
        yield "", getattr(thing, "__dict__", {}).get("__wrapped__")


def _of_function(fn: types.FunctionType, is_installed: Callable[[str], bool]) -> Iterator[tuple[str, Any]]:
    for reach in with_asked(fn, reaches_of(fn.__code__)):
        yield from _followed(fn, reach, is_installed)
    for code in (fn.__code__, *nested_code(fn.__code__)):
        for name in _DRAWING.intersection(code.co_names):
            yield f"matplotlib.pyplot.{name}", None
    for cell in fn.__closure__ or ():
        yield "", cell_value(cell)
    yield from (("", default) for default in (*(fn.__defaults__ or ()), *(fn.__kwdefaults__ or {}).values()))
    wrapped = vars(fn).get("__wrapped__")
    if wrapped is not None:
        yield "", wrapped


def _followed(fn: types.FunctionType, reach: Reach, is_installed: Callable[[str], bool]) -> Iterator[tuple[str, Any]]:
    """The first thing on a path that is no module of the user's; of an installed module's part the name tells."""
    names = list(reach.names)
    if reach.module is not None:
        dotted = ".".join([reach.module, *names])
        value: Any = MISSING if reach.level else sys.modules.get(reach.module, MISSING)
        if value is MISSING:
            yield dotted, MISSING
            return
    else:
        first = names.pop(0)
        value = fn.__globals__.get(first, vars(builtins).get(first, MISSING))
    while isinstance(value, types.ModuleType) and names:
        if is_installed(value.__name__):
            yield ".".join([value.__name__, *names]), vars(value).get(names[0], MISSING)
            return
        value = vars(value).get(names.pop(0), MISSING)
    yield "", value


def _module_bound(thing: Any) -> str | None:
    if isinstance(thing, types.ModuleType):
        return _listed(thing.__name__)
    if isinstance(thing, (types.FunctionType, types.BuiltinFunctionType, types.MethodType, type)):
        return _listed(f"{module_of(thing)}.{thing.__name__}".removeprefix("_"))
    return None


def _listed(dotted: str) -> str | None:
    """The module of the list that a dotted name lies in."""
    if dotted in MAKERS:
        return dotted
    if not dotted.startswith(_MODULES):
        return None
    return next((name for name in _MODULES if dotted == name or dotted.startswith(f"{name}.")), None)


def _users(thing: Any, is_installed: Callable[[str], bool]) -> bool:
    module = module_of(thing)
    return not isinstance(module, str) or module == "__main__" or not is_installed(module)


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return list(value.values())[:_MOST_PARTS]
    if isinstance(value, (list, tuple, set, frozenset)):
        return list(value)[:_MOST_PARTS]
    try:
        return list(object.__getattribute__(value, "__dict__").values())[:_MOST_PARTS]
    except AttributeError:
        return ()


# Values that neither are nor hold anything bound, told by their type alone.
PLAIN = frozenset({int, float, str, bytes, bool, type(None), complex, type(MISSING)})
