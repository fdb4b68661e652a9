"""Which Dask cluster a flow uses, and the connection to it: made when it is needed, kept for the next run."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Any

from nbflow.errors import ClusterError, MissingExtra, in_words
from nbflow.executors.addresses import check_where
from nbflow.executors.aside import import_aside
from nbflow.executors.flags import optimized
from nbflow.model.executor import Cluster
from nbflow.probe.listening import NOBODYS

if TYPE_CHECKING:
    import concurrent.futures
    from collections.abc import Iterable, Mapping, Sequence

    from nbflow.model.executor import Waiting

# What a worker must have as the kernel has it, and how many numbers of its version count.
_ALIKE = {"python": 2, "nbflow": 9, "cloudpickle": 2}
# How long a run waits for what workers have to say before it begins, and how often it looks meanwhile.
_MOST_S = 10.0
_LOOK_S = 0.1
_HERE = "://127.0.0.1:"


class DaskExecutor(Cluster):
    """A Dask cluster, as `Flow(executor=DaskExecutor("tcp://10.0.0.5:8786"))`.

    where: the address of a scheduler, a `distributed.Client`, or a cluster object of any of dask's packages; None for
    workers on this machine, one for each core, which nbflow starts. security: a `distributed.Security`, for TLS. Raises
    GraphError for what can be none of these.
    """

    def __init__(self, where: Any = None, *, security: Any = None) -> None:
        if where is not None:
            check_where(where)
        self.slots = 1
        self.workers: frozenset[str] = frozenset()
        self.is_own = where is None
        self._where = where.strip() if isinstance(where, str) else where
        self._security = security
        self._client: Any = None
        self._pid = 0
        self._is_far = False
        self._known: set[str] = set()
        self._told: dict[str, concurrent.futures.Future[Any]] = {}
        self._lock = threading.Lock()
        self._looking = threading.Lock()

    def __repr__(self) -> str:
        return f"DaskExecutor({'' if self._where is None else repr(self._where)})"

    def connect(self, waiting: Waiting | None = None) -> Any:
        """A client of the cluster, whose workers can do what the kernel asks of them. Raises ClusterError.

        waiting: what is done meanwhile.
        """
        from concurrent.futures import wait  # brings in logging

        import_aside("nbflow.executors.dask")
        with self._lock:
            if self._client is None or self._client.status != "running" or self._pid != os.getpid():
                self._client, self._pid = self._connected(waiting), os.getpid()
                self._refuse_circle()
                self._told.clear()
                self._known.clear()
                self._settle()
            self.look()
            until = time.monotonic() + _MOST_S
            while self.workers - self._known and time.monotonic() < until:
                wait(list(self._told.values()), _LOOK_S)
                self.look()
            return self._client

    def look(self) -> None:
        """Looks which workers there are, and whether those that are new will do. Raises ClusterError."""
        try:
            # A run looks while the next one connects.
            with self._looking:
                self._look()
        except OSError as error:
            raise lost(self, error) from error

    def _look(self) -> None:
        threads = self._client.nthreads()
        # A cluster that grows on demand begins with no workers.
        self.workers = frozenset(threads)
        self.slots = max(1, sum(threads.values()))
        self._ask(self.workers - self._known - self._told.keys())
        for address in [address for address, told in self._told.items() if told.done()]:
            self._compare(address, self._told.pop(address).result()[address])

    def check(self, resources: Mapping[str, float], label: str, waiting: Waiting | None = None) -> None:
        """Raises ClusterError where no worker of the cluster has what a task asks for."""
        if self.is_own:
            raise ClusterError(
                f"{label} needs resources {_in_words(resources)}, and the workers that nbflow starts on this machine "
                f"have none; give the flow a cluster that has them (executor=DaskExecutor(address)), or change "
                f"resources= of the task"
            )
        workers = self.connect(waiting).scheduler_info(n_workers=-1)["workers"]
        has = [worker["resources"] for worker in workers.values()]
        # A cluster that grows on demand begins with no workers; which ones it can start, nobody tells.
        if not has or any(all(each.get(name, 0) >= amount for name, amount in resources.items()) for each in has):
            return
        # All in one word: what comes after it is taken for something else.
        example = " ".join(f"{name}={amount:g}" for name, amount in resources.items())
        raise ClusterError(
            f"{label} needs resources {_in_words(resources)}, which no worker of {self._name()} has: {_offers(has)}; "
            f'start one with `dask worker … --resources "{example}"`, or change resources= of the task'
        )

    def end_worker(self, key: str) -> None:
        """Ends the worker that is at a task of Dask's, where it is nbflow's own: it stops for nothing else."""
        if self.is_own:
            from nbflow.executors.local import end_worker

            end_worker(self._client, key)

    def ending_of(self, worker: str) -> str:
        """How the worker at an address ended, as far as that can be known, for the end of a sentence."""
        if not self.is_own:
            return f", the last one at {worker}; its log says why: often it had no memory left"
        from nbflow.executors.local import status_of
        from nbflow.executors.verdicts import ending

        status = status_of(self._client, worker)
        return " (it lost its connections)" if status is None else ending(status)

    @property
    def is_near(self) -> bool:
        """Whether data may go straight to the workers and back: all are on this machine.

        The scheduler's address alone does not tell: it may be the near end of a tunnel.
        """
        return not self._is_far and all(_HERE in each for each in (self._client.scheduler.address, *self.workers))

    def close(self) -> None:
        """Ends the connection, and the workers where nbflow started them. The next run makes a new one."""
        with self._lock:
            client, self._client = self._client, None
            if client is not None and client is not self._where and self._pid == os.getpid():
                client.close()

    def _connected(self, waiting: Waiting | None) -> Any:
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
            import_aside("nbflow.executors.local")
            from nbflow.executors.local import local_cluster

            where: Any = local_cluster()
        else:
            where = self._where
        from nbflow.executors.connecting import connect

        return connect(where, self._security, self._name(), waiting)

    def _refuse_circle(self) -> None:
        """Raises ClusterError where a task of this very cluster asks: it would wait for itself."""
        from nbflow.executors.afar import HERE

        if HERE.serves(self._client.scheduler.address):
            raise ClusterError(
                f"a task on {self._name()} runs a flow there, whose tasks would wait for it to end; give that flow "
                f'executor="threads", or call it inside the outer flow, where it becomes a part of it'
            )

    def _settle(self) -> None:
        """Has the client's thread and the workers behave beside what else goes on here."""
        from nbflow.executors.afar import Undisturbed, leave_alone, machine

        leave_alone()
        if self._client is not self._where:
            # It would hold the last thousand messages, with all that elements were called with.
            self._client.scheduler_comm.recent_message_log = deque(maxlen=0)
        # What it connects to is no task's.
        self._client.loop.add_callback(lambda: NOBODYS.add(threading.get_ident()))
        if not self.is_own:
            self._client.register_plugin(Undisturbed(os.getpid(), machine()), name="nbflow-undisturbed")

    def _ask(self, addresses: Iterable[str]) -> None:
        """Has workers say what they have. One that has died meanwhile would not let us go on for half a minute."""
        from nbflow.executors.afar import versions
        from nbflow.executors.depot import on_loop

        for address in addresses:
            asked = self._client._run(versions, workers=[address], on_error="return")
            self._told[address] = on_loop(self._client, asked)

    def _compare(self, address: str, theirs: Any) -> None:
        """Raises ClusterError where a worker would do what is asked of it in another way, or not at all."""
        from nbflow.executors.afar import versions

        ours = versions()
        if isinstance(theirs, OSError):
            # It has died meanwhile; if not, it is asked again.
            return
        if address.startswith("inproc:"):
            raise ClusterError(
                f"{self._name()} has its workers in this process; make it with processes=True, or use "
                f'executor="threads"'
            )
        if isinstance(theirs, Exception):
            raise ClusterError(
                f"the worker {address} of {self._name()} cannot use nbflow: {in_words(theirs)}; install it there: "
                f"`pip install 'nbflow[dask]=={ours['nbflow']}'`"
            )
        self._is_far = self._is_far or theirs["machine"] != ours["machine"]
        for package, count in _ALIKE.items():
            if _start(theirs[package], count) != _start(ours[package], count):
                raise ClusterError(
                    f"the worker {address} of {self._name()} has {package} {theirs[package]}, and this kernel "
                    f"{ours[package]}: results could differ; give both the same"
                    + ("" if package == "python" else f": `pip install {package}=={ours[package]}`")
                )
        level = ours["optimize"]
        if theirs["optimize"] != level:
            how = f"with PYTHONOPTIMIZE={level} in its environment" if level else "without -O and PYTHONOPTIMIZE"
            raise ClusterError(
                f"the worker {address} of {self._name()} runs as `{optimized(theirs['optimize'])}`, and this kernel as "
                f"`{optimized(level)}`: results could differ, as asserts count in one of them alone; start it {how}"
            )
        self._known.add(address)

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


def uncallable(cluster: DaskExecutor, label: str, error: BaseException) -> ClusterError:
    """The error of a run whose orders the cluster does not take."""
    why = in_words(error)
    if "deserialization of the task graph" in why:
        version = sys.modules["nbflow"].__version__
        why = (
            f"its scheduler cannot read what it is sent; it needs nbflow as its workers do: "
            f"`pip install 'nbflow[dask]=={version}'`"
        )
    return ClusterError(f"{label} could not be called on {cluster!r}: {why}")


def _in_words(resources: Mapping[str, float]) -> str:
    return ", ".join(f"{name}={amount:g}" for name, amount in resources.items())


def _offers(has: Sequence[Mapping[str, float]]) -> str:
    """What the workers of a cluster have, in words.

    >>> _offers([{"GPU": 1.0}, {}]), _offers([{}])
    ('1 of its 2 workers has GPU=1', 'its only worker has no resources')
    """
    counts = Counter(_in_words(each) for each in has if each) or {"no resources": len(has)}
    all_of_them = "its only worker has" if len(has) == 1 else f"its {len(has)} workers have"
    return " and ".join(
        f"{all_of_them} {what}"
        if count == len(has)
        else f"{count} of its {len(has)} workers {'has' if count == 1 else 'have'} {what}"
        for what, count in sorted(counts.items())
    )


def _start(version: str, count: int) -> list[str]:
    return version.split(".")[:count]


LOCAL = DaskExecutor()
