"""Tables of a run, and the text of a plan and of `why`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nbflow.model.node import DERIVED, Node, Parameter
from nbflow.model.state import Freshness, State

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from nbflow.engine.ledger import Ledger
    from nbflow.engine.machine import Machine, Track
    from nbflow.engine.why import Reason


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One node of a plan. count: None when not known yet; seconds: what it took last time, None if never run."""

    name: str
    freshness: Freshness
    fresh: int
    count: int | None
    mapped: bool
    reasons: tuple[Reason, ...]
    seconds: float | None

    @property
    def elements(self) -> str:
        if not self.mapped:
            return ""
        return f"{self.fresh}/{'?' if self.count is None else self.count}"


def run_table(nodes: Sequence[Node], machine: Machine, ledger: Ledger) -> pd.DataFrame:
    """One row a node: task, state, elements, how many ran, were reused and failed, seconds of work in this run."""
    import pandas as pd

    rows = {}
    for node in visible(nodes):
        track, book = machine.tracks[node], ledger.books[node]
        ran, reused, failed = node_counts(track)
        rows[node.name] = {
            "task": node.task.name,
            "state": track.state().label,
            "elements": len(track.states),
            "ran": ran,
            "reused": reused,
            "failed": failed,
            "seconds": sum(s for s, state in zip(book.seconds, track.states, strict=False) if state != State.CACHED),
        }
    columns = ["task", "state", "elements", "ran", "reused", "failed", "seconds"]
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    frame.index.name = "node"
    return frame


def node_counts(track: Track) -> tuple[int, int, int]:
    """How many elements of a node ran (failed ones among them), were reused, failed."""
    if track.verdict is not None:
        return 0, 0, int(track.verdict is State.FAILED)
    success, cached, failed = (track.states.count(s) for s in (State.SUCCESS, State.CACHED, State.FAILED))
    return success + failed, cached, failed


def plan_table(rows: Sequence[PlanRow]) -> pd.DataFrame:
    """One row a node: state, elements that are fresh of all, why, seconds it took last time."""
    import pandas as pd

    return pd.DataFrame(
        {
            "state": [row.freshness.label for row in rows],
            "elements": [row.elements for row in rows],
            "why": ["; ".join(reason.text for reason in row.reasons) for row in rows],
            "seconds": pd.Series([row.seconds for row in rows], dtype=float).to_numpy(),
        },
        index=pd.Index([row.name for row in rows], name="node"),
    )


def why_text(row: PlanRow) -> str:
    """All that is known of why a node would run, code changes as a diff."""
    head = f"{row.name} is {row.freshness.label}"
    if row.mapped and row.count:
        head += f" ({row.fresh} of {row.count} elements are fresh)"
    if row.freshness is Freshness.FRESH:
        took = "" if row.seconds is None else f"; it took {duration(row.seconds)} when it ran"
        return f"{head}: code, inputs and files are the same as when it ran{took}"
    return "\n".join([f"{head}:", *(f"  {line}" for r in row.reasons for line in str(r).splitlines())])


def duration(seconds: float) -> str:
    """Seconds in a form for people.

    >>> duration(0.0123), duration(75), duration(7300)
    ('12 ms', '1 min 15 s', '2 h 1 min')
    """
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def visible(nodes: Sequence[Node]) -> list[Node]:
    """The nodes that users made themselves: no parameters, no parts taken out of other nodes."""
    return [node for node in nodes if node.task not in DERIVED and not isinstance(node, Parameter)]
