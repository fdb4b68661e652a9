"""Values to sealed bytes and back. Kernel and workers both use it.

Large arrays become `.npy` and large frames Arrow files where these give back exactly what went in, so that other
programs can open them, too; all else becomes a pickle whose buffers lie apart. All of them are read where they lie.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbflow.codecs import pickled
from nbflow.codecs.sealed import INLINE_BYTES, Buffer, Sealed, digest_of
from nbflow.errors import NotStorable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nbflow.identity.hashing import Place

__all__ = ["INLINE_BYTES", "PICKLE", "Buffer", "Sealed", "digest_of", "seal", "unseal"]

PICKLE = pickled.PICKLE


def seal(value: Any, hashes: Mapping[Place, bytes] | None = None) -> Sealed:
    """A value as bytes; large buffers are the value's own, not copies. Raises NotStorable.

    hashes: of buffers that were hashed a moment ago, by where they lie.
    """
    root = type(value).__module__.partition(".")[0]
    if root == "numpy":
        from nbflow.codecs import arrays

        return arrays.seal(value, hashes or {}) or pickled.seal(value)
    if root in {"pandas", "pyarrow"}:
        from nbflow.codecs import frames

        return frames.seal(value) or pickled.seal(value)
    return pickled.seal(value)


def unseal(codec: str, data: Buffer) -> Any:
    """The value in sealed bytes; arrays use the memory of data, without a copy. Only for verified bytes."""
    if codec == PICKLE:
        return pickled.unseal(data)
    form = codec.partition(" ")[0]
    if form == "npy":
        from nbflow.codecs import arrays

        return arrays.unseal(codec, data)
    if form == "arrow":
        from nbflow.codecs import frames

        return frames.unseal(codec, data)
    raise NotStorable(f"it was written in the form {codec!r}, which this version of nbflow does not know")
