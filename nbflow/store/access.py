"""How a store reaches its database: what fails is told once, what is damaged is mended, and nothing is raised."""

from __future__ import annotations

import sqlite3
import threading
from typing import TYPE_CHECKING, Any

from nbflow.errors import StoreRefused
from nbflow.store.database import Database, is_damage
from nbflow.store.peace import undisturbed
from nbflow.store.rescue import is_sound

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

Statement = tuple[str, "Sequence[Sequence[Any]]"]


class Access:
    """Reads and writes of one store. Any thread may call it; the caller holds `_lock`."""

    def __init__(self, root: Path, tell: Callable[[str], None]) -> None:
        self.root = root
        self._tell = tell
        self._told: set[str] = set()
        self._lock = threading.RLock()
        self._database = Database(root, tell)

    @property
    def read_only(self) -> bool:
        """Whether the store cannot be written: what it has is used, new results are returned only. Told once."""
        why = self._database.why_read_only
        if why:
            self._once(
                f"the store {self.root.name} cannot be written ({why}): what it has is used, new results are not stored"
            )
        return bool(why)

    def _read(self, query: str, values: Sequence[Any] = (), *, mend: bool = True) -> list[tuple[Any, ...]]:
        """The rows of a query; none where it cannot be read."""
        try:
            return self._database.read(query, values)
        except sqlite3.Error as error:
            if mend and self._mend(error):
                return self._read(query, values, mend=False)
            self._once(f"the store {self.root.name} could not be read ({error}); results are computed again")
            return []

    def _read_proven(self, query: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """The rows of a query, each of whose last column proves the others, without that."""
        rows = self._read(query, values)
        if not all(map(is_sound, rows)):
            self._mend(sqlite3.DatabaseError("a row does not match its proof"), damaged=True)
            rows = [row for row in self._read(query, values) if is_sound(row)]
        return [row[:-1] for row in rows]

    def _write(self, statements: Sequence[Statement], *, mend: bool = True) -> bool:
        """One transaction. What cannot be written is told and let go: results are in memory, too. False then."""
        if self.read_only:
            return False
        try:
            undisturbed(lambda: self._database.write(statements))
        except (sqlite3.Error, OSError, StoreRefused) as error:
            if mend and self._mend(error):
                return self._write(statements, mend=False)
            self._once(f"the store {self.root.name} could not be written ({error}); results are returned, not stored")
            return False
        return True

    def _mend(self, error: Exception, *, damaged: bool = False) -> bool:
        """Whether the error told of damage, and the database is mended."""
        if self.read_only or not (damaged or (isinstance(error, sqlite3.Error) and is_damage(error))):
            return False
        try:
            undisturbed(self._database.mend)
        except (sqlite3.Error, OSError, StoreRefused) as other:
            self._once(f"the store {self.root.name} is damaged ({error}), and cannot be mended now ({other})")
            return False
        return True

    def _once(self, message: str) -> None:
        if message not in self._told:
            self._told.add(message)
            self._tell(message)
