"""Stores what batches brought back: with which trace, for how long, for whom, or why not."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from nbflow.codecs import Sealed
from nbflow.engine.loops import key_of, take_in
from nbflow.errors import NotStorable
from nbflow.identity.handles import is_handle, outside_handle
from nbflow.lean import replace
from nbflow.model.task import seconds_of
from nbflow.probe.files import VARIABLE, trace_id
from nbflow.signals import SKIP
from nbflow.store import EXPRESSION, LOOP_EXPRESSION, LOOP_STEP, VALUE, Entry
from nbflow.store import SKIP as SKIPPED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from nbflow.engine.ledger import Ledger
    from nbflow.engine.resolve import Resolver
    from nbflow.executors.base import Batch, Outcome
    from nbflow.model.node import Node
    from nbflow.model.task import Options, Task
    from nbflow.probe.files import FileMark, Observed
    from nbflow.store import Store

WAYS_OUT = (
    'max_age="1d" keeps it for a time, version="..." until you change that, seed=1 makes random numbers '
    "repeatable, cache=True keeps it for good"
)


class Keeper:
    """Writes the results of one run into the store. store: None keeps nothing.

    tell: called with what users should know, once a task and reason.
    """

    def __init__(
        self,
        ledger: Ledger,
        resolver: Resolver,
        store: Store | None,
        *,
        session: str,
        replace: frozenset[Node],
        tell: Callable[[str], None],
    ) -> None:
        self._ledger = ledger
        self._resolver = resolver
        self._store = store
        self._session = session
        self._replace = replace
        self._tell = tell
        self._told: set[tuple[str, str]] = set()
        # The paths that calls wrote, and whose calls.
        self.written: dict[str, Node] = {}
        self._reached: dict[Task, str | None] = {}

    def keep(self, batch: Batch, outcomes: Sequence[Outcome]) -> None:
        """Stores the outcomes of a batch that can be stored, and notes their rows in the ledger."""
        node, indices = batch.tag
        self.written.update((path, node) for o in outcomes if o.observed is not None for path in o.observed.written)
        if self._store is None or not batch.keep or not outcomes:
            return
        if self._drifted(node, batch):
            return
        self._tell_unseen(node)
        book = self._ledger.books[node]
        session = self._session_of(batch, node, outcomes)
        entries: list[Entry] = []
        positions: list[int] = []
        for outcome in outcomes:
            i = indices[outcome.position]
            if outcome.unstored is not None and is_handle(outcome.value) and not outcome.step:
                self._hold(node, i, outcome)
                continue
            entry = self._entry(node, key_of(book, i), outcome, session)
            if outcome.step and not outcome.nodes:
                take_in(book, i, outcome)
            if entry is not None:
                entries.append(entry)
                positions.append(-1 if outcome.step or entry.kind == EXPRESSION else i)
        replace = node in self._replace or node.task.options.always
        for i, row in zip(positions, self._store.put(entries, replace=replace), strict=True):
            if i >= 0:
                book.rows[i] = row

    def keep_late(self, batch: Batch) -> None:
        """Stores what a batch finished after its run was interrupted; called on the worker's thread."""
        self.keep(batch, [outcome for outcome in batch.take() if outcome.error is None])
        self.flush()

    def flush(self) -> None:
        if self._store is not None:
            self._store.flush()

    def _entry(self, node: Node, key: bytes | None, outcome: Outcome, session: str | None) -> Entry | None:
        if outcome.nodes:
            self._freeze(node, outcome)
        if outcome.unstored is not None:
            self._once(node, "unstored", f"{node.name}: its result is not stored: {outcome.unstored}")
            return None
        if key is None or outcome.sealed is None or outcome.out is None:
            return None
        trace = b""
        if outcome.observed is not None:
            flow = outcome.observed.flow
            if flow is not None:
                # What that flow's tasks read, and their code, is nothing that this task's key or trace knows of.
                self._once(
                    node,
                    "flow",
                    f"{node.name} ran the flow {flow!r}, whose tasks look for themselves what has changed, so it runs "
                    f"each time and only their results are kept; a flow that is called inside another one, "
                    f"{flow}(), is a part of it instead",
                )
                return None
            changed = outcome.observed.changed
            if changed is not None:
                self._once(
                    node,
                    changed,
                    f"{node.name}: {changed} changed while it was read; its result is not stored",
                )
                return None
            marks = self._marks(node.task.options, outcome.observed)
            if marks:
                trace = trace_id(marks)
                assert self._store is not None
                self._store.put_trace(trace, marks)
        now = time.time_ns()
        return Entry(
            key=key,
            trace=trace,
            out=outcome.out,
            members=b"".join(outcome.members or ()),
            kind=_kind(outcome),
            sealed=outcome.sealed,
            seconds=outcome.seconds,
            made_ns=now,
            expires_ns=_expiry(node.task.options, now),
            session=session,
            task=node.task.name,
            log=outcome.log,
        )

    def _marks(self, options: Options, observed: Observed) -> Sequence[FileMark]:
        """The marks that count; of environment variables the store keeps salted ids alone."""
        assert self._store is not None
        if not any(mark.kind == VARIABLE for mark in observed.marks):
            return observed.marks
        ignored = options.ignore or ()
        return [
            replace(mark, digest=self._store.salted(mark.digest)) if mark.kind == VARIABLE else mark
            for mark in observed.marks
            if mark.kind != VARIABLE or mark.path not in ignored
        ]

    def _hold(self, node: Node, index: int, outcome: Outcome) -> None:
        """Keeps a connection or client for as long as this process lives."""
        book = self._ledger.books[node]
        key = book.keys[index]
        if key is None or outcome.out is None or self._store is None:
            return
        now = time.time_ns()
        entry = Entry(
            key=key, trace=b"", out=outcome.out, members=b"", kind=VALUE, sealed=_NOTHING, seconds=outcome.seconds,
            made_ns=now, expires_ns=_expiry(node.task.options, now), session=None, task=node.task.name,
        )  # fmt: skip
        book.rows[index] = self._store.live.put(entry, outcome.value)
        kind = type(outcome.value).__name__
        self._once(
            node, "live", f"{node.name}: its result is a {kind}, which nothing can store; it lives in this session"
        )

    def _freeze(self, node: Node, outcome: Outcome) -> None:
        try:
            outcome.out, outcome.sealed = self._resolver.expander.freeze(node, outcome.value)
        except NotStorable as reason:
            outcome.unstored = str(reason)

    def _drifted(self, node: Node, batch: Batch) -> bool:
        """Whether a global that the task reaches was changed since it was identified, here or where it was called."""
        name = batch.drifted or self._resolver.code_of(node.task).drifted()
        if name is None:
            return False
        self._once(
            node,
            name,
            f"{node.name}: {name!r} changed while it ran, so its results are returned and not stored; "
            f'if it never matters for the result, name it: ignore=["{name}"]',
        )
        return True

    def _tell_unseen(self, node: Node) -> None:
        unseen = self._resolver.code_of(node.task).unseen
        if unseen and not node.task.options.depends_on:
            self._once(
                node,
                "by text",
                f"{node.name} gives {unseen[0]}() a text that is made while it runs: what it names there counts only "
                f"as far as its code holds the name; depends_on=[...] makes anything count",
            )

    def _session_of(self, batch: Batch, node: Node, outcomes: Iterable[Outcome]) -> str | None:
        """The session that results are good for, where they depend on the outside world."""
        options = node.task.options
        if options.cache is True or options.max_age or options.version or options.seed is not None:
            return None
        hosts = [o.observed.network for o in outcomes if o.observed is not None and o.observed.network]
        if hosts:
            self._once(
                node,
                "network",
                f"{node.name} connected to {hosts[0]}, so its result is reused in this session only; {WAYS_OUT}",
            )
        elif (
            unseen := next((o.observed.unseen for o in outcomes if o.observed and o.observed.unseen), None)
        ) is not None:
            self._once(
                node,
                "unseen",
                f"{node.name} {unseen}, so its result is reused in this session only; {WAYS_OUT}",
            )
        elif batch.moved_random:
            self._once(
                node,
                "random",
                f"{node.name} used random numbers without a seed, so its result is reused in this session only; "
                f"{WAYS_OUT}",
            )
        elif (kind := self._outside(batch, node)) is not None:
            self._once(
                node,
                "outside",
                f"{node.name} uses a {kind}, through which it may see anything, so its result is reused in this "
                f"session only; {WAYS_OUT}",
            )
        else:
            return None
        return self._session

    def _outside(self, batch: Batch, node: Node) -> str | None:
        """The kind of a connection or client that a task reaches or was given; None where there is none."""
        if node.task not in self._reached:
            captures = self._resolver.code_of(node.task).captures
            found = (outside_handle(capture.value) for capture in captures)
            self._reached[node.task] = next((kind for kind in found if kind is not None), None)
        given = (column[0] for column in batch.columns if len(column) and not is_plain(column[0]))
        return self._reached[node.task] or next((kind for v in given if (kind := outside_handle(v)) is not None), None)

    def _once(self, node: Node, reason: str, message: str) -> None:
        if (node.name, reason) not in self._told:
            self._told.add((node.name, reason))
            self._tell(message)


def is_plain(value: object) -> bool:
    """Whether a value cannot be or hold a handle, told by its type alone."""
    return type(value) in _PLAIN


def _kind(outcome: Outcome) -> int:
    if isinstance(outcome.error, SKIP):
        return SKIPPED
    if outcome.nodes:
        return LOOP_EXPRESSION if outcome.step else EXPRESSION
    # The last iteration of a loop that ends from outside may be followed by others another time.
    return LOOP_STEP if outcome.step or outcome.last else VALUE


def _expiry(options: Options, now_ns: int) -> int | None:
    return None if options.max_age is None else now_ns + int(seconds_of(options.max_age) * 1e9)


_PLAIN = frozenset({int, float, str, bytes, bool, type(None), complex})
_NOTHING = Sealed("", (), 0)
