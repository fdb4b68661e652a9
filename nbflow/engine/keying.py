"""What computations are made of: recipes of nodes, ids of arguments, and the keys that follow."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from nbflow.engine.keys import Ingredient, Recipe, make_keys, make_prefix
from nbflow.engine.loops import key_of
from nbflow.engine.sizes import Elements, LoadedLater
from nbflow.errors import UnidentifiableError
from nbflow.identity.encoding import dict_id, list_id, tuple_id
from nbflow.identity.handles import AT_HOME
from nbflow.identity.parts import CodeIdentity
from nbflow.identity.value import output_id
from nbflow.model.mapping import Spread
from nbflow.model.node import Argument, Node, Parameter
from nbflow.model.tree import CONTAINERS, fill, leaves
from nbflow.probe.secrets import is_secret_name, note_secrets, short_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nbflow.engine.ledger import Ledger
    from nbflow.identity.code import CodeIds
    from nbflow.model.task import Task
    from nbflow.store import Store


class Keying:
    """Recipes and keys for one plan or run: every global and code object is looked at once."""

    def __init__(self, ledger: Ledger, codes: CodeIds, store: Store | None) -> None:
        self.ledger = ledger
        self.codes = codes
        self.recipes: dict[Node, Recipe] = {}
        self._salts = store
        self._codes_of: dict[tuple[object, ...], CodeIdentity] = {}

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
        if task.frozen_code is not None:
            return CodeIdentity(task.frozen_code, (), (), (), (), lambda _value, _name: b"")
        options = task.options
        asked = (id(task.fn), options.ignore, *map(id, options.depends_on))
        if asked not in self._codes_of:
            identify = partial(self.codes.identify, task.fn, ignore=options.ignore, depends_on=options.depends_on)
            at_home = AT_HOME.get()
            # As a whole: who waits for another thread must hold no lock that this one may want.
            there = at_home is not None and self.codes.bound(task.fn) is not None
            code = at_home(identify) if at_home is not None and there else identify()
            for capture in code.captures:
                note_secrets(capture.value, capture.name)
            self._codes_of[asked] = code
        return self._codes_of[asked]

    def keyed(self, node: Node, indices: Sequence[int]) -> tuple[Sequence[int], dict[int, Exception]]:
        """The elements that can have a key, and for the others why they cannot."""
        try:
            self.recipe(node)
            self._columns(node, indices)
        except UnidentifiableError as error:
            if len(indices) == 1 or node not in self.recipes:
                return (), dict.fromkeys(indices, error)
            good: list[int] = []
            refused: dict[int, Exception] = {}
            for i in indices:
                one, why = self.keyed(node, (i,))
                good.extend(one)
                refused.update(why)
            return good, refused
        return indices, {}

    def keys(self, node: Node, indices: Sequence[int]) -> list[bytes]:
        if not indices:
            return []
        keys = self._made(node, indices, self._columns(node, indices))
        book = self.ledger.books[node]
        for i, key in zip(indices, keys, strict=True):
            book.keys[i] = key
        if book.resume:
            return [key_of(book, i) or key for i, key in zip(indices, keys, strict=True)]
        return keys

    def rekey(self, node: Node, indices: Sequence[int], ids: Mapping[str, bytes | list[bytes]]) -> list[bytes]:
        """Gives elements the keys of what they really get; gives back the former keys of those that differ.

        ids: by argument, of what the elements share, or one for each.
        """
        book = self.ledger.books[node]
        before = [book.keys[i] for i in indices]
        recipe = self.recipe(node)
        columns: list[bytes | Sequence[bytes]] = []
        for argument, ingredient in zip(node.arguments, recipe.ingredients, strict=True):
            known = ids.get(argument.name)
            if isinstance(known, bytes):
                known = self._salted(known, argument.name)
            columns.append(known or (self.ids_of(node, argument, indices) if argument.mapped else ingredient.id))
        keys = self._made(node, indices, columns)
        changed = [(i, old, key) for i, old, key in zip(indices, before, keys, strict=True) if old not in {None, key}]
        for i, _, key in changed:
            book.keys[i] = key
        return [old for _, old, _ in changed if old is not None]

    def keys_under(self, prefix: bytes, node: Node, indices: Sequence[int]) -> list[bytes]:
        """The keys that elements with these inputs had when another prefix was theirs: that of earlier code."""
        return self._made(node, indices, self._columns(node, indices), prefix)

    def _made(
        self, node: Node, indices: Sequence[int], columns: list[bytes | Sequence[bytes]], prefix: bytes | None = None
    ) -> list[bytes]:
        if node.mapped and node.task.options.by_position:
            columns = [*columns, [i.to_bytes(16, "little") for i in indices]]
        return make_keys(prefix or self.recipe(node).prefix, columns, len(indices))

    def _columns(self, node: Node, indices: Sequence[int]) -> list[bytes | Sequence[bytes]]:
        shared = self.recipe(node).ingredients
        return [
            self.ids_of(node, argument, indices) if argument.mapped else ingredient.id
            for argument, ingredient in zip(node.arguments, shared, strict=True)
        ]

    def ids_of(self, node: Node, argument: Argument, indices: Sequence[int]) -> Sequence[bytes]:
        """The ids of what elements get for a mapped argument. Raises LostValue, UnidentifiableError."""
        source = argument.value
        if isinstance(source, Node) and source.mapped and not node.product:
            return [self.ledger.out_id(source, i) for i in indices]
        values = self.ledger.books[node].items[argument.name].values
        if isinstance(values, Spread):
            indices = [values.positions[i] for i in indices]
            values = values.base
        if isinstance(values, Elements):
            return [self.ledger.out_id(source, values.present[i]) for i in indices]
        if isinstance(values, LoadedLater):
            members = self.ledger.members(source) or ()
            return [members[i] for i in indices]
        if not _all_in_order(indices, len(values)):
            values = [values[i] for i in indices]
        return self.codes.identifier.ids(values, argument.name)

    def _ingredient(self, argument: Argument) -> Ingredient:
        source = argument.value
        if not isinstance(source, Node):
            note_secrets(source, argument.name)
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
        return self._salted(self.codes.identifier(value, path), path)

    def _salted(self, id_: bytes, path: str) -> bytes:
        if is_secret_name(path) and self._salts is not None:
            return self._salts.salted(id_)
        return id_

    def _environment(self, name: str) -> Ingredient:
        value = os.environ.get(name)
        return Ingredient("env", name, self._identified(value, name), short_text(value, name))


def _all_in_order(indices: Sequence[int], count: int) -> bool:
    """Whether the indices are 0, 1, 2 … count - 1."""
    if len(indices) != count:
        return False
    return isinstance(indices, range) or all(i == at for at, i in enumerate(indices))
