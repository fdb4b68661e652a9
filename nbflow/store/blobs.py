"""Large values as files: written beside, renamed, read by memory map."""

from __future__ import annotations

import contextlib
import mmap
import os
import tempfile
import time
from typing import TYPE_CHECKING

from nbflow.codecs import digest_of
from nbflow.errors import DamagedEntry
from nbflow.lean import pattern

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from nbflow.codecs import Buffer, Sealed

# What lies about this long belongs to nobody who is still writing it.
LEFT_BEHIND_S = 600.0
_NAME = pattern(r"[0-9a-f]{32}")


class Blobs:
    """Files under `blobs/ab/<id>`; each is checked against its digest once a process."""

    def __init__(self, root: Path) -> None:
        self._root = root / "blobs"
        self._verified: set[str] = set()

    def write(self, blob: str, sealed: Sealed) -> None:
        """Writes a file in full before it appears under its name. Raises OSError; leaves nothing half-done."""
        path = self._path(blob)
        # Where it was not read yet, a damaged one may lie there.
        if blob in self._verified and _size_bytes(path) == sealed.size_bytes:
            return
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent)
        try:
            with os.fdopen(handle, "wb", buffering=0) as stream:
                for part in sealed.parts:
                    _write_all(stream.fileno(), part)
            os.chmod(temporary, 0o400)
            os.replace(temporary, path)
        except BaseException:
            # An interrupt may come when it has its name already.
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        self._verified.discard(blob)

    def read(self, blob: str, key: bytes, codec: str, digest: bytes, size_bytes: int) -> Buffer:
        """A private map of the file: what is changed in it never reaches the disk. Raises DamagedEntry."""
        try:
            with self._path(blob).open("rb") as stream:
                content = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY))
        except (OSError, ValueError) as error:
            raise DamagedEntry(key, "is missing from the store") from error
        if len(content) != size_bytes:
            raise DamagedEntry(key, "has another length than it was written with")
        if blob not in self._verified:
            if digest_of(codec, key, content) != digest:
                raise DamagedEntry(key, "does not match its digest")
            self._verified.add(blob)
        return content

    def forget(self) -> None:
        """Lets every file be checked again before it is read."""
        self._verified.clear()

    def remove(self, blob: str) -> int:
        """Takes a file away; gives the bytes that this frees."""
        self._verified.discard(blob)
        return _unlinked(self._path(blob)) if _NAME.fullmatch(blob) else 0

    def remove_unnamed(self, named: Collection[str]) -> tuple[int, int]:
        """Takes away files that no row names, and what was left half-written; gives how many, and their bytes."""
        before = time.time() - LEFT_BEHIND_S
        count = freed = 0
        for path in self._files():
            with contextlib.suppress(FileNotFoundError):
                if path.name not in named and path.stat().st_mtime < before:
                    self._verified.discard(path.name)
                    freed += _unlinked(path)
                    count += 1
        return count, freed

    def size_bytes(self) -> int:
        total = 0
        for path in self._files():
            # Another kernel may take a file away just now.
            with contextlib.suppress(FileNotFoundError):
                total += path.stat().st_size
        return total

    def _files(self) -> Iterator[Path]:
        return (path for path in self._root.glob("*/*") if not path.is_dir())

    def _path(self, blob: str) -> Path:
        if _NAME.fullmatch(blob) is None:
            raise ValueError(f"{blob!r} names no file of a store")
        return self._root / blob[:2] / blob


def _write_all(handle: int, part: Buffer) -> None:
    view = memoryview(part).cast("B") if isinstance(part, memoryview) else memoryview(part)
    while view.nbytes:
        view = view[os.write(handle, view) :]


def _size_bytes(path: Path) -> int | None:
    """None where there is no such file; another kernel may take it away at any moment."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _unlinked(path: Path) -> int:
    try:
        size_bytes = path.stat().st_size
        path.unlink()
    except OSError:
        # In a folder that cannot be written it stays, and its row is gone.
        return 0
    return size_bytes
