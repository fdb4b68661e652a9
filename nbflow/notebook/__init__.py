"""The notebook layer: the only one that knows IPython."""
