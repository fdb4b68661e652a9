"""Connecting to a Dask cluster: on a thread of its own, so that whoever waits for it can be stopped."""

from __future__ import annotations

import concurrent.futures
import contextvars
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import dask
from distributed import Client
from distributed.comm.core import CommClosedError
from distributed.security import Security
from distributed.utils import wait_for

from nbflow.errors import ClusterError, in_words
from nbflow.executors.hush import hush

if TYPE_CHECKING:
    from nbflow.model.executor import Waiting

# After how long it is told what is waited for.
_LATE_S = 2.0
_LOOK_S = 0.1
# How much longer than a connection may take its beginning may, until it is clear that no scheduler answers.
_MORE_S = 1.0
_MAKE = (
    "make one with distributed.security.Security(tls_ca_file=…, tls_client_cert=…, tls_client_key=…, "
    "require_encryption=True)"
)
_PLAIN = "write tcp:// and leave security= out"
_TLS = "tls://"


def connect(where: Any, security: Any, name: str, waiting: Waiting | None) -> Client:
    """A client of the cluster at an address, or of a cluster object. Raises ClusterError.

    name: the cluster's, for messages. waiting: what is done meanwhile.
    """
    if isinstance(where, str) and where.startswith(_TLS):
        _check_tls(security, name)
    made: Future[Client] = Future()
    run, work = contextvars.copy_context().run, (_make, made, where, security)
    threading.Thread(target=run, args=work, name="nbflow-connect", daemon=True).start()
    try:
        return _awaited(made, where, waiting)
    # An address that is none, certificates that do not fit, nobody who answers.
    except (OSError, ValueError, TypeError, RuntimeError, ImportError) as error:
        raise ClusterError(f"{name} {_why(error, with_tls=str(where).startswith(_TLS))}") from error
    except BaseException:
        # Whoever was stopped wants it no more.
        made.add_done_callback(_close)
        raise


def _awaited(made: Future[Client], where: Any, waiting: Waiting | None) -> Client:
    late, told = time.monotonic() + _LATE_S, not isinstance(where, str)
    while waiting is not None and not concurrent.futures.wait([made], _LOOK_S).done:
        waiting.look()
        if not told and time.monotonic() > late:
            told = True
            waiting.tell(f"connecting to {where} …")
    return made.result()


def _make(made: Future[Client], where: Any, security: Any) -> None:
    try:
        make: Any = _Client
        made.set_result(make(where, security=security, set_as_default=False, name="nbflow"))
    # Raised where it is waited for.
    except BaseException as error:  # noqa: BLE001 (handed over)
        made.set_exception(error)


def _close(made: Future[Client]) -> None:
    if made.exception() is None:
        made.result().close()  # type: ignore[no-untyped-call]  # it ships no types


class _NoScheduler(ConnectionError):
    """Something listens there, and does not speak as a scheduler does."""


class _Client(Client):
    """Does not wait for ever for what answers nothing, or something else than a scheduler does."""

    def start(self, **options: Any) -> None:
        try:
            super().start(**options)  # type: ignore[no-untyped-call]  # it ships no types
        except BaseException:
            # The thread of its loop would go on for nobody; what Dask did not close after some errors it would later.
            with suppress(Exception):
                self.sync(self._close, callback_timeout=_MORE_S)  # type: ignore[no-untyped-call]
            self._loop_runner.stop()  # type: ignore[no-untyped-call]
            raise

    async def _start(self, *given: Any, **options: Any) -> Any:
        if self.cluster is None:
            # Else it shares the loop of the cluster, which may be the user's.
            hush()
        begun: Any = super()._start
        return await begun(*given, **options)

    async def _ensure_connected(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 (Dask's own name)
        begun: Any = super()._ensure_connected
        bound_s: Any = None if timeout is None else timeout + _MORE_S
        try:
            await wait_for(begun(timeout), bound_s)
        except TimeoutError:
            raise _NoScheduler from None
        except (OSError, ValueError, TypeError, RuntimeError, ImportError):
            raise
        # What is made of the bytes of another protocol is any exception.
        except Exception as error:
            raise _NoScheduler from error


def _check_tls(security: Any, name: str) -> None:
    """Raises ClusterError where nothing tells which certificates to use: Dask's own settings may, too."""
    if security is None and dask.config.get("distributed.client.security-loader", None):
        return
    known = Security() if security is None else security  # type: ignore[no-untyped-call]  # it ships no types
    if isinstance(known, Security) and known.get_connection_args("client").get("ssl_context") is None:  # type: ignore[no-untyped-call]
        raise ClusterError(f"{name} cannot be reached with TLS without certificates: give it security=; {_MAKE}")


def _why(error: BaseException, *, with_tls: bool) -> str:
    """Why there is no connection, and what to do, for the end of a sentence."""
    # How a scheduler without TLS refuses it differs with the time that it takes.
    plain = f" If it does not speak TLS, {_PLAIN}" if with_tls else ""
    ask = f"is it the scheduler's port, and is security= what it asks for?{plain}"
    if isinstance(error, _NoScheduler):
        return f"cannot be reached: what listens there does not answer as a Dask scheduler does; {ask}"
    told = in_words(error)
    if isinstance(error, CommClosedError):
        return f"cannot be reached: what listens there closed the connection ({told}); {ask}"
    if "cannot convert to SSL" in told:
        return f"cannot be reached: {told}; that scheduler may not speak TLS: {_PLAIN}"
    if "encryption required" in told:
        return f"cannot be reached: {told}; write its address as tls://…, or leave require_encryption out of security="
    return f"cannot be reached: {told}; is its scheduler running, and is security= what it asks for?{plain}"
