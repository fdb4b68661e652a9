"""What code uses by name."""

from __future__ import annotations

from nbflow.lean import dataclass


@dataclass(frozen=True, slots=True)
class Reach:
    """A global path that code uses: `numpy.random.rand`, `helper`.

    module: where an import in the body leads, None for globals; level: of a relative import. called: whether what lies
    at the end of the path is called there, and nothing else is done with it. text: what it is asked for first:
    "HOME" in `os.environ["HOME"]`, `getenv("HOME")` or `"HOME" in environ`. guessed: found in a text, so that there may
    be no such name. asked: what the text names that it gets, should it be a reader of texts, such as Python's own eval;
    any_of: what of other texts it may be that it gets (`words_in`), None for none; unseen: whether it is made only as
    the code runs.
    """

    names: tuple[str, ...]
    module: str | None = None
    level: int = 0
    called: bool = False
    text: str | None = None
    guessed: bool = False
    asked: tuple[Reach, ...] | None = None
    any_of: str | None = None
    unseen: bool = False
