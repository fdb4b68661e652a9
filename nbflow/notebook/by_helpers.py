"""Outputs that tasks read by their helpers: a run finds them in the namespace, where they count like any global."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow.model.state import Freshness
from nbflow.notebook.reach import names_reached_from

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from nbflow.flow.front import Flow
    from nbflow.notebook.declarations import Declared
    from nbflow.notebook.session import Session


class ByHelpers:
    """Puts such outputs into the namespace, as those that a plain cell reads are."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._preparing: set[str] = set()

    def bring(self, names: Sequence[str] | None) -> bool:
        """Brings up to date what the named tasks (default: all) read so; tells whether there is any."""
        graph = self._session.flow.graph
        wanted = graph.needed([graph[name] for name in names] if names is not None else graph.nodes.values())
        needed = self._read_by(d for d in self._session.in_order() if self._session.node_of(d) in wanted)
        needed -= self._preparing
        if not needed:
            return False
        # One after the other: each may itself read others so.
        for name in sorted(needed):
            self._preparing.add(name)
            try:
                self._session.publish([name])
            finally:
                self._preparing.remove(name)
        return True

    def as_in_a_run(self) -> Flow:
        """The flow as it is declared now, with those of them that are fresh as a run finds them. Runs nothing."""
        flow = self._session.build()
        left = self._read_by(self._session.in_order())
        # What is stale is not there yet when a run comes to it, nor is what reads that.
        while stale := (left - self._ready(left)) & self._session.published.names():
            self._session.published.drop(stale)
            flow = self._session.build()
        while ready := self._ready(left):
            found = flow.run(targets=[self._session.output_node(name) for name in ready], dry=True)
            for name in ready:
                self._session.published.put(name, self._session.output_node(name), found)
            left -= ready
            flow = self._session.build()
        return flow

    def _ready(self, names: Collection[str]) -> set[str]:
        """Those of them that are fresh, as far as the namespace tells now."""
        if not names:
            return set()
        makers = {name: self._session.maker_node(name).name for name in names}
        rows = self._session.flow.plan(list(set(makers.values()))).rows
        fresh = {row.name for row in rows if row.freshness is Freshness.FRESH}
        return {name for name, maker in makers.items() if maker in fresh}

    def _read_by(self, readers: Iterable[Declared]) -> set[str]:
        """The outputs of other tasks that tasks read by helpers, or in texts such as `frame.query("n > @k")`.

        A text may hold the name of what is made behind the task, by chance: the task finds no value under it.
        """
        session, found, behind = self._session, set[str](), set[str]()
        for declared in readers:
            reached = names_reached_from(declared.built.functions, session.namespace) & session.outputs()
            reached -= {*declared.built.outputs, *declared.built.all_inputs}
            node = session.node_of(declared)
            later = {name for name in reached if node in session.flow.graph.needed([session.output_node(name)])}
            found |= reached - later
            behind |= later
        session.published.drop(behind)
        return found - behind
