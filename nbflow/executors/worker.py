"""What runs over there: the elements of a batch, one after the other, timed, watched and identified."""

from __future__ import annotations

import importlib
import importlib.util
import os
import random
import sys
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from itertools import repeat
from time import perf_counter
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any

from nbflow.codecs import seal
from nbflow.errors import NotStorable, NotSuccessful, RunawayLoop, place_of
from nbflow.executors.base import Batch, Outcome, Stopped
from nbflow.executors.waiting import bounded_call, run_coroutine
from nbflow.identity.copies import private_copy
from nbflow.identity.hashing import Place, noted_hashes
from nbflow.lean import dataclass
from nbflow.loop import ITERATION
from nbflow.model.making import BLOCK, Block
from nbflow.model.node import BUILDING, HIDDEN, MAKING, Node, ancestors
from nbflow.model.tree import CONTAINERS, leaves
from nbflow.probe.capture import aside
from nbflow.probe.file import File
from nbflow.probe.files import RandomState
from nbflow.probe.recorder import Recorder
from nbflow.probe.routing import Figures, capturing
from nbflow.probe.secrets import short_text
from nbflow.signals import LOOP, SKIP, SUCCESS, Signal

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from contextlib import AbstractContextManager

    from nbflow.probe.capture import Capture
    from nbflow.probe.files import StatMemo


def run_batch(batch: Batch, memo: StatMemo) -> None:
    """Appends an Outcome for each element to batch.outcomes, so that what is finished survives an interrupt."""
    pending = steps(batch, memo)
    try:
        for outcome in pending:
            with noting(batch, outcome), _seeding(batch, outcome.position):
                outcome.value = run_coroutine(outcome.value, batch.timeout_s, batch.label)
    finally:
        # Here and now: variables of the context are put back in it.
        pending.close()


def steps(batch: Batch, memo: StatMemo) -> Generator[Outcome]:
    """Runs a batch as `run_batch` does; gives out each outcome whose value must be awaited before it goes on."""
    recorder = Recorder()
    # What nobody stores may use random numbers as it likes.
    before = RandomState.snapshot() if batch.keep and batch.seeds is None else None
    made: list[Node] = []
    # Nodes that tasks make in here are theirs, whatever flow and blocks are open outside.
    making, building, block = MAKING.set(made), BUILDING.set(None), BLOCK.set(_NO_BLOCK)
    try:
        with recorder.watching(), capturing(batch.live) as capture:
            yield from _run_elements(batch, _Watch(batch, memo, recorder, capture, Figures()), made)
    finally:
        MAKING.reset(making)
        BUILDING.reset(building)
        BLOCK.reset(block)
    batch.moved_random = before is not None and before.moved()


@dataclass(slots=True)
class _Watch:
    """What watches the calls of a batch."""

    batch: Batch
    memo: StatMemo
    recorder: Recorder
    capture: Capture
    figures: Figures

    def complete(self, outcome: Outcome) -> None:
        """Adds what was seen of a call that has ended, and the id of its value."""
        _note_outputs(self.batch, outcome, self.recorder)
        # Before the value is encoded: what the encoding opens is not the task's.
        if self.recorder.touched:
            outcome.observed = self.recorder.take(self.memo)
        if self.figures.front is not None:
            self.figures.settle(outcome.value)
        if self.capture.touched:
            outcome.log = self.capture.take()
        _describe(self.batch, outcome)


def _run_elements(batch: Batch, watch: _Watch, made: list[Node]) -> Iterator[Outcome]:
    # Most tasks neither loop nor make nodes.
    plain = batch.starts is None and not batch.loop.bounded and not batch.fresh
    for position, (args, kwargs) in enumerate(calls_of(batch)):
        if batch.before is not None:
            batch.before(position)
        if batch.cancelled:
            break
        if batch.expected_files is not None:
            watch.recorder.expect(batch.expected_files[position])
        first = _call(batch, position, args, kwargs) if plain else None
        if first is not None and type(first.value) is CoroutineType:
            yield first
        if first is not None and not made and not isinstance(first.error, Signal) and not isinstance(first.value, Node):
            watch.complete(first)
            batch.outcomes.append(first)
            continue
        for outcome in _iterations(batch, position, args, kwargs, made, first):
            if type(outcome.value) is CoroutineType:
                yield outcome
                continue
            watch.complete(outcome)
            if outcome.step and outcome.sealed is not None:
                # The next iteration gets this result, and may change it in place.
                outcome.sealed = outcome.sealed.detached()
            if batch.keep or not outcome.step or outcome.nodes:
                batch.outcomes.append(outcome)
            if batch.report is not None and outcome.step:
                with aside(watch.capture.outer):
                    batch.report(batch)


def _iterations(
    batch: Batch,
    position: int,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    made: list[Node],
    first: Outcome | None,
) -> Iterator[Outcome]:
    """The outcome of an element: one, or as many as its loop has iterations. first: where that was called already."""
    start = None if batch.starts is None else batch.starts.get(position)
    if start is not None:
        ITERATION.set(start)
    # What one iteration changes in place the next one does not see.
    unchanged = _copied(args, kwargs) if batch.fresh and first is None else (args, kwargs)
    while True:
        outcome, first = first or _call(batch, position, args, kwargs), None
        if type(outcome.value) is CoroutineType:
            yield outcome
        error = outcome.error
        looped = isinstance(error, LOOP)
        if looped or start is not None or batch.loop.bounded:
            count, previous = ITERATION.get()
            outcome.count, outcome.previous = count, previous
        if isinstance(error, (LOOP, SUCCESS)):
            outcome.value, outcome.error = error.result, None
        if made:
            outcome.nodes = next(leaves(outcome.value, Node), None) is not None
            _warn_of_lost(batch, outcome, made)
        else:
            outcome.nodes = isinstance(outcome.value, Node)
        if outcome.error is None and (looped or batch.loop.bounded):
            _decide(batch, outcome, looped=looped)
        yield outcome
        if not outcome.step or outcome.nodes or batch.cancelled:
            break
        start = (outcome.count + 1, outcome.value)
        ITERATION.set(start)
        args, kwargs = _copied(*unchanged) if batch.fresh else unchanged
    if start is not None:
        ITERATION.set(_FIRST)


def _copied(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return tuple(map(private_copy, args)), {name: private_copy(value) for name, value in kwargs.items()}


def _decide(batch: Batch, outcome: Outcome, *, looped: bool) -> None:
    """Whether a loop goes on after an iteration, or has gone on for too long."""
    if not outcome.nodes and batch.loop.bounded:
        outcome.last = batch.loop.over(outcome.count, outcome.value)
        outcome.step = not outcome.last
    else:
        outcome.step = looped or batch.loop.bounded
    if outcome.step and not batch.loop.bounded and outcome.count >= batch.loop.most:
        outcome.step = False
        outcome.error = RunawayLoop(
            f"{batch.label} ({place_of(batch.fn)}): its loop was ended after {outcome.count} iterations "
            f"(max_loops={batch.loop.most}); the last result was {short_text(outcome.value, 'result')}. "
            f"If it needs more, give the task max_loops={10 * batch.loop.most}"
        )


def _warn_of_lost(batch: Batch, outcome: Outcome, made: list[Node]) -> None:
    """Nodes that a task made and did not return run only where returned ones need them."""
    if outcome.error is None:
        needed = set(ancestors(leaves(outcome.value, Node)))
        lost = [node for node in made if node not in needed and node.task not in HIDDEN]
        if lost:
            outcome.note = (
                f"{batch.label} made {lost[0].name!r} and did not return it, so it does not run; "
                f"return the node, alone or in a list, for its value to stand in its place"
            )
    made.clear()


def calls_of(batch: Batch) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    if not batch.columns:
        return repeat(((), {}), batch.count)
    rows = zip(*batch.columns, strict=True)
    if not any(batch.keywords):
        return zip(rows, repeat({}))
    return ((_split(row, batch.keywords)) for row in rows)


def _split(row: tuple[Any, ...], keywords: tuple[str | None, ...]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    pairs = list(zip(keywords, row, strict=True))
    return tuple(v for name, v in pairs if name is None), {name: v for name, v in pairs if name is not None}


def _call(batch: Batch, position: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Outcome:
    fn = batch.fn
    started = perf_counter()
    try:
        if batch.seeds is not None:
            with _seeding(batch, position):
                value = _called(batch, args, kwargs)
        elif batch.timeout_s is not None:
            value = _called(batch, args, kwargs)
        else:
            value = fn(*args, **kwargs)
        if isinstance(value, _GENERATORS):
            raise _generator(batch)
    except _ends(batch):
        raise
    # A task may raise anything, also SystemExit, signals and what libraries derive from BaseException; an interrupt
    # alone ends the run.
    except BaseException as error:  # noqa: BLE001 (what a task raises becomes its state)
        # The first frame is this one. Not by assignment, which a frozen class refuses.
        error.with_traceback(error.__traceback__ and error.__traceback__.tb_next)
        return Outcome(position, error=error, seconds=perf_counter() - started)
    return Outcome(position, value, seconds=perf_counter() - started)


@contextmanager
def noting(batch: Batch, outcome: Outcome) -> Iterator[None]:
    """What awaiting the value of an outcome raises in the block becomes its error, and the time counts."""
    started = perf_counter()
    try:
        yield
        if isinstance(outcome.value, _GENERATORS):
            raise _generator(batch)
    # How a coroutine is called off from outside.
    except (*_ends(batch), GeneratorExit, sys.modules["asyncio"].CancelledError):
        raise
    except BaseException as error:  # noqa: BLE001 (what a task raises becomes its state)
        outcome.value, outcome.error = None, error
    outcome.seconds += perf_counter() - started


def _ends(batch: Batch) -> tuple[type[BaseException], ...]:
    """What ends a run. No interrupt reaches other processes: there it is the task's own affair."""
    return (Stopped,) if batch.away else (KeyboardInterrupt, Stopped)


def _generator(batch: Batch) -> NotSuccessful:
    return NotSuccessful(f"{batch.label} returned a generator, which can be read only once; return list(...) of it")


def _seeding(batch: Batch, position: int) -> AbstractContextManager[None]:
    if batch.seeds is None:
        return _NOT_SEEDED
    # Each iteration of a loop has random numbers of its own.
    return seeded(batch.seeds[position] + ITERATION.get()[0] - 1)


def _called(batch: Batch, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if batch.timeout_s is None:
        return batch.fn(*args, **kwargs)
    return bounded_call(batch.fn, args, kwargs, batch.timeout_s, batch.label)


def _note_outputs(batch: Batch, outcome: Outcome, recorder: Recorder) -> None:
    """Files that are results: declared ones, which must be there now, and those that the value names."""
    if outcome.error is not None or outcome.nodes:
        return
    if batch.outputs is not None and not outcome.step:
        declared = batch.outputs[outcome.position]
        missing = [path for path in declared if not os.path.exists(path)]
        if missing:
            outcome.value, outcome.error = (
                None,
                NotSuccessful(f"{batch.label} did not write {os.path.relpath(missing[0])}, which it names in outputs="),
            )
            return
        recorder.wrote(declared)
    value = outcome.value
    if batch.keep and (isinstance(value, File) or type(value) in CONTAINERS):
        files = [each.path for each in leaves(value, File)]
        if files:
            recorder.wrote(files)


def _describe(batch: Batch, outcome: Outcome) -> None:
    if batch.identify is None or outcome.nodes:
        return
    if isinstance(outcome.error, SKIP):
        outcome.out, outcome.sealed = _SKIPPED_ID, seal(outcome.error.message)
        return
    if outcome.error is not None:
        return
    with noted_hashes() if type(outcome.value).__module__ == "numpy" else _NOTHING_NOTED as hashes:
        outcome.out, outcome.members = batch.identify(outcome.value)
    if batch.keep:
        try:
            outcome.sealed = seal(outcome.value, hashes)
        except NotStorable as reason:
            outcome.unstored = str(reason)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seeds `random` and NumPy for the time of a call; the states from before come back after it."""
    numpy_random = _numpy_random()
    kept, kept_numpy = random.getstate(), numpy_random and numpy_random.get_state()
    random.seed(seed)
    if numpy_random:
        numpy_random.seed(seed % 2**32)
    try:
        yield
    finally:
        random.setstate(kept)
        if numpy_random:
            numpy_random.set_state(kept_numpy)


def _numpy_random() -> Any:
    """NumPy's random numbers where there are any: a call may be the first to import it."""
    return importlib.import_module("numpy.random") if _has_numpy() else None


@lru_cache
def _has_numpy() -> bool:
    return importlib.util.find_spec("numpy") is not None


_SKIPPED_ID = b"nbflow skipped  "
_GENERATORS = (GeneratorType, AsyncGeneratorType)
_NOT_SEEDED = nullcontext()
_NO_BLOCK = Block()
_NOTHING_NOTED = nullcontext[dict[Place, bytes]]({})
_FIRST = (1, None)
