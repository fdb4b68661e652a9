"""Which results are known already: keys in bulk, one look-up, and the check of what was read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, overload

from nbflow.engine.keys import Ingredient, Recipe, make_keys, make_prefix
from nbflow.errors import UnidentifiableError
from nbflow.identity.value import dict_id, list_id, tuple_id
from nbflow.model.graph import DERIVED, ITEM, Argument, Node, Parameter
from nbflow.model.mapping import Items, common_length, items_of
from nbflow.model.tree import CONTAINERS, fill, leaves
from nbflow.probe.files import holds
from nbflow.probe.secrets import is_secret_name, short_text

if TYPE_CHECKING:
    from nbflow.engine.ledger import Ledger
    from nbflow.engine.machine import Track
    from nbflow.identity.code import CodeIds
    from nbflow.identity.parts import CodeIdentity
    from nbflow.identity.value import Identifier
    from nbflow.model.task import Task
    from nbflow.probe.files import StatMemo
    from nbflow.store import Row, Store


@dataclass(slots=True)
class Found:
    """The answer for some elements of a node. stale: why a stored result no longer holds, by element."""

    node: Node
    hits: list[int] = field(default_factory=list)
    misses: list[int] = field(default_factory=list)
    refused: dict[int, Exception] = field(default_factory=dict)
    stale: dict[int, str] = field(default_factory=dict)


# How the id of a result begins that has no identity of its own: it cannot be compared with anything.
ANONYMOUS = bytes(6)


class Resolver:
    """Keys and look-ups for one plan or run: every global, file and code object is looked at once."""

    def __init__(
        self,
        ledger: Ledger,
        codes: CodeIds,
        store: Store | None,
        memo: StatMemo,
        *,
        session: str,
        now_ns: int,
        force: frozenset[Node] = frozenset(),
    ) -> None:
        self.ledger = ledger
        self.codes = codes
        self._store = store
        self._memo = memo
        self._session = session
        self._now_ns = now_ns
        self._force = force
        self.recipes: dict[Node, Recipe] = {}
        self._codes_of: dict[tuple[object, ...], CodeIdentity] = {}

    def keeps(self, node: Node) -> bool:
        """Whether results of a node are stored at all."""
        return self._store is not None and node.task.options.cache is not False

    def resolve(self, requests: Iterable[tuple[Node, Sequence[int]]]) -> list[Found]:
        """What is known of the requested elements, with one look-up for all of them. Raises LostValue."""
        found: list[Found] = []
        asked: list[tuple[Found, Sequence[int], list[bytes]]] = []
        for node, indices in requests:
            answer = Found(node)
            found.append(answer)
            if node.task in DERIVED and self._derive(node, indices):
                answer.hits.extend(indices)
            elif not self.keeps(node):
                answer.misses.extend(indices)
            else:
                keyed = self._keyed(answer, indices)
                asked.append((answer, keyed, self._keys(node, keyed)))
        self._look_up(asked)
        return found

    def size(self, node: Node, tracks: dict[Node, Track]) -> int:
        """The number of elements of a mapped node; takes its sources apart. Raises MapError, LostValue."""
        book = self.ledger.books[node]
        lengths: dict[str, int] = {}
        for argument in node.arguments:
            if not argument.mapped:
                continue
            if isinstance(argument.value, Node) and argument.value.mapped:
                lengths[argument.name] = tracks[argument.value].count or 0
                continue
            items = self._taken_apart(argument) if argument.items is None else argument.items
            book.items[argument.name] = items
            lengths[argument.name] = len(items)
        count = common_length(lengths, strict=node.strict)
        book.size(count)
        return count

    def identify_output(self, value: Any) -> tuple[bytes, tuple[bytes, ...] | None]:
        """The id of a result and of its members; a fresh id where it has none, as a connection."""
        return output_id(self.codes.identifier, value)

    def recipe(self, node: Node) -> Recipe:
        """What a node's keys are made of. Raises UnidentifiableError, LostValue."""
        if node not in self.recipes:
            options = node.task.options
            code = self.code_of(node.task)
            ingredients = tuple(self._ingredient(a) for a in node.arguments)
            extra = tuple(self._environment(name) for name in options.env)
            prefix = make_prefix(code.id, [a.name for a in node.arguments], options, extra)
            self.recipes[node] = Recipe(prefix, code, ingredients, extra)
        return self.recipes[node]

    def code_of(self, task: Task) -> CodeIdentity:
        """The code id of a task's function; tasks that share a function share it."""
        options = task.options
        asked = (id(task.fn), options.ignore, *map(id, options.depends_on))
        if asked not in self._codes_of:
            self._codes_of[asked] = self.codes.identify(task.fn, ignore=options.ignore, depends_on=options.depends_on)
        return self._codes_of[asked]

    def _taken_apart(self, argument: Argument) -> Items:
        members = self.ledger.members(argument.value)
        if members is not None:
            return Items(_LoadedLater(self.ledger, argument.value, len(members)))
        return items_of(self.ledger.value(argument.value), argument.name)

    def _keyed(self, answer: Found, indices: Sequence[int]) -> Sequence[int]:
        """The elements that can have a key; the others are refused with the reason."""
        try:
            self.recipe(answer.node)
            self._columns(answer.node, indices)
        except UnidentifiableError as error:
            if len(indices) == 1 or answer.node not in self.recipes:
                answer.refused.update(dict.fromkeys(indices, error))
                return ()
            good: list[int] = []
            for i in indices:
                good.extend(self._keyed(answer, (i,)))
            return good
        return indices

    def _keys(self, node: Node, indices: Sequence[int]) -> list[bytes]:
        if not indices:
            return []
        keys = make_keys(self.recipe(node).prefix, self._columns(node, indices), len(indices))
        book = self.ledger.books[node]
        for i, key in zip(indices, keys, strict=True):
            book.keys[i] = key
        return keys

    def _columns(self, node: Node, indices: Sequence[int]) -> list[bytes | Sequence[bytes]]:
        shared = self.recipe(node).ingredients
        return [
            self._ids(node, argument, indices) if argument.mapped else ingredient.id
            for argument, ingredient in zip(node.arguments, shared, strict=True)
        ]

    def _ids(self, node: Node, argument: Argument, indices: Sequence[int]) -> Sequence[bytes]:
        source = argument.value
        if isinstance(source, Node) and source.mapped:
            return [self.ledger.out_id(source, i) for i in indices]
        items = self.ledger.books[node].items[argument.name]
        if isinstance(items.values, _LoadedLater):
            members = self.ledger.members(source) or ()
            return [members[i] for i in indices]
        values = items.values if len(indices) == len(items.values) else [items.values[i] for i in indices]
        return self.codes.identifier.ids(values, argument.name)

    def _ingredient(self, argument: Argument) -> Ingredient:
        source = argument.value
        if argument.mapped:
            return Ingredient("mapped", argument.name, b"", source.name if isinstance(source, Node) else "")
        id_ = self.tree_id(source, argument.name)
        if isinstance(source, Parameter):
            value = self.ledger.value(source)
            return Ingredient("parameter", source.name, id_, short_text(value, source.name))
        if isinstance(source, Node):
            return Ingredient("upstream", source.name, id_)
        inside = dict.fromkeys(node.name for node in leaves(source, Node))
        if inside:
            return Ingredient("upstream", ", ".join(inside), id_)
        return Ingredient("value", argument.name, id_, short_text(source, argument.name))

    def tree_id(self, value: Any, path: str) -> bytes:
        """The id of an argument that may hold nodes: theirs are the ids of their values."""
        if isinstance(value, Node):
            return self.ledger.whole_id(value)
        if type(value) not in CONTAINERS or next(leaves(value, Node), None) is None:
            return self._identified(value, path)
        if type(value) is dict:
            pairs = ((self.tree_id(k, path), self.tree_id(v, f"{path}[{k!r}]")) for k, v in value.items())
            return dict_id(pairs)
        if type(value) in {list, tuple}:
            ids = [self.tree_id(item, f"{path}[{i}]") for i, item in enumerate(value)]
            return list_id(ids) if type(value) is list else tuple_id(ids)
        return self._identified(fill(value, Node, self.ledger.whole), path)

    def _identified(self, value: Any, path: str) -> bytes:
        id_ = self.codes.identifier(value, path)
        if is_secret_name(path) and self._store is not None:
            return self._store.salted(id_)
        return id_

    def _environment(self, name: str) -> Ingredient:
        value = os.environ.get(name)
        return Ingredient("env", name, self._identified(value, name), short_text(value, name))

    def _look_up(self, asked: list[tuple[Found, Sequence[int], list[bytes]]]) -> None:
        wanted = [key for answer, _, keys in asked if not self._always(answer.node) for key in keys]
        rows = self._store.look_up(wanted) if self._store is not None and wanted else {}
        for answer, indices, keys in asked:
            always = self._always(answer.node)
            book = self.ledger.books[answer.node]
            for i, key in zip(indices, keys, strict=True):
                row = None if always else self._valid(rows.get(key, ()), answer, i)
                if row is None:
                    answer.misses.append(i)
                else:
                    book.rows[i], book.out[i], book.seconds[i] = row, row.out, row.seconds
                    answer.hits.append(i)

    def _always(self, node: Node) -> bool:
        return node.task.options.always or node in self._force

    def _valid(self, rows: Sequence[Row], answer: Found, index: int) -> Row | None:
        """The newest row whose files are as they were, that has not expired, and is this session's to use."""
        for row in rows:
            if row.expires_ns is not None and row.expires_ns <= self._now_ns:
                answer.stale[index] = "its max_age is over"
            elif row.session is not None and row.session != self._session:
                answer.stale[index] = "it depends on the outside world and was made in an earlier session"
            elif row.trace and (changed := self._changed(row.trace)) is not None:
                answer.stale[index] = f"file {changed} changed"
            else:
                answer.stale.pop(index, None)
                return row
        return None

    def _changed(self, trace: bytes) -> str | None:
        assert self._store is not None
        marks = self._store.traces([trace]).get(trace)
        return "that it read (no longer known)" if marks is None else holds(marks, self._memo)

    def _derive(self, node: Node, indices: Sequence[int]) -> bool:
        """Fills the book of a node whose ids follow from its upstreams'; False where they do not."""
        derive = self._derived_item if node.task is ITEM else self._gathered
        return all(derive(node, i) for i in indices)

    def _derived_item(self, node: Node, index: int) -> bool:
        source, item = node.arguments[0].value, node.arguments[1].value
        if not isinstance(source, Node) or type(item) is not int:
            return False
        if source.mapped and not node.mapped:
            present = list(self.ledger.present(source))
            if not -len(present) <= item < len(present):
                return False
            out = self.ledger.out_id(source, present[item])
            derive = partial(_whole_item, self.ledger, source, present[item])
        else:
            members = self.ledger.members(source, index)
            if members is None or not -len(members) <= item < len(members):
                return False
            out = members[item]
            derive = partial(_member, self.ledger, source, item)
        book = self.ledger.books[node]
        book.out[index], book.derive = out, derive
        return True

    def _gathered(self, node: Node, index: int) -> bool:
        book = self.ledger.books[node]
        ids = tuple(self.tree_id(a.value, a.name) for a in node.arguments)
        book.out[index], book.members[index] = list_id(ids), ids
        book.derive = partial(_gathered_values, self.ledger, node)
        return True


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


class _LoadedLater(Sequence[Any]):
    """The members of a stored list, loaded when the first of them is wanted."""

    def __init__(self, ledger: Ledger, node: Node, length: int) -> None:
        self._ledger, self._node, self._length = ledger, node, length

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        return self._ledger.value(self._node)[index]


def _whole_item(ledger: Ledger, source: Node, position: int, _index: int) -> Any:
    return ledger.value(source, position)


def _member(ledger: Ledger, source: Node, item: int, index: int) -> Any:
    return ledger.value(source, index)[item]


def _gathered_values(ledger: Ledger, node: Node, _index: int) -> Any:
    return [fill(a.value, Node, ledger.whole) for a in node.arguments]
