"""The hash of a buffer, remembered for a moment for whoever writes the same bytes next."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from xxhash import xxh3_128_digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xxhash import _DataType

# Where a buffer lies, and how many bytes it has.
Place = tuple[int, int]
# Smaller ones are hashed again sooner than looked up.
NOTED_BYTES = 64 * 1024
_NOTED: ContextVar[dict[Place, bytes] | None] = ContextVar("nbflow_noted", default=None)


def buffer_hash(data: _DataType) -> bytes:
    """16 bytes for the content of a buffer."""
    return xxh3_128_digest(data)


def note(place: Place, hashed: bytes) -> None:
    """Remembers the hash of a buffer that belongs to the value itself, not to a copy made on the way."""
    noted = _NOTED.get()
    if noted is not None:
        noted[place] = hashed


@contextmanager
def noted_hashes() -> Iterator[dict[Place, bytes]]:
    """What is hashed meanwhile, by where it lies. Good only as long as the value lives and nobody changes it."""
    noted: dict[Place, bytes] = {}
    token = _NOTED.set(noted)
    try:
        yield noted
    finally:
        _NOTED.reset(token)
