"""`compare`: two runs of a flow, from the history and what the store still keeps of their values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nbflow.engine.keying import ANONYMOUS
from nbflow.engine.ledger import LostValue
from nbflow.errors import DamagedEntry, NotStorable, UnknownName
from nbflow.flow.past import record_of_run
from nbflow.results.comparison import ADDED, CHANGED, REMOVED, SAME, UNKNOWN, Comparison, NodeComparison
from nbflow.results.differences import Difference, difference
from nbflow.store import VALUE
from nbflow.store.runs import ID_BYTES, NO_ID, NodeRecord, RunRecord

if TYPE_CHECKING:
    from nbflow.flow.finished import Run
    from nbflow.flow.front import Flow
    from nbflow.store import Store

# Elements of a mapped node whose values are loaded to tell how they differ.
_MOST_ELEMENTS = 3
_MOST_NAMED = 10
_GONE = object()


def compare_runs(flow: Flow, run_a: Run | int | None, run_b: Run | int | None) -> Comparison:
    """What run_b gave differently from run_a. Raises UnknownName."""
    if run_b is None:
        runs = [run for run in flow.store.history.runs(flow.name) if run.state != "accepted"]
        if len(runs) < (2 if run_a is None else 1):
            raise UnknownName(
                f"compare: flow {flow.name!r} has {len(runs)} run{'s' * (len(runs) != 1)}; two are needed"
            )
        before = _Side.of(flow, run_a if run_a is not None else runs[-2].id)
        after = _Side.of(flow, runs[-1].id)
    else:
        if run_a is None:
            raise UnknownName("compare: run_b is given and run_a is not; give both, or only run_a")
        before, after = _Side.of(flow, run_a), _Side.of(flow, run_b)
    names = [*after.nodes, *(name for name in before.nodes if name not in after.nodes)]
    nodes = {name: _node(name, before, after) for name in names}
    return Comparison(before.run.id, after.run.id, nodes)


@dataclass(slots=True)
class _Side:
    """One of the two runs. nodes: how each stood at its end; live: the Run itself, where there is one."""

    run: RunRecord
    nodes: dict[str, NodeRecord]
    store: Store
    live: Run | None = None

    @classmethod
    def of(cls, flow: Flow, run: Run | int) -> _Side:
        live = None if isinstance(run, int) else run
        owner = flow if live is None else live.flow
        number = run if isinstance(run, int) else run.id
        if number is None:
            raise UnknownName(f"compare: that run of flow {owner.name!r} is kept no more; see flow.history()")
        record = record_of_run(owner, number)
        return cls(record, _standing(owner, record), owner.store, live)

    def value(self, record: NodeRecord, index: int) -> Any:
        """An element's value; _GONE where it is kept no more."""
        if self.live is not None and any(node.name == record.node for node in self.live.graph.nodes.values()):
            try:
                return self.live.ledger.value(self.live.graph.nodes[record.node], index)
            except (LostValue, KeyError, IndexError):
                # Not of this run's nodes, or not in memory: the store may have it.
                pass
        key, out = _at(record.keys, index), _at(record.outs, index)
        rows = self.store.look_up([key]).get(key, [])
        row = next((row for row in rows if row.out == out and row.kind == VALUE), None)
        try:
            return _GONE if row is None else self.store.load(row)
        except (DamagedEntry, NotStorable):
            return _GONE


def _standing(flow: Flow, record: RunRecord) -> dict[str, NodeRecord]:
    """How the nodes stood at the end of a run; what took no part in one of chosen nodes stood as before."""
    history = flow.store.history
    found: dict[str, NodeRecord] = {}
    for run in reversed(history.runs(flow.name)):
        if run.id > record.id or run.state == "accepted":
            continue
        for name, node in history.nodes(run).items():
            found.setdefault(name, node)
        if run.whole:
            break
    return found


def _node(name: str, before: _Side, after: _Side) -> NodeComparison:
    old, new = before.nodes.get(name), after.nodes.get(name)
    if old is None or new is None:
        output = ADDED if old is None else REMOVED
        return NodeComparison(name, "" if old is None else old.state, "" if new is None else new.state, output)
    if old.outs == new.outs and NO_ID not in _ids(new.outs):
        return NodeComparison(name, old.state, new.state, SAME)
    if not old.mapped and not new.mapped:
        return _single(name, before, after, old, new)
    return _mapped(name, before, after, old, new)


def _single(name: str, before: _Side, after: _Side, old: NodeRecord, new: NodeRecord) -> NodeComparison:
    if NO_ID in {old.outs, new.outs} or not (old.outs and new.outs):
        lines = tuple(dict.fromkeys(each.error for each in (old, new) if each.error))
        return NodeComparison(name, old.state, new.state, UNKNOWN, lines)
    found = _difference(before, after, old, new, 0, 0)
    return NodeComparison(name, old.state, new.state, CHANGED, tuple(found.lines), {0: found})


def _mapped(name: str, before: _Side, after: _Side, old: NodeRecord, new: NodeRecord) -> NodeComparison:
    """Elements are told apart by where they stand; only the first that differ are looked into."""
    olds, news = _ids(old.outs), _ids(new.outs)
    lines: list[str] = []
    if len(olds) != len(news):
        lines.append(f"{len(olds)} → {len(news)} elements")
    pairs = [(i, a, b) for i, (a, b) in enumerate(zip(olds, news, strict=False)) if a != b]
    if pairs and sorted(olds) == sorted(news):
        return NodeComparison(name, old.state, new.state, CHANGED, ("the same elements in another order",))
    changed = [i for i, a, b in pairs if NO_ID not in {a, b}]
    ended = [i for i, a, b in pairs if NO_ID in {a, b}]
    differences = {i: _difference(before, after, old, new, i, i) for i in changed[:_MOST_ELEMENTS]}
    if changed:
        lines.append(f"{len(changed)} of {len(news)} elements changed: {_positions(changed)}")
        lines += [f"[{i}] {line}" for i, found in differences.items() for line in found.lines]
    if ended:
        lines.append(f"{len(ended)} of {len(news)} elements have a result in only one of the runs: {_positions(ended)}")
    if not lines:
        # Elements without a result in both.
        return NodeComparison(name, old.state, new.state, SAME if old.outs else UNKNOWN)
    return NodeComparison(name, old.state, new.state, CHANGED, tuple(lines), differences)


def _difference(before: _Side, after: _Side, old: NodeRecord, new: NodeRecord, i: int, j: int) -> Difference:
    was, now = before.value(old, i), after.value(new, j)
    if was is _GONE or now is _GONE:
        which = "of both runs is" if was is now else f"of run {(before if was is _GONE else after).run.id} is"
        return Difference([f"the value {which} no longer kept"])
    if any(_at(each.outs, at).startswith(ANONYMOUS) for each, at in ((old, i), (new, j))):
        return Difference([f"a {type(now).__name__}, which has no identity: each run makes another"])
    return difference(was, now)


def _positions(places: list[int]) -> str:
    shown = ", ".join(f"[{i}]" for i in places[:_MOST_NAMED])
    return shown + (", …" if len(places) > _MOST_NAMED else "")


def _ids(ids: bytes) -> list[bytes]:
    return [ids[at : at + ID_BYTES] for at in range(0, len(ids), ID_BYTES)]


def _at(ids: bytes, index: int) -> bytes:
    return ids[index * ID_BYTES : (index + 1) * ID_BYTES]
