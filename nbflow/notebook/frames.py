"""`%flow frame`: the elements of a task as they are known, without running what is missing of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow.model.state import SUCCESSFUL, Freshness, State

if TYPE_CHECKING:
    from nbflow.flow.finished import Run
    from nbflow.notebook.session import Session


def run_to_look_at(session: Session, name: str) -> tuple[Run, str]:
    """(a run whose frame is to be shown, what to say of what is missing); a task without any result runs."""
    flow = session.by_helpers.as_in_a_run()
    planned = flow.run(targets=[name], dry=True)
    row = next((each for each in planned.plan if each.name == name), None)
    last = _last_with(session, planned, name)
    if row is None or not row.count or not row.fresh:
        return last or session.run([name], check=False), ""
    shown = last or planned
    if row.freshness is Freshness.FRESH:
        return shown, ""
    # Those that failed are told of by the frame itself.
    left = row.count - row.fresh - shown.ledger.states(shown.find(name)).count(State.FAILED)
    return shown, f"{left:,} of {row.count:,} have no result yet: %flow run {name}" if left else ""


def _last_with(session: Session, planned: Run, name: str) -> Run | None:
    """The last run, where it left the task as it stands now: it also knows the errors, and what it ran."""
    run = session.last_with(name)
    if run is None or not any(state in SUCCESSFUL for state in run.ledger.states(run.find(name))):
        return None
    return run if _results(run, name) == _results(planned, name) else None


def _results(run: Run, name: str) -> list[bytes | None]:
    """The ids of a node's results, None for elements that have none."""
    node = run.find(name)
    out = run.ledger.books[node].out
    return [out[i] if state in SUCCESSFUL else None for i, state in enumerate(run.ledger.states(node))]
