"""What became of an order in another process, and what its batch is told of it."""

from __future__ import annotations

import signal
from contextlib import suppress
from typing import TYPE_CHECKING

from nbflow.errors import NotSendable, WorkerDied, in_words, place_of
from nbflow.executors.failures import error_of
from nbflow.executors.order import MOST_DEATHS, Unlike

if TYPE_CHECKING:
    from nbflow.executors.base import Batch
    from nbflow.executors.order import Done, Refused


def take_note(batch: Batch, done: Done) -> None:
    """What a worker tells of all the elements that it has done."""
    batch.moved_random = batch.moved_random or done.moved_random
    batch.changed.update(done.changed)
    batch.touched.update(done.touched)
    batch.drifted = batch.drifted or done.drifted
    batch.workers[done.worker] = max(done.peak_bytes, batch.workers.get(done.worker, 0))


def refusal(batch: Batch, refused: Refused | Unlike, where: str, remedy: str = "") -> NotSendable:
    """The error of elements whose needs could not be opened where they were sent. Raises what is a defect of ours."""
    if isinstance(refused, Unlike):
        return _unlike(batch, refused)
    error = error_of(refused.failure)
    if refused.opened:
        raise error
    why = NotSendable(
        f"{batch.label} ({place_of(batch.fn)}): what it needs cannot be opened {where}: {in_words(error)}; "
        f'{remedy}give the task executor="threads"'
    )
    why.__cause__ = error
    return why


def _unlike(batch: Batch, unlike: Unlike) -> NotSendable:
    here = {name: batch.packages[name] for name in unlike.packages}
    differences = [
        f"{name} {here[name]}, and the worker {unlike.worker} has {'none' if there is None else there}"
        for name, there in unlike.packages.items()
    ]
    install = " ".join(f"{name}=={version}" for name, version in here.items())
    return NotSendable(
        f"{batch.label} ({place_of(batch.fn)}): this kernel has {'; '.join(differences)}: results could differ; "
        f"install the same there (`pip install {install}`) and restart the worker"
    )


def loss(batch: Batch, times: int, size_bytes: int | None = None) -> WorkerDied:
    """The error of elements that were sent many times, and workers were gone each time before they began.

    size_bytes: of what did not reach them, where that is known.
    """
    what = "what it needs" if size_bytes is None else f"{size_bytes / 1e6:.1f} MB of what it needs"
    return WorkerDied(
        f"{batch.label} ({place_of(batch.fn)}): {times} times in succession the workers that got {what} were gone "
        f"before they called it; their logs say why: often that is more than their memory holds"
    )


def death(batch: Batch, how: str) -> WorkerDied:
    """The error of an element that too many workers died of. how: what is known of the last one."""
    return WorkerDied(
        f"{batch.label} ({place_of(batch.fn)}): the worker process that ran it died {MOST_DEATHS} times{how}"
    )


def ending(status: int) -> str:
    """How a process ended, and what to do where that is known: from its exit code, or minus the number of a signal."""
    remedy = ""
    if status == -signal.SIGKILL:
        remedy = "; the system does that when memory runs out: give it less at once, or fewer processes"
    return f" ({how_it_ended(status)}){remedy}"


def how_it_ended(status: int) -> str:
    """In words: "killed by SIGSEGV", "exit code 3"."""
    if status >= 0:
        return f"exit code {status}"
    with suppress(ValueError):
        return f"killed by {signal.Signals(-status).name}"
    return f"killed by signal {-status}"
