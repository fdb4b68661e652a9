"""Makes batches: which elements, how many at once, and with which arguments."""

from __future__ import annotations

import os
import types
from typing import TYPE_CHECKING, Any

from nbflow.engine.ledger import MISSING, LostValue
from nbflow.engine.loops import times_of
from nbflow.errors import DamagedEntry, GraphError, UnidentifiableError, in_words
from nbflow.executors.base import Batch, LoopRule
from nbflow.identity.copies import private_copy
from nbflow.identity.immutable import is_immutable
from nbflow.model.node import RESOURCE, Argument, Node
from nbflow.model.task import Task
from nbflow.model.tree import fill
from nbflow.probe.files import argument_files

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nbflow.engine.ledger import Ledger
    from nbflow.engine.resolve import Resolver
    from nbflow.model.task import Options

GROWTH = 16
# Below this a call costs less than handing it to another thread.
CHEAP_S = 100e-6
_SLOW = (1.0, 1.0)
MOST_ELEMENTS = 2_000


class LostArguments(Exception):
    """Upstream elements whose stored results are needed, and proved missing."""

    def __init__(self, node: Node, indices: Sequence[int], why: str) -> None:
        self.node = node
        self.indices = indices
        super().__init__(why)


class Batcher:
    """Makes batches for the nodes of one run; sizes them by the time that elements took."""

    def __init__(self, ledger: Ledger, resolver: Resolver) -> None:
        self._ledger = ledger
        self._resolver = resolver
        self._loops = resolver.loops
        self._size: dict[Node, int] = {}
        self._cost_s: dict[Task, tuple[float, float]] = {}
        self._rules: dict[Task, LoopRule] = {}
        self._facts: dict[Task, tuple[dict[str, bytes], dict[str, str]]] = {}
        self._shared: dict[Node, list[Any]] = {}

    def size(self, node: Node, waiting: int, slots: int) -> int:
        """How many of the waiting elements go into the next batch."""
        fair = -(-waiting // slots)
        return max(1, min(self._size.get(node, 1), fair, MOST_ELEMENTS))

    def measure(self, node: Node, batch: Batch) -> None:
        """Learns from a batch how many elements fit into the time that one should take."""
        seconds = sum(outcome.seconds for outcome in batch.outcomes)
        done = len(batch.outcomes)
        if done:
            self._cost_s[node.task] = (self._cost_s.get(node.task, _SLOW)[1], seconds / done)
            fitting = int(batch.target_s * done / max(seconds, 1e-9))
            self._size[node] = max(1, min(fitting, self._size.get(node, 1) * GROWTH))

    def is_cheap(self, task: Task) -> bool:
        """Whether the task took next to no time in one of its last two calls: one alone may have been held up."""
        return min(self._cost_s.get(task, _SLOW)) < CHEAP_S

    def make(self, node: Node, indices: Sequence[int], *, private: bool) -> Batch:
        """A batch with its arguments. private: on copies that nobody else has. Raises LostArguments."""
        fetch = self._value if not private else self._private_value
        shared = self._shared_values(node, fetch, private=private)
        columns = tuple(
            self._column(node, argument, indices, fetch) if argument.mapped else [shared[position]] * len(indices)
            for position, argument in enumerate(node.arguments)
        )
        options = node.task.options
        book = self._ledger.books[node]
        stored = self._resolver.keeps(node) and not book.unkept.intersection(indices)
        keys = book.keys
        reached, packages = self._code_facts(node.task)
        return Batch(
            label=node.name,
            fn=node.task.fn,
            columns=columns,
            keywords=tuple(argument.keyword for argument in node.arguments),
            count=len(indices),
            identify=self._resolver.identify_output if stored else None,
            keep=stored,
            expected_files=_expected(columns, len(indices)) if stored else None,
            outputs=_outputs(node, columns) if options.outputs else None,
            seeds=None if options.seed is None else [_seed(options, keys[i], i) for i in indices],
            loop=self._loop_rule(node),
            starts=self._starts(node, indices),
            fresh=private,
            timeout_s=options.timeout_s,
            shared=self._shared_columns(node, private=private),
            resources=options.resources,
            reached=reached,
            ignored=tuple(options.ignore),
            packages=packages,
            tag=(node, indices),
        )

    def _shared_columns(self, node: Node, *, private: bool) -> frozenset[int]:
        """The columns whose values are the same objects in all batches of a node."""
        if private or not node.mapped:
            return frozenset()
        return frozenset(i for i, argument in enumerate(node.arguments) if not argument.mapped)

    def _code_facts(self, task: Task) -> tuple[dict[str, bytes], dict[str, str]]:
        """The globals that a task's call may change, with their digests, and the packages that count, with versions."""
        if task not in self._facts:
            try:
                code = self._resolver.code_of(task)
            except UnidentifiableError:
                # Nothing that it gives is stored.
                return self._facts.setdefault(task, ({}, {}))
            self._facts[task] = (
                {each.name: each.digest for each in code.captures if not _holds_nothing(each.value)},
                {each.name: each.text for each in code.components if each.kind == "package"},
            )
        return self._facts[task]

    def _loop_rule(self, node: Node) -> LoopRule:
        options = node.task.options
        rule = self._rules.get(node.task)
        if rule is None or isinstance(options.loop_times, Node):
            rule = LoopRule(options.max_loops, times_of(node, self._ledger), options.loop_while)
            self._rules[node.task] = rule
        return rule

    def _starts(self, node: Node, indices: Sequence[int]) -> dict[int, tuple[int, Any]] | None:
        try:
            return self._loops.starts(node, indices)
        except DamagedEntry:
            # An iteration's result is gone: these loops begin anew.
            for i in indices:
                self._ledger.books[node].resume.pop(i, None)
            return None

    def forget(self, node: Node) -> None:
        """Builds the shared arguments anew for the next batch: one of them was changed in place."""
        self._shared.pop(node, None)

    def _shared_values(self, node: Node, fetch: Callable[[Node, int], Any], *, private: bool) -> list[Any]:
        if not private and node in self._shared:
            return self._shared[node]
        values = [MISSING if a.mapped else self._filled(a.value, fetch) for a in node.arguments]
        if not private and node.mapped:
            self._shared[node] = values
        return values

    def _filled(self, value: Any, fetch: Callable[[Node, int], Any]) -> Any:
        def replace(up: Node) -> Any:
            if self._resolver.lacks(up):
                return self._ledger.whole(up)
            if not up.mapped:
                return self._fetched(fetch, up, [0])[0]
            return self._fetched(fetch, up, list(self._ledger.present(up)))

        # What a task gets is never the user's own object: a change in place stays with the task.
        return fill(value, Node, replace, private_copy)

    def _column(
        self, node: Node, argument: Argument, indices: Sequence[int], fetch: Callable[[Node, int], Any]
    ) -> list[Any]:
        source = argument.value
        if isinstance(source, Node) and source.mapped and not node.product:
            if self._ledger.books[node].unkept.intersection(indices):
                return [self._ledger.element(source, i) for i in indices]
            return self._fetched(fetch, source, indices)
        items = self._ledger.books[node].items[argument.name]
        try:
            values = [items.values[i] for i in indices]
        except LostValue as lost:
            raise LostArguments(lost.node, (lost.index,), str(lost)) from lost
        return [value if is_immutable(value) else private_copy(value) for value in values]

    def _fetched(self, fetch: Callable[[Node, int], Any], node: Node, indices: Sequence[int]) -> list[Any]:
        try:
            # At once, which takes a fifth of the time that one by one does.
            self._ledger.load(node, indices)
            return [fetch(node, i) for i in indices]
        except LostValue as first:
            if first.node is not node:
                # A part of the value: one of the nodes that the result consists of.
                raise LostArguments(first.node, (first.index,), str(first)) from first
            lost = [i for i in indices if _is_lost(fetch, node, i)]
            raise LostArguments(node, lost or (first.index,), str(first)) from first

    def _value(self, node: Node, index: int) -> Any:
        """The value in memory, which the store can give again should a task change it; else a copy."""
        value = self._ledger.value(node, index)
        shared = node.task is RESOURCE or self._ledger.books[node].rows[index] is not None
        return value if shared else private_copy(value)

    def _private_value(self, node: Node, index: int) -> Any:
        fresh = self._ledger.fresh_copy(node, index)
        return private_copy(self._ledger.value(node, index)) if fresh is MISSING else fresh


def _holds_nothing(value: Any) -> bool:
    """Functions and tasks; a class has names of their own for what it holds."""
    return isinstance(value, (types.FunctionType, type, Task))


def _is_lost(fetch: Callable[[Node, int], Any], node: Node, index: int) -> bool:
    try:
        fetch(node, index)
    except LostValue:
        return True
    return False


def _expected(columns: tuple[Sequence[Any], ...], count: int) -> list[list[str]] | None:
    """The existing files that arguments name, for each element; None where there are none at all."""
    if not any(isinstance(column[0], (str, os.PathLike)) for column in columns if column):
        return None
    rows = list(zip(*columns, strict=True))
    expected = [argument_files(row) for row in rows]
    return expected if any(expected) and len(expected) == count else None


def _outputs(node: Node, columns: tuple[Sequence[Any], ...]) -> list[list[str]]:
    """The paths that each call of a node is to write. Raises GraphError."""
    names = [argument.name for argument in node.arguments]
    rows = zip(*columns, strict=True) if columns else [()]
    return [
        [_output_path(node, each, dict(zip(names, row, strict=True))) for each in node.task.options.outputs]
        for row in rows
    ]


def _output_path(node: Node, output: Any, arguments: dict[str, Any]) -> str:
    try:
        path: str = os.fspath(output(**arguments)) if callable(output) else os.fspath(output).format(**arguments)
        return os.path.abspath(path)
    # A function of the user's may raise anything; here it is the declaration that is wrong.
    except Exception as error:
        shown = getattr(output, "__name__", output)
        raise GraphError(
            f"{node.name}: outputs={shown!r} gives no path for its arguments {list(arguments)} ({in_words(error)})"
        ) from error


def _seed(options: Options, key: bytes | None, index: int) -> int:
    seed = options.seed or 0
    if key is None:
        # Not stored, so no key is made.
        return seed + index if options.by_position else seed
    return (seed ^ int.from_bytes(key[:8], "little")) & (2**63 - 1)
