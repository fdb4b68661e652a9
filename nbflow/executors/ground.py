"""What a process has from the system, beneath Python: a task may change it, and the next ones are not to find it so."""

from __future__ import annotations

import os
import resource
import signal
from contextlib import suppress

# Those that somebody may be in want of.
_KINDS = tuple(
    getattr(resource, name)
    for name in (
        "RLIMIT_AS",
        "RLIMIT_CPU",
        "RLIMIT_DATA",
        "RLIMIT_FSIZE",
        "RLIMIT_NOFILE",
        "RLIMIT_NPROC",
        "RLIMIT_STACK",
    )
    if hasattr(resource, name)
)


class Ground:
    """The limits, standard streams and file mode of a process, as they are when this is made."""

    def __init__(self) -> None:
        self._limits = {kind: resource.getrlimit(kind) for kind in _KINDS}
        self._streams = _streams()
        self._mask = os.umask(0o077)
        os.umask(self._mask)

    def restore(self) -> bool:
        """Puts back what was changed; gives whether all is as it was."""
        os.umask(self._mask)
        signal.setitimer(signal.ITIMER_REAL, 0)
        return all(map(self._has_limit, _KINDS)) and _streams() == self._streams

    def _has_limit(self, kind: int) -> bool:
        limits, now = self._limits[kind], resource.getrlimit(kind)
        if now != limits and any(map(_is_lower, now, limits)):
            with suppress(OSError, ValueError):
                resource.setrlimit(kind, limits)
            return resource.getrlimit(kind) == limits
        # Some libraries allow themselves more, and count on it.
        return True


def _is_lower(limit: int, other: int) -> bool:
    return limit not in (other, resource.RLIM_INFINITY) and (other == resource.RLIM_INFINITY or limit < other)


def _streams() -> list[tuple[int, int] | None]:
    """Which files the standard streams are; None for one that is closed."""
    streams: list[tuple[int, int] | None] = []
    for descriptor in range(3):
        try:
            status = os.fstat(descriptor)
        except OSError:
            streams.append(None)
        else:
            streams.append((status.st_dev, status.st_ino))
    return streams
