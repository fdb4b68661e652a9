"""What the front end says with a request: which cell it is, and which ones were deleted."""

from __future__ import annotations

from typing import Any


def cell_id(shell: Any) -> str | None:
    """The id of the cell that runs; None where the front end does not tell."""
    found = _metadata(shell).get("cellId")
    return found if isinstance(found, str) else None


def deleted_cells(shell: Any) -> list[str]:
    """The cells that were deleted since the last request; JupyterLab tells. Not the one that runs: it was put back."""
    found = _metadata(shell).get("deletedCells")
    deleted = found if isinstance(found, list) else []
    return [each for each in deleted if isinstance(each, str) and each != cell_id(shell)]


def _metadata(shell: Any) -> dict[str, Any]:
    get_parent = getattr(shell, "get_parent", None)
    parent = get_parent() if get_parent is not None else getattr(shell, "parent_header", None)
    metadata = (parent or {}).get("metadata")
    return metadata if isinstance(metadata, dict) else {}
