"""Large values as files: written beside, renamed, read by memory map."""

from __future__ import annotations

import contextlib
import mmap
import os
import tempfile
from typing import TYPE_CHECKING

from xxhash import xxh3_128

from nbflow.errors import DamagedEntry

if TYPE_CHECKING:
    from pathlib import Path

    from nbflow.codecs import Buffer, Sealed


class Blobs:
    """Files under `blobs/ab/<id>`; each is checked against its digest once a process."""

    def __init__(self, root: Path) -> None:
        self._root = root / "blobs"
        self._verified: set[str] = set()

    def write(self, blob: str, sealed: Sealed) -> None:
        """Writes a file in full before it appears under its name. Raises OSError; leaves nothing half-done."""
        path = self._path(blob)
        if blob in self._verified and path.exists() and path.stat().st_size == sealed.size_bytes:
            return
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.writelines(sealed.parts)
            os.chmod(temporary, 0o400)
            os.replace(temporary, path)
        except BaseException:
            # An interrupt may come when it has its name already.
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        self._verified.discard(blob)

    def read(self, blob: str, key: bytes, digest: bytes, size_bytes: int) -> Buffer:
        """A private map of the file: what is changed in it never reaches the disk. Raises DamagedEntry."""
        try:
            with self._path(blob).open("rb") as stream:
                content = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)
        except (OSError, ValueError) as error:
            raise DamagedEntry(key, "is missing from the store") from error
        if len(content) != size_bytes:
            raise DamagedEntry(key, "has another length than it was written with")
        if blob not in self._verified:
            state = xxh3_128(key)
            state.update(content)
            if state.digest() != digest:
                raise DamagedEntry(key, "does not match its digest")
            self._verified.add(blob)
        return memoryview(content)

    def remove(self, blob: str) -> None:
        self._verified.discard(blob)
        # In a folder that cannot be written it stays, and its row is gone.
        with contextlib.suppress(OSError):
            self._path(blob).unlink()

    def size_bytes(self) -> int:
        return sum(path.stat().st_size for path in self._root.rglob("*") if path.is_file())

    def _path(self, blob: str) -> Path:
        return self._root / blob[:2] / blob
