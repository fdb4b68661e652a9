"""Tables of a run, and the text of a plan and of `why`."""

from __future__ import annotations

from html import escape
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from nbflow.engine.track import PRECEDENCE
from nbflow.engine.why import at_most
from nbflow.lean import dataclass
from nbflow.model.node import DERIVED, Node, Parameter
from nbflow.model.state import Freshness, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import pandas as pd

    from nbflow.engine.ledger import Book, Ledger
    from nbflow.engine.machine import Machine
    from nbflow.engine.track import Track
    from nbflow.engine.why import Reason
    from nbflow.results.shown import ShownFrame


FAILED_LAST_TIME = "failed last time"


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One node of a plan.

    count: None when not known yet; seconds: what it took last time, None if never run; skipped: nothing of it would
    run, since its branch is not taken or what it needs is skipped; failed: it failed when it last took part in a run,
    and has not been made good since.
    """

    name: str
    freshness: Freshness
    fresh: int
    count: int | None
    mapped: bool
    reasons: tuple[Reason, ...]
    seconds: float | None
    skipped: bool = False
    failed: bool = False

    @property
    def state(self) -> str:
        """How it stands, in a word: its freshness, or that it would be skipped."""
        return State.SKIPPED.label if self.skipped else self.freshness.label

    @property
    def shown_state(self) -> str:
        """How it stands, as tables tell it: that it failed counts more than that it is stale."""
        return FAILED_LAST_TIME if self.failed else self.state

    @property
    def elements(self) -> str:
        if not self.mapped:
            return ""
        return f"{self.fresh}/{'?' if self.count is None else self.count}"


@dataclass(frozen=True, slots=True)
class Group:
    """The nodes of one task that a running task made. maker: the outermost one that did not itself come so."""

    maker: Node
    task: str
    nodes: tuple[Node, ...]

    @property
    def name(self) -> str:
        return f"{self.maker.name}/{self.task}"

    def state(self, track: Callable[[Node], Track]) -> tuple[State, int]:
        """The worst state of the nodes, and how many of them have a value."""
        states = [track(node).state() for node in self.nodes]
        done = sum(state.successful for state in states)
        return next(state for state in PRECEDENCE if state in states), done


def groups_of(nodes: Iterable[Node]) -> list[Group]:
    """The nodes that running tasks made, by their outermost maker and their task."""
    found: dict[tuple[Node, str], list[Node]] = {}
    for node in nodes:
        maker = node.maker
        if maker is None or node.task in DERIVED:
            continue
        while maker.maker is not None:
            maker = maker.maker
        found.setdefault((maker, node.task.name), []).append(node)
    return [Group(maker, task, tuple(members)) for (maker, task), members in found.items()]


def run_table(nodes: Sequence[Node], machine: Machine, ledger: Ledger, headline: str) -> ShownFrame:
    """One row a node: task, state, elements, how many ran, were reused and failed, seconds of work in this run."""
    from nbflow.results.shown import ShownFrame

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
            "seconds": work_seconds(track, book),
        }
    for group in groups_of(machine.tracks):
        tracks = [machine.tracks[node] for node in group.nodes]
        counts = [node_counts(track) for track in tracks]
        rows[group.name] = {
            "task": group.task,
            "state": group.state(machine.tracks.__getitem__)[0].label,
            "elements": len(group.nodes),
            **{
                name: sum(each)
                for name, each in zip(("ran", "reused", "failed"), zip(*counts, strict=True), strict=True)
            },
            "seconds": sum(work_seconds(machine.tracks[node], ledger.books[node]) for node in group.nodes),
        }
    columns = ["task", "state", "elements", "ran", "reused", "failed", "seconds"]
    frame = ShownFrame(list(rows.values()), index=list(rows), columns=columns)
    frame.index.name = "node"
    frame.headline = headline
    return frame


def work_seconds(track: Track, book: Book) -> float:
    """Seconds of work in this run."""
    return sum((s for s, state in zip(book.seconds, track.states, strict=False) if state != State.CACHED), 0.0)


def node_counts(track: Track) -> tuple[int, int, int]:
    """How many elements of a node ran (failed ones among them), were reused, failed."""
    if track.verdict is not None:
        return 0, 0, int(track.verdict is State.FAILED)
    success, cached, failed = (track.states.count(s) for s in (State.SUCCESS, State.CACHED, State.FAILED))
    return success + failed, cached, failed


def shared_with(track: Track, book: Book) -> dict[int, int]:
    """The elements that took the result of an equal one, which ran in this run: their positions, with its position."""
    if track.verdict is not None or State.SUCCESS not in track.states or State.CACHED not in track.states:
        return {}
    ended = list(zip(track.states, book.keys, strict=True))
    ran = {key: i for i, (state, key) in enumerate(ended) if state == State.SUCCESS and key is not None}
    return {i: ran[key] for i, (state, key) in enumerate(ended) if state == State.CACHED and key in ran}


def shared_text(count: int) -> str:
    """What is said of elements that took the result of an equal one.

    >>> shared_text(1), shared_text(2)
    ('1 has the same input as another', '2 have the same input as others')
    """
    return "1 has the same input as another" if count == 1 else f"{count:,} have the same input as others"


def plan_table(rows: Sequence[PlanRow]) -> pd.DataFrame:
    """One row a node: state, elements that are fresh of all, why, seconds it took last time."""
    import pandas as pd

    return pd.DataFrame(
        {
            "state": [row.shown_state for row in rows],
            "elements": [row.elements for row in rows],
            "why": ["; ".join(reason.text for reason in at_most(row.reasons, 4)) for row in rows],
            "seconds": pd.Series([row.seconds for row in rows], dtype=float).to_numpy(),
        },
        index=pd.Index([row.name for row in rows], name="node"),
    )


def html_table(frame: pd.DataFrame, shown: Mapping[str, Callable[[Any], str]] = MappingProxyType({})) -> str:
    """A table as plain HTML, its index as columns, with all text escaped and aligned left.

    shown: by column, how its values are told.
    """
    columns = {str(name): column for name, column in frame.reset_index().items()}
    texts = {name: [_cell(value, shown.get(name, str)) for value in column] for name, column in columns.items()}
    left = {name for name, column in columns.items() if name not in shown and column.dtype.kind not in "iufb"}
    styles = {name: ' style="text-align:left"' if name in left else "" for name in columns}
    head = "".join(f"<th{styles[name]}>{escape(name)}</th>" for name in columns)
    rows = (zip(styles.values(), row, strict=True) for row in zip(*texts.values(), strict=True))
    cells = ("".join(f"<td{style}>{escape(text)}</td>" for style, text in row) for row in rows)
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    return f'<table class="dataframe"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def text_table(frame: pd.DataFrame, shown: Mapping[str, Callable[[Any], str]] = MappingProxyType({})) -> str:
    """A table as text, with texts aligned left and nothing cut. shown: by column, how its values are told."""
    columns = {}
    for name, column in frame.items():
        texts = [_cell(value, shown.get(str(name), str)) for value in column]
        if str(name) not in shown and column.dtype.kind not in "iufb":
            width = max(map(len, (str(name), *texts)))
            columns[str(name).ljust(width)] = [text.ljust(width) for text in texts]
        else:
            columns[str(name)] = texts
    table = frame.__class__(columns, index=frame.index.rename(None))
    return "\n".join(line.rstrip() for line in str(table.to_string()).splitlines())


def _cell(value: Any, told: Callable[[Any], str]) -> str:
    """A value in a table; nothing for None and NaN."""
    return "" if value is None or value != value else told(value)  # noqa: PLR0124 (NaN only)


def duration(seconds: float) -> str:
    """Seconds in a form for people.

    >>> duration(0.0123), duration(0.000004), duration(75), duration(7300)
    ('12 ms', '4 µs', '1 min 15 s', '2 h 1 min')
    """
    if 0 < seconds < 0.0005:
        return f"{max(1, round(seconds * 1e6))} µs"
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
    return [node for node in nodes if is_visible(node)]


def is_visible(node: Node) -> bool:
    """Whether a node is one that users made, and that runs."""
    return node.task not in DERIVED and not isinstance(node, Parameter)
