"""Values of matplotlib: what is drawn has no identity, and is told so without a walk over ten thousand objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbflow.errors import UnidentifiableError
from nbflow.loaded import loaded

if TYPE_CHECKING:
    from nbflow.identity.walk import Walk


def encode(walk: Walk, value: Any, path: str) -> bytes | None:
    """Raises UnidentifiableError for figures, axes and all that is on them; None for anything else."""
    artist = getattr(loaded("matplotlib.artist"), "Artist", None)
    if artist is not None and isinstance(value, artist):
        # Each leads to its figure, and that to the caches and transformations of all others.
        raise UnidentifiableError(path, type(value).__name__)
    return None
