"""Value ids: equal values have equal ids, in every process; different ones differ."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from nbflow.errors import UnidentifiableError
from nbflow.identity.encoding import atom_id, flat_id, list_id, tuple_id
from nbflow.identity.named import OPAQUE
from nbflow.identity.walk import Walk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbflow.identity.walk import Resolve


class Identifier:
    """Ids of values. resolve: gives the 16-byte id of functions, classes, builtins and modules inside them.

    >>> identify = Identifier(lambda function: bytes(16))
    >>> identify([1, 2]) == identify([1, 2]), identify([1, 2]) == identify((1, 2))
    (True, False)
    """

    def __init__(self, resolve: Resolve, *, noting: bool = False) -> None:
        self.resolve = resolve
        # Whether `resolve` notes what it is asked for, so that it must be asked each time.
        self._noting = noting

    def __call__(self, value: Any, path: str = "value") -> bytes:
        """16 bytes. Raises UnidentifiableError that names the path to what has no identity."""
        quick = atom_id(value)
        if quick is not None:
            return quick
        try:
            return Walk(self.resolve, noting=self._noting).id(value, path)
        except RecursionError:
            raise UnidentifiableError(path, type(value).__name__, "it is nested too deeply") from None

    def ids(self, values: Sequence[Any], path: str) -> list[bytes]:
        """The ids of many values; errors name `path[i]`."""
        # What counts by a given id may be a list, too.
        quick = atom_id if OPAQUE else flat_id
        return [quick(value) or self(value, f"{path}[{i}]") for i, value in enumerate(values)]

    def members(self, value: Any, path: str = "value") -> tuple[bytes, ...] | None:
        """The ids of the members of an exact list or tuple, else None."""
        if type(value) is list or type(value) is tuple:
            if self._holds_itself(value):
                return None
            return tuple(self.ids(value, path))
        return None

    def _holds_itself(self, value: Sequence[Any]) -> bool:
        return any(member is value for member in value)


def output_id(identifier: Identifier, value: Any) -> tuple[bytes, tuple[bytes, ...] | None]:
    """The id of a result, and its members' ids where it is a list or tuple.

    What has no identity gets an id of its own each time, never one that another value could have.
    """
    try:
        members = identifier.members(value, "result")
        if members is None:
            return identifier(value, "result"), None
        return (list_id(members) if type(value) is list else tuple_id(members)), members
    except UnidentifiableError:
        return ANONYMOUS + os.urandom(10), None


# How the id of a result begins that has no identity of its own: it cannot be compared with anything.
ANONYMOUS = bytes(6)
