"""Where a reused result comes from: when it was made, how long that took, by which code, in which run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow.engine.why import SOURCE_KINDS, Reason, diff_of, moment
from nbflow.results.report import duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nbflow.flow.causes import Causes
    from nbflow.flow.workshop import Workshop
    from nbflow.model.node import Node
    from nbflow.store import Row


def origin_of(workshop: Workshop, causes: Causes, node: Node, indices: Iterable[int]) -> list[Reason]:
    """What is known of how elements of a node came to be whose results are reused; empty for what is not kept."""
    book = workshop.ledger.books[node]
    rows = [row for i in indices if (row := book.rows[i]) is not None]
    if not rows or node not in workshop.resolver.recipes:
        return []
    recipe = workshop.resolver.recipes[node]
    found = [Reason(_made(workshop, rows, node.task.name))]
    accepted = workshop.store.history.accepted(recipe.prefix)
    if accepted is not None:
        found.append(Reason(f"accepted on {moment(accepted.at_ns)} after an edit: {accepted.note}"))
    return found + list(_other_texts(workshop, causes, node, recipe.code.id))


def _made(workshop: Workshop, rows: list[Row], task: str) -> str:
    first, last = min(row.made_ns for row in rows), max(row.made_ns for row in rows)
    seconds = sum(row.seconds for row in rows)
    when = moment(first) if moment(first) == moment(last) else f"{moment(first)} … {moment(last)}"
    run = workshop.store.history.maker(last, task)
    where = "" if run is None else f", in run {run.id} of flow {run.flow!r}"
    return f"made {when}, in {duration(seconds)}{' of work' if len(rows) > 1 else ''}{where}"


def _other_texts(workshop: Workshop, causes: Causes, node: Node, code: bytes) -> Iterator[Reason]:
    """Code that reads otherwise than when it was first seen, and means the same."""
    now = {(part.kind, part.name): part.text for part in causes.code_parts(node)}
    for kind, name, _, text in workshop.store.recipe(code):
        shown = now.get((kind, name), text)
        if kind in SOURCE_KINDS and shown != text:
            what = "its code" if kind == "code" else f"`{name}`"
            yield Reason(f"{what} read differently then, and means the same:", diff_of(text, shown))
