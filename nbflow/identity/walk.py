"""One walk over a value, from which its id comes."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterable
from typing import Any

from nbflow.errors import UnidentifiableError
from nbflow.identity.encoding import atom_id, flat_id, framed
from nbflow.identity.families import FAMILIES
from nbflow.identity.handles import handle_of
from nbflow.identity.immutable import IMMUTABLE
from nbflow.identity.named import OPAQUE, opaque_name, plain_reader, stream_name
from nbflow.identity.reduced import encode_by_reduce
from nbflow.identity.standard import BY_BASE, BY_TYPE
from nbflow.loaded import loaded

Resolve = Callable[[Any], bytes]


class Walk:
    """One walk over a value. A member that contains it all over again is told by how far up it lies.

    What several members share is looked at once, as long as it leads to nothing that contains it: whether parts are
    shared or equal makes no difference. noting: `resolve` is asked again for each of them.
    """

    def __init__(self, resolve: Resolve, *, noting: bool = False) -> None:
        self._resolve = resolve
        self._above: dict[int, int] = {}
        self._cycles = 0
        # With the values, so that no other gets the address of one that was made on the way.
        self._known: dict[int, tuple[Any, bytes | None, tuple[Any, ...]]] = {}
        self._again = 0
        self._noted: list[Any] | None = [] if noting else None

    def resolve(self, thing: Any) -> bytes:
        """The id of a function, class, builtin or module."""
        if self._noted is not None:
            self._noted.append(thing)
        return self._resolve(thing)

    def id(self, value: Any, path: str) -> bytes:
        quick = atom_id(value)
        if quick is not None:
            return quick
        depth = self._above.get(id(value))
        if depth is not None:
            self._cycles += 1
            return framed("cycle", (len(self._above) - depth).to_bytes(8, "little"))
        shared = sys.getrefcount(value) > HELD_ONCE and type(value) not in IMMUTABLE
        if shared:
            known = self._known.get(id(value))
            if known is not None and (found := self._shared(known, path)) is not None:
                return found
        before = self._cycles, len(self._noted or ())
        self._above[id(value)] = len(self._above)
        try:
            # No call lies in between: each would take away from how deep values may be nested.
            found = self._encode(value, path)
        finally:
            del self._above[id(value)]
        if shared and (type(value) in SHARED or type(value) not in BY_TYPE):
            self._remember(value, found, *before)
        return found

    def _shared(self, known: tuple[Any, bytes | None, tuple[Any, ...]], path: str) -> bytes | None:
        """The id of a value that was looked at before; None where it must be looked at again."""
        value, found, resolved = known
        if found is None:
            self._again += 1
            if self._again > MOST_AGAIN:
                raise UnidentifiableError(path, type(value).__name__, "its parts lead to each other in too many ways")
            return None
        for thing in resolved:
            self.resolve(thing)
        return found

    def _remember(self, value: Any, found: bytes, cycles: int, noted: int) -> None:
        resolved = () if self._noted is None else tuple(self._noted[noted:])
        whole = cycles == self._cycles and len(resolved) <= MOST_NOTED
        self._known[id(value)] = (value, found if whole else None, resolved if whole else ())

    def many(self, values: Iterable[Any], path: str) -> list[bytes]:
        quick = atom_id if OPAQUE else flat_id
        return [quick(value) or self.id(value, f"{path}[{i}]") for i, value in enumerate(values)]

    def _encode(self, value: Any, path: str) -> bytes:
        known = opaque_name(value)
        if known is not None:
            return framed("opaque", known.encode())
        kind = type(value)
        encode = BY_TYPE.get(kind)
        if encode is not None:
            return encode(self, value, path)
        hook = getattr(kind, "__nbflow_id__", None)
        if hook is not None:
            return framed("hook", self.resolve(kind), self.id(hook(value), f"{path}.__nbflow_id__()"))
        if isinstance(value, CODE_TYPES) or kind.__name__ == COMPILED:
            return framed("code", self.resolve(plain_reader(value)))
        handle = handle_of(value, path)
        if handle is not None:
            return framed("handle", *(part.encode("utf-8", "surrogatepass") for part in handle.id))
        # nbflow's own frames differ from plain ones in how they are shown, and become plain when they are copied.
        family = FAMILIES.get(getattr(kind, "__nbflow_class__", kind).__module__.partition(".")[0])
        if family is not None:
            found = family(self, value, path)
            if found is not None:
                return found
        stream = stream_name(value)
        if stream is not None:
            return framed("stream", stream.encode())
        numpy = loaded("numpy")
        if numpy is not None and isinstance(value, numpy.ndarray):
            # Pickle would leave out what a class of the user's adds to an array.
            return FAMILIES["numpy"](self, value, path) or encode_by_reduce(self, value, path)
        for base, encode_instance in BY_BASE:
            if isinstance(value, base):
                return encode_instance(self, value, path)
        return encode_by_reduce(self, value, path)


# How often parts that lead to each other are looked at again, and how much one noting part may hold.
MOST_AGAIN = 10_000
MOST_NOTED = 200
# The references to a value in a walk that one container holds: the container's, and those of the calls that lead there.
HELD_ONCE = 5
# Containers that several others may share; other values of Python's own are quick to look at again.
SHARED = frozenset({list, tuple, dict, set, frozenset})
CODE_TYPES = (types.FunctionType, type, types.ModuleType)
# What Cython makes of a function, whatever its version.
COMPILED = "cython_function_or_method"
