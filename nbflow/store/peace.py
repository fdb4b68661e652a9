"""Work that no interrupt tears apart."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")


def undisturbed(work: Callable[[], Result]) -> Result:
    """Calls work where no interrupt reaches it, and gives what that gives; one that comes meanwhile is raised after it.

    Interrupts reach the main thread only, and there between any two instructions, also in a `finally`.
    """
    if threading.current_thread() is not threading.main_thread():
        return work()
    ended: list[tuple[Result | None, BaseException | None]] = []

    def call() -> None:
        try:
            ended.append((work(), None))
        # It is raised again below, on the thread that waits.
        except BaseException as error:  # noqa: BLE001 (handed over)
            ended.append((None, error))

    interrupt = _until_it_ended(threading.Thread(target=call, name="nbflow-store"))
    if interrupt is not None:
        raise interrupt
    if not ended:
        # The interpreter is ending, and starts no threads any more.
        call()
    result, error = ended[0]
    if error is not None:
        raise error
    return result  # type: ignore[return-value]


def _until_it_ended(thread: threading.Thread) -> KeyboardInterrupt | None:
    interrupt = None
    try:
        thread.start()
    except RuntimeError:
        return None
    except KeyboardInterrupt as error:
        interrupt = error
    while thread.is_alive():
        try:
            thread.join()
        except KeyboardInterrupt as error:
            interrupt = error
    return interrupt
