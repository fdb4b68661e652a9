"""What a run leaves in the store for the next `plan`, `why`, `history` and `compare`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from xxhash import xxh3_128_digest

from nbflow.engine.ledger import LostValue
from nbflow.errors import in_words
from nbflow.flow.causes import Causes
from nbflow.flow.naming import Names, names_of
from nbflow.model.node import DERIVED, Node, Parameter
from nbflow.model.state import State
from nbflow.probe.secrets import redact, short_text
from nbflow.results.report import is_visible, node_counts, work_seconds
from nbflow.store import Last
from nbflow.store.runs import NO_ID, UNSTORED, NodeRecord

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from nbflow.engine.ledger import Book
    from nbflow.engine.track import Track
    from nbflow.engine.why import Part, Reason
    from nbflow.flow.workshop import Workshop
    from nbflow.model.graph import Graph

_CALLED = frozenset({State.SUCCESS, State.FAILED})
_MOST_CHARACTERS = 300


def settle(
    workshop: Workshop,
    flow_name: str,
    started_ns: int,
    stale: Mapping[Node, dict[int, str]],
    forced: Collection[Node],
) -> tuple[Causes, dict[str, list[Reason]]]:
    """Writes down what the nodes of a run were made of; gives why those ran that did, by name."""
    before = workshop.store.last(flow_name)
    causes = Causes(workshop, flow_name, before, forced, until_ns=started_ns)
    reasons = {
        node.name: causes.of(node, called, stale.get(node, {}))
        for node in workshop.nodes
        if (called := _called(workshop, node))
    }
    for node in workshop.nodes:
        recipe = workshop.resolver.recipes.get(node)
        if recipe is None or node.task in DERIVED:
            continue
        book = workshop.ledger.books[node]
        keys = b"".join([key or NO_ID for key in book.keys])
        try:
            digest = _digest(causes.present(node, described=False), recipe.code.id, keys)
            old = before.get(node.name)
            if old is None or old.digest != digest:
                last = Last(digest, recipe.code.id, (), keys, sum(book.seconds), len(book.keys))
                write_last(workshop, flow_name, node, last, causes)
        except LostValue:
            # What came from upstream is gone again: what is known of the last time stays.
            continue
    return causes, reasons


def write_last(workshop: Workshop, flow_name: str, node: Node, last: Last, causes: Causes) -> None:
    """Writes down what a node was made of. last: all but its arguments."""
    arguments = tuple((p.kind, p.name, p.id, p.text) for p in causes.present(node))
    parts = causes.code_parts(node)
    workshop.store.put_recipe(last.code, [(p.kind, p.name, p.id, p.text) for p in parts])
    workshop.store.put_last(
        flow_name, node.name, Last(last.digest, last.code, arguments, last.keys, last.seconds, last.count)
    )


def record_of(workshop: Workshop, node: Node, reasons: list[Reason], known: dict[Node, Names]) -> NodeRecord:
    """How a node ended, for the history. known: the names of elements of nodes before."""
    track, book = workshop.machine.tracks[node], workshop.ledger.books[node]
    ran, reused, failed = node_counts(track)
    count = len(book.keys)
    names = names_of(node, workshop.ledger, count, known)
    recipe = workshop.resolver.recipes.get(node)
    error = next(iter(book.errors.values()), None) if track.state() is not State.CACHED else None
    return NodeRecord(
        node=node.name,
        task=node.task.name,
        mapped=node.mapped,
        state=track.state().label,
        elements=count,
        ran=ran,
        reused=reused,
        failed=failed,
        seconds=round(work_seconds(track, book), 6),
        code=b"" if recipe is None else recipe.code.id,
        keys=b"".join(
            [row.key if row is not None else key or NO_ID for row, key in zip(book.rows, book.keys, strict=True)]
        ),
        outs=b"".join([out or NO_ID for out in book.out]),
        states=_states(track, book, count),
        why=_short("; ".join(reason.text for reason in reasons)),
        error="" if error is None else _short(in_words(error)),
        named=json.dumps(names).encode() if names else b"",
    )


def members_of(graph: Graph) -> list[str]:
    """The names of the nodes of a flow that users made."""
    return [node.name for node in graph.nodes.values() if is_visible(node)]


def accepted_record(node: Node, count: int, code: bytes, why: str) -> NodeRecord:
    """Results that were adopted, for the history."""
    return NodeRecord(
        node.name,
        node.task.name,
        node.mapped,
        "accepted",
        count,
        0,
        count,
        0,
        0.0,
        code,
        b"",
        b"",
        b"",
        _short(why),
        "",
    )


def records_of(workshop: Workshop, reasons: Mapping[str, list[Reason]]) -> list[NodeRecord]:
    """How the nodes of a run ended, those that users made."""
    tracks = workshop.machine.tracks
    shown = [node for node in workshop.nodes if node in tracks and is_visible(node)]
    known: dict[Node, Names] = {}
    return [record_of(workshop, node, reasons.get(node.name, []), known) for node in shown]


def shown_parameters(workshop: Workshop) -> dict[str, str]:
    """The parameters of a run as short texts, secrets as dots."""
    given = [node for node in workshop.nodes if isinstance(node, Parameter)]
    return {node.name: short_text(workshop.ledger.value(node), node.name) for node in given}


def _called(workshop: Workshop, node: Node) -> list[int]:
    """The elements of a node that were called in this run."""
    track = workshop.machine.tracks.get(node)
    if track is None or track.verdict is not None or node.task in DERIVED or not node_counts(track)[0]:
        return []
    return [i for i, state in enumerate(track.states) if state in _CALLED]


def _states(track: Track, book: Book, count: int) -> bytes:
    """A byte an element: its state, marked where its result was made and could not be kept."""
    if track.verdict is not None:
        return bytes([track.verdict]) * count
    if State.SUCCESS not in track.states or not any(row is None for row in book.rows):
        return bytes(track.states)
    pairs = zip(track.states, book.rows, range(count), strict=True)
    return bytes(
        state | UNSTORED if state == State.SUCCESS and row is None and i not in book.expressions else state
        for state, row, i in pairs
    )


def _digest(parts: list[Part], code: bytes, keys: bytes) -> bytes:
    return xxh3_128_digest(code + repr([(p.kind, p.name, p.id) for p in parts]).encode() + keys)


def _short(text: str) -> str:
    line = " ".join(redact(text).split())
    return line if len(line) <= _MOST_CHARACTERS else line[: _MOST_CHARACTERS - 1] + "…"
