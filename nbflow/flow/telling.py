"""How users hear what they should know: as warnings at their own lines, in notebooks as plain lines."""

from __future__ import annotations

import sys
import threading
import warnings
from pathlib import Path

from nbflow.errors import NbflowWarning
from nbflow.probe.routing import front


def warn_user(message: str) -> None:
    """A warning at the line of the user's that led here; in a notebook a line below the cell.

    There a warning would name a file that is called otherwise in each kernel.
    """
    if front() is not None and _action(message) in {"default", "always", "module", "once"}:
        print(f"nbflow: {message}", file=sys.stderr)
        return
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, level = frame.f_back, level + 1
    if frame.f_code.co_filename == threading.__file__:
        # A run in the background: no line of the user's is above it.
        warnings.warn_explicit(message, NbflowWarning, "nbflow, in the background", 1)
    else:
        warnings.warn(message, NbflowWarning, stacklevel=level)


def _action(message: str) -> str:
    """What the user's filters say of such a warning."""
    for action, text, category, module, _ in warnings.filters:
        if module is None and issubclass(NbflowWarning, category) and (text is None or text.match(message)):
            return action
    return "default"


_PACKAGE = str(Path(__file__).parent.parent)
