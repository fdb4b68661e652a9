"""Code inside code."""

from __future__ import annotations

from types import CodeType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def nested_code(code: CodeType) -> Iterator[CodeType]:
    """The code objects inside one, from the outside to the inside, in order."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from nested_code(constant)
