"""Numbers of bytes as people write and read them, and how many a store may hold."""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING

from nbflow.errors import StoreRefused

if TYPE_CHECKING:
    from pathlib import Path

SETTING = "NBFLOW_STORE_MAX"
USUAL_BYTES = 20_000_000_000
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


def parse_bytes(text: str | int, where: str = "max_bytes") -> int:
    """Bytes in a size such as "500 MB", "20GB", "1.5TiB". Raises StoreRefused that names where it stands.

    >>> parse_bytes("1.5 GB"), parse_bytes("2KiB")
    (1500000000, 2048)
    """
    if isinstance(text, int):
        return text
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]i?|)b?\s*", text.lower())
    if match is None:
        raise StoreRefused(f'{where}={text!r}: write a number and a unit, such as "500MB", "20GB", "1TB"')
    return int(float(match[1]) * _UNITS[match[2]])


def bytes_text(count: float) -> str:
    """A number of bytes in the largest unit that fits.

    >>> bytes_text(1_234_567), bytes_text(12)
    ('1.2 MB', '12 bytes')
    """
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:.0f} bytes"


def most_bytes(root: Path) -> int:
    """How many bytes a store may hold: NBFLOW_STORE_MAX, else 20 GB, or a quarter of a small disk."""
    chosen = os.environ.get(SETTING)
    if chosen:
        return parse_bytes(chosen, SETTING)
    return min(USUAL_BYTES, shutil.disk_usage(root).total // 4)
