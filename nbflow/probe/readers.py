"""Readers that open files in C++, where no audit event tells of them: they are wrapped once they are imported."""

from __future__ import annotations

import functools
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nbflow.lean import pattern
from nbflow.probe.databases import watch_attached
from nbflow.probe.listening import LISTENING, OTHER_PROCESS, tell_connected, tell_lost_sight, tell_opened
from nbflow.probe.machinery import is_left_out

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

# By module: what in it takes a path, as `function`, `Class`, or `Class.method`; the path comes first, or under one of
# _NAMES. Classes written in C++ are replaced by subclasses; methods of those are named, too.
READERS: dict[str, tuple[str, ...]] = {
    "pyarrow": ("memory_map", "input_stream", "OSFile"),
    "pyarrow.csv": ("read_csv", "open_csv"),
    "pyarrow.json": ("read_json", "open_json"),
    "pyarrow.feather": ("read_table", "read_feather"),
    "pyarrow.fs": ("LocalFileSystem.open_input_file", "LocalFileSystem.open_input_stream"),
    "pyarrow.orc": ("ORCFile.__init__", "read_table"),
    "pyarrow.ipc": ("open_file", "open_stream"),
    "pyarrow.parquet.core": ("ParquetFile.__init__", "ParquetDataset.__init__"),
    "pyarrow.parquet": ("read_table", "read_schema", "read_metadata"),
    "pyarrow.dataset": ("dataset", "parquet_dataset"),
    "polars": (
        *(f"read_{kind}" for kind in ("parquet", "csv", "csv_batched", "ipc", "ipc_stream", "ipc_schema", "json")),
        *(f"read_{kind}" for kind in ("ndjson", "avro", "excel", "ods", "delta", "parquet_schema", "lines")),
        *(f"scan_{kind}" for kind in ("parquet", "csv", "ipc", "ndjson", "delta", "lines")),
    ),
    "h5py._hl.files": ("File.__init__",),
}
# What takes a query that may name files.
_QUERIES = {"polars": ("sql",), "polars.sql.context": ("SQLContext.execute",)}
# What gives a database connection.
_CONNECTING = {"sqlite3": ("connect",), "sqlite3.dbapi2": ("connect",)}
# What hands work to other processes, of which some may have been started before.
_STARTING = {
    "multiprocessing.process": ("BaseProcess.start",),
    "concurrent.futures.process": ("ProcessPoolExecutor.submit",),
    "joblib.externals.loky.process_executor": ("ProcessPoolExecutor.submit",),
}
_NAMES = ("source", "path", "paths", "where", "input_file", "path_or_paths", "name", "file", "filename")
_REMOTE = "://"
_QUOTED = pattern(r"'((?:[^']|'')+)'")
# How many modules there were when they were looked at last.
_looked_at = {"modules": 0}


def watch_readers() -> None:
    """Wraps the readers of libraries that are imported already, and sees to those that will be."""
    # Between two batches there is mostly nothing new.
    if _looked_at["modules"] == len(sys.modules):
        return
    _looked_at["modules"] = len(sys.modules)
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    for name in _WATCHED:
        module = sys.modules.get(name)
        if module is not None and not getattr(getattr(module, "__spec__", None), "_initializing", False):
            _rebind(_wrap_module(module))


class _Finder(importlib.abc.MetaPathFinder):
    """Lets the usual finders find a module, and wraps what is in it when it has been loaded."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in _WATCHED:
            return None
        for finder in sys.meta_path:
            if finder is self or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(fullname, path, target)
            if spec is not None and spec.loader is not None:
                _wrap_after_loading(spec.loader)
                return spec
        return None


def _wrap_after_loading(loader: Any) -> None:
    load = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        load(module)
        _wrap_module(module)

    loader.exec_module = exec_module


def _wrap_module(module: ModuleType) -> dict[int, tuple[Any, Any]]:
    """Wraps what is to be watched; gives what functions and classes were, and what they are now, by id."""
    wrapped: dict[int, tuple[Any, Any]] = {}
    for path, tell in _WATCHED[module.__name__]:
        owner: Any = module
        *outer, name = path.split(".")
        for each in outer:
            owner = getattr(owner, each, None)
        reader = getattr(owner, name, None)
        if not callable(reader) or hasattr(reader, "__nbflow_reader__"):
            continue
        if isinstance(reader, type):
            made: Any = _telling_class(reader, "__new__", tell)
        elif isinstance(owner, type) and not owner.__flags__ & _CHANGEABLE:
            reader, made, name, owner = owner, _telling_class(owner, name, tell), outer[-1], module
        else:
            made = _telling(reader, tell, is_method=bool(outer))
        setattr(owner, name, made)
        if owner is module:
            wrapped[id(reader)] = (reader, made)
    return wrapped


def _rebind(wrapped: dict[int, tuple[Any, Any]]) -> None:
    """Code that took a reader by its name before it was wrapped gets the one that tells."""
    for module in list(sys.modules.values()) if wrapped else ():
        space = getattr(module, "__dict__", None)
        if not isinstance(space, dict) or is_left_out(str(space.get("__file__") or "")):
            continue
        for name, value in list(space.items()):
            if id(value) in wrapped and wrapped[id(value)][0] is value:
                space[name] = wrapped[id(value)][1]


def _telling(reader: Callable[..., Any], tell: _Tell, *, is_method: bool) -> Callable[..., Any]:
    @functools.wraps(reader)
    def told(*args: Any, **kwargs: Any) -> Any:
        if not LISTENING:
            return reader(*args, **kwargs)
        if tell is not _tell_connection:
            tell(args[1:] if is_method else args, kwargs)
        given = reader(*args, **kwargs)
        if tell is _tell_connection:
            watch_attached(given)
        return given

    told.__nbflow_reader__ = reader  # type: ignore[attr-defined]  # marks what is wrapped
    return told


class _Same(type):
    """Instances that C++ makes are of the class that was replaced, and count as instances of this one."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, cls.__mro__[1])


def _telling_class(kind: Any, method: str, tell: _Tell) -> type:
    """A subclass of a class that cannot be changed."""
    plain = getattr(kind, method)

    def told(self: Any, *args: Any, **kwargs: Any) -> Any:
        if LISTENING:
            tell(args, kwargs)
        return plain(self, *args, **kwargs)

    body = {method: told, "__module__": kind.__module__, "__doc__": kind.__doc__, "__nbflow_reader__": kind}
    return _Same(kind.__name__, (kind,), body)


def _tell(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    given = args[:1] or tuple(kwargs[name] for name in _NAMES if name in kwargs)
    below = kwargs.get("filesystem")
    for value in given:
        for path in value if isinstance(value, (list, tuple, set)) else (value,):
            if isinstance(path, (str, os.PathLike)):
                _tell_path(os.fsdecode(path), below)


def _tell_path(text: str, filesystem: Any) -> None:
    while hasattr(filesystem, "base_path") and hasattr(filesystem, "base_fs"):
        text, filesystem = os.path.join(filesystem.base_path, text), filesystem.base_fs
    kind = getattr(filesystem, "type_name", "local")
    if _REMOTE in text and not text.startswith("file:"):
        tell_connected(text.split(_REMOTE, 1)[1].split("/", 1)[0])
    elif kind in _ELSEWHERE:
        tell_connected(kind)
    else:
        tell_opened(text.removeprefix("file://"))


def _tell_query(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    query = args[0] if args else kwargs.get("query")
    for text in _QUOTED.findall(query) if isinstance(query, str) else ():
        if os.path.exists(text) or any(sign in text for sign in "/*.") or _REMOTE in text:
            _tell_path(text.replace("''", "'"), None)


def _tell_connection(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """What is attached is told by the connection."""


def _tell_process(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    tell_lost_sight(OTHER_PROCESS)


_Tell = Callable[[tuple[Any, ...], dict[str, Any]], None]
# Filesystems of pyarrow that lie on the network.
_ELSEWHERE = frozenset({"s3", "gcs", "abfs", "hdfs"})
# The flag of classes whose attributes can be set: Py_TPFLAGS_HEAPTYPE without Py_TPFLAGS_IMMUTABLETYPE.
_CHANGEABLE = 1 << 9
_WATCHED: dict[str, list[tuple[str, _Tell]]] = {}
for _table, _teller in (
    (READERS, _tell),
    (_QUERIES, _tell_query),
    (_CONNECTING, _tell_connection),
    (_STARTING, _tell_process),
):
    for _module, _paths in _table.items():
        _WATCHED.setdefault(_module, []).extend((_path, _teller) for _path in _paths)
