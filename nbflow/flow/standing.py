"""How the nodes of a flow stood at the end of each kept run, and which two runs tell what changed last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow.lean import dataclass
from nbflow.results.report import is_visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nbflow.flow.views import FlowViews
    from nbflow.model.node import Node
    from nbflow.store.runs import NodeRecord, RunRecord


@dataclass(frozen=True, slots=True)
class Standing:
    """How the nodes stood at the end of a run. What took no part in it stands as it did before.

    since: by name the run that a node took part in last; members: the names of all that the flow had, None where that
    is not known.
    """

    run: RunRecord
    nodes: Mapping[str, NodeRecord]
    since: Mapping[str, RunRecord]
    members: frozenset[str] | None


class Standings:
    """The standings of one flow. runs: those that are kept, the oldest first, without what was accepted."""

    def __init__(self, flow: FlowViews) -> None:
        self._flow = flow
        self._history = flow.store.history
        self.runs = [run for run in self._history.runs(flow.name) if run.state != "accepted"]

    def at(self, run: RunRecord) -> Standing:
        """How the nodes stood at the end of a run."""
        members = self._history.members(run)
        nodes: dict[str, NodeRecord] = {}
        since: dict[str, RunRecord] = {}
        for each in reversed(self.runs):
            if each.id > run.id:
                continue
            for name, node in self._history.nodes(each).items():
                # What was removed from the flow since took part in earlier runs all the same.
                if name not in nodes and (members is None or name in members or each is run):
                    nodes[name], since[name] = node, each
            if each.whole or (members is not None and members <= nodes.keys()):
                break
        return Standing(run, nodes, since, members)

    def last_change(self) -> tuple[Standing, Standing, bool]:
        """The last run, and the last before it that left other outputs; whether there is one, else the run before.

        The middle of an update, where cells ran one after the other, counts only where nothing else differs.
        """
        now = self.at(self.runs[-1])
        names = [node.name for node in self._flow.graph.nodes.values() if is_visible(node)]
        middle: Standing | None = None
        for run in reversed(self.runs[:-1]):
            then = self.at(run)
            if not _differ(then, now, names):
                if middle is not None:
                    break
            elif self._is_consistent(then):
                return then, now, True
            else:
                middle = middle or then
        return middle or self.at(self.runs[-2]), now, middle is not None

    def _is_consistent(self, then: Standing) -> bool:
        """Whether no node had got another output since what needs it ran."""
        graph = self._flow.graph
        for name, run in then.since.items():
            took = self._history.nodes(run)
            for up in _upstreams(graph.nodes[name]) if name in graph.nodes else ():
                if up in took and up in then.nodes and took[up].outs != then.nodes[up].outs:
                    return False
        return True


def _differ(then: Standing, now: Standing, names: list[str]) -> bool:
    both = [name for name in names if name in then.nodes and name in now.nodes]
    return any(then.nodes[name].outs != now.nodes[name].outs for name in both)


def _upstreams(node: Node) -> Iterator[str]:
    """The names of the nodes that a node needs, as users know them."""
    for up in node.upstreams:
        if is_visible(up):
            yield up.name
        else:
            yield from _upstreams(up)
