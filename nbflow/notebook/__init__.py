"""The notebook layer: the only one that knows IPython."""

from nbflow.notebook.magics import load, unload

__all__ = ["load", "unload"]
