"""A Dask cluster on this machine: its scheduler in this process, its workers in sessions of their own."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import threading
import time
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

import dask
from distributed import Scheduler, SpecCluster
from distributed.deploy.cluster import Cluster
from distributed.deploy.subprocess import SubprocessWorker

from nbflow.executors.flags import environment, python
from nbflow.executors.hush import hush
from nbflow.executors.tether import ENDS

# What tells who looks after a worker to end it.
END = b"."
# How long who looks after a worker may take to tell how it ended, and to end.
_TOLD_S, _END_S = 3.0, 1.0
_FOLDER = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))


def local_cluster() -> Any:
    """The cluster of this process, started when it is first asked for, and ended with the process.

    It starts on a thread of its own: an interrupt meanwhile leaves nothing half begun.
    """
    with _LOCK:
        started = _STARTED.get(os.getpid())
        if started is None or (started.done() and (started.exception() or started.result().status.name != "running")):
            started = _STARTED[os.getpid()] = Future()
            threading.Thread(target=_start, args=(started,), name="nbflow-dask-start", daemon=True).start()
    return started.result()


def end_worker(client: Any, key: str) -> None:
    """Has the worker end that is at a task of Dask's, whatever it does; the next one is started in its place."""
    client.loop.add_callback(_end_worker, client.cluster, key)


def status_of(client: Any, worker: str) -> int | None:
    """How the process of a worker ended; None where nobody tells of it soon."""
    until = time.monotonic() + _TOLD_S
    while True:
        status: int | None = client.get_metadata([ENDS, worker], default=None)
        if status is not None or time.monotonic() > until:
            return status
        time.sleep(0.02)


def _end_worker(cluster: Any, key: str) -> None:
    task = cluster.scheduler.tasks.get(key)
    if task is not None and task.processing_on is not None:
        cluster.workers[task.processing_on.name].end()


def _start(started: Future[Any]) -> None:
    try:
        started.set_result(_cluster(os.cpu_count() or 1))
    # Raised where the cluster is waited for.
    except BaseException as error:  # noqa: BLE001 (handed over)
        started.set_exception(error)


def _cluster(workers: int) -> Any:
    # Also what only answers requests for figures is open to this machine alone.
    here = {"host": "127.0.0.1", "dashboard": False, "dashboard_address": "127.0.0.1:0"}
    # What happens to workers is told by nbflow, where it matters to anybody.
    tether = "nbflow.executors.tether"
    options = {**here, "nthreads": 1, "memory_limit": 0, "death_timeout": 30, "silence_logs": logging.CRITICAL}
    options["preload"] = tether
    worker = {"cls": _Worker, "options": {"worker_class": f"{tether}.Tethered", "worker_kwargs": options}}
    # nbflow decides how often what a worker died of is tried again.
    scheduler = {"cls": _Scheduler, "options": {**here, "port": 0, "allowed_failures": 0}}
    return _Cluster(  # type: ignore[no-untyped-call]  # nor is what it comes from
        workers=dict.fromkeys(range(workers), worker),
        scheduler=scheduler,
        worker=worker,
        name="nbflow",
        # That would be for all clusters of this process.
        silence_logs=False,
    )


class _Scheduler(Scheduler):
    """Does not keep the last thousand messages to each worker, which hold all that elements were called with."""

    async def handle_worker(self, comm: Any, worker: str) -> None:
        self.stream_comms[worker].recent_message_log = deque(maxlen=0)
        await super().handle_worker(comm, worker)


class _Cluster(SpecCluster):
    """Where a worker is gone for long, or again, who looks after it starts the next one: it is never given up."""

    async def _start(self) -> None:
        # The parts of its web server it imports only when it begins.
        hush(dask.config.get("distributed.scheduler.http.routes", ()))
        await super()._start()  # type: ignore[no-untyped-call]  # it ships no types

    def _update_worker_status(self, op: str, msg: Any) -> None:
        Cluster._update_worker_status(self, op, msg)  # type: ignore[no-untyped-call]  # it ships no types


class _Worker(SubprocessWorker):
    """No interrupt from a terminal or of a kernel reaches it, and no script of the user's is run again for it."""

    async def _start(self) -> None:
        specification = json.dumps({"cls": self.worker_class, "opts": {"name": self.name, **self.worker_kwargs}})
        command = [*python(), "-m", "dask", "spec", self.scheduler, "--spec", specification]
        # The kernel may have found nbflow, or what it needs, where a new process would not look.
        path = os.pathsep.join([_FOLDER, *filter(None, sys.path)])
        self.process = await asyncio.create_subprocess_exec(
            *command,
            # Held open as long as this process lives: what looks after the worker ends with it.
            stdin=asyncio.subprocess.PIPE,
            # Tasks may have processes of their own; they end with the worker's group.
            env=environment(PYTHONPATH=path, DASK_DISTRIBUTED__WORKER__DAEMON="False"),
            start_new_session=True,
        )
        self._minding = asyncio.create_task(self._mind(self.process))

    async def _mind(self, process: Any) -> None:
        """Who looks after the worker may be ended as well as the worker itself: then another one does."""
        await process.wait()
        await self._start()

    async def close(self) -> None:
        """Ends the worker with all that it has started, without a word of theirs."""
        self._minding.cancel()
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()
            with suppress(TimeoutError):
                await asyncio.wait_for(self.process.wait(), _END_S)
        await super().close()

    def end(self) -> None:
        """Ends the worker, and has another one started."""
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.write(END)


_STARTED: dict[int, Future[Any]] = {}
_LOCK = threading.Lock()
