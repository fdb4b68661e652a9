"""Joins what a plan found with what the store remembers: rows of a plan, with their reasons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xxhash import xxh3_128_digest

from nbflow.engine.assemble import assemble
from nbflow.engine.events import Assemble, Lost, Refused, Size, Sized
from nbflow.engine.ledger import LostValue
from nbflow.engine.plan import Answer, Question, Survey, survey
from nbflow.engine.resolve import Found
from nbflow.engine.sizes import size_of
from nbflow.engine.why import Part, Reason, argument_parts, compare, parts_of
from nbflow.errors import MapError, UnidentifiableError
from nbflow.model.node import DERIVED, HIDDEN, RESOURCE, Node, Parameter
from nbflow.model.state import Freshness, State
from nbflow.results.report import PlanRow
from nbflow.store import Last

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nbflow.flow.workshop import Workshop


def make_plan(workshop: Workshop, flow_name: str) -> list[PlanRow]:
    """One row for each node a user made. Runs nothing."""
    found = _surveyed(workshop)
    before = workshop.store.last(flow_name)
    rows: dict[Node, PlanRow] = {}
    for node in workshop.nodes:
        if isinstance(node, Parameter):
            continue
        rows[node] = _row(workshop, found, node, before.get(node.name), rows)
    return [row for node, row in rows.items() if node.task not in HIDDEN and node.task is not RESOURCE]


def reasons_for(workshop: Workshop, node: Node, before: Last | None, notes: Sequence[str] = ()) -> list[Reason]:
    """Why a node whose elements were looked up has some that must run. notes: why stored ones do not hold."""
    options = node.task.options
    if options.cache is False:
        return [Reason("its results are not stored (cache=False)")]
    if options.always:
        return [Reason("it runs every time (always=True)")]
    if before is None:
        return [Reason("it has not run before")]
    changed = compare(_stored_parts(workshop, before), _present_parts(workshop, node))
    changed += [Reason(note) for note in dict.fromkeys(notes)]
    new = _new_elements(workshop, node, before)
    if new:
        changed.append(Reason(new))
    return changed or [Reason("there is no stored result: it failed or was stopped last time, or was cleared")]


def remember(workshop: Workshop, flow_name: str) -> dict[str, list[Reason]]:
    """Writes down what the nodes of a run were made of, for the next `why`; gives the reasons of those that ran."""
    before = workshop.store.last(flow_name)
    told: dict[str, list[Reason]] = {}
    for node in workshop.nodes:
        recipe = workshop.resolver.recipes.get(node)
        if recipe is None or node.task in DERIVED:
            continue
        book = workshop.ledger.books[node]
        keys = b"".join(key or b"" for key in book.keys)
        arguments = [(p.kind, p.name, p.id, p.text) for p in argument_parts(recipe)]
        digest = xxh3_128_digest(recipe.code.id + repr(arguments).encode() + keys)
        old = before.get(node.name)
        if old is not None and old.digest == digest:
            continue
        told[node.name] = reasons_for(workshop, node, old)
        parts = parts_of(recipe.code.components, workshop.store.salted)
        workshop.store.put_recipe(recipe.code.id, [(p.kind, p.name, p.id, p.text) for p in parts])
        workshop.store.put_last(
            flow_name,
            node.name,
            Last(digest, recipe.code.id, tuple(arguments), keys, sum(book.seconds), len(book.keys)),
        )
    return told


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


def _row(workshop: Workshop, found: Survey, node: Node, before: Last | None, rows: dict[Node, PlanRow]) -> PlanRow:
    track = workshop.machine.tracks[node]
    freshness = found.freshness(node, known_before=before is not None)
    reasons: list[Reason] = []
    coming = [each for each in found.missed if each.maker is not None and _outermost(each) is node]
    if coming and node not in found.missed:
        freshness = Freshness.STALE
        names = ", ".join(dict.fromkeys(f"`{each.task.name}`" for each in coming))
        total = sum(_outermost(each) is node for each in workshop.machine.tracks if each.maker is not None)
        reasons = [Reason(f"{len(coming)} of the {total} nodes that it made run: {names}")]
    elif node in found.refused:
        reasons = [Reason(str(error)) for error in dict.fromkeys(found.refused[node].values())]
    elif node in found.missed:
        reasons = reasons_for(workshop, node, before, list(found.stale.get(node, {}).values()))
    elif freshness is not Freshness.FRESH:
        reasons = _waiting(workshop, node, rows)
    elif track.state() is State.SKIPPED:
        reasons = [Reason("nothing to do: its branch is not taken, or what it needs is skipped")]
    return PlanRow(
        name=node.name,
        freshness=freshness,
        fresh=found.fresh_count(node),
        count=track.count,
        mapped=node.mapped,
        reasons=tuple(reasons),
        seconds=None if before is None else before.seconds,
        skipped=track.state() is State.SKIPPED,
    )


def _outermost(node: Node) -> Node:
    """The node whose task made this one, or made what made it."""
    while node.maker is not None:
        node = node.maker
    return node


def _waiting(workshop: Workshop, node: Node, rows: dict[Node, PlanRow]) -> list[Reason]:
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
    causes = dict.fromkeys(name for up in node.upstreams for name in _undecided(up, rows))
    return [Reason("depends on what " + ", ".join(f"`{name}`" for name in causes) + " will give")]


def _undecided(node: Node, rows: dict[Node, PlanRow]) -> Iterator[str]:
    """The names of what is not known yet, as users know them: of a branch what decides it."""
    if node not in rows or rows[node].freshness is Freshness.FRESH:
        return
    if node.task in HIDDEN:
        for up in node.upstreams:
            yield from _undecided(up, rows)
    else:
        yield rows[node].name


def _stored_parts(workshop: Workshop, before: Last) -> list[Part]:
    code = [Part(*row) for row in workshop.store.recipe(before.code)]
    return code + [Part(*row) for row in before.arguments]


def _present_parts(workshop: Workshop, node: Node) -> list[Part]:
    try:
        recipe = workshop.resolver.recipe(node)
    except UnidentifiableError:
        return []
    return parts_of(recipe.code.components, workshop.store.salted) + argument_parts(recipe)


def _new_elements(workshop: Workshop, node: Node, before: Last) -> str:
    """How many elements were not there last time, where that is why some run."""
    if not node.mapped:
        return ""
    keys: list[Any] = [key for key in workshop.ledger.books[node].keys if key is not None]
    old = {before.keys[at : at + 16] for at in range(0, len(before.keys), 16)}
    recipe_same = before.code == workshop.resolver.recipe(node).code.id
    new = sum(key not in old for key in keys)
    return f"{new} of {len(keys)} elements are new" if new and recipe_same else ""
