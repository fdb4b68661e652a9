"""Readers that open files in C++, where no audit event tells of them: they are wrapped once they are imported."""

from __future__ import annotations

import functools
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from typing import TYPE_CHECKING, Any

from nbflow.probe.hook import LISTENING, tell_connected, tell_opened

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

# By module: what in it takes a path, as `function` or `Class.method`; the path comes first, or under one of _NAMES.
READERS: dict[str, tuple[str, ...]] = {
    "pyarrow": ("memory_map", "input_stream", "OSFile"),
    "pyarrow.csv": ("read_csv", "open_csv"),
    "pyarrow.json": ("read_json", "open_json"),
    "pyarrow.feather": ("read_table", "read_feather"),
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
_NAMES = ("source", "path", "paths", "where", "input_file", "path_or_paths", "name", "file", "filename")
_REMOTE = "://"
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
    for name in READERS:
        module = sys.modules.get(name)
        if module is not None and not getattr(getattr(module, "__spec__", None), "_initializing", False):
            _wrap_module(module)


class _Finder(importlib.abc.MetaPathFinder):
    """Lets the usual finders find a module, and wraps what is in it when it has been loaded."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in READERS:
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


def _wrap_module(module: ModuleType) -> None:
    for path in READERS[module.__name__]:
        owner: Any = module
        *outer, name = path.split(".")
        for each in outer:
            owner = getattr(owner, each, None)
        reader = getattr(owner, name, None)
        if callable(reader) and not isinstance(reader, type) and not hasattr(reader, "__nbflow_reader__"):
            setattr(owner, name, _telling(reader, is_method=bool(outer)))


def _telling(reader: Callable[..., Any], *, is_method: bool) -> Callable[..., Any]:
    @functools.wraps(reader)
    def told(*args: Any, **kwargs: Any) -> Any:
        if LISTENING:
            _tell(args[1:] if is_method else args, kwargs)
        return reader(*args, **kwargs)

    told.__nbflow_reader__ = reader  # type: ignore[attr-defined]  # marks what is wrapped
    return told


def _tell(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    given = args[:1] or tuple(kwargs[name] for name in _NAMES if name in kwargs)
    for value in given:
        for path in value if isinstance(value, (list, tuple, set)) else (value,):
            if not isinstance(path, (str, os.PathLike)):
                continue
            text = os.fsdecode(path)
            if _REMOTE in text and not text.startswith("file:"):
                tell_connected(text.split(_REMOTE, 1)[1].split("/", 1)[0])
            else:
                tell_opened(text.removeprefix("file://"))
