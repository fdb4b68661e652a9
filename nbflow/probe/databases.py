"""What SQLite opens: databases by name or URI, those attached to them, and their logs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from nbflow.probe.listening import apart, concerned, tell_lost_sight

if TYPE_CHECKING:
    from nbflow.probe.listening import Listener

# The end of the name of a SQLite database's write-ahead log.
WAL = "-wal"
# SQLite's numbers: SQLITE_ATTACH, SQLITE_OK.
_ATTACH, _ALLOWED = 24, 0


def database_opened(listener: Listener, args: tuple[Any, ...]) -> None:
    """What follows from the audit event of a connection."""
    if isinstance(args[0], (str, bytes, os.PathLike)):
        _tell_database(listener, os.fsdecode(args[0]))


def _tell_database(listener: Listener, text: str) -> None:
    name = os.path.abspath(_file_of_uri(text))
    if text and not name.endswith(":memory:"):
        listener.opened(name)
        # What is written in WAL mode lies here until a checkpoint.
        listener.opened(name + WAL)


def _file_of_uri(text: str) -> str:
    """The file that a URI of SQLite's names, or the text itself."""
    if not text.startswith("file:"):
        return text
    parts = urlsplit(text)
    return ":memory:" if "mode=memory" in parts.query else unquote(parts.path)


def watch_attached(connection: Any) -> None:
    """ATTACH raises no audit event, but has to be allowed."""

    def allow(action: int, first: str | None, *_: str | None) -> int:
        if action == _ATTACH and first is None:
            tell_lost_sight("attached a database by a name that is computed, of which the file is not seen")
        elif action == _ATTACH and first:
            for listener in concerned():
                with apart():
                    _tell_database(listener, first)
        return _ALLOWED

    if concerned():
        connection.set_authorizer(allow)
