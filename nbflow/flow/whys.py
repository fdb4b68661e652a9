"""The text of `why`: of a node or an element, before a run and after it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbflow.engine.why import Reason
from nbflow.errors import UnknownName, in_words, nearest
from nbflow.flow.explain import undecided
from nbflow.flow.naming import Names, names_of, places_by_value
from nbflow.flow.origin import origin_of
from nbflow.flow.unrun import why_not_run, why_skipped
from nbflow.model.state import Freshness, State
from nbflow.results.frame import index_of
from nbflow.results.report import shared_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nbflow.engine.ledger import Ledger
    from nbflow.flow.explain import Explanation
    from nbflow.flow.finished import Run
    from nbflow.model.node import Node

# What a text says of a result that is still good.
_SAME = "code, inputs and files {are} the same as when it ran"
_MOST_ROOTS = 3
_MOST_PLACES = 10


class Why(str):
    """A text that shows itself with its line breaks. full: the same with diffs at full length."""

    __slots__ = ("full",)
    full: str

    def __new__(cls, head: str, reasons: Sequence[Reason]) -> Why:
        text = super().__new__(cls, _text(head, reasons))
        text.full = _text(head, reasons, limit=None)
        return text

    def __repr__(self) -> str:
        return str(self)


def _text(head: str, reasons: Sequence[Reason], **limit: None) -> str:
    lines = [f"  {line}" for reason in reasons for line in reason.lines(**limit)]
    return "\n".join([f"{head}:" if lines and ": " not in head else head, *lines])


def why_planned(explained: Explanation, node: Node, element: Any = None, last_run: Run | None = None) -> Why:
    """Why a node or an element of it would run now, or where its result comes from. Raises UnknownName."""
    row = explained.rows[node]
    if element is not None:
        return _element_planned(explained, node, element)
    head = f"{row.name} is {row.state}"
    if row.mapped and row.count:
        head += f" ({row.fresh} of {row.count} elements are fresh)"
    if row.freshness is not Freshness.FRESH or row.skipped:
        return Why(head, [*row.reasons, *_because(explained, node)])
    made = origin_of(explained.workshop, explained.causes, node, range(row.count or 0))
    ran = last_run.reasons.get(row.name, []) if last_run is not None else []
    if ran and last_run is not None and _made_in(explained, node, last_run):
        made = [*made, Reason("it ran in the last run because:"), *ran]
    return Why(f"{head}: {_SAME.format(are='are')}", made)


def _made_in(explained: Explanation, node: Node, run: Run) -> bool:
    """Whether what is reused was made in that run, by the present code."""
    workshop = explained.workshop
    if workshop.store.history.accepted(workshop.resolver.recipe(node).prefix) is not None:
        return False
    return any(row is not None and row.made_ns >= run.started_ns for row in workshop.ledger.books[node].rows)


def _element_planned(explained: Explanation, node: Node, element: Any) -> Why:
    workshop, found = explained.workshop, explained.found
    track = workshop.machine.tracks[node]
    index = position_of(node, workshop.ledger, track.count, element)
    name = f"{node.name}[{element!r}]"
    if index in found.refused.get(node, {}):
        return Why(f"{name} cannot run", [Reason(str(found.refused[node][index]))])
    if index in found.missed.get(node, ()):
        reasons = explained.causes.of(node, [index], found.stale.get(node, {}), one=True)
        return Why(f"{name} is {Freshness.STALE.label}", reasons)
    state = State(track.states[index])
    if state is State.CACHED:
        return Why(
            f"{name} is {Freshness.FRESH.label}: {_SAME.format(are='are')}",
            origin_of(workshop, explained.causes, node, [index]),
        )
    if state is State.SKIPPED:
        return Why(f"{name} is {state.label}", [Reason("its branch is not taken, or what it needs is skipped")])
    waits = [Reason("it depends on what is not known yet")]
    return Why(f"{name} is {Freshness.UNKNOWN.label}", list(_because(explained, node)) or waits)


def why_ran(run: Run, node: Node, element: Any = None) -> Why:
    """Why a node or an element of it ran in a run, was reused, failed, or did neither. Raises UnknownName."""
    track = run.track(node)
    index = None if element is None else position_of(node, run.ledger, track.count, element)
    name = node.name if index is None else f"{node.name}[{element!r}]"
    state = track.state() if index is None else State(track.column(index + 1)[index])
    shared = run.shared(node)
    if index in shared:
        return Why(
            f"{name} has the same input as {node.name}[{shared[index]}], which ran and gave its result to both", []
        )
    if node.maker is not None and state is State.SUCCESS:
        return Why(f"{name} ran", [Reason(f"`{node.maker.name}` made it, and the store had no result of it to reuse")])
    if node.mapped and not track.states and state is State.SUCCESS:
        return Why(f"{name} had nothing to do: it is mapped over nothing", [])
    if state is State.CACHED or (index is None and state is State.SUCCESS and node.name not in run.reasons):
        made = range(track.count or 0) if index is None else [index]
        return Why(f"{name} was reused: {_SAME.format(are='were')}", run.origin(node, made))
    if state is State.SKIPPED:
        return Why(f"{name} was skipped", [Reason(why_skipped(run, node))])
    if state is State.TRIGGER_FAILED:
        return Why(f"{name} did not run", [Reason(f"because {why_not_run(run, node)}")])
    if state is State.PAUSED:
        return Why(f"{name} waits for approval", [Reason(f"flow.run(approve=[{node.name!r}]) lets it run")])
    if index is None:
        reasons = list(run.reasons.get(node.name, []))
    else:
        reasons = run.causes.of(node, [index], run.stale.get(node, {}), one=True) if run.causes is not None else []
    if index is None and shared:
        reasons.append(Reason(f"{shared_text(len(shared))}, and took its result"))
    error = run.error(node, index)
    if state is State.FAILED and error is not None:
        reasons.append(Reason(f"it failed: {in_words(error)}"))
    return Why(f"{name} {_VERBS.get(state, state.label)}", reasons or [Reason("it was stopped before it began")])


def position_of(node: Node, ledger: Ledger, count: int | None, element: Any) -> int:
    """The position of an element, by its label, its number, or a value that it alone is mapped over.

    A path is named by its last part, too: `Oslo.csv`. Raises UnknownName.
    """
    if not node.mapped:
        raise UnknownName(f"{node.name!r} is not mapped, so it has no element {element!r}; leave element= out")
    if count is None:
        raise UnknownName(f"the elements of {node.name!r} are not known yet; run what it is mapped over first")
    labels = labels_of(node, ledger, count)
    if element in labels:
        return labels.index(element)
    as_text = [str(label) for label in labels]
    labelled = index_of(node, ledger) is not None
    if labelled and element in as_text:
        return as_text.index(element)
    if isinstance(element, int) and -count <= element < count:
        return element % count
    places = places_by_value(node, ledger, count, element)
    if len(places) == 1:
        return places[0]
    if places:
        numbers = ", ".join(map(str, places[:_MOST_PLACES])) + (", …" if len(places) > _MOST_PLACES else "")
        raise UnknownName(f"{len(places)} elements of {node.name!r} are {element!r}: give one by its number: {numbers}")
    if labelled:
        raise UnknownName(f"{node.name!r} has no element {element!r}" + nearest(str(element), as_text))
    raise UnknownName(
        f"{node.name!r} has no element {element!r}; its {count} elements are numbered from 0"
        + _likely(str(element), names_of(node, ledger, count))
    )


def _likely(element: str, names: Names) -> str:
    """The end of a message that proposes the element that was probably meant."""
    import difflib

    values = {name: name.partition("=")[2].strip("'\"") or name for name in names}
    written = {part: name for name, value in values.items() for part in (name, value, value.rpartition("/")[2])}
    close = difflib.get_close_matches(element, written, n=1)
    return f"; did you mean {written[close[0]]}?" if close else ""


def labels_of(node: Node, ledger: Ledger, count: int) -> list[Any]:
    """The labels of the first elements of a mapped node: those of its source, or their numbers."""
    index = index_of(node, ledger)
    if index is None:
        return list(range(count))
    labels = getattr(index, "labels", None)
    return list(zip(*labels, strict=True)) if labels is not None else list(index)[:count]


def _because(explained: Explanation, node: Node) -> Iterator[Reason]:
    """What changed above a node that waits: the nodes at the roots, and the way from there."""
    roots: dict[Node, tuple[Node, ...]] = {}
    todo: list[tuple[Node, tuple[Node, ...]]] = [(node, ())]
    seen = {node}
    while todo:
        each, way = todo.pop(0)
        above = [found for up in each.upstreams for found in undecided(up, explained.rows) if found not in seen]
        seen.update(above)
        for up in dict.fromkeys(above):
            if explained.rows[up].freshness is not Freshness.UNKNOWN and _is_root(explained, up):
                roots[up] = way
            todo.append((up, (*way, up)))
    for root, way in list(roots.items())[:_MOST_ROOTS]:
        row = explained.rows[root]
        through = f" (through {', '.join(f'`{each.name}`' for each in reversed(way))})" if way else ""
        first, *others = row.reasons or (Reason("it has no result"),)
        yield Reason(f"because `{row.name}`{through} is {row.state}: {first.text}", first.diff)
        yield from (Reason(f"  and {other.text}", other.diff) for other in others)
    if len(roots) > _MOST_ROOTS:
        yield Reason(f"and {len(roots) - _MOST_ROOTS} more nodes above it")


def _is_root(explained: Explanation, node: Node) -> bool:
    """Whether a node runs for reasons of its own, and does not only wait."""
    return (
        node in explained.found.missed
        or node in explained.found.refused
        or not any(True for up in node.upstreams for _ in undecided(up, explained.rows))
    )


_VERBS = {
    State.SUCCESS: "ran",
    State.FAILED: "ran and failed",
    State.CANCELLED: "was stopped",
    State.PENDING: "did not run",
}
