"""How values of libraries count: each library's encoder is loaded with the first of its values."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbflow.identity.walk import Walk

Family = Callable[["Walk", Any, str], bytes | None]


def _library(name: str) -> Family:
    """The encoder of a library's values, loaded with the first of them."""

    def encode(walk: Walk, value: Any, path: str) -> bytes | None:
        module = importlib.import_module(f"nbflow.identity.{name}")
        found: bytes | None = module.encode(walk, value, path)
        return found

    return encode


# By the first part of a type's module.
FAMILIES: dict[str, Family] = {
    "matplotlib": _library("drawings"),
    "numpy": _library("arrays"),
    "pandas": _library("frames"),
    "pyarrow": _library("tables"),
    "polars": _library("tables"),
    "pydantic": _library("fields"),
    "scipy": _library("sparse"),
}
