"""What runs over there: the elements of a batch, one after the other, timed, watched and identified."""

from __future__ import annotations

import inspect
import random
import sys
import threading
from contextlib import contextmanager
from itertools import repeat
from time import perf_counter
from types import AsyncGeneratorType, GeneratorType
from typing import TYPE_CHECKING, Any

from nbflow.codecs import seal
from nbflow.errors import NotStorable, NotSuccessful
from nbflow.executors.base import Batch, Outcome
from nbflow.probe.files import RandomState, Recorder

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

    from nbflow.probe.files import StatMemo


def run_batch(batch: Batch, memo: StatMemo) -> None:
    """Appends an Outcome for each element to batch.outcomes, so that what is finished survives an interrupt."""
    recorder = Recorder()
    # What nobody stores may use random numbers as it likes.
    before = RandomState.snapshot() if batch.keep and batch.seeds is None else None
    with recorder.watching():
        for position, (args, kwargs) in enumerate(_calls(batch)):
            if batch.cancelled:
                break
            if batch.expected_files is not None:
                recorder.expect(batch.expected_files[position])
            seed = batch.seeds[position] if batch.seeds is not None else None
            outcome = _call(batch, position, args, kwargs, seed)
            # Before the value is encoded: what the encoding opens is not the task's.
            if recorder.touched:
                outcome.observed = recorder.take(memo)
            _describe(batch, outcome)
            batch.outcomes.append(outcome)
    batch.moved_random = before is not None and before.moved()


def _calls(batch: Batch) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    if not batch.columns:
        return repeat(((), {}), batch.count)
    rows = zip(*batch.columns, strict=True)
    if not any(batch.keywords):
        return zip(rows, repeat({}))
    return ((_split(row, batch.keywords)) for row in rows)


def _split(row: tuple[Any, ...], keywords: tuple[str | None, ...]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    pairs = list(zip(keywords, row, strict=True))
    return tuple(v for name, v in pairs if name is None), {name: v for name, v in pairs if name is not None}


def _call(batch: Batch, position: int, args: tuple[Any, ...], kwargs: dict[str, Any], seed: int | None) -> Outcome:
    fn = batch.fn
    started = perf_counter()
    try:
        if seed is None:
            value = fn(*args, **kwargs)
        else:
            with seeded(seed):
                value = fn(*args, **kwargs)
        if inspect.iscoroutine(value):
            value = run_coroutine(value)
        if isinstance(value, (GeneratorType, AsyncGeneratorType)):
            raise NotSuccessful(
                f"{batch.label} returned a generator, which can be read only once; return list(...) of it"
            )
    # A task may raise anything, also SystemExit; an interrupt alone ends the run.
    except (Exception, SystemExit) as error:  # noqa: BLE001 (what a task raises becomes its state)
        # The first frame is this one.
        error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
        return Outcome(position, error=error, seconds=perf_counter() - started)
    return Outcome(position, value, seconds=perf_counter() - started)


def _describe(batch: Batch, outcome: Outcome) -> None:
    if batch.identify is None or outcome.error is not None:
        return
    outcome.out, outcome.members = batch.identify(outcome.value)
    if batch.keep:
        try:
            outcome.sealed = seal(outcome.value)
        except NotStorable as reason:
            outcome.unstored = str(reason)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seeds `random` and NumPy for the time of a call; the states from before come back after it."""
    numpy = sys.modules.get("numpy")
    kept, kept_numpy = random.getstate(), numpy.random.get_state() if numpy else None
    random.seed(seed)
    if numpy:
        numpy.random.seed(seed % 2**32)
    try:
        yield
    finally:
        random.setstate(kept)
        if numpy and kept_numpy is not None:
            numpy.random.set_state(kept_numpy)


def run_coroutine(coroutine: Any) -> Any:
    """The result of a coroutine, run on nbflow's own event loop, so that a running loop is no hindrance."""
    import asyncio

    future = asyncio.run_coroutine_threadsafe(coroutine, _loop())
    try:
        return future.result()
    except KeyboardInterrupt:
        future.cancel()
        raise


def _loop() -> asyncio.AbstractEventLoop:
    import asyncio

    with _LOOP_LOCK:
        if not _LOOPS:
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="nbflow-async", daemon=True).start()
            _LOOPS.append(loop)
        return _LOOPS[0]


_LOOPS: list[asyncio.AbstractEventLoop] = []
_LOOP_LOCK = threading.Lock()
