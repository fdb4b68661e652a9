"""`accept`: old results stand for those of code that was edited without changing any."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from xxhash import xxh3_128_digest

from nbflow.codecs import seal
from nbflow.engine.ledger import LostValue
from nbflow.engine.loops import next_key
from nbflow.engine.resolve import Found
from nbflow.engine.why import INPUT_KINDS, compare
from nbflow.errors import DamagedEntry, NotAccepted, NotStorable
from nbflow.flow.causes import prefix_of, stored_parts
from nbflow.flow.explain import Explanation, explain
from nbflow.flow.remember import accepted_record, members_of, write_last
from nbflow.flow.workshop import open_workshop
from nbflow.model.node import DERIVED, HIDDEN, Node, Parameter, ancestors
from nbflow.model.state import Freshness
from nbflow.store import LOOP_STEP, Entry, Last
from nbflow.store.runs import NO_ID, Acceptance

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from nbflow.flow.views import FlowViews
    from nbflow.store import Row, Store

_AT_ONCE = 200


class Accepted(str):
    """A text that tells what was adopted. counts: how many results, by node."""

    __slots__ = ("counts",)
    counts: dict[str, int]

    def __new__(cls, counts: Mapping[str, int], lines: Iterable[str]) -> Accepted:
        text = super().__new__(cls, "\n".join(lines))
        text.counts = dict(counts)
        return text

    def __repr__(self) -> str:
        return str(self)


def accept(flow: FlowViews, nodes: Sequence[Node], parameters: Mapping[str, Any]) -> Accepted:
    """Adopts the old results of nodes, those further up first. Raises NotAccepted."""
    if not nodes:
        raise NotAccepted("accept: name the tasks whose old results are to stay, such as flow.accept('clean')")
    counts: dict[str, int] = {}
    lines: list[str] = []
    for node in (each for each in ancestors(list(nodes)) if each in nodes):
        explained = explain(open_workshop(ancestors([node]), flow.store, parameters, targets=[node]), flow.name)
        if counts and node in explained.rows and explained.rows[node].freshness is Freshness.FRESH:
            # By what was adopted above it.
            counts[node.name] = 0
            lines.append(f"{node.name}: fresh by that")
            continue
        taken, left, edit = Adoption(flow, explained, node).adopt()
        counts[node.name] = taken
        rest = f"; {left} of its elements have none and will run" if left else ""
        lines.append(
            f"{node.name}: {taken} result{'s' if taken != 1 else ''} adopted from before the edit ({edit}){rest}"
        )
    return Accepted(counts, lines)


class Adoption:
    """Adopts the old results of one node."""

    def __init__(self, flow: FlowViews, explained: Explanation, node: Node) -> None:
        self._flow = flow
        self._explained = explained
        self._workshop = explained.workshop
        self._store: Store = explained.workshop.store
        self._node = node

    def adopt(self) -> tuple[int, int, str]:
        """How many elements took their old results, how many have none, and what was edited. Raises NotAccepted."""
        started_ns = time.time_ns()
        before, prefix = self._before()
        missed = self._explained.found.missed[self._node]
        old_keys = self._workshop.resolver.keys_under(prefix, self._node, missed)
        taken = 0
        for at in range(0, len(missed), _AT_ONCE):
            taken += self._take(missed[at : at + _AT_ONCE], old_keys[at : at + _AT_ONCE])
        if not taken:
            raise NotAccepted(
                f"accept: the store has no result of {self._node.name!r} with these inputs from before the edit; "
                f"run it: flow.run(targets=[{self._node.name!r}])"
            )
        edit = "; ".join(reason.text for reason in self._explained.rows[self._node].reasons)
        self._note(before, started_ns, taken, edit)
        return taken, len(missed) - taken, edit

    def _before(self) -> tuple[Last, bytes]:
        """What the node was made of before the edit. Raises NotAccepted where old results cannot stand for new ones."""
        node, name = self._node, self._node.name
        if isinstance(node, Parameter) or node.task in DERIVED:
            raise NotAccepted(f"accept: {name!r} is no task, so it has no results of its own")
        if not self._workshop.resolver.keeps(node) or node.task.options.always:
            raise NotAccepted(f"accept: {name!r} keeps no results to reuse (cache=False or always=True)")
        self._check_upstreams()
        row = self._explained.rows[node]
        if row.freshness is Freshness.FRESH:
            raise NotAccepted(f"accept: {name!r} is {row.state} already; there is nothing to adopt")
        before = self._store.last(self._flow.name).get(name)
        prefix = None if before is None else prefix_of(before)
        if before is None or prefix is None:
            raise NotAccepted(f"accept: no earlier run of {name!r} is known in flow {self._flow.name!r}; run it")
        if node not in self._explained.found.missed:
            raise NotAccepted(f"accept: {name!r} cannot be looked at: {row.reasons[0].text}")
        changed = compare(_inputs(stored_parts(self._workshop, before)), _inputs(self._explained.causes.present(node)))
        if changed:
            raise NotAccepted(
                f"accept: the inputs of {name!r} are not what they were: "
                f"{'; '.join(reason.text for reason in changed)}. Old results stay only where inputs do; run it"
            )
        if prefix == self._workshop.resolver.recipe(node).prefix:
            told = "; ".join(reason.text for reason in row.reasons)
            raise NotAccepted(f"accept: {name!r} does not run because of an edit ({told}); run it")
        return before, prefix

    def _check_upstreams(self) -> None:
        rows = self._explained.rows
        above = (each for each in self._workshop.nodes if each is not self._node and each.task not in HIDDEN)
        for each in above:
            if each in rows and rows[each].freshness is not Freshness.FRESH:
                raise NotAccepted(
                    f"accept: {self._node.name!r} needs `{each.name}`, which is {rows[each].state}; run that first, "
                    f"or accept it: flow.accept({each.name!r}, {self._node.name!r})"
                )

    def _take(self, indices: Sequence[int], old_keys: Sequence[bytes]) -> int:
        rows = self._store.look_up(old_keys)
        entries: list[Entry] = []
        taken = 0
        for i, old_key in zip(indices, old_keys, strict=True):
            new_key = self._workshop.ledger.books[self._node].keys[i]
            row = self._workshop.resolver._valid(rows.get(old_key, ()), Found(self._node), i)
            if row is None or new_key is None:
                continue
            try:
                found = list(self._moved(row, old_key, new_key))
            except (DamagedEntry, NotStorable, LostValue):
                # It is made again, as any result that cannot be read.
                continue
            entries += found
            taken += 1
        self._store.put(entries)
        return taken

    def _moved(self, row: Row, old_key: bytes, new_key: bytes) -> Iterator[Entry]:
        """A result under its new key; of a loop each iteration that is known."""
        old_base, new_base, count = old_key, new_key, 1
        found: Row | None = row
        while found is not None:
            yield _entry(self._store, found, new_key)
            if found.kind != LOOP_STEP:
                return
            count += 1
            old_key, new_key = next_key(old_base, count, found.out), next_key(new_base, count, found.out)
            following = self._store.look_up([old_key]).get(old_key, ())
            found = self._workshop.resolver._valid(following, Found(self._node), 0)

    def _note(self, before: Last, started_ns: int, taken: int, edit: str) -> None:
        node, name = self._node, self._flow.name
        recipe = self._workshop.resolver.recipe(node)
        history = self._store.history
        history.accept(recipe.prefix, Acceptance(started_ns, taken, edit))
        keys = b"".join([key or NO_ID for key in self._workshop.ledger.books[node].keys])
        digest = xxh3_128_digest(b"accepted" + recipe.code.id + keys)
        last = Last(digest, recipe.code.id, (), keys, before.seconds, len(keys) // len(NO_ID))
        write_last(self._workshop, name, node, last, self._explained.causes)
        seconds = (time.time_ns() - started_ns) / 1e9
        self._store.add_run(flow=name, started_ns=started_ns, seconds=seconds, ran=0, reused=taken, failed=0)
        record = accepted_record(node, taken, recipe.code.id, f"accepted after an edit: {edit}")
        members = members_of(self._flow.graph)
        history.add(name, started_ns, [record], state="accepted", parameters={}, whole=False, members=members)
        self._store.flush()


def _entry(store: Store, row: Row, key: bytes) -> Entry:
    """A stored result as one under another key. Raises DamagedEntry, NotStorable."""
    return Entry(
        key=key,
        trace=row.trace,
        out=row.out,
        members=row.members,
        kind=row.kind,
        sealed=seal(store.load(row)),
        seconds=row.seconds,
        made_ns=row.made_ns,
        expires_ns=row.expires_ns,
        session=row.session,
        task=row.task,
        log=store.logs([row]).get((row.key, row.trace), ()),
    )


def _inputs(parts: Iterable[Any]) -> list[Any]:
    return [part for part in parts if part.kind in INPUT_KINDS and part.kind != "places"]
