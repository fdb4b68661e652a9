"""The executors that flows and tasks may name."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from nbflow.errors import GraphError, nearest

EXECUTORS = ("threads", "processes", "dask", "sync")
_HOW = (
    'a flow takes a cluster as executor=DaskExecutor({}), and its tasks say executor="dask", or name one of their own'
)


@runtime_checkable
class Cluster(Protocol):
    """What a task may name instead of an executor: a DaskExecutor, which this layer knows by what it does."""

    is_own: bool

    def connect(self) -> Any: ...
    def check(self, resources: Any, label: str) -> None: ...


def check_executor(executor: object, owner: str = "") -> None:
    """Raises GraphError where nothing is called by this name. owner: "Flow" for a flow's, empty for a task's.

    A task's may be a cluster; a flow keeps its own apart.
    """
    if isinstance(executor, str) and executor in EXECUTORS:
        return
    if not owner and isinstance(executor, Cluster):
        return
    what = f"{owner}(executor={executor!r})" if owner else f"executor={executor!r}"
    if not isinstance(executor, str):
        remedy = f"; {_HOW.format('…')}"
    elif "://" in executor:
        remedy = f"; {_HOW.format(repr(executor))}"
    else:
        remedy = nearest(executor, EXECUTORS)
    raise GraphError(what + remedy)
