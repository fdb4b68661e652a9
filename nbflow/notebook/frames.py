"""`%flow frame`: the elements of a task as they are known, without running what is missing of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow.model.state import SUCCESSFUL, Freshness

if TYPE_CHECKING:
    from nbflow.flow import Run
    from nbflow.notebook.session import Session
    from nbflow.results.report import PlanRow


def run_to_look_at(session: Session, name: str) -> tuple[Run, str]:
    """(a run whose frame is to be shown, what to say of what is missing); a task without any result runs."""
    flow = session.by_helpers.as_in_a_run()
    planned = flow.run(targets=[name], dry=True)
    row = next((each for each in planned.plan if each.name == name), None)
    if row is None or row.freshness is Freshness.FRESH or not row.count or not row.fresh:
        return session.run([name], check=False), ""
    missing = f"{row.count - row.fresh:,} of {row.count:,} have no result yet: %flow run {name}"
    return (_last_with(session, row) or planned), missing


def _last_with(session: Session, row: PlanRow) -> Run | None:
    """The last run, where it left the task as it stands now: it also knows the errors."""
    run = session.last_with(row.name)
    if run is None:
        return None
    states = run.track(run.find(row.name)).states
    done = sum(state in SUCCESSFUL for state in states)
    return run if (len(states), done) == (row.count, row.fresh) else None
