"""Which values a task certainly cannot change in place."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import fractions
import re
import types
import uuid
import zoneinfo
from pathlib import PurePath
from typing import Any

from nbflow.identity.handles import is_handle
from nbflow.identity.standard import BY_TYPE
from nbflow.loaded import loaded


def is_immutable(value: Any) -> bool:
    """Whether a task certainly cannot change the value in place; cheap, and False when in doubt.

    >>> is_immutable((1, "a")), is_immutable([1])
    (True, False)
    """
    kind = type(value)
    if kind in IMMUTABLE:
        return True
    if kind is tuple or kind is frozenset:
        return len(value) <= 1000 and all(is_immutable(member) for member in value)
    if isinstance(value, (enum.Enum, PurePath, types.FunctionType, type)) or hasattr(kind, "__nbflow_immutable__"):
        return True
    numpy = loaded("numpy")
    if numpy is not None and isinstance(value, numpy.generic):
        return not isinstance(value, numpy.void)
    # What is done through a handle is no change of it.
    return kind not in BY_TYPE and is_handle(value)


IMMUTABLE = frozenset(
    {int, str, float, bool, bytes, type(None), complex, range, dt.datetime, dt.date, dt.time}
    | {dt.timedelta, dt.timezone, decimal.Decimal, fractions.Fraction, uuid.UUID, type(...), re.Pattern}
    | {types.BuiltinFunctionType, zoneinfo.ZoneInfo}
)
