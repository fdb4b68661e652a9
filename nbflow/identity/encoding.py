"""The one canonical encoding: tags, frames and the ids of atoms and containers made of ids."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING

from xxhash import xxh3_128_digest

if TYPE_CHECKING:
    from collections.abc import Iterable

ID_BYTES = 16
_NAN = b"f" + struct.pack("<d", math.nan)
_NONE, _TRUE, _FALSE = (xxh3_128_digest(tag) for tag in (b"N", b"T", b"F"))
_FEW = 16


def atom_id(value: object) -> bytes | None:
    """The id of an exact None, bool, int, float, str or bytes; None for anything else.

    >>> atom_id(1) == atom_id(True), atom_id(0.0) == atom_id(-0.0), atom_id([])
    (False, False, None)
    """
    kind = type(value)
    if kind is str:
        try:
            return xxh3_128_digest(b"s" + value.encode())  # type: ignore[attr-defined]  # checked by type()
        except UnicodeEncodeError:
            # Half a surrogate pair, which only this handler encodes; it costs everybody time.
            return xxh3_128_digest(b"s" + value.encode("utf-8", "surrogatepass"))  # type: ignore[attr-defined]  # checked by type()
    if kind is int:
        # Folded into constants by the compiler: this line is run for every small number there is.
        small = -(1 << 63) <= value < 1 << 63  # type: ignore[operator]  # checked by type()
        return xxh3_128_digest(b"i%d" % value if small else _huge_bytes(value))  # type: ignore[arg-type, str-format]  # checked by type()
    if kind is float:
        # All NaNs are one: a fresh NaN is no new input.
        return xxh3_128_digest(_NAN if value != value else b"f" + struct.pack("<d", value))  # noqa: PLR0124 (the test for NaN)
    if value is None:
        return _NONE
    if kind is bool:
        return _TRUE if value else _FALSE
    if kind is bytes:
        return xxh3_128_digest(b"b" + value)  # type: ignore[operator]  # checked by type()
    return None


def flat_id(value: object) -> bytes | None:
    """The id of an atom, or of a short tuple or list of nothing but atoms; None for anything else.

    >>> flat_id((1, "a")) == tuple_id([atom_id(1), atom_id("a")]), flat_id([[]])
    (True, None)
    """
    kind = type(value)
    if kind is not tuple and kind is not list:
        return atom_id(value)
    if len(value) > _FEW:  # type: ignore[arg-type]  # checked by type()
        # Nothing is gained with many members, and much is lost when the last of them is no atom.
        return None
    try:
        return xxh3_128_digest((b"t" if kind is tuple else b"L") + b"".join([*map(atom_id, value)]))  # type: ignore[call-overload, operator]  # checked by type()
    except TypeError:
        # One of them is no atom, and its id was None.
        return None


def list_id(member_ids: Iterable[bytes]) -> bytes:
    """The id of a list with members of these ids."""
    return xxh3_128_digest(b"L" + b"".join(member_ids))


def tuple_id(member_ids: Iterable[bytes]) -> bytes:
    """The id of a tuple with members of these ids."""
    return xxh3_128_digest(b"t" + b"".join(member_ids))


def dict_id(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The id of a dict with items of these ids, in this order: a task can see it."""
    return xxh3_128_digest(b"d" + b"".join(key + value for key, value in pairs))


def set_id(member_ids: Iterable[bytes], *, frozen: bool = False) -> bytes:
    """The id of a set with members of these ids, in whatever order they come."""
    return xxh3_128_digest((b"Z" if frozen else b"S") + b"".join(sorted(member_ids)))


def framed(tag: str, *parts: bytes) -> bytes:
    """The id of something that consists of parts: each is preceded by its length, so that none runs into the next."""
    lengths = b"".join(len(part).to_bytes(8, "little") for part in parts)
    return xxh3_128_digest(tag.encode() + b"\0" + lengths + b"".join(parts))


def _huge_bytes(value: int) -> bytes:
    # Decimal digits of huge numbers take quadratic time, and Python refuses them.
    return b"I" + value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
