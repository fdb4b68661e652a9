"""`compare`: two runs of a flow, from the history and what the store still keeps of their values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbflow.engine.ledger import LostValue
from nbflow.errors import DamagedEntry, NotStorable, UnknownName
from nbflow.flow.pairing import Pairs, pair_named, pair_unnamed
from nbflow.flow.past import record_of_run
from nbflow.flow.remember import members_of
from nbflow.flow.standing import Standing, Standings
from nbflow.identity.value import ANONYMOUS
from nbflow.lean import dataclass
from nbflow.results.comparison import ADDED, CHANGED, REMOVED, SAME, UNKNOWN, Comparison, Moment, NodeComparison
from nbflow.results.differences import Difference, difference
from nbflow.store import VALUE
from nbflow.store.runs import ID_BYTES, NO_ID, NodeRecord, RunRecord

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nbflow.flow.finished import Run
    from nbflow.flow.views import FlowViews
    from nbflow.store import Store

# Elements of a mapped node whose values are loaded to tell how they differ.
_MOST_ELEMENTS = 3
_MOST_NAMED = 10
_GONE = object()


def compare_runs(flow: FlowViews, run_a: Run | int | None, run_b: Run | int | None) -> Comparison:
    """What run_b gave differently from run_a. Raises UnknownName."""
    if run_b is not None and run_a is None:
        raise UnknownName("compare: run_b is given and run_a is not; give both, or only run_a")
    differs = True
    if run_b is not None and run_a is not None:
        before, after = _Side.of(flow, run_a), _Side.of(flow, run_b)
    else:
        past = Standings(flow)
        count = len(past.runs)
        if count < (2 if run_a is None else 1):
            raise UnknownName(f"compare: flow {flow.name!r} has {count} run{'s' * (count != 1)}; two are needed")
        if run_a is not None:
            before, after = _Side.of(flow, run_a), _Side.of(flow, past.runs[-1].id)
        else:
            then, now, differs = past.last_change()
            before, after = _Side(then, flow.store), _Side(now, flow.store)
    names = [*after.nodes, *(name for name in before.nodes if name not in after.nodes)]
    if run_b is None:
        # It is compared with the present: what left the flow since is no part of it, nor what left without a result.
        present = {*members_of(flow.graph)}
        names = [name for name in names if name in present or (name not in after.nodes and _gave(before.nodes[name]))]
    nodes = {name: _node(name, before, after) for name in names}
    newest = flow.store.history.runs(flow.name)[-1].id
    return Comparison(before.moment(newest), after.moment(newest), nodes, unchanged=not differs)


@dataclass(slots=True)
class _Side:
    """One of the two runs. live: the Run itself, where there is one."""

    standing: Standing
    store: Store
    live: Run | None = None

    @classmethod
    def of(cls, flow: FlowViews, run: Run | int) -> _Side:
        live = None if isinstance(run, int) else run
        owner = flow if live is None else live.flow
        number = run if isinstance(run, int) else run.id
        if number is None:
            raise UnknownName(f"compare: that run of flow {owner.name!r} is kept no more; see flow.history()")
        return cls(Standings(owner).at(record_of_run(owner, number)), owner.store, live)

    @property
    def run(self) -> RunRecord:
        return self.standing.run

    @property
    def nodes(self) -> Mapping[str, NodeRecord]:
        return self.standing.nodes

    def moment(self, newest: int) -> Moment:
        """Which run it is, and when; newest: the number of the flow's last run."""
        return Moment(self.run.id, self.run.started_ns, now=self.run.id == newest)

    def knows(self, name: str) -> bool:
        """Whether the flow had a node then that had not run yet."""
        return self.standing.members is not None and name in self.standing.members

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


def _gave(record: NodeRecord) -> bool:
    """Whether a node had a value in a run."""
    return any(out != NO_ID for out in _ids(record.outs))


def _node(name: str, before: _Side, after: _Side) -> NodeComparison:
    old, new = before.nodes.get(name), after.nodes.get(name)
    if old is None or new is None:
        known = before.knows(name) if old is None else after.knows(name)
        output = UNKNOWN if known else ADDED if old is None else REMOVED
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
    """Of the elements that differ only the first are looked into."""
    olds, news = _ids(old.outs), _ids(new.outs)
    pairs = _pairs(old, new)
    lines = [f"{len(olds)} → {len(news)} elements"] if len(olds) != len(news) else []
    for what, places, record in (("went away", pairs.gone, old), ("came", pairs.come, new)):
        if places:
            lines.append(f"{_elements(len(places))} {what}: {_listed(record, places)}")
    differ = [(i, j) for i, j in pairs.both if i < len(olds) and j < len(news) and olds[i] != news[j]]
    changed = [(i, j) for i, j in differ if NO_ID not in {olds[i], news[j]}]
    ended = [j for i, j in differ if NO_ID in {olds[i], news[j]}]
    differences = {j: _difference(before, after, old, new, i, j) for i, j in changed[:_MOST_ELEMENTS]}
    if changed:
        places = [j for _, j in changed]
        lines.append(f"{len(changed)} of {_elements(len(news))} changed: {_listed(new, places)}")
        told = {_element(new, j): found for j, found in differences.items()}
        lines += [f"{element}{':' * bool(new.names)} {line}" for element, found in told.items() for line in found.lines]
    if ended:
        how = f"{len(ended)} of {_elements(len(news))} have a result in only one of the runs"
        lines.append(f"{how}: {_listed(new, ended)}")
    if not lines and olds != news:
        lines.append("the same elements in another order")
    if not lines:
        # Elements without a result in both.
        return NodeComparison(name, old.state, new.state, SAME if old.outs else UNKNOWN)
    return NodeComparison(name, old.state, new.state, CHANGED, tuple(lines), differences)


def _pairs(old: NodeRecord, new: NodeRecord) -> Pairs:
    if old.names and new.names:
        return pair_named(old.names, new.names)
    if old.code == new.code:
        return pair_unnamed(_ids(old.keys), _ids(new.keys))
    # Other code has other keys; what stayed the same has the same output.
    return pair_unnamed(_ids(old.outs), _ids(new.outs))


def _difference(before: _Side, after: _Side, old: NodeRecord, new: NodeRecord, i: int, j: int) -> Difference:
    was, now = before.value(old, i), after.value(new, j)
    if was is _GONE or now is _GONE:
        which = "of both runs is" if was is now else f"of run {(before if was is _GONE else after).run.id} is"
        return Difference([f"the value {which} no longer kept"])
    if any(_at(each.outs, at).startswith(ANONYMOUS) for each, at in ((old, i), (new, j))):
        return Difference([f"a {type(now).__name__}, which has no identity: each run makes another"])
    return difference(was, now)


def _elements(count: int) -> str:
    return f"{count} element{'s' * (count != 1)}"


def _listed(record: NodeRecord, places: list[int]) -> str:
    shown = ", ".join(_element(record, place) for place in places[:_MOST_NAMED])
    return shown + (", …" if len(places) > _MOST_NAMED else "")


def _element(record: NodeRecord, place: int) -> str:
    return record.names[place] if record.names else f"[{place}]"


def _ids(ids: bytes) -> list[bytes]:
    return [ids[at : at + ID_BYTES] for at in range(0, len(ids), ID_BYTES)]


def _at(ids: bytes, index: int) -> bytes:
    return ids[index * ID_BYTES : (index + 1) * ID_BYTES]
