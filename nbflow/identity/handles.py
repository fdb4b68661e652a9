"""Handles: connections, clients, locks, loggers. They have no content; they are known by what they lead to."""

from __future__ import annotations

import os
from contextvars import ContextVar
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any

from nbflow.errors import UnidentifiableError
from nbflow.lean import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable

# Calls a function on the thread that asked for a run, for code of that run which is at work on another one.
AT_HOME: ContextVar[Callable[[Callable[[], Any]], Any] | None] = ContextVar("nbflow_at_home", default=None)
# What a search for handles looks at, at most: they lie near the surface.
_DEPTH, _MOST = 4, 500


@dataclass(frozen=True, slots=True)
class Handle:
    """What a value leads to. outside: whether through it a task sees what no key can know: a database, the network."""

    id: tuple[str, ...]
    outside: bool


def handle_of(value: Any, path: str = "value") -> Handle | None:
    """The handle that a value is; None for any other value. Raises UnidentifiableError for a closed one."""
    for kind in type(value).__mro__[:-1]:
        describe = _HANDLES.get(f"{kind.__module__}.{kind.__qualname__}")
        if describe is not None:
            return describe(value, path)
    return None


def is_handle(value: Any) -> bool:
    """Whether the value is a handle; cheap.

    >>> import threading
    >>> is_handle(threading.Lock()), is_handle([1])
    (True, False)
    """
    return any(f"{kind.__module__}.{kind.__qualname__}" in _HANDLES for kind in type(value).__mro__[:-1])


def outside_handle(value: Any) -> str | None:
    """The kind of a handle that leads outside, in a value or near its surface; None where there is none.

    >>> outside_handle({"a": 1}) is None
    True
    """
    todo: list[tuple[Any, int]] = [(value, 0)]
    seen: set[int] = set()
    while todo and len(seen) < _MOST:
        each, depth = todo.pop()
        if id(each) in seen or isinstance(each, (str, bytes, int, float, type, ModuleType)):
            continue
        seen.add(id(each))
        if is_handle(each):
            try:
                found = handle_of(each)
            except UnidentifiableError:
                # It was closed meanwhile; nobody sees anything through it any more.
                continue
            if found is not None and found.outside:
                return type(each).__name__
        elif depth < _DEPTH:
            todo.extend((part, depth + 1) for part in _parts(each))
    return None


def _parts(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())[:_MOST]
    if isinstance(value, (list, tuple, set, frozenset)):
        return list(value)[:_MOST]
    return list(getattr(value, "__dict__", {}).values())


def _inert(value: Any, path: str) -> Handle:
    return Handle((_kind(value),), outside=False)


def _logger(value: Any, path: str) -> Handle:
    return Handle(("logger", str(getattr(value, "name", ""))), outside=False)


def _client(value: Any, path: str) -> Handle:
    """A client of something on the network, by where it leads when it says so."""
    base = getattr(value, "base_url", "") or getattr(getattr(value, "meta", None), "endpoint_url", "")
    return Handle((_kind(value), _without_credentials(str(base or ""))), outside=True)


def _sqlite(value: Any, path: str) -> Handle:
    """By file and when it was written last; one that lies in memory by all that is in it."""
    import sqlite3

    try:
        return _sqlite_here(value)
    except sqlite3.Error as error:
        at_home = AT_HOME.get()
        if at_home is None or not isinstance(error, sqlite3.ProgrammingError):
            raise UnidentifiableError(path, "Connection", str(error)) from None
    try:
        # It belongs to the thread that asked for the run.
        found: Handle = at_home(partial(_sqlite_here, value))
    except sqlite3.Error as error:
        raise UnidentifiableError(path, "Connection", str(error)) from None
    return found


def _sqlite_here(value: Any) -> Handle:
    files = [row[2] for row in value.execute("PRAGMA database_list")]
    if not any(files):
        from xxhash import xxh3_128_hexdigest

        # A database that nothing was ever written to cannot be serialized.
        written = value.execute("PRAGMA page_count").fetchone()[0] > 0
        content = xxh3_128_hexdigest(value.serialize()) if written else "empty"
        return Handle(("sqlite in memory", content), outside=False)
    return Handle(
        ("sqlite", *(f"{name}{_stamp(name)}{_stamp(name + '-wal')}" for name in files if name)), outside=False
    )


def _stamp(path: str) -> str:
    try:
        found = os.stat(path)
    except OSError:
        return " -"
    return f" {found.st_size} {found.st_mtime_ns}" if found.st_size else " -"


def _engine(value: Any, path: str) -> Handle:
    """Of SQLAlchemy: an engine, or what has one. A SQLite file is looked at, anything else lies outside."""
    engine = getattr(value, "engine", None) or getattr(value, "bind", None) or value
    engine = getattr(engine, "engine", engine)
    url = getattr(engine, "url", None)
    if url is None:
        return Handle((_kind(value),), outside=True)
    text = _without_credentials(url.render_as_string(hide_password=True))
    if url.get_backend_name() == "sqlite" and url.database and url.database != ":memory:":
        file = os.path.abspath(url.database)
        return Handle((_kind(value), text, _stamp(file), _stamp(file + "-wal")), outside=False)
    return Handle((_kind(value), text), outside=True)


def _dsn(value: Any, path: str) -> Handle:
    """A connection to a PostgreSQL server, by host, port and database."""
    parameters = value.get_dsn_parameters() if hasattr(value, "get_dsn_parameters") else value.info.get_parameters()
    return Handle((_kind(value), *(str(parameters.get(name, "")) for name in ("host", "port", "dbname"))), outside=True)


def _kind(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _without_credentials(url: str) -> str:
    """A URL without user and password.

    >>> _without_credentials("https://me:secret@host/path")
    'https://host/path'
    """
    head, sign, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{head}{sign}{host.rpartition('@')[2]}{slash}{path}" if sign else url


# By the module and name of a class, whose subclasses count too. No library is imported to find its handles.
_HANDLES: dict[str, Callable[[Any, str], Handle]] = {
    "sqlite3.Connection": _sqlite,
    "logging.Logger": _logger,
    "logging.LoggerAdapter": _logger,
    **dict.fromkeys(
        (
            "_thread.lock",
            "_thread.RLock",
            "_thread._local",
            *(f"threading.{name}" for name in ("_RLock", "Condition", "Event", "Semaphore", "Barrier", "Thread")),
            "concurrent.futures._base.Executor",
            *(f"asyncio.locks.{name}" for name in ("Lock", "Event", "Condition", "Semaphore")),
            "asyncio.events.AbstractEventLoop",
            "tqdm.std.tqdm",
            "rich.console.Console",
            "rich.progress.Progress",
        ),
        _inert,
    ),
    **dict.fromkeys(
        (
            "sqlalchemy.engine.base.Engine",
            "sqlalchemy.engine.base.Connection",
            "sqlalchemy.orm.session.Session",
            "sqlalchemy.ext.asyncio.engine.AsyncEngine",
            "sqlalchemy.ext.asyncio.engine.AsyncConnection",
        ),
        _engine,
    ),
    "psycopg2.extensions.connection": _dsn,
    "psycopg.Connection": _dsn,
    "psycopg.AsyncConnection": _dsn,
    **dict.fromkeys(
        (
            "requests.sessions.Session",
            "httpx.Client",
            "httpx.AsyncClient",
            "aiohttp.client.ClientSession",
            "urllib3.poolmanager.PoolManager",
            "botocore.client.BaseClient",
            "boto3.resources.base.ServiceResource",
            "google.cloud.client.Client",
            "pymongo.mongo_client.MongoClient",
            "pymongo.synchronous.mongo_client.MongoClient",
            "redis.client.Redis",
            "redis.asyncio.client.Redis",
            "pymysql.connections.Connection",
            "_duckdb.DuckDBPyConnection",
            "duckdb.duckdb.DuckDBPyConnection",
            "elasticsearch.Elasticsearch",
            "paramiko.client.SSHClient",
            "openai.OpenAI",
            "socket.socket",
            "ssl.SSLSocket",
        ),
        _client,
    ),
}
