"""Graph, plan and run as pictures: what is drawn, not how."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from nbflow.draw import Arrow, Box, Picture
from nbflow.flow.glance import source_of
from nbflow.flow.unrun import broken_text
from nbflow.lean import replace
from nbflow.model.node import GATE, HIDDEN, MERGE, RESOURCE, Node, Parameter
from nbflow.model.state import State
from nbflow.probe.secrets import error_text, short_text
from nbflow.results.report import FAILED_LAST_TIME

if TYPE_CHECKING:
    from nbflow.flow.finished import Run
    from nbflow.model.graph import Graph
    from nbflow.results.report import PlanRow

Describe = Callable[[Node], dict[str, Any]]


def flow_picture(graph: Graph, run: Run | None = None, rows: Iterable[PlanRow] = ()) -> Picture:
    """The flow as it stands; with states of its last run, where that knew the nodes. rows: how the others stand."""
    if run is None:
        return _picture(graph, _plain)
    lasting, planned = _lasting(_run_state(run)), _planned(rows)
    picture = _picture(graph, lambda node: lasting(node) if run.takes_part(node) else planned(node), run.parameters)
    return _with_children(replace(picture, caption=_caption(run)), run, lasting=True)


def run_picture(run: Run) -> Picture:
    """The flow of a run with the states that the run left."""
    picture = replace(_picture(run.graph, _run_state(run), run.parameters), caption=_caption(run))
    return _with_children(picture, run, lasting=False)


def _caption(run: Run) -> str:
    """What stands below the picture of a run that an error of its own has ended."""
    return "" if run.broken is None else f"the run ended with an error: {broken_text(run)}"


def live_picture(run: Run) -> Picture:
    """The flow of a run as it begins: all that will have a state waits, with room for counts not known yet."""
    with_room = {"state": State.PENDING.label, "done": 8888, "total": 8888}

    def describe(node: Node) -> dict[str, Any]:
        if not run.takes_part(node):
            return {}
        return with_room if node.mapped else {"state": State.PENDING.label}

    return _with_children(_picture(run.graph, describe, run.parameters), run, lasting=False)


def plan_picture(graph: Graph, rows: Iterable[PlanRow]) -> Picture:
    """The flow with what is new, stale, fresh or not known yet."""
    return _picture(graph, _planned(rows))


def _planned(rows: Iterable[PlanRow]) -> Describe:
    by_name = {row.name: row for row in rows}

    def describe(node: Node) -> dict[str, Any]:
        row = by_name.get(node.name)
        if row is None:
            return {}
        detail = "; ".join(reason.text for reason in row.reasons)
        if row.failed:
            detail = "; ".join(filter(None, (FAILED_LAST_TIME, detail)))
        return {"state": State.FAILED.label if row.failed else row.state, "detail": detail} | (
            {"done": row.fresh, "total": row.count} if row.mapped and row.count is not None else {}
        )

    return describe


def _picture(graph: Graph, describe: Describe, given: Mapping[str, Any] = MappingProxyType({})) -> Picture:
    """given: the values of parameters, where they are not the defaults."""
    nodes = list(graph.nodes.values())
    used = {up for node in nodes for up in node.data} | set(graph.outputs.values())
    # A part that something uses is drawn as the label of the arrow to it.
    shown = [node for node in nodes if node.task not in HIDDEN or (node.task is not GATE and node not in used)]
    missing = dict.fromkeys(name for node in shown for name in node.missing)
    boxes = [Box(name=f"{name} (missing)", label=name, kind="missing") for name in missing]
    captured = {name: label for node in shown for name, label in node.captured.items()}
    boxes += [Box(name=f"{name} (input)", label=label, kind="input") for name, label in captured.items()]
    boxes += [_box(node, describe, given) for node in shown]
    arrows = dict.fromkeys(arrow for node in shown for arrow in _arrows(node))
    arrows.update(dict.fromkeys(loop for node in shown if (loop := _loop(node, describe)) is not None))
    return Picture(name=graph.name, boxes=tuple(boxes), arrows=tuple(arrows))


def _box(node: Node, describe: Describe, given: Mapping[str, Any]) -> Box:
    cluster = (*node.cluster, *(up.name for up in node.resources))
    if isinstance(node, Parameter):
        value = given.get(node.name, node.default_value)
        label = node.name if value is ... else f"{node.name} = {short_text(value, node.name, 24)}"
        return Box(name=node.name, label=label, kind="parameter", cluster=cluster)
    described = {key: value for key, value in describe(node).items() if key != "loops"}
    if node.task is RESOURCE:
        cluster = (*cluster, node.name)
    kind = {MERGE: "merge", RESOURCE: "resource"}.get(node.task, "item" if node.task in HIDDEN else "task")
    source = source_of(node) if kind == "task" else ""
    return Box(
        name=node.name, label=node.name, kind=kind, mapped=node.mapped, source=source, cluster=cluster, **described
    )


def _arrows(node: Node) -> Iterator[Arrow]:
    branch = dict(_branch(node))
    for up in node.data:
        for source, label in _seen_through(up):
            mapped = node.mapped and source.mapped and source in node.aligned()
            case = branch.pop(source, "")
            yield Arrow(tail=source.name, head=node.name, label=" ".join(filter(None, (label, case))), mapped=mapped)
    for source, case in branch.items():
        yield Arrow(tail=source.name, head=node.name, label=case, mapped=node.mapped and source.mapped)
    for name in node.missing:
        yield Arrow(tail=f"{name} (missing)", head=node.name)
    for name in node.captured:
        yield Arrow(tail=f"{name} (input)", head=node.name)
    for up in node.order:
        if up not in node.data:
            yield Arrow(tail=up.name, head=node.name, order=True)


def _branch(node: Node) -> Iterator[tuple[Node, str]]:
    """What decides the branch that a node begins: one that follows another of the same branch needs no arrow."""
    gate = node.gate
    if gate is None or any(up.gate is gate and up.task is not GATE for up in (*node.data, *node.order)):
        return
    for source, label in _seen_through(gate.source):
        yield source, f"{label} {gate.label}".strip()


def _loop(node: Node, describe: Describe) -> Arrow | None:
    """An arrow of a task onto itself, with the number of iterations."""
    count = describe(node).get("loops") if not isinstance(node, Parameter) else None
    options = node.task.options
    if count is None and isinstance(options.loop_times, (int, Node)):
        count = options.loop_times.name if isinstance(options.loop_times, Node) else options.loop_times
    elif count is None and options.loop_while is not None:
        count = "while …"
    if count is None:
        return None
    label = f"×{count}" if not isinstance(count, str) or count.isidentifier() else count
    return Arrow(tail=node.name, head=node.name, label=label)


def _seen_through(node: Node) -> Iterator[tuple[Node, str]]:
    """The nodes that a part was taken from, with the part as a label."""
    if node.task not in HIDDEN or isinstance(node, Parameter):
        yield node, ""
        return
    for up in node.data:
        for source, label in _seen_through(up):
            yield source, label + node.part


def _with_children(picture: Picture, run: Run, *, lasting: bool) -> Picture:
    """The picture with what running tasks made: a frame for each of them, with one box a task."""
    boxes, arrows = list(picture.boxes), dict.fromkeys(picture.arrows)
    groups = run.groups()
    homes = {node: group for group in groups for node in group.nodes}
    for group in groups:
        total = len(group.nodes)
        state, done = group.state(run.track)
        mapped = total > 1
        boxes.append(
            Box(
                name=group.name,
                label=group.task,
                kind="task",
                state="fresh" if lasting and state.successful else state.label,
                mapped=mapped,
                done=done if mapped else None,
                total=total if mapped else None,
                cluster=(*group.maker.cluster, f"made by {group.maker.name}"),
            )
        )
        sources = dict.fromkeys(homes[up].name for node in group.nodes for up in node.data if up in homes)
        for tail in sources:
            if tail != group.name:
                arrows[Arrow(tail=tail, head=group.name)] = None
        if not sources or set(sources) == {group.name}:
            arrows[Arrow(tail=group.maker.name, head=group.name, order=True)] = None
    return replace(picture, boxes=tuple(boxes), arrows=tuple(arrows))


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
            described["detail"] = error_text(error)
        loops = run.loops(node)
        if loops:
            described["loops"] = loops
        if node.mapped and track.verdict is None and track.count is not None:
            counts = track.counts()
            described["done"] = counts.get(State.SUCCESS, 0) + counts.get(State.CACHED, 0)
            described["total"] = track.count
        return described

    return describe
