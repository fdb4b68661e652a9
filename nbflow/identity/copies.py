"""Copies that have the id of what they were made from, and can be changed without anybody noticing."""

from __future__ import annotations

import copy
import sys
from typing import Any

from nbflow.identity.value import is_immutable


def private_copy(value: Any) -> Any:
    """A copy that can be changed in place without anybody noticing; the value itself where none can be made."""
    if is_immutable(value):
        return value
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(value, (pandas.DataFrame, pandas.Series)) and _copies_on_write(pandas):
        return value.copy(deep=False)
    try:
        return copy.deepcopy(value)
    # Connections, locks and clients refuse in many ways; they are shared, as in any program.
    except Exception:  # noqa: BLE001 (the value's own __deepcopy__ or __reduce__ raised)
        return value


def _copies_on_write(pandas: Any) -> bool:
    return int(pandas.__version__.split(".")[0]) >= 3
