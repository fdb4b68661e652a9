"""Secrets: named, shown as dots, never written down in the clear."""

from __future__ import annotations

import hashlib
import os
import re
import reprlib
from typing import Any

from nbflow.errors import UnknownName

DOTS = "•••"
_NAME = re.compile(r"(?i)(token|passw(or)?d|passwd|secret|api_?key|credential|private_?key)")
# A string literal given to such a name: password = "...", token="...", {"api_key": "..."}.
_LITERAL = re.compile(
    r"""(?ix) ( [\w.]* (?:token|passw(?:or)?d|passwd|secret|api_?key|credential|private_?key) [\w]*
        ["'\]]* \s* (?: : [^=\n]*? = | [=:] ) \s* [rbf]{0,2} ) ( (["'])(?:\\.|(?!\3).)*\3 )"""
)
_known: set[str] = set()


class Secret(str):
    """A text that counts for identity, and is shown as dots."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Secret({DOTS})"

    def __nbflow_id__(self) -> bytes:
        return hashlib.blake2b(self.encode(errors="surrogatepass"), digest_size=16).digest()


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
    if value:
        _known.add(value)
    return Secret(value)


def is_secret_name(name: str) -> bool:
    """Whether a name says that its value is not for showing.

    >>> is_secret_name("db_password"), is_secret_name("tokens_per_day"), is_secret_name("path")
    (True, True, False)
    """
    return _NAME.search(name) is not None


def redact(text: str) -> str:
    """The text without known secrets, and without literals given to names that sound like one.

    >>> redact('api_key = "abc"')
    'api_key = "•••"'
    """
    for value in _known:
        text = text.replace(value, DOTS)
    return _LITERAL.sub(lambda m: f"{m[1]}{m[3]}{DOTS}{m[3]}", text)


def short_text(value: Any, name: str = "", limit: int = 120) -> str:
    """A short form of a value for a table or a reason; dots where the name or the value is secret."""
    if is_secret_name(name) or isinstance(value, Secret):
        return DOTS
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and shape:
        return f"{type(value).__name__} {' × '.join(map(str, shape))}"
    try:
        text = _SHORT.repr(value)
    # A user's __repr__ may raise anything; a table must not fail for that.
    except Exception as error:  # noqa: BLE001 (shown in its place)
        text = f"<{type(value).__name__}, whose repr raised {type(error).__name__}>"
    return redact(text if len(text) <= limit else text[: limit - 1] + "…")


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 100
