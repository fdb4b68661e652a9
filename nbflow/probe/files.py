"""Files that tasks read: what they were, and whether they still are."""

from __future__ import annotations

import os
import random
import stat
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from xxhash import xxh3_128, xxh3_128_digest

from nbflow.lean import dataclass, replace
from nbflow.probe.databases import WAL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

FILE, LISTING, ABSENT, OUTPUT, VARIABLE, PLACE = "file", "listing", "absent", "output", "variable", "place"
# A file changed this shortly before it was hashed may change again within its time stamp's grain: git's rule.
RACY_NS = 2_000_000_000
_CHUNK = 1 << 20
# Folders that tools write beside the user's files, whose coming and going means nothing.
_NOISE = frozenset({"__pycache__", ".ipynb_checkpoints", ".nbflow", ".DS_Store"})
_MOST_PATH_CHARACTERS = 4096

Stamp = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class FileMark:
    """One file of a trace. digest: 16 bytes.

    kind: "file", "listing" (names in a folder), "absent", "output" for one that the task wrote, or "variable" for
    one of the environment, of which the path is the name.
    """

    path: str
    kind: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Observed:
    """What a call was seen to do. changed: a file that changed meanwhile; network: a host it connected to.

    unseen: what it did where nothing can be seen, as the end of a sentence. flow: the name of a flow that it ran.
    """

    marks: tuple[FileMark, ...]
    changed: str | None = None
    network: str | None = None
    written: tuple[str, ...] = ()
    unseen: str | None = None
    flow: str | None = None


@dataclass(frozen=True, slots=True)
class Memo:
    """A file's digest, and the stat it had when it was hashed."""

    stamp: Stamp
    digest: bytes
    hashed_ns: int

    def holds(self, stamp: Stamp) -> bool:
        return stamp == self.stamp and stamp[1] < self.hashed_ns - RACY_NS


class StatMemo:
    """Digests of files, hashed again only when their stat changed.

    load: gives what an earlier process knew of a path; save: takes what was hashed now; salted: makes of an id one
    from which nobody guesses the value.
    """

    def __init__(
        self,
        load: Callable[[str], Memo | None] = lambda path: None,
        save: Callable[[str, Memo], None] = lambda path, memo: None,
        salted: Callable[[bytes], bytes] = lambda id_: id_,
    ) -> None:
        self.salted = salted
        self._load = load
        self._save = save
        self._known: dict[str, Memo] = {}
        self._round: dict[tuple[str, str], FileMark] = {}
        self._lock = threading.Lock()

    def fresh(self) -> None:
        """Begins a new round: each path is looked at again, once."""
        self._round = {}

    def mark(self, path: str) -> FileMark:
        """A file as it is now."""
        stamp = stamp_of(path)
        if stamp is None:
            return FileMark(path, ABSENT, bytes(16))
        known = self._known.get(path) or self._load(path)
        if known is None or not known.holds(stamp):
            hashed_ns = time.time_ns()
            known = Memo(stamp, _hash_file(path), hashed_ns)
            self._save(path, known)
        self._known[path] = known
        return FileMark(path, FILE, known.digest)

    def again(self, mark: FileMark) -> FileMark:
        """What a mark of this path would be now; each path once a round."""
        key = (mark.path, mark.kind)
        now = self._round.get(key)
        if now is None:
            if mark.kind == PLACE:
                now = place_mark()
            elif mark.kind == VARIABLE:
                found = variable_mark(mark.path, os.environ.get(mark.path))
                now = replace(found, digest=self.salted(found.digest))
            else:
                now = listing_mark(mark.path) if mark.kind == LISTING else self.mark(mark.path)
            if mark.kind == OUTPUT and now.kind == FILE:
                now = replace(now, kind=OUTPUT)
            with self._lock:
                self._round[key] = now
        return now


def stamp_of(path: str) -> Stamp | None:
    """Size in bytes, time of change in ns and inode; None when there is no such regular file."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    if stat.S_ISDIR(found.st_mode) or (found.st_size == 0 and path.endswith(WAL)):
        # SQLite makes an empty log whenever it looks at a database, and takes it away again.
        return None
    return (found.st_size, found.st_mtime_ns, found.st_ino)


def names_in(path: str) -> tuple[str, ...]:
    """The names in a folder, sorted; empty when there is no such folder."""
    try:
        return tuple(sorted(name for name in os.listdir(path) if name not in _NOISE))
    except OSError:
        return ()


def listing_mark(path: str, names: Sequence[str] | None = None) -> FileMark:
    """The names in a folder, as a mark."""
    found = names_in(path) if names is None else names
    return FileMark(path, LISTING, xxh3_128_digest("\0".join(found).encode("utf-8", "surrogatepass")))


def variable_mark(name: str, value: str | None) -> FileMark:
    """An environment variable, as a mark whose digest still has to be salted."""
    content = b"unset" if value is None else b"=" + value.encode("utf-8", "surrogatepass")
    return FileMark(name, VARIABLE, xxh3_128_digest(content))


def place_mark() -> FileMark:
    """The working directory, which says what relative paths mean."""
    try:
        place = os.getcwd()
    except FileNotFoundError:
        place = ""
    return FileMark(os.path.join(place, ""), PLACE, bytes(16))


def trace_id(marks: Iterable[FileMark]) -> bytes:
    """16 bytes for a trace."""
    state = xxh3_128()
    for mark in marks:
        state.update(mark.path.encode("utf-8", "surrogatepass") + b"\0" + mark.kind.encode() + b"\0" + mark.digest)
    return state.digest()


def what_changed(marks: Iterable[FileMark], memo: StatMemo) -> str | None:
    """None when every file is as it was, else what happened to the first that is not."""
    for mark in marks:
        now = memo.again(mark)
        if now != mark:
            if mark.kind == VARIABLE:
                return f"environment variable {mark.path} changed"
            return _CHANGES[mark.kind, now.kind == ABSENT].format(_shown(mark.path))
    return None


def tree_marks(path: str, memo: StatMemo) -> list[FileMark]:
    """Marks of a file, or of a folder and all that is below it."""
    if not os.path.isdir(path):
        return [memo.mark(path)]
    marks: list[FileMark] = []
    for folder, _, names in os.walk(path):
        marks.append(listing_mark(folder))
        marks += [memo.mark(os.path.join(folder, name)) for name in sorted(names) if name not in _NOISE]
    return marks


def _shown(path: str) -> str:
    """A path as users write it: relative where it lies below the working directory."""
    return path.removeprefix(place_mark().path)


def argument_files(values: Iterable[Any]) -> list[str]:
    """The existing regular files that texts, paths and Files among the values name."""
    found: list[str] = []
    for value in values:
        if not isinstance(value, (str, os.PathLike)):
            continue
        path = os.fsdecode(value)
        if (
            0 < len(path) < _MOST_PATH_CHARACTERS
            and "\0" not in path
            and "\n" not in path
            and stamp_of(path) is not None
        ):
            found.append(os.path.abspath(path))
    return found


class RandomState:
    """The global random state of `random` and of NumPy, if that is loaded: costs some microseconds."""

    def __init__(self, python: Any, numpy: Any) -> None:
        self._python = python
        self._numpy = numpy

    @classmethod
    def snapshot(cls) -> RandomState:
        return cls(random.getstate(), _numpy_state())

    def moved(self) -> bool:
        """Whether random numbers were drawn since; NumPy's first import alone moves nothing."""
        now = _numpy_state()
        return random.getstate() != self._python or (self._numpy is not None and now != self._numpy)


def _numpy_state() -> Any:
    # Another thread may just be importing it.
    get_state = getattr(sys.modules.get("numpy.random"), "get_state", None)
    if get_state is None:
        return None
    state = get_state()
    return (state[1].tobytes(), state[2])


def _hash_file(path: str) -> bytes:
    state = xxh3_128()
    try:
        with open(path, "rb") as stream:
            while chunk := stream.read(_CHUNK):
                state.update(chunk)
    except OSError:
        return bytes(16)
    return state.digest()


# By what a mark was, and whether its file is gone.
_CHANGES = {
    (FILE, False): "file {} changed",
    (FILE, True): "file {} is gone",
    (ABSENT, False): "file {}, which was not there, is there now",
    (LISTING, False): "folder {} has other files in it now",
    (OUTPUT, False): "its output {} was changed",
    (OUTPUT, True): "its output {} is gone",
    (PLACE, False): "the working directory is another one than {}",
}
