"""A shell in a worker, for what the code of notebooks expects of one: displays, figures, magics."""

from __future__ import annotations

import builtins
import importlib
import sys

# What the pickle of a function holds that may display or draw, or that calls magics.
_SIGNS = (b"matplotlib", b"pyplot", b"seaborn", b"plot", b"hist", b"IPython", b"display", b"get_ipython")


def needs_stage(body: bytes) -> bool:
    """Whether a function may want a shell, told by the names in its pickle."""
    return any(sign in body for sign in _SIGNS)


def set_stage() -> None:
    """Makes a shell, half a second's work; displays go to the capture of their task from now on."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    if InteractiveShell.initialized():
        return
    config = Config()
    # Nobody types anything here.
    config.HistoryManager.enabled = False
    InteractiveShell.instance(config=config, user_module=sys.modules["__main__"])
    builtins.display = importlib.import_module("IPython.display").display  # type: ignore[attr-defined]  # as IPython does
