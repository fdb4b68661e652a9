"""How users outside notebooks hear what they should know: as warnings at their own lines."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

from nbflow.errors import NbflowWarning


def warn_user(message: str) -> None:
    """A warning at the line of the user's that led here."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, NbflowWarning, stacklevel=level)


_PACKAGE = str(Path(__file__).parent.parent)
