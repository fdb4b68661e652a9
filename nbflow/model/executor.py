"""The executors that flows and tasks may name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from nbflow.errors import GraphError, nearest
from nbflow.lean import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

EXECUTORS = ("threads", "processes", "dask", "sync")
_HOW = (
    'a flow takes a cluster as executor=DaskExecutor({}), and its tasks say executor="dask", or name one of their own'
)


@dataclass(frozen=True, slots=True)
class Waiting:
    """What is done while a cluster is waited for.

    tell: called with what is waited for, where that takes long; look: raises what ends the waiting.
    """

    tell: Callable[[str], None]
    look: Callable[[], None]


class Cluster(ABC):
    """What a task may name instead of an executor: the base of `DaskExecutor`, for layers that do not know that."""

    @abstractmethod
    def check(self, resources: Mapping[str, float], label: str, waiting: Waiting | None = None) -> None:
        """Raises ClusterError where no worker has what a task asks for. label: the task's name.

        waiting: what is done while it connects.
        """


def check_executor(executor: object, owner: str = "") -> None:
    """Raises GraphError for what is no executor. owner: "Flow" for a flow's; a task may have None, for its flow's."""
    named = isinstance(executor, str) and executor in EXECUTORS
    if named or isinstance(executor, Cluster) or (executor is None and not owner):
        return
    what = f"{owner}(executor={executor!r})" if owner else f"executor={executor!r}"
    if not isinstance(executor, str):
        remedy = f"; {_HOW.format('…')}"
    elif "://" in executor:
        remedy = f"; {_HOW.format(repr(executor))}"
    else:
        remedy = nearest(executor, EXECUTORS)
    raise GraphError(what + remedy)
