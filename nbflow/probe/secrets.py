"""Secrets: named, shown as dots, never written down in the clear."""

from __future__ import annotations

import functools
import hashlib
import os
import reprlib
import sys
from itertools import islice, zip_longest
from numbers import Number
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from nbflow.errors import UnknownName, in_words
from nbflow.lean import pattern

if TYPE_CHECKING:
    from collections.abc import Iterator

DOTS = "•••"
_WORDS = (
    r"token|passw(?:or)?d|passwd|passphrase|secret|api[-_]?key|access[-_]?key|credential|private[-_]?key|authorization"
    r"|(?<![a-z])(?:pwd|auth)(?![a-z])"
)
_NAME = pattern(rf"(?i)({_WORDS})")
# Such a name to which something is given: password = ..., token=..., {"x-api-key": ..., "credentials": ...}.
_GIVEN = pattern(rf"""(?ix) (?:{_WORDS}) [\w-]* ["'\]]* \s* (?: : [^=\n]*? = | [=:] ) \s*""")
# A text, or a bracket, in what is given; a text that a colon follows is the name of a part.
_PIECE = pattern(
    r"""(?xs) [rbfRBF]{0,2} (?P<quote>\"{3}|'{3}|["']) (?P<text>(?:\\.|(?!(?P=quote)).)*) (?P=quote) (?P<part>\s*:)?
        | (?P<opens>[(\[{]) | (?P<closes>[)\]}])"""
)
# What lies between two texts that are written one after the other, and are one.
_ANOTHER = pattern(r"""[ \t]*(?=[rbfRBF]{0,2}["'])""")
# postgresql://me:here@host, and Bearer here.
_IN_URL = pattern(r"(?i)\b([a-z][\w+.-]*://[^\s/:@'\"]*):[^\s/@'\"]+@")
_SCHEME = pattern(r"\b(Bearer|Basic)\s+[\w.~+/=-]{6,}")
# Values that were seen under the names of secrets; shorter ones are words that stand everywhere.
_known: set[str] = set()
_SHORTEST = 6
# How deep and how far secrets are looked for in a value.
_DEPTH, _MOST = 4, 100
# Characters that patterns are searched in at once.
_AT_ONCE = 2_000


class Secret(str):
    """A text that counts for identity, is shown as dots, and is stored by its name alone."""

    __slots__ = ("name",)
    name: str

    def __repr__(self) -> str:
        return f"Secret({DOTS})"

    def __nbflow_id__(self) -> bytes:
        return hashlib.blake2b(self.encode(errors="surrogatepass"), digest_size=16).digest()

    def __reduce__(self) -> tuple[Any, ...]:
        salt = os.urandom(16)
        return _restored, (self.name, salt, _check(self, salt))


def secret(name: str) -> Secret:
    """The environment variable of that name, as a secret: shown as dots, never stored in the clear.

    Raises UnknownName when it is not set.
    """
    try:
        value = os.environ[name]
    except KeyError:
        raise UnknownName(
            f"secret({name!r}): no environment variable of that name; set it before Jupyter starts"
        ) from None
    return _made(name, value)


def _made(name: str, value: str) -> Secret:
    note_secret(value)
    made = Secret(value)
    made.name = name
    return made


def _restored(name: str, salt: bytes, check: bytes) -> Secret:
    """The secret of that name as it is now. Raises KeyError where it is another one than was stored."""
    value = os.environ.get(name)
    if value is None or _check(value, salt) != check:
        raise KeyError(f"the secret {name!r} is another one now")
    return _made(name, value)


def _check(value: str, salt: bytes) -> bytes:
    return hashlib.blake2b(value.encode(errors="surrogatepass"), key=salt, digest_size=16).digest()


def note_secret(value: object) -> None:
    """From now on this text is dots wherever nbflow shows text."""
    if isinstance(value, str) and len(value) >= _SHORTEST:
        _known.add(str(value))


def note_secrets(value: object, name: str = "", depth: int = 0) -> None:
    """Notes the texts in a value, or near its surface, that stand under the name of a secret."""
    if is_secret_name(name):
        for text in _texts(value):
            note_secret(text)
    elif depth < _DEPTH:
        for part, each in _parts(value):
            note_secrets(each, part, depth + 1)


def _texts(value: object, depth: int = 0) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, bytes):
        yield value.decode(errors="replace")
    elif depth < _DEPTH:
        for _, each in _parts(value):
            yield from _texts(each, depth + 1)


def _parts(value: object) -> list[tuple[str, object]]:
    """Names and values of what lies in a value; no property is asked for."""
    if isinstance(value, dict):
        return [(name if isinstance(name, str) else "", each) for name, each in islice(value.items(), _MOST)]
    if isinstance(value, (list, tuple, set, frozenset)):
        names = getattr(type(value), "_fields", ()) if isinstance(value, tuple) else ()
        return list(zip_longest(names, islice(value, _MOST), fillvalue=""))
    if isinstance(value, (str, bytes, int, float, type, ModuleType, FunctionType)):
        return []
    try:
        fields = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return []
    return list(islice(fields.items(), _MOST)) if isinstance(fields, dict) else []


def is_secret_name(name: str) -> bool:
    """Whether a name says that its value is not for showing.

    >>> is_secret_name("db_password"), is_secret_name("tokens_per_day"), is_secret_name("path")
    (True, True, False)
    """
    return _NAME.search(name) is not None


def redact(text: str) -> str:
    """The text without known secrets, literals given to names that sound like one, and passwords in URLs.

    >>> redact('api_key = "abc"')
    'api_key = "•••"'
    >>> redact("postgresql://me:abc@host/db")
    'postgresql://me:•••@host/db'
    """
    return _redacted(text, len(_known))


def redact_long(text: str) -> str:
    """As `redact`, of a text of any length, in time that goes with its length.

    >>> redact_long("token = 'abc'")
    "token = '•••'"
    """
    if len(text) <= _AT_ONCE:
        return redact(text)
    for value in sorted(_known, key=len, reverse=True):
        text = text.replace(value, DOTS)
    if _NAME.search(text) is None and "://" not in text and _SCHEME.search(text) is None:
        return text
    # The patterns look back along a line: of one that has no end they see so much at a time.
    lines = text.splitlines(keepends=True)
    parts = (line[at : at + _AT_ONCE] for line in lines for at in range(0, len(line), _AT_ONCE))
    return "".join([redact(part) for part in parts])


@functools.lru_cache(maxsize=1024)
def _redacted(text: str, known: int) -> str:
    """known: how many secrets there are; the same reasons are told again and again."""
    # The longest first: one secret may begin like another.
    for value in sorted(_known, key=len, reverse=True):
        text = text.replace(value, DOTS)
    if "://" in text:
        text = _IN_URL.sub(rf"\1:{DOTS}@", text)
    text = _SCHEME.sub(rf"\1 {DOTS}", text)
    return _without_given(text)


def _without_given(text: str) -> str:
    """The text without the literals that are given to names of secrets, also those in brackets."""
    shown: list[str] = []
    at = 0
    while (given := _GIVEN.search(text, at)) is not None:
        shown.append(text[at : given.end()])
        at, depth = given.end(), 0
        while (piece := (_PIECE.search if depth else _PIECE.match)(text, at)) is not None:
            shown.append(text[at : piece.start()])
            at = piece.end()
            depth += bool(piece["opens"]) - bool(piece["closes"])
            is_value = piece["quote"] and not (depth and piece["part"])
            quoted = piece["quote"]
            shown.append(f"{quoted}{DOTS}{quoted}{piece['part'] or ''}" if is_value else piece[0])
            if depth <= 0:
                another = _ANOTHER.match(text, at) if piece["quote"] else None
                if another is None:
                    break
                shown.append(another[0])
                at = another.end()
    return "".join((*shown, text[at:]))


def short_text(value: Any, name: str = "", limit: int = 120) -> str:
    """A short form of a value for a table or a reason; dots where the name or the value is secret."""
    if is_secret_name(name) or isinstance(value, Secret):
        note_secrets(value, name or "secret")
        return DOTS
    try:
        shape = getattr(value, "shape", None)
        if isinstance(shape, tuple) and shape:
            return f"{type(value).__name__} {' × '.join(map(str, shape))}"
        text = _SHORT.repr(value)
    # A user's __repr__ or __getattr__ may raise anything; a table must not fail for that.
    except Exception as error:  # noqa: BLE001 (shown in its place)
        text = f"<{type(value).__name__}, whose repr raised {type(error).__name__}>"
    return redact(text if len(text) <= limit else text[: limit - 1] + "…")


def error_text(error: BaseException) -> str:
    """An exception as it is shown: its type and message, without secrets.

    >>> error_text(ValueError("no answer from https://me:abc@host"))
    'ValueError: no answer from https://me:•••@host'
    """
    return redact(in_words(error))


class _Short(reprlib.Repr):
    """Dicts in their own order, NumPy's numbers as numbers."""

    def repr_dict(self, x: dict[Any, Any], level: int) -> str:
        if level <= 0 and x:
            return "{...}"
        parts = [f"{self.repr1(k, level - 1)}: {self.repr1(x[k], level - 1)}" for k in [*x][: self.maxdict]]
        return f"{{{', '.join([*parts, '...'] if len(x) > self.maxdict else parts)}}}"

    def repr_instance(self, x: Any, level: int) -> str:
        if type(x).__module__ == "numpy" and isinstance(x, (Number, sys.modules["numpy"].bool_)):
            return str(x)
        return super().repr_instance(x, level)


_SHORT = _Short()
_SHORT.maxstring = _SHORT.maxother = 100
