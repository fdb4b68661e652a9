"""What tells the elements of a mapped node apart in words: the labels or the plain values that it is mapped over."""

from __future__ import annotations

import os
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from nbflow.engine.ledger import LostValue
from nbflow.engine.sizes import Elements, LoadedLater
from nbflow.flow.causes import SMALL_BYTES
from nbflow.model.mapping import Spread
from nbflow.model.node import Node
from nbflow.probe.secrets import is_secret_name, redact_long, short_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbflow.engine.ledger import Ledger
    from nbflow.model.node import Argument

# More elements than that are told apart by their numbers.
MOST_NAMED = 2_000
# Texts of that many characters are shortened.
_LONG = 100
_SIMPLE = frozenset({int, float, bool, str})

Names = tuple[str, ...]


def names_of(node: Node, ledger: Ledger, count: int, known: dict[Node, Names] | None = None) -> Names:
    """A name an element, such as `p='shops/Oslo.csv'` or the label `'oslo'`; empty where nothing plain tells them.

    Elements of a map of a map are named by what the first was mapped over. Equal elements have equal names. known: the
    names of nodes that were asked for before, to which these are added.
    """
    if not node.mapped or not 0 < count <= MOST_NAMED:
        return ()
    known = {} if known is None else known
    if node not in known:
        columns = [texts for a in node.arguments if a.mapped and (texts := _texts(node, a, ledger, count, known))]
        # Arguments that come from one source are named alike.
        different = list(dict.fromkeys(columns))
        one = different[0] if len(different) == 1 else None
        known[node] = one or tuple(", ".join(parts) for parts in zip(*different, strict=True))
    return known[node]


def places_by_value(node: Node, ledger: Ledger, count: int, element: Any) -> list[int]:
    """The positions of the elements that are mapped over a plain value which reads so: a text, a path, a number.

    `p=shops/Oslo.csv` and the last part of a path, `Oslo.csv`, name an element, too, where no value is just that.
    """
    wanted = _text(element)
    whole: set[int] = set()
    last: set[int] = set()
    for argument, values in _root_values(node, ledger, count):
        if is_secret_name(argument.name) or not _all_plain(values):
            continue
        for place, text in enumerate(map(_text, values)):
            if wanted in {text, f"{argument.name}={text}", f"{argument.name}={text!r}"}:
                whole.add(place)
            elif PurePath(text).name == wanted:
                last.add(place)
    return sorted(whole or last)


def _texts(node: Node, argument: Argument, ledger: Ledger, count: int, known: dict[Node, Names]) -> Names:
    source = _mapped_source(node, argument)
    if source is not None:
        return names_of(source, ledger, count, known)
    items = ledger.books[node].items.get(argument.name)
    if items is None or is_secret_name(argument.name):
        return ()
    if isinstance(items.values, Elements):
        names = names_of(items.values.source, ledger, len(ledger.books[items.values.source].keys), known)
        return tuple([names[i] for i in items.values.present[:count]] if names else ())
    if items.index is not None and not node.product:
        return _short(list(items.index)[:count])
    values = _values(argument, items.values, ledger, count)
    if values is None or not _all_plain(values):
        return ()
    return tuple([f"{argument.name}={text}" for text in _short(values)])


def _short(values: Sequence[Any]) -> Names:
    """Values in short, without secrets, for which all are looked through at once."""
    plain = [_plain(value) for value in values]
    if all(type(value) in _SIMPLE and (not isinstance(value, str) or len(value) < _LONG) for value in plain):
        texts = tuple([repr(value) for value in plain])
        whole = "\n".join(texts)
        if redact_long(whole) == whole:
            return texts
    return tuple([short_text(value) for value in plain])


def _root_values(node: Node, ledger: Ledger, count: int) -> list[tuple[Argument, list[Any]]]:
    found: list[tuple[Argument, list[Any]]] = []
    for argument in node.arguments:
        if not argument.mapped:
            continue
        source = _mapped_source(node, argument)
        if source is not None:
            found += _root_values(source, ledger, count)
            continue
        items = ledger.books[node].items.get(argument.name)
        values = None if items is None else _values(argument, items.values, ledger, count)
        if values is not None:
            found.append((argument, values))
    return found


def _values(argument: Argument, values: Sequence[Any], ledger: Ledger, count: int) -> list[Any] | None:
    """What elements get for an argument; None where that would have to be loaded and is not small."""
    base = values.base if isinstance(values, Spread) else values
    if isinstance(base, Elements):
        return None
    if isinstance(base, LoadedLater) and not ledger.in_memory(argument.value):
        row = ledger.books[argument.value].rows[0]
        if row is None or row.size_bytes > SMALL_BYTES:
            return None
    try:
        return [values[i] for i in range(min(count, len(values)))]
    except LostValue:
        # It is damaged or was let go: that is no reason to make it again.
        return None


def _mapped_source(node: Node, argument: Argument) -> Node | None:
    """The mapped node whose elements an argument takes one by one."""
    value = argument.value
    return value if isinstance(value, Node) and value.mapped and not node.product else None


def _all_plain(values: Sequence[Any]) -> bool:
    return all(isinstance(value, (str, int, float, os.PathLike)) for value in map(_plain, values))


def _plain(value: Any) -> Any:
    """Numbers of NumPy as Python's, and paths as texts."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value.item() if getattr(value, "shape", None) == () and hasattr(value, "item") else value


def _text(value: Any) -> str:
    return str(_plain(value))
