"""The history of a flow as tables, and its runs by number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbflow.errors import UnknownName, nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbflow.flow.views import FlowViews
    from nbflow.results.shown import HistoryFrame
    from nbflow.store.runs import History, NodeRecord, RunRecord

_GOOD = frozenset({"success", "paused", "accepted", ""})


def history_frame(flow: FlowViews, name: str | None, *, every: bool) -> HistoryFrame:
    """The runs of a flow, or of one node of it, a row each, the oldest first. Raises UnknownName.

    every: also the runs in which everything was reused; else the last of them only.
    """
    import pandas as pd

    from nbflow.results.shown import HistoryFrame

    history = flow.store.history
    runs = history.runs(flow.name)
    if name is None:
        rows: list[dict[str, Any]] = [_run_row(run) for run in runs]
        columns = ["started", "ran", "reused", "failed", "state", "seconds", "parameters", "ok"]
    else:
        runs, rows = _node_rows(flow, history, runs, name)
        columns = ["started", "state", "why", "ran", "reused", "failed", "elements", "seconds", "changed", "error"]
    kept = [i for i, row in enumerate(rows) if every or i == len(rows) - 1 or _is_telling(row)]
    index = pd.Index([runs[i].id for i in kept], name="run", dtype=int)
    frame = HistoryFrame([rows[i] for i in kept], columns=columns, index=index)
    frame["started"] = _times([runs[i].started_ns for i in kept])
    frame.headline = f"{flow.name}: {_headline(len(rows), len(kept), name)}"
    return frame


def _is_telling(row: dict[str, Any]) -> bool:
    """Whether something happened: a task ran, failed, was accepted or stopped, or its output became another."""
    return bool(row["ran"] or row["failed"] or row.get("changed") or row["state"] not in _USUAL)


def _headline(count: int, shown: int, name: str | None) -> str:
    of = "" if name is None else f" of {name}"
    told = f"1 run{of} is kept" if count == 1 else f"{count} runs{of} are kept"
    if shown == count:
        return told
    ways = f"flow.history({'' if name is None else repr(name) + ', '}all=True)"
    line = f"%flow history {'' if name is None else name + ' '}--all"
    return f"{told}; in {count - shown} of them nothing ran, failed or was accepted: {ways} or {line} shows all"


def record_of_run(flow: FlowViews, number: int) -> RunRecord:
    """A run by its number in the history. Raises UnknownName."""
    runs = flow.store.history.runs(flow.name)
    for run in runs:
        if run.id == number:
            return run
    known = f"its runs are {runs[0].id} … {runs[-1].id}" if runs else "it has none yet"
    known = f"its only run is {runs[0].id}" if len(runs) == 1 else known
    raise UnknownName(f"flow {flow.name!r} has no run {number!r}; {known}, see flow.history()")


def _run_row(run: RunRecord) -> dict[str, Any]:
    return {
        "seconds": run.seconds,
        # Runs of which only the counts are known.
        "state": run.state or ("failed" if run.failed else "success"),
        "ok": run.state in _GOOD and not (run.failed and not run.state),
        "ran": run.ran,
        "reused": run.reused,
        "failed": run.failed,
        "parameters": ", ".join(f"{name}={text}" for name, text in run.parameters.items()),
    }


def _node_rows(
    flow: FlowViews, history: History, runs: Sequence[RunRecord], name: str
) -> tuple[list[RunRecord], list[dict[str, Any]]]:
    found = [(run, record) for run in runs if (record := history.nodes(run).get(name)) is not None]
    if not found and name not in flow.graph.nodes:
        known = {each for run in runs for each in history.nodes(run)}
        raise UnknownName(f"no run of flow {flow.name!r} knows {name!r}" + nearest(name, {*known, *flow.graph.nodes}))
    rows: list[dict[str, Any]] = []
    outs = None
    for _, record in found:
        rows.append(_node_row(record, outs))
        outs = record.outs if record.outs and record.state in _ENDED else outs
    return [run for run, _ in found], rows


def _node_row(record: NodeRecord, outs: bytes | None) -> dict[str, Any]:
    """outs: the ids that it gave the last time before, None where it had not ended well."""
    ended = record.state in _ENDED and bool(record.outs)
    return {
        "state": record.state,
        "elements": record.elements,
        "ran": record.ran,
        "reused": record.reused,
        "failed": record.failed,
        "seconds": record.seconds,
        "changed": ended and outs is not None and record.outs != outs,
        "why": record.why,
        "error": record.error,
    }


def _times(times_ns: Sequence[int]) -> Any:
    """Unix times as timestamps in the time zone of this machine, to the millisecond."""
    import datetime as dt

    import pandas as pd

    zone = dt.datetime.now().astimezone().tzinfo
    return pd.to_datetime(list(times_ns), unit="ns", utc=True).round("ms").tz_convert(zone)


_ENDED = frozenset({"success", "cached"})
# How runs and nodes end where nothing happened.
_USUAL = frozenset({"success", "cached", "skipped"})
