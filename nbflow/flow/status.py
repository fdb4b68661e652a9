"""How the nodes of a flow stand, at a glance: nothing large is hashed for it."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

from nbflow.engine.why import Reason
from nbflow.flow.explain import explain
from nbflow.flow.plans import Status
from nbflow.flow.workshop import open_workshop
from nbflow.lean import replace
from nbflow.model.node import DERIVED, Node, Parameter, ancestors
from nbflow.model.state import Freshness
from nbflow.probe.files import FILE, FileMark, StatMemo, stamp_of
from nbflow.results.report import PlanRow

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nbflow.flow.views import FlowViews

# Values and files above this many bytes are not hashed to tell how a node stands.
LARGE_BYTES = 50_000_000
_MOST_ITEMS = 1_000


def status_of(flow: FlowViews, parameters: Mapping[str, Any]) -> Status:
    """The status of all nodes of a flow; what depends on something large that may have changed is unknown."""
    nodes = ancestors(list(flow.graph.nodes.values()))
    unseen = _unseen(nodes, parameters)
    memo = Glance(flow.store.memo)
    workshop = open_workshop([node for node in nodes if node not in unseen], flow.store, parameters, memo=memo)
    found = {row.name: _unsure(row, memo) for row in explain(workshop, flow.name).visible()}
    rows = [
        found.get(node.name) or _unknown(node, unseen[node]) for node in nodes if node in unseen or node.name in found
    ]
    return Status([row for row in rows if row is not None])


class Glance(StatMemo):
    """Files as they are known; large ones of which only the stat is new are not read. unread: those."""

    def __init__(self, memo: StatMemo) -> None:
        super().__init__(lambda path: memo._known.get(path) or memo._load(path), lambda path, found: None, memo.salted)
        self.unread: set[str] = set()

    def mark(self, path: str) -> FileMark:
        stamp = stamp_of(path)
        if stamp is not None and stamp[0] > LARGE_BYTES:
            known = self._load(path)
            if known is None or not known.holds(stamp):
                self.unread.add(path)
                return FileMark(path, FILE, bytes(16))
        return super().mark(path)


def _unsure(row: PlanRow, memo: Glance) -> PlanRow:
    for path in (each.removeprefix(os.getcwd() + os.sep) for each in memo.unread):
        if any(f"file {path} " in reason.text for reason in row.reasons):
            reason = Reason(f"{path} is large and may have changed; flow.plan() reads it")
            return replace(row, freshness=Freshness.UNKNOWN, reasons=(reason,))
    return row


def _unknown(node: Node, why: str) -> PlanRow | None:
    if isinstance(node, Parameter) or node.task in DERIVED:
        return None
    return PlanRow(node.name, Freshness.UNKNOWN, 0, None, node.mapped, (Reason(why),), None)


def _unseen(nodes: list[Node], parameters: Mapping[str, Any]) -> dict[Node, str]:
    """The nodes that are not looked at, and why: what they get or reach is large, or what they need is."""
    unseen: dict[Node, str] = {}
    for node in nodes:
        name = next((name for name, value in _values(node, parameters) if _is_large(value)), None)
        above = next((up for up in node.upstreams if up in unseen), None)
        if name is not None:
            unseen[node] = f"`{name}` is large; flow.plan() looks at it"
        elif above is not None:
            unseen[node] = unseen[above]
    return unseen


def _values(node: Node, parameters: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What a node is given, and what its function reaches by name at once."""
    if isinstance(node, Parameter):
        yield node.name, parameters.get(node.name, node.default_value)
        return
    for argument in node.arguments:
        yield argument.name, argument.value if argument.items is None else argument.items.values
    code = getattr(node.task.fn, "__code__", None)
    space = getattr(node.task.fn, "__globals__", {})
    if code is None:
        return
    reached = {name: space[name] for name in code.co_names if name in space}
    for name, cell in zip(code.co_freevars, node.task.fn.__closure__ or (), strict=True):
        with contextlib.suppress(ValueError):
            # An empty cell: its variable has no value yet.
            reached[name] = cell.cell_contents
    yield from ((name, value) for name, value in reached.items() if name not in node.task.options.ignore)


def _is_large(value: Any) -> bool:
    if isinstance(value, (str, bytes, bytearray)):
        return len(value) > LARGE_BYTES
    if isinstance(value, (list, tuple)):
        return len(value) * 50 > LARGE_BYTES or (len(value) <= _MOST_ITEMS and any(map(_is_large_itself, value)))
    if isinstance(value, dict):
        return len(value) * 100 > LARGE_BYTES or (
            len(value) <= _MOST_ITEMS and any(map(_is_large_itself, value.values()))
        )
    return _is_large_itself(value)


def _is_large_itself(value: Any) -> bool:
    """Whether an array or a frame is large; anything else counts as small."""
    if isinstance(value, (Node, type)):
        return False
    size = getattr(value, "nbytes", None)
    if size is None and hasattr(value, "memory_usage") and hasattr(value, "columns"):
        size = int(value.memory_usage(index=True).sum())
    return isinstance(size, int) and size > LARGE_BYTES
