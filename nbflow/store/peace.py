"""Work that no interrupt tears apart."""

from __future__ import annotations

import _thread
import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")
_LOOK_S = 1.0


def undisturbed(work: Callable[[], Result]) -> Result:
    """Calls work where no interrupt reaches it, and gives what that gives; one that comes meanwhile is raised after it.

    Interrupts reach the main thread only, but there between any two instructions, also in a `finally`. Very rarely
    one is raised while the work still goes on: it must bear that others go on meanwhile.
    """
    if threading.get_ident() != threading.main_thread().ident:
        return work()
    ended: list[tuple[Result | None, BaseException | None]] = []
    done = _thread.allocate_lock()
    done.acquire()

    def call() -> None:
        try:
            ended.append((work(), None))
        # It is raised again below, on the thread that waits.
        except BaseException as error:  # noqa: BLE001 (handed over)
            ended.append((None, error))
        done.release()

    interrupt = _begun(call)
    while not ended:
        try:
            done.acquire(timeout=_LOOK_S)
        except KeyboardInterrupt as error:
            interrupt = error
    if interrupt is not None:
        raise interrupt
    result, raised = ended[0]
    if raised is not None:
        raise raised
    return result  # type: ignore[return-value]  # there is one where nothing was raised


def _begun(call: Callable[[], None]) -> KeyboardInterrupt | None:
    """Starts a thread. The interrupt that came while it did: threads of `threading` would not survive that."""
    try:
        _thread.start_new_thread(call, ())
    except RuntimeError:
        # The interpreter is ending, and starts no threads any more.
        call()
    except KeyboardInterrupt as interrupt:
        return interrupt
    return None
