"""File: a path that counts by what lies there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from nbflow.probe.files import StatMemo, tree_marks

if TYPE_CHECKING:
    from pathlib import Path

    from nbflow.probe.files import FileMark


class File(os.PathLike[str]):
    """A file or folder, by its path and by what is in it: for readers that nbflow does not see, and for results.

    As an argument, a global or in a closure it makes a task run again when the content changed. As a task's result
    it is an output: where the file was changed or deleted, the task runs again. Takes the place of a path wherever
    Python takes one. Seen without it: all that opens files in Python (`open`, `read_csv`, `np.load`, `json.load`,
    `sqlite3.connect`), folders that are listed, and the readers of pandas, pyarrow, polars and h5py. Not seen:
    what other programs and other processes open, and libraries that open files in C by themselves (DuckDB, GDAL).

    >>> File("data/big.parquet")
    File('data/big.parquet')
    >>> str(File("data/big.parquet"))
    'data/big.parquet'
    """

    __slots__ = ("path",)
    # What a task does to the file is no change of the argument.
    __nbflow_immutable__ = True

    def __init__(self, path: str | Path | File) -> None:
        self.path = os.fspath(path)

    def __fspath__(self) -> str:
        return self.path

    def __str__(self) -> str:
        return self.path

    def __repr__(self) -> str:
        return f"File({self.path!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, File) and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)

    def __reduce__(self) -> tuple[type[File], tuple[str]]:
        return File, (self.path,)

    def __nbflow_id__(self) -> tuple[str, list[tuple[str, str, bytes]]]:
        root = os.path.abspath(self.path)
        return self.path, [_from(root, mark) for mark in tree_marks(root, _memo[-1])]


def remember_in(memo: StatMemo) -> None:
    """Files are hashed with the help of what this memo knows from now on, and what they hold is kept there."""
    _memo[:] = [memo]


def _from(root: str, mark: FileMark) -> tuple[str, str, bytes]:
    return os.path.relpath(mark.path, root), mark.kind, mark.digest


_memo = [StatMemo()]
