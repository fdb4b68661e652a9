"""What sealed bytes are, and the digest that tells whether they are still what was written."""

from __future__ import annotations

from xxhash import xxh3_128, xxh3_128_digest

from nbflow.identity.hashing import buffer_hash
from nbflow.lean import dataclass, replace

Buffer = bytes | bytearray | memoryview
# Results up to this size lie in the database itself; larger ones are files, in a form that is read where it lies.
INLINE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Sealed:
    """An encoded value. parts: what to write, in order; size_bytes: of all of them.

    codec: the form, and what is needed to check it. content: the hash of an array's bytes, where it is known.
    """

    codec: str
    parts: tuple[Buffer, ...]
    size_bytes: int
    content: bytes | None = None

    def digest(self, key: bytes) -> bytes:
        """16 bytes over key and content: a content under another key is damaged, too."""
        if self.content is not None:
            return _of_array(self.codec, key, self.parts[0], self.content)
        if len(self.parts) == 1:
            return xxh3_128_digest(key + self.parts[0])
        state = xxh3_128(key)
        for part in self.parts:
            state.update(part)
        return state.digest()

    def detached(self) -> Sealed:
        """The same bytes in memory of their own: the value may be changed in place from now on."""
        if all(isinstance(part, bytes) for part in self.parts):
            return self
        return replace(self, parts=tuple(bytes(part) for part in self.parts))


def digest_of(codec: str, key: bytes, data: Buffer) -> bytes:
    """The digest that these bytes have under a key, if they are what was sealed in that form."""
    form, _, head = codec.partition(" ")
    if form == "npy" and head.isdecimal():
        view = memoryview(data)
        return _of_array(codec, key, view[: int(head)], buffer_hash(view[int(head) :]))
    if isinstance(data, bytes) and len(data) <= INLINE_BYTES:
        return xxh3_128_digest(key + data)
    state = xxh3_128(key)
    state.update(data)
    return state.digest()


def _of_array(codec: str, key: bytes, head: Buffer, content: bytes) -> bytes:
    """An array's bytes count by their hash, which its value id took already: they are read once when written."""
    return xxh3_128_digest(b"".join((key, codec.encode(), b"\0", head, content)))
