"""Which Dask cluster a flow uses, and the connection to it: made when it is needed, kept for the next run."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from nbflow.errors import ClusterError, MissingExtra, in_words

if TYPE_CHECKING:
    from collections.abc import Mapping

# What a worker must have as the kernel has it, and how many numbers of its version count.
_ALIKE = {"python": 2, "nbflow": 9, "cloudpickle": 2}


class DaskExecutor:
    """A Dask cluster, as `Flow(executor=DaskExecutor("tcp://10.0.0.5:8786"))`.

    where: the address of a scheduler, a `distributed.Client`, or a cluster object of any of dask's packages; None for
    workers on this machine, one for each core, which nbflow starts. security: a `distributed.Security`, for TLS.
    """

    def __init__(self, where: Any = None, *, security: Any = None) -> None:
        self.slots = 1
        self.is_own = where is None
        self._where = where
        self._security = security
        self._client: Any = None
        self._pid = 0
        self._known: set[str] = set()
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"DaskExecutor({'' if self._where is None else repr(self._where)})"

    def connect(self) -> Any:
        """A client of the cluster, whose workers can do what the kernel asks of them. Raises ClusterError."""
        with self._lock:
            if self._client is None or self._client.status != "running" or self._pid != os.getpid():
                self._client, self._pid = self._connected(), os.getpid()
                self._known.clear()
            self.look()
            return self._client

    def look(self) -> None:
        """Looks which workers there are, and whether those that are new will do. Raises ClusterError."""
        try:
            threads = self._client.nthreads()
        except OSError as error:
            raise lost(self, error) from error
        if threads.keys() - self._known:
            # One that dies meanwhile is none of those that are asked next time.
            with suppress(OSError):
                workers = self._client.get_versions(packages=["nbflow"])["workers"]
                self._compare(workers)
                self._known = set(workers)
        # A cluster that grows on demand begins with no workers.
        self.slots = max(1, sum(threads.values()))

    def check(self, resources: Mapping[str, float], label: str) -> None:
        """Raises ClusterError where no worker of the cluster has what a task asks for."""
        workers = self._client.scheduler_info(n_workers=-1)["workers"]
        has = [worker["resources"] for worker in workers.values()]
        if any(all(each.get(name, 0) >= amount for name, amount in resources.items()) for each in has):
            return
        offers = sorted({_in_words(each) for each in has if each})
        what = f"its {len(has)} workers have {' or '.join(offers) or 'no resources'}" if has else "it has no workers"
        example = " ".join(f'"{name}={amount:g}"' for name, amount in resources.items())
        raise ClusterError(
            f"{label} needs resources {_in_words(resources)}, which no worker of {self._name()} has: {what}; "
            f"start one with `dask worker … --resources {example}`, or change resources= of the task"
        )

    @property
    def is_near(self) -> bool:
        """Whether data may go straight to the workers and back: all are on this machine."""
        return "127.0.0.1" in self._client.scheduler.address

    def close(self) -> None:
        """Ends the connection, and the workers where nbflow started them. The next run makes a new one."""
        with self._lock:
            client, self._client = self._client, None
            if client is not None and client is not self._where and self._pid == os.getpid():
                client.close()

    def _connected(self) -> Any:
        try:
            import distributed
        except ImportError as error:
            raise MissingExtra(
                f'executor="dask" needs the package distributed; install it with '
                f"`{sys.executable} -m pip install 'nbflow[dask]'` and restart the kernel"
            ) from error
        if isinstance(self._where, distributed.Client):
            if self._where.asynchronous:
                raise ClusterError(f"{self!r}: an asynchronous client cannot be used; make one with Client(address)")
            if self._where.status != "running":
                raise ClusterError(f"{self!r}: this client is {self._where.status}; make a new one")
            return self._where
        if self._where is None:
            from nbflow.executors.local import local_cluster

            where: Any = local_cluster()
        else:
            where = self._where
        try:
            make: Any = distributed.Client
            return make(where, security=self._security, set_as_default=False, name="nbflow")
        # An address that is none, certificates that do not fit, nobody who answers.
        except (OSError, ValueError, TypeError, RuntimeError) as error:
            raise ClusterError(
                f"{self._name()} cannot be reached: {in_words(error)}; is its scheduler running, and is "
                f"security= what it asks for?"
            ) from error

    def _compare(self, workers: Mapping[str, Any]) -> None:
        import cloudpickle

        ours = {
            "python": ".".join(map(str, sys.version_info[:3])),
            "nbflow": sys.modules["nbflow"].__version__,
            "cloudpickle": cloudpickle.__version__,
        }
        for address, told in workers.items():
            if address.startswith("inproc:"):
                raise ClusterError(
                    f"{self._name()} has its workers in this process; make it with processes=True, or use "
                    f'executor="threads"'
                )
            for package, count in _ALIKE.items():
                theirs = told["packages"].get(package)
                if theirs is None or _start(theirs, count) != _start(ours[package], count):
                    raise ClusterError(
                        f"the worker {address} of {self._name()} has {package} {theirs or 'not at all'}, and this "
                        f"kernel {ours[package]}: results could differ; give both the same, as with "
                        f"`pip install {package}=={ours[package]}`"
                        if package != "python"
                        else f"the worker {address} of {self._name()} runs Python {theirs}, and this kernel "
                        f"{ours[package]}: results could differ; start the workers with the same Python"
                    )

    def _name(self) -> str:
        where = self._where
        if where is None:
            return "the local cluster"
        scheduler = getattr(where, "scheduler", None)
        return f"the cluster at {getattr(scheduler, 'address', where)}"


def lost(cluster: DaskExecutor, error: BaseException | None = None) -> ClusterError:
    """The error of a run whose scheduler has gone."""
    why = f" ({in_words(error)})" if error is not None else ""
    return ClusterError(
        f"{cluster._name()} does not answer any more{why}; what has finished is kept: "
        f"run again once its scheduler is back"
    )


def _in_words(resources: Mapping[str, float]) -> str:
    return ", ".join(f"{name}={amount:g}" for name, amount in resources.items())


def _start(version: str, count: int) -> list[str]:
    return version.split(".")[:count]


LOCAL = DaskExecutor()
