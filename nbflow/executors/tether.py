"""What ends a worker of the cluster on this machine with the kernel that started it, whatever either is at."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from typing import Any

from distributed import Nanny


class Tethered(Nanny):
    """Looks after one worker, and ends at once with all that comes of it when the kernel is gone.

    Dask's own way is to tell the worker, which hears of it between two steps of Python: one that computes in C would
    go on. Leads a group of processes; the kernel has the other end of its standard input, and ends the worker by it.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        # A descriptor that no child gets; the worker reads nothing.
        kernel = os.dup(0)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        threading.Thread(target=self._heed, args=(kernel,), name="nbflow-tether", daemon=True).start()
        super().__init__(*args, **options)

    def _heed(self, kernel: int) -> None:
        # Each byte is a word of the kernel to end the worker; Dask starts another one. No more come when it is gone.
        while os.read(kernel, 1):
            if (worker := self.pid) is not None:
                with suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)
        os.killpg(0, signal.SIGKILL)
