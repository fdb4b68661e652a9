"""The executors that flows and tasks may name."""

from __future__ import annotations

from nbflow.errors import GraphError, nearest

EXECUTORS = ("threads", "processes", "dask", "sync")


def check_executor(executor: object, owner: str = "") -> None:
    """Raises GraphError where nothing is called by this name. owner: "Flow" for a flow's, empty for a task's."""
    if isinstance(executor, str) and executor in EXECUTORS:
        return
    what = f"{owner}(executor={executor!r})" if owner else f"executor={executor!r}"
    if not isinstance(executor, str):
        remedy = '; a flow takes a cluster as executor=DaskExecutor(…), and its tasks say executor="dask"'
    elif "://" in executor:
        remedy = f'; a flow takes a cluster as executor=DaskExecutor({executor!r}), and its tasks say executor="dask"'
    else:
        remedy = nearest(executor, EXECUTORS)
    raise GraphError(what + remedy)
