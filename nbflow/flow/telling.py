"""How users outside notebooks hear what they should know: as warnings at their own lines."""

from __future__ import annotations

import sys
import threading
import warnings
from pathlib import Path

from nbflow.errors import NbflowWarning


def warn_user(message: str) -> None:
    """A warning at the line of the user's that led here."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, level = frame.f_back, level + 1
    if frame.f_code.co_filename == threading.__file__:
        # A run in the background: no line of the user's is above it.
        warnings.warn_explicit(message, NbflowWarning, "nbflow, in the background", 1)
    else:
        warnings.warn(message, NbflowWarning, stacklevel=level)


_PACKAGE = str(Path(__file__).parent.parent)
