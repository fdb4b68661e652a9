"""Files by which tasks pass something on although no argument joins them: told, since nothing can order that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow.model.node import ancestors
from nbflow.probe.files import FILE, what_changed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nbflow.flow.workshop import Workshop
    from nbflow.model.node import Node
    from nbflow.probe.files import FileMark


def crossings(workshop: Workshop, written: Mapping[str, Node]) -> list[str]:
    """What to tell of the nodes whose results are of a file as it was before another node of this run wrote it.

    written: the paths that calls of this run wrote, and who did.
    """
    workshop.resolver.look_at_files_again()
    told = [
        _sentence(reader, written[mark.path], changed)
        for reader in workshop.nodes
        for mark in _files_read(workshop, reader)
        if mark.path in written
        and reader is not written[mark.path]
        and (changed := what_changed([mark], workshop.memo)) is not None
    ]
    return list(dict.fromkeys(told))


def _files_read(workshop: Workshop, node: Node) -> Iterator[FileMark]:
    traces = list({row.trace for row in workshop.ledger.books[node].rows if row is not None and row.trace})
    for marks in workshop.store.traces(traces).values():
        yield from (mark for mark in marks if mark.kind == FILE)


def _sentence(reader: Node, writer: Node, changed: str) -> str:
    if reader in ancestors([writer]):
        return (
            f"{reader.name}: {changed}: {writer.name} wrote it anew after {reader.name} had read it, so {reader.name} "
            f"is stale again; let {writer.name} write another file"
        )
    return (
        f"{reader.name}: {changed}: {writer.name} wrote it anew, and nothing says that {reader.name} comes after "
        f"{writer.name}, so {reader.name} is stale; let {reader.name} read `{writer.name}`, "
        f"such as the path as its result"
    )
