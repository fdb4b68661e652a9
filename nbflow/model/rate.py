"""Bounds of a task that calls others' servers: how many elements at once, and how many in a time."""

from __future__ import annotations

import re

from nbflow.errors import GraphError
from nbflow.lean import dataclass, pattern


@dataclass(frozen=True, slots=True)
class Rate:
    """At most so many elements may begin in any stretch of so many seconds."""

    most: int
    seconds: float


def read_rate(text: object) -> Rate:
    """A rate such as "10/s", "100/min", "5/10s", "0.5/s". Raises GraphError.

    >>> read_rate("100/min"), read_rate("0.5/s")
    (Rate(most=100, seconds=60.0), Rate(most=1, seconds=2.0))
    """
    match = _RATE.fullmatch(text) if isinstance(text, str) else None
    count = 0.0 if match is None else float(match[1])
    seconds = 0.0 if match is None else float(match[2] or 1) * _UNITS[match[3]]
    if count <= 0 or seconds <= 0:
        raise GraphError(
            f'rate={text!r}: write how many elements may begin in which time, such as "10/s", "100/min", "5/10s"'
        )
    if count < 1 or count != int(count):
        # Of a broken number, one element in so much less time.
        return Rate(1, seconds / count)
    return Rate(int(count), seconds)


def check_concurrency(value: object) -> None:
    """GraphError unless it is a whole number above 0, or None."""
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise GraphError(
            f"concurrency={value!r}: a whole number of elements that may run at once is needed, 1 or more, such as "
            f"concurrency=5"
        )


_UNITS = {"s": 1.0, "sec": 1.0, "second": 1.0, "m": 60.0, "min": 60.0, "minute": 60.0, "h": 3600.0, "hour": 3600.0}
_RATE = pattern(
    rf"\s*(\d{{1,9}}(?:\.\d{{1,9}})?)\s*/\s*(\d{{1,9}}(?:\.\d{{1,9}})?)?\s*({'|'.join(_UNITS)})\s*", re.ASCII
)
