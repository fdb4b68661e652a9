"""Recorder: takes down what a call reads, lists, writes and connects to."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from nbflow.lean import dataclass, field, replace
from nbflow.probe.environment import held_back
from nbflow.probe.files import (
    FILE,
    OUTPUT,
    VARIABLE,
    FileMark,
    Observed,
    StatMemo,
    listing_mark,
    names_in,
    place_mark,
    stamp_of,
    tree_marks,
    variable_mark,
)
from nbflow.probe.hook import install
from nbflow.probe.listening import LISTENER, LISTENING, apart
from nbflow.probe.machinery import is_left_out
from nbflow.probe.readers import watch_readers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nbflow.probe.files import Stamp

# Of so many folders a task opened last by `os.open`, names may be told relative to them.
_MOST_FOLDERS = 16


@dataclass(slots=True, eq=False)
class Recorder:
    """Takes down what the code in its context opens. touched: whether there is anything to take."""

    touched: bool = False
    _read: dict[str, Stamp | None] = field(default_factory=dict)
    _listed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _expected: dict[str, Stamp | None] = field(default_factory=dict)
    # What a file that was read held before the call wrote to it.
    _before: dict[str, FileMark] = field(default_factory=dict)
    _folders: list[str] = field(default_factory=list)
    _variables: dict[str, FileMark] = field(default_factory=dict)
    _set: set[str] = field(default_factory=set)
    _written: set[str] = field(default_factory=set)
    _outputs: set[str] = field(default_factory=set)
    _place: FileMark | None = None
    _network: str | None = None
    _unseen: str | None = None
    _flow: str | None = None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Events in this context come here, for the time of the block."""
        install()
        watch_readers()
        token = LISTENER.set(self)
        LISTENING.add(self)
        try:
            yield
        finally:
            LISTENING.discard(self)
            LISTENER.reset(token)

    def expect(self, paths: Iterable[str]) -> None:
        """Files that arguments name: they count as read, whatever reads them, unless the call only writes them."""
        for path in paths:
            if not is_left_out(path):
                self._expected[path] = stamp_of(path)
                self.touched = True

    def wrote(self, paths: Iterable[str]) -> None:
        """Files and folders that are the call's results: they must stay as they are now."""
        self._outputs.update(os.path.abspath(path) for path in paths)
        self.touched = True

    def opened(self, path: str, *, reads: bool = True, writes: bool = False) -> None:
        known = path in self._written or path in self._before
        if reads and not known and path not in self._read and not is_left_out(path):
            stamp = stamp_of(path)
            # What is made by opening it was not read.
            if stamp is not None or not writes:
                self._read[path] = stamp
            self.touched = True
        if writes:
            # One that was looked for in vain, and then made, is the call's own.
            if self._read.get(path) is not None and not known:
                self._before[path] = StatMemo().mark(path)
            self._written.add(path)
            self.touched = True

    def opened_below(self, name: str, *, reads: bool, writes: bool) -> None:
        """A relative name that the system was given, maybe with a folder that was opened before."""
        for folder in self._folders[-_MOST_FOLDERS:]:
            path = os.path.normpath(os.path.join(folder, name))
            if os.path.exists(path):
                self.opened(path, reads=reads, writes=writes)
                self._note_folder(path)
        self._note_folder(os.path.abspath(name))

    def _note_folder(self, path: str) -> None:
        if os.path.isdir(path) and path not in self._folders:
            self._folders.append(path)

    def listed(self, path: str) -> None:
        if path not in self._listed and not is_left_out(os.path.join(path, "")):
            self._listed[path] = names_in(path)
            self.touched = True

    def connected(self, host: str) -> None:
        self._network = self._network or host
        self.touched = True

    def lost_sight(self, what: str) -> None:
        self._unseen = self._unseen or what
        self.touched = True

    def ran_flow(self, name: str) -> None:
        self._flow = self._flow or name
        self.touched = True

    def stood_here(self) -> None:
        """A relative path was given: what it means depends on the working directory."""
        if self._place is None:
            self._place = place_mark()
            self.touched = True

    def looked_up(self, name: str, value: str | None) -> None:
        if name not in self._variables and name not in self._set:
            self._variables[name] = variable_mark(name, value)
            self.touched = True

    def walked_environment(self) -> None:
        """What was read along the way is held back until it is known to be no copy of all."""
        self.touched = True

    def set_variable(self, name: str) -> None:
        """What the call reads of it from now on is its own."""
        self._set.add(name)

    def take(self, memo: StatMemo) -> Observed:
        """What was seen since the last time, as marks; begins anew."""
        with apart():
            return self._taken(memo)

    def _taken(self, memo: StatMemo) -> Observed:
        for name, value in held_back():
            self.looked_up(name, value)
        changed: str | None = None
        marks: list[FileMark] = list(self._variables.values())
        for path, stamp in {**self._expected, **self._read}.items():
            if path in self._outputs or os.path.isdir(path):
                continue
            if path in self._before:
                marks.append(self._before[path])
                continue
            if path in self._written:
                continue
            mark = memo.mark(path)
            if stamp_of(path) != stamp:
                changed = changed or path
            marks.append(mark)
        for path, before in self._listed.items():
            names = names_in(path)
            if {os.path.join(path, name) for name in set(before) ^ set(names)} - self._written - self._outputs:
                changed = changed or path
            marks.append(listing_mark(path, names))
        if self._place is not None and any(mark.kind != VARIABLE for mark in marks):
            marks.append(self._place)
        for path in self._outputs:
            marks += [replace(m, kind=OUTPUT) if m.kind == FILE else m for m in tree_marks(path, memo)]
        ordered = tuple(sorted(set(marks), key=lambda m: (m.path, m.kind)))
        observed = Observed(ordered, changed, self._network, tuple(sorted(self._written)), self._unseen, self._flow)
        for each in (
            self._read, self._expected, self._before, self._variables, self._listed,
            self._folders, self._set, self._written, self._outputs,
        ):  # fmt: skip
            each.clear()
        self._place = self._network = self._unseen = self._flow = None
        self.touched = False
        return observed
