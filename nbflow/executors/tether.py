"""What ends a worker of the cluster on this machine with the kernel that started it, whatever either is at."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from typing import Any

from distributed import Nanny

# Where the scheduler keeps how workers ended, by address.
ENDS = "nbflow-ends"


class Tethered(Nanny):
    """Looks after one worker, and ends at once with all that comes of it when the kernel is gone.

    Dask's own way is to tell the worker, which hears of it between two steps of Python: one that computes in C would
    go on. It and its worker each lead a group of processes: one that a task ends is the worker's alone. The kernel has
    the other end of its standard input, and ends the worker by it.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        # A descriptor that no child gets; the worker reads nothing.
        kernel = os.dup(0)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        super().__init__(*args, **options)
        threading.Thread(target=self._heed, args=(kernel,), name="nbflow-tether", daemon=True).start()

    async def _on_worker_exit(self, exitcode: int) -> None:
        # Where nobody listens any more, nobody asks.
        with suppress(OSError):
            await self.scheduler.set_metadata(keys=[ENDS, self.worker_address], value=exitcode)
        await super()._on_worker_exit(exitcode)

    def _heed(self, kernel: int) -> None:
        # Each byte is a word of the kernel to end the worker; Dask starts another one. No more come when it is gone.
        while os.read(kernel, 1):
            self._end_worker()
        self._end_worker()
        os.killpg(0, signal.SIGKILL)

    def _end_worker(self) -> None:
        """Ends the worker and all that it has started."""
        if (worker := self.pid) is not None:
            for end in (os.killpg, os.kill):
                with suppress(ProcessLookupError, PermissionError):
                    end(worker, signal.SIGKILL)


def dask_setup(_: Any) -> None:
    """Called in the worker before it gets anything to do."""
    os.setpgid(0, 0)
