"""What `--executor NAME` of a cell stands for: an executor, or a variable of the notebook that holds a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbflow.errors import HeadError, nearest
from nbflow.executors.cluster import LOCAL, DaskExecutor
from nbflow.model.executor import EXECUTORS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nbflow.flow.front import Flow


def executor_meant(name: str, namespace: Mapping[str, Any]) -> str | DaskExecutor | None:
    """What `executor=` of the task is, as the notebook's variables are by now; None where the name has no meaning."""
    if name in EXECUTORS:
        return name
    value = namespace.get(name)
    return value if isinstance(value, DaskExecutor) else None


def call_on(flow: Flow, name: str | None, namespace: Mapping[str, Any]) -> str:
    """Where the notebook's tasks are called from now on, in words; None only tells. Raises HeadError."""
    if name is not None:
        meant = executor_meant(name, namespace)
        if meant is None:
            raise HeadError(f"%flow executor {name}: {unknown_executor(name, namespace)}")
        flow.executor = "dask" if isinstance(meant, DaskExecutor) else meant
        flow.cluster = meant if isinstance(meant, DaskExecutor) else LOCAL
    where = flow.executor if flow.executor != "dask" or flow.cluster is LOCAL else repr(flow.cluster)
    return f"tasks are called by {where}; `--executor` in the head of a cell counts before that"


def cluster_names(namespace: Mapping[str, Any]) -> tuple[str, ...]:
    """The variables that hold a cluster, without those that IPython or nobody shows."""
    return tuple(
        name for name, value in namespace.items() if isinstance(value, DaskExecutor) and not name.startswith("_")
    )


def unknown_executor(name: str, namespace: Mapping[str, Any]) -> str:
    """Why a name is no executor, and what may stand there.

    >>> unknown_executor("dusk", {})
    "neither an executor nor a variable that holds a DaskExecutor; did you mean 'dask'?"
    """
    what = "neither an executor nor a variable that holds a DaskExecutor"
    if "://" in name:
        return f"{what}; an address is given by a variable: `cluster = DaskExecutor({name!r})`"
    if name in namespace:
        value = namespace[name]
        what += f", but of type {type(value).__name__}"
        # An address, or a client or cluster of Dask's.
        if (isinstance(value, str) and "://" in value) or hasattr(value, "scheduler"):
            return f"{what}: give it as `{name} = DaskExecutor({name})`"
    return what + nearest(name, [*EXECUTORS, *cluster_names(namespace)])
