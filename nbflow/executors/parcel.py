"""Packs batches for workers, and unpacks what they send back."""

from __future__ import annotations

import functools
import itertools
import logging
import os
import sys
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from nbflow.codecs import Sealed
from nbflow.errors import NotSendable, in_words, place_of
from nbflow.executors.base import Outcome
from nbflow.executors.content import packed_code
from nbflow.executors.failures import error_of
from nbflow.executors.holdings import Holdings
from nbflow.executors.nodes import Numbers
from nbflow.executors.order import PLAIN, Held, Module, Order, Packed, Patched, Surroundings, Unit
from nbflow.executors.overlay import is_outdated
from nbflow.executors.settings import settings
from nbflow.executors.values import culprit, packed_argument, packed_value
from nbflow.probe.imported import IMPORTED
from nbflow.probe.machinery import LEFT_OUT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from nbflow.executors.base import Batch
    from nbflow.executors.order import Answer, Brief

# Units that are held ready for workers, and that each worker holds: enough for what runs at one time.
MOST_UNITS = 32
MOST_HELD = 16


class Packer:
    """Packs the batches of one run. Functions and shared arguments are packed once, whatever number of workers."""

    def __init__(self) -> None:
        self._units: OrderedDict[tuple[int, ...], tuple[tuple[Any, ...], Unit]] = OrderedDict()
        self._packed: dict[Unit, Packed | Held] = {}
        # The user's classes that a packed argument tells by name.
        self._found: dict[Unit, dict[str, Any]] = {}
        self._lock = threading.Lock()
        self._numbers = Numbers()
        # As they were when the run began: what others set for a moment is not meant for it.
        self._settings = settings()
        self._holdings = Holdings(self._numbers)
        self._held = Unit(next(_TOKENS))
        self._packed[self._held] = Held({})

    def order(self, batch: Batch, places: Sequence[int]) -> tuple[Order, dict[int, NotSendable]]:
        """An order for some elements of a batch, and why others cannot travel. Raises NotSendable where none can."""
        with self._lock:
            order, refused = self._order(batch, places)
            order.units = {unit: self._packed[unit] for unit in _needed(order)}
            for key in list(self._units)[: max(0, len(self._units) - MOST_UNITS)]:
                _, old = self._units.pop(key)
                del self._packed[old]
                self._found.pop(old, None)
        return order, refused

    def _order(self, batch: Batch, places: Sequence[int]) -> tuple[Order, dict[int, NotSendable]]:
        names: dict[str, Unit] = {}
        refused: dict[int, NotSendable] = {}
        columns: list[Unit | list[Any]] = []
        for number, column in enumerate(batch.columns):
            if number in batch.shared and not _is_small(column[0]):
                columns.append(self._argument(batch, number, column[0], names))
            else:
                columns.append(self._column(batch, number, [column[i] for i in places], names, places, refused))
        good = [at for at, place in enumerate(places) if place not in refused]
        chosen = [places[at] for at in good]
        code = self._code(batch)
        # Before the rest: what these need of the user's modules is held from then on.
        starts = self._starts(batch, chosen, names)
        order = Order(
            label=batch.label,
            run=self._numbers.run,
            code=code,
            held=self._held,
            columns=[each if isinstance(each, Unit) else [each[at] for at in good] for each in columns],
            keywords=batch.keywords,
            places=chosen,
            keep=batch.keep,
            expected_files=_picked(batch.expected_files, chosen),
            outputs=_picked(batch.outputs, chosen),
            seeds=_picked(batch.seeds, chosen),
            most=batch.loop.most,
            times=batch.loop.times,
            starts=starts,
            timeout_s=batch.timeout_s,
            names=names,
            reached=batch.reached,
            ignored=batch.ignored,
            packages=batch.packages,
        )
        return order, refused

    @property
    def patched(self) -> Patched | None:
        """What the user has put into installed modules, as far as what was packed reads it."""
        return self._holdings.patched

    def surroundings(self) -> Surroundings:
        """What is around this process now."""
        modules = {
            name: Module(each.content, each.file, each.is_package, is_outdated(name, each), sys.flags.optimize)
            for name, each in IMPORTED.by_name.items()
        }
        return Surroundings(
            os.getcwd(),
            tuple(sys.path),
            dict(os.environ),
            modules,
            frozenset(LEFT_OUT),
            logging.getLogger().level,
            _has_shell(),
            self._settings,
            self.patched,
        )

    def supply(self, order: Order, held: dict[Unit, None]) -> None:
        """Leaves the units in an order that its worker lacks. held: what that has, oldest use first.

        It is brought up to date. What it has not used for long it is to forget.
        """
        needed = _needed(order)
        order.units = {unit: packed for unit, packed in order.units.items() if unit not in held}
        for unit in needed:
            held.pop(unit, None)
            held[unit] = None
        spare = [unit for unit in held if unit not in needed][: max(0, len(held) - MOST_HELD)]
        for unit in spare:
            del held[unit]
        order.forget = tuple(spare)

    def outcome(self, batch: Batch, places: Sequence[int], answer: Answer | Brief) -> Outcome:
        """What a worker sent back for one element, as the engine knows it."""
        outcome = _outcome(answer) if isinstance(answer, tuple) else self._from_answer(batch, answer)
        outcome.position = places[outcome.position]
        if not outcome.apart or (outcome.out and batch.identify is not None):
            return outcome
        try:
            value = outcome.open()
        # A class's own way to be rebuilt may raise anything, also where it did not in the worker.
        except Exception as error:  # noqa: BLE001 (told as the element's)
            return Outcome(outcome.position, error=_not_opened(batch, error), seconds=outcome.seconds, log=outcome.log)
        if batch.identify is None:
            outcome.sealed = None
        else:
            # Its id depends on code of the user's, which is looked at here, where it may be edited.
            outcome.out, outcome.members = batch.identify(value)
        return outcome

    def _from_answer(self, batch: Batch, answer: Answer) -> Outcome:
        outcome = answer.outcome
        if answer.failure is not None:
            outcome.error = error_of(answer.failure)
        if answer.refused is not None:
            outcome.error = NotSendable(
                f"{batch.label} ({place_of(batch.fn)}): its result {answer.refused}, so it cannot leave the worker "
                f'process; return something that can be pickled, or give the task executor="threads"'
            )
        if answer.previous is not None:
            outcome.previous = answer.previous.open()
        if answer.nodes is not None:
            outcome.value = self._numbers.opened(answer.nodes)
        return outcome

    def _code(self, batch: Batch) -> Unit:
        def pack() -> Packed:
            read: set[str] = set()
            try:
                packed = packed_code((batch.fn, batch.loop.go_on), self._numbers, read)
            # What the user's own __reduce__ raises is any exception.
            except Exception as error:
                raise NotSendable(
                    f"{batch.label} ({place_of(batch.fn)}) cannot be sent to a worker process: {culprit(batch.fn)}"
                    f"{_without_kind(error)}; make it inside the task, pass it as an argument that can be pickled, or "
                    f'give the task executor="threads"'
                ) from error
            # The task's key was made before: what its code imports is there by now.
            IMPORTED.note()
            self._hold(batch, read)
            return packed

        return self._unit(_CODE, (batch.fn, batch.loop.go_on), pack)

    def _hold(self, batch: Batch, read: set[str]) -> None:
        """From now on orders carry what modules hold under these names, too. Raises NotSendable."""
        held = self._holdings.grown(read, f"{batch.label} ({place_of(batch.fn)})")
        if held is not None:
            del self._packed[self._held]
            self._held = Unit(next(_TOKENS))
            self._packed[self._held] = held

    def _argument(self, batch: Batch, number: int, value: Any, names: dict[str, Unit]) -> Unit:
        def pack() -> Packed:
            return packed_argument(batch, number, value, "", found, self._numbers)

        found: dict[str, Any] = {}
        unit = self._unit(_VALUE, (value,), pack)
        # It is packed once, and each worker that gets it needs them.
        self._name(batch, self._found.setdefault(unit, found), names)
        return unit

    def _column(
        self,
        batch: Batch,
        number: int,
        values: Sequence[Any],
        names: dict[str, Unit],
        places: Sequence[int],
        refused: dict[int, NotSendable],
    ) -> list[Any]:
        if all(type(value) in PLAIN for value in values):
            return list(values)
        found: dict[str, Any] = {}
        # Equal elements are often one object: of a product, or what several elements share.
        known: dict[int, Packed] = {}
        column: list[Any] = []
        for place, value in zip(places, values, strict=True):
            packed = value if type(value) in PLAIN else known.get(id(value))
            if packed is None and value is not None:
                try:
                    packed = packed_argument(batch, number, value, f"[{place}]", found, self._numbers)
                    known[id(value)] = packed
                except NotSendable as error:
                    refused[place] = error
            column.append(packed)
        self._name(batch, found, names)
        return column

    def _starts(
        self, batch: Batch, places: Sequence[int], names: dict[str, Unit]
    ) -> dict[int, tuple[int, Packed]] | None:
        if batch.starts is None:
            return None
        found: dict[str, Any] = {}
        starts = {}
        for at, place in enumerate(places):
            if place in batch.starts:
                count, value = batch.starts[place]
                starts[at] = (count, packed_value(value, found, self._numbers))
        self._name(batch, found, names)
        return starts

    def _name(self, batch: Batch, found: Mapping[str, Any], names: dict[str, Unit]) -> None:
        """The user's classes that pickles tell by name go along by content."""
        for name, thing in found.items():
            names[name] = self._unit(_CODE, (thing,), functools.partial(self._class, batch, thing))

    def _class(self, batch: Batch, thing: Any) -> Packed:
        read: set[str] = set()
        try:
            packed = packed_code(thing, self._numbers, read)
        # As above.
        except Exception as error:
            raise NotSendable(
                f"{batch.label} ({place_of(batch.fn)}): {thing.__qualname__!r}, which an argument is of, cannot be "
                f"sent to a worker process: {_without_kind(error)}; make that inside its methods, or give the task "
                f'executor="threads"'
            ) from error
        self._hold(batch, read)
        return packed

    def _unit(self, kind: int, things: tuple[Any, ...], pack: Callable[[], Packed]) -> Unit:
        # A class may be an argument, told by its name, and be sent for others of that name.
        key = (kind, *map(id, things))
        if key in self._units:
            self._units.move_to_end(key)
            return self._units[key][1]
        packed, unit = pack(), Unit(next(_TOKENS))
        self._packed[unit] = packed
        # With the things themselves, so that no others get their addresses.
        self._units[key] = (things, unit)
        return unit


def _not_opened(batch: Batch, error: Exception) -> NotSendable:
    why = NotSendable(
        f"{batch.label} ({place_of(batch.fn)}): its result came from the worker process and cannot be opened here: "
        f'{in_words(error)}; return something that can be pickled, or give the task executor="threads"'
    )
    why.__cause__ = error
    return why


def _needed(order: Order) -> list[Unit]:
    columns = [each for each in order.columns if isinstance(each, Unit)]
    return list(dict.fromkeys([order.held, order.code, *columns, *order.names.values()]))


def _has_shell() -> bool:
    """Whether this is a notebook's kernel, or another shell of IPython's."""
    shells: Any = sys.modules.get("IPython.core.interactiveshell")
    return shells is not None and bool(shells.InteractiveShell.initialized())


def _without_kind(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _is_small(value: Any) -> bool:
    """Whether sending a value each time is cheaper than remembering who has it."""
    return type(value) in PLAIN and not (isinstance(value, (str, bytes)) and len(value) > _SMALL)


def _outcome(brief: Brief) -> Outcome:
    position, seconds, out, members, sealed, value = brief
    outcome = Outcome(position, value, None, seconds, out, members)
    if sealed is not None:
        codec, data = sealed
        outcome.sealed, outcome.apart = Sealed(codec, (data,), len(data)), True
    return outcome


def _picked(values: Sequence[Any] | None, places: Iterable[int]) -> list[Any] | None:
    return None if values is None else [values[i] for i in places]


_CODE, _VALUE = 0, 1
_SMALL = 10_000
_TOKENS = itertools.count()
