"""`%flow lazy` and `%flow auto`: what a cell brings up to date by itself, and when it stops instead."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from nbflow.errors import HeadError
from nbflow.lean import dataclass
from nbflow.results.report import is_visible

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from nbflow.flow.background import Background
    from nbflow.flow.finished import Run
    from nbflow.model.node import Node
    from nbflow.results.report import PlanRow

SLOW_S = 60.0
_MOST_ROWS = 6
_WHY_WIDTH = 48


@dataclass(slots=True)
class Modes:
    """lazy: cells only declare. auto: a task's cell also runs what depends on it.

    slow_s: a plain cell stops where bringing up to date what it reads took longer than that last time.
    """

    lazy: bool = False
    auto: bool = False
    slow_s: float = SLOW_S

    def set_lazy(self, words: Sequence[str]) -> str:
        """`on`, `off`, or `after SECONDS`; without words nothing changes. Gives what holds now, as a text."""
        match words:
            case []:
                pass
            case ["on"]:
                self.lazy, self.auto = True, False
            case ["off"]:
                self.lazy = False
            case ["after", seconds]:
                self.slow_s = _seconds(seconds)
            case _:
                raise HeadError("%flow lazy takes `on`, `off`, or `after SECONDS`, such as `%flow lazy after 300`")
        if self.lazy:
            return "lazy: cells only declare tasks, `%flow run` runs them; plain cells that read what is stale stop"
        return (
            "not lazy: cells bring up to date what they declare or read; plain cells stop where that took more than "
            f"{duration(self.slow_s)} last time (`%flow lazy after SECONDS`)"
        )

    def set_auto(self, words: Sequence[str]) -> str:
        """`on` or `off`; without words nothing changes. Gives what holds now, as a text."""
        match words:
            case []:
                pass
            case ["on"]:
                self.lazy, self.auto = False, True
            case ["off"]:
                self.auto = False
            case _:
                raise HeadError("%flow auto takes `on` or `off`")
        if self.auto:
            return "auto: the cell of a task also runs what depends on it"
        return "not auto: what depends on a task is run when it is read, or by `%flow run`"

    def stop_text(
        self, read: Sequence[str], rows: Sequence[PlanRow], lazy_names: Collection[str], goes_on: str = ""
    ) -> str | None:
        """What a plain cell is told that reads these outputs; None where it may bring them up to date and run.

        rows: of the plan, what is not fresh; lazy_names: nodes whose cells have `--lazy`; goes_on: of a run in the
        background.
        """
        if not rows:
            return None
        took_s = sum(row.seconds or 0.0 for row in rows)
        asked = self.lazy or any(row.name in lazy_names for row in rows)
        if not asked and took_s <= self.slow_s:
            return None
        names = ", ".join(f"`{name}`" for name in read)
        lines = [f"This cell reads {names}, and was not run, because this is not up to date:"]
        lines += _table(rows)
        if goes_on:
            lines.append(f"{goes_on}; when that has ended, run this cell again.")
            return "\n".join(lines)
        lines.append(_how_long(rows, took_s) + f" To run it: `%flow run {' '.join(read)}`, then this cell again.")
        if self.lazy:
            lines.append("`%flow lazy off` lets cells do so by themselves.")
        elif not asked:
            lines.append(f"`%flow lazy after {math.ceil(took_s) + 1}` lets cells do so by themselves.")
        return "\n".join(lines)


def goes_on_text(behind: Background | None, names: Iterable[str] = ()) -> str:
    """Of a run in the background, how far it is; empty where it has ended, or does not run all nodes of these names."""
    if behind is None or behind.done or not {node.name for node in behind.run.nodes()}.issuperset(names):
        return ""
    return f"A run goes on in the background ({behind.progress})"


def twice_text(behind: Background | None, nodes: Iterable[Node]) -> str:
    """Of tasks that a run in the background is at, or has yet to run; empty where there are none of these nodes."""
    if behind is None or behind.done:
        return ""
    both = [node.name for node in nodes if is_visible(node) and _is_ahead(behind.run, node)]
    if not both:
        return ""
    named = ", ".join(f"`{name}`" for name in both[:_MOST_ROWS])
    return (
        f"a run in the background ({behind.progress}) has yet to finish {named}: computed here as well. "
        "To wait for it instead, end this one (interrupt or Cancel), and run the cell again when that one has ended"
    )


def _is_ahead(run: Run, node: Node) -> bool:
    there = run.named(node.name)
    return there is not None and there.task is node.task and not run.track(there).state().finished


def duration(seconds: float) -> str:
    """A time for people.

    >>> duration(0.52), duration(75), duration(7300)
    ('0.5 s', '1 min 15 s', '2 h 1 min')
    """
    if seconds < 10:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s".replace(" 0 s", "")
    return f"{whole // 3600} h {whole % 3600 // 60} min".replace(" 0 min", "")


def _table(rows: Sequence[PlanRow]) -> list[str]:
    shown = rows[:_MOST_ROWS]
    width = max(len(row.name) for row in shown)
    lines = []
    for row in shown:
        why = row.reasons[0].text.split("\n")[0] if row.reasons else ""
        why = why if len(why) <= _WHY_WIDTH else why[: _WHY_WIDTH - 1] + "…"
        took = f" ({duration(row.seconds)} last time)" if row.seconds is not None else ""
        lines.append(
            f"  {row.name:<{width}}  {row.state}: {why}{took}" if why else f"  {row.name:<{width}}  {row.state}{took}"
        )
    if len(rows) > len(shown):
        lines.append(f"  … and {len(rows) - len(shown)} more")
    return lines


def _how_long(rows: Sequence[PlanRow], took_s: float) -> str:
    known = [row for row in rows if row.seconds is not None]
    if not known:
        return "How long it takes is not known yet."
    return (
        f"It took {duration(took_s)} last time." if len(known) == len(rows) else f"It takes {duration(took_s)} or more."
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not seconds >= 0:
        raise HeadError(f"%flow lazy after {text}: a number of seconds is needed, such as `%flow lazy after 300`")
    return seconds
