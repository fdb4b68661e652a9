"""Starts the nursery. Run as a script: `python hatch.py FOLDER PATH…`, FOLDER being nbflow's, PATH the kernel's."""

from __future__ import annotations

import importlib.util
import os
import sys


def open_door(folder: str) -> None:
    """Imports the package nbflow from its folder, which a new process need not find on its path."""
    spec = importlib.util.spec_from_file_location("nbflow", os.path.join(folder, "__init__.py"))
    assert spec is not None
    assert spec.loader is not None
    sys.modules["nbflow"] = package = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(package)


if __name__ == "__main__":
    sys.path[:] = sys.argv[2:]
    open_door(sys.argv[1])
    from nbflow.executors.nursery import main

    main()
