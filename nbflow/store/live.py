"""Results that live in this process only: connections and clients, which nothing can store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbflow.errors import DamagedEntry
from nbflow.store.rows import VALUE, Row

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nbflow.store.rows import Entry

LIVE = "live"


class Live:
    """Handles by the keys of what made them: a later run in this session gets the same connection again."""

    def __init__(self) -> None:
        self._held: dict[bytes, tuple[Row, Any]] = {}

    def put(self, entry: Entry, value: Any) -> Row:
        """Keeps a value; gives the row that a look-up finds."""
        row = Row(
            entry.key, entry.trace, entry.out, b"", VALUE, LIVE, b"", 0, None,
            entry.seconds, entry.made_ns, entry.expires_ns, None, entry.task,
        )  # fmt: skip
        self._held[entry.key] = (row, value)
        return row

    def row(self, key: bytes) -> Row | None:
        held = self._held.get(key)
        return None if held is None else held[0]

    def value(self, row: Row) -> Any:
        """The value itself, not a copy. Raises DamagedEntry where it is held no more."""
        held = self._held.get(row.key)
        if held is None:
            raise DamagedEntry(row.key, "lived in another session")
        return held[1]

    def clear(self, tasks: Iterable[str] | None = None) -> None:
        """Lets go of the values of tasks by name; of all, by default."""
        names = None if tasks is None else set(tasks)
        self._held = {k: held for k, held in self._held.items() if names is not None and held[0].task not in names}

    def __bool__(self) -> bool:
        return bool(self._held)
