"""What may stand in `DaskExecutor(…)`: told when it is made, before Dask is there."""

from __future__ import annotations

import re
import reprlib
from typing import Any

from nbflow.errors import GraphError
from nbflow.model.executor import EXECUTORS

_EXAMPLE = 'DaskExecutor("tcp://10.0.0.5:8786")'
# Dask's own; others come with plugins, and have rules of their own.
_WITH_PORT = frozenset({"tcp", "tls"})
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_PLACE = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%\w]+\]|[^\s:/\[\]]+)(?::(?P<port>.*))?", re.DOTALL)


def check_where(where: object) -> None:
    """Raises GraphError for what is neither a scheduler's address, nor a client or cluster object of Dask's.

    >>> check_where("tcp://10.0.0.5:8786")
    >>> check_where("far")
    Traceback (most recent call last):
    nbflow.errors.GraphError: DaskExecutor('far'): the port is missing; write it as DaskExecutor("tcp://far:8786")
    """
    wrong = _wrong_text(where.strip()) if isinstance(where, str) else _wrong_object(where)
    if wrong:
        raise GraphError(f"DaskExecutor({reprlib.repr(where)}): {wrong}")


def _wrong_text(where: str) -> str:
    if where in EXECUTORS:
        return f'this is no address; executor="{where}" is written without DaskExecutor'
    found = _SCHEME.fullmatch(where)
    scheme, place = (found[1], found[2]) if found is not None else ("tcp", where)
    if scheme.lower() in {"http", "https"}:
        return (
            f"a scheduler is not reached by {scheme}: this may be its dashboard, which has another port; "
            f"write its own address, as {_EXAMPLE}"
        )
    if scheme not in _WITH_PORT:
        return "" if place else f"the host is missing; write an address as {_EXAMPLE}"
    parts = _PLACE.fullmatch(place)
    if parts is None:
        return f"this is no address of a scheduler; write one as {_EXAMPLE}"
    port = parts["port"]
    if port is None:
        return f'the port is missing; write it as DaskExecutor("{scheme}://{parts["host"]}:8786")'
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        return f"{port!r} is no port; write an address as {_EXAMPLE}"
    return ""


def _wrong_object(where: Any) -> str:
    what = type(where).__name__
    if isinstance(where, (list, tuple, set, frozenset)):
        return f"a {what} is no address; one scheduler is meant, as {_EXAMPLE}"
    if isinstance(where, int) and not isinstance(where, bool) and 0 < where < 65536:
        return f'a port alone is no address; write it as DaskExecutor("tcp://127.0.0.1:{where}")'
    # Not asked for: a cluster may do anything for it.
    if not {"scheduler_address", "scheduler"}.isdisjoint(dir(where)):
        is_class = isinstance(where, type)
        return f"this is a class; make a cluster of it first: DaskExecutor({where.__name__}(…))" if is_class else ""
    return f"of type {what}; it takes an address, as {_EXAMPLE}, a distributed.Client, or a cluster object of Dask's"
