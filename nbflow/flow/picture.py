"""Graph, plan and run as pictures: what is drawn, not how."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from nbflow.draw import Arrow, Box, Picture
from nbflow.model.node import DERIVED, Node, Parameter
from nbflow.model.state import State
from nbflow.probe.secrets import short_text

if TYPE_CHECKING:
    from nbflow.flow.finished import Run
    from nbflow.model.graph import Graph
    from nbflow.results.report import PlanRow

Describe = Callable[[Node], dict[str, Any]]


def flow_picture(graph: Graph, run: Run | None = None) -> Picture:
    """The flow as it stands; with states of its last run, where that knew the nodes."""
    return _picture(graph, _lasting(_run_state(run)) if run is not None else _plain)


def run_picture(run: Run) -> Picture:
    """The flow of a run with the states that the run left."""
    return _picture(run.graph, _run_state(run))


def plan_picture(graph: Graph, rows: Iterable[PlanRow]) -> Picture:
    """The flow with what is new, stale, fresh or not known yet."""
    by_name = {row.name: row for row in rows}

    def describe(node: Node) -> dict[str, Any]:
        row = by_name.get(node.name)
        if row is None:
            return {}
        detail = "; ".join(reason.text for reason in row.reasons)
        return {"state": row.freshness.label, "detail": detail} | (
            {"done": row.fresh, "total": row.count} if row.mapped and row.count is not None else {}
        )

    return _picture(graph, describe)


def _picture(graph: Graph, describe: Describe) -> Picture:
    nodes = list(graph.nodes.values())
    used = {up for node in nodes for up in node.upstreams} | set(graph.outputs.values())
    # A part that something uses is drawn as the label of the arrow to it.
    shown = [node for node in nodes if node.task not in DERIVED or node not in used]
    missing = dict.fromkeys(name for node in shown for name in node.missing)
    boxes = [Box(name=f"{name} (missing)", label=name, kind="missing") for name in missing]
    boxes += [_box(node, describe) for node in shown]
    arrows = dict.fromkeys(arrow for node in shown for arrow in _arrows(node))
    return Picture(name=graph.name, boxes=tuple(boxes), arrows=tuple(arrows))


def _box(node: Node, describe: Describe) -> Box:
    if isinstance(node, Parameter):
        label = node.name if node.required else f"{node.name} = {short_text(node.default_value, node.name, 24)}"
        return Box(name=node.name, label=label, kind="parameter")
    kind = "item" if node.task in DERIVED else "task"
    return Box(name=node.name, label=node.name, kind=kind, mapped=node.mapped, **describe(node))


def _arrows(node: Node) -> Iterator[Arrow]:
    for up in node.data:
        for source, label in _seen_through(up):
            mapped = node.mapped and source.mapped and source in node.aligned()
            yield Arrow(tail=source.name, head=node.name, label=label, mapped=mapped)
    for name in node.missing:
        yield Arrow(tail=f"{name} (missing)", head=node.name)
    for up in node.order:
        if up not in node.data:
            yield Arrow(tail=up.name, head=node.name, order=True)


def _seen_through(node: Node) -> Iterator[tuple[Node, str]]:
    """The nodes that a part was taken from, with the part as a label."""
    if node.task not in DERIVED:
        yield node, ""
        return
    for up in node.data:
        for source, label in _seen_through(up):
            yield source, label + node.part


def _lasting(describe: Describe) -> Describe:
    """States as a saved notebook shows them: that something was reused and not run is no lasting difference."""

    def lasting(node: Node) -> dict[str, Any]:
        described = describe(node)
        if described.get("state") in {"success", "cached"}:
            described["state"] = "fresh"
        return described

    return lasting


def _plain(node: Node) -> dict[str, Any]:
    return {}


def _run_state(run: Run) -> Describe:
    def describe(node: Node) -> dict[str, Any]:
        try:
            track = run.track(node)
        except KeyError:
            return {}
        error = run.error(node)
        described: dict[str, Any] = {"state": track.state().label}
        if error is not None:
            described["detail"] = f"{type(error).__name__}: {error}"
        if node.mapped and track.verdict is None and track.count is not None:
            counts = track.counts()
            described["done"] = counts.get(State.SUCCESS, 0) + counts.get(State.CACHED, 0)
            described["total"] = track.count
        return described

    return describe
