"""Joins what a plan found with what the store remembers: rows of a plan, with their reasons."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow.engine.assemble import assemble
from nbflow.engine.events import Assemble, Lost, Refused, Size, Sized
from nbflow.engine.ledger import LostValue
from nbflow.engine.plan import Answer, Question, Survey, survey
from nbflow.engine.resolve import Found
from nbflow.engine.sizes import size_of
from nbflow.engine.why import Reason, at_most
from nbflow.errors import MapError
from nbflow.flow.causes import Causes
from nbflow.flow.remade import remade
from nbflow.lean import dataclass, field
from nbflow.model.node import HIDDEN, RESOURCE, Node, Parameter
from nbflow.model.state import Freshness, State
from nbflow.results.report import PlanRow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbflow.flow.workshop import Workshop
    from nbflow.store import Last


@dataclass(slots=True)
class Explanation:
    """What would run and why. rows: one a node, parameters left out, in running order."""

    workshop: Workshop
    found: Survey
    causes: Causes
    rows: dict[Node, PlanRow] = field(default_factory=dict)
    remade: dict[Node, tuple[set[int], str]] = field(default_factory=dict)

    def visible(self) -> list[PlanRow]:
        """The rows of the nodes that a user made."""
        return [row for node, row in self.rows.items() if node.task not in HIDDEN and node.task is not RESOURCE]


def explain(workshop: Workshop, flow_name: str) -> Explanation:
    """Looks at all nodes of a workshop. Runs nothing."""
    before = workshop.store.last(flow_name)
    found = _surveyed(workshop)
    causes = Causes(workshop, flow_name, before)
    explained = Explanation(workshop, found, causes, remade=remade(workshop, found.missed))
    for node in workshop.nodes:
        if not isinstance(node, Parameter):
            explained.rows[node] = _row(explained, node, before.get(node.name))
    return explained


def _surveyed(workshop: Workshop) -> Survey:
    asking = survey(workshop.machine)
    answer: Answer | None = None
    try:
        while True:
            question = next(asking) if answer is None else asking.send(answer)
            answer = _answer(workshop, question)
    except StopIteration as end:
        result: Survey = end.value
        return result


def _answer(workshop: Workshop, question: Question) -> Answer:
    if isinstance(question, Size):
        node = question.node
        try:
            return Sized(node, size_of(node, workshop.ledger, workshop.machine.tracks))
        except MapError as error:
            workshop.ledger.books[node].errors[0] = error
            return Refused(node)
        except LostValue as lost:
            return Lost(lost.node, (lost.index,), node, ())
    if isinstance(question, Assemble):
        return _assembled(workshop, question)
    requests = [(command.node, command.indices) for command in question]
    try:
        return workshop.resolver.resolve(requests)
    except LostValue as lost:
        if len(requests) > 1:
            # Only what needs the lost value is to wait for it.
            return [found for each in question for found in _answer(workshop, [each])]  # type: ignore[union-attr]  # a list of requests is answered by a list
        note = f"the stored result of `{lost.node.name}` is damaged or missing"
        return [Found(n, misses=list(i), stale=dict.fromkeys(i, note)) for n, i in requests]


def _assembled(workshop: Workshop, question: Assemble) -> Answer:
    node, index = question.node, question.index
    try:
        event = assemble(workshop.resolver, node, index)
    except LostValue:
        return [Found(node, misses=[index])]
    if event is None:
        return workshop.resolver.resolve([(node, (index,))])
    return event


def _row(explained: Explanation, node: Node, before: Last | None) -> PlanRow:
    found, track = explained.found, explained.workshop.machine.tracks[node]
    freshness = found.freshness(node, known_before=before is not None)
    coming = [each for each in found.missed if each.maker is not None and _outermost(each) is node]
    again, _ = explained.remade.get(node, ((), ""))
    if (coming or again) and node not in found.missed:
        freshness = Freshness.STALE
    skipped = track.state() is State.SKIPPED
    last = None if skipped or freshness is Freshness.FRESH else explained.causes.last_time(node)
    return PlanRow(
        name=node.name,
        freshness=freshness,
        fresh=found.fresh_count(node) - len(again),
        count=track.count,
        mapped=node.mapped,
        reasons=tuple(_reasons(explained, node, freshness, coming)),
        seconds=None if before is None else before.seconds,
        skipped=skipped,
        failed=last is not None and last[1].state == State.FAILED.label,
    )


def _reasons(explained: Explanation, node: Node, freshness: Freshness, coming: list[Node]) -> list[Reason]:
    found, tracks = explained.found, explained.workshop.machine.tracks
    reasons = at_most([Reason(str(error)) for error in found.refused.get(node, {}).values()])
    if node in found.missed:
        stale = found.stale.get(node, {})
        return reasons + explained.causes.of(node, found.missed[node], stale)
    if node in explained.remade:
        again, by = explained.remade[node]
        what = f"{len(again)} of {tracks[node].count} results were" if node.mapped else "its result was"
        return [*reasons, Reason(f"{what} let go to make room in the store, and `{by}` needs it")]
    if coming:
        names = ", ".join(dict.fromkeys(f"`{each.task.name}`" for each in coming))
        total = sum(each.maker is not None and _outermost(each) is node for each in tracks)
        return [*reasons, Reason(f"{len(coming)} of the {total} nodes that it made run: {names}")]
    if reasons:
        return reasons
    if freshness is not Freshness.FRESH:
        return _waiting(explained, node)
    if tracks[node].state() is State.SKIPPED:
        return [Reason("nothing to do: its branch is not taken, or what it needs is skipped")]
    return []


def _outermost(node: Node) -> Node:
    """The node whose task made this one, or made what made it."""
    while node.maker is not None:
        node = node.maker
    return node


def _waiting(explained: Explanation, node: Node) -> list[Reason]:
    workshop = explained.workshop
    error = workshop.ledger.books[node].errors.get(0)
    if error is not None:
        return [Reason(str(error))]
    state = workshop.machine.tracks[node].state()
    if state is State.TRIGGER_FAILED:
        trigger = node.task.options.trigger
        return [Reason(f"its trigger {getattr(trigger, '__name__', trigger)!s} is not met by how what it needs ended")]
    if state is State.PAUSED:
        return [Reason(f"it waits for approval: flow.run(approve=[{node.name!r}])")]
    if not workshop.machine.tracks[node].wanted:
        return [Reason("it runs only if a branch that needs it is taken")]
    causes = dict.fromkeys(each.name for up in node.upstreams for each in undecided(up, explained.rows))
    return [Reason("depends on what " + ", ".join(f"`{name}`" for name in causes) + " will give")]


def undecided(node: Node, rows: dict[Node, PlanRow]) -> Iterator[Node]:
    """What is not known yet of a node, as users know it: the node, or of a branch what decides it."""
    if node not in rows or rows[node].freshness is Freshness.FRESH:
        return
    if node.task in HIDDEN:
        for up in node.upstreams:
            yield from undecided(up, rows)
    else:
        yield node
