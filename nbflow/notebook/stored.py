"""`%flow cache` and `%flow clear`: what the store keeps of a notebook's tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow.errors import UnknownName, nearest
from nbflow.results.report import is_visible
from nbflow.store import bytes_text, contents

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbflow.notebook.session import Session


def cache_text(session: Session) -> str:
    """Where results are kept, how much they take up, and what of it may go."""
    return repr(contents(session.flow.store))


def clear(session: Session, tasks: Sequence[str]) -> str:
    """Drops the stored results of tasks, by default of all of the notebook; tells what was freed."""
    chosen = list(tasks) or own_tasks(session)
    if not chosen:
        return "the notebook has no tasks, so nothing is cleared"
    return f"cleared: {', '.join(chosen)}; {bytes_text(session.flow.store.clear(chosen))} freed"


def own_tasks(session: Session) -> list[str]:
    """The names under which the store keeps the results of the notebook's tasks."""
    return list(dict.fromkeys(node.task.name for node in session.build().graph.nodes.values() if is_visible(node)))


def stored_task(session: Session, name: str) -> str:
    """The name under which a task's results are kept; the notebook may have it no more. Raises UnknownName."""
    graph = session.build().graph
    if name in {*session.names(), *graph.nodes}:
        return graph[session.task_name(name)].task.name
    stored = contents(session.flow.store).tasks
    if name in stored:
        return name
    raise UnknownName(f"no task is called {name!r}" + nearest(name, [*session.names(), *stored]))
