"""What ends a worker of the cluster on this machine with the kernel that started it, whatever either is at."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

from distributed import Nanny


class Tethered(Nanny):
    """Looks after one worker, and ends at once with all that comes of it when the kernel is gone.

    Dask's own way is to tell the worker, which hears of it between two steps of Python: one that computes in C would
    go on. Leads a group of processes; the kernel has the other end of its standard input.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        # A descriptor that no child gets; the worker reads nothing.
        kernel = os.dup(0)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        threading.Thread(target=_end_with, args=(kernel,), name="nbflow-tether", daemon=True).start()
        super().__init__(*args, **options)


def _end_with(kernel: int) -> None:
    while os.read(kernel, 1):
        # Nobody sends anything; it ends when the kernel does.
        continue
    os.killpg(0, signal.SIGKILL)
