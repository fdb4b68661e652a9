"""Starts the nursery. Run as a script: `python hatch.py FOLDER PATH…`, FOLDER being that of nbflow, PATH the kernel's.

Workers need a small part of nbflow. What its front door imports, a third of a second, is loaded in the worker whose
task asks for it.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import Any


def door(folder: str) -> None:
    """Puts the package nbflow in place without running it; that happens when something of it is asked for by name."""
    spec = importlib.util.spec_from_file_location("nbflow", os.path.join(folder, "__init__.py"))
    assert spec is not None
    loader = spec.loader
    assert loader is not None
    package = importlib.util.module_from_spec(spec)

    def load(name: str) -> Any:
        if name.startswith("__") and name != "__version__":
            raise AttributeError(name)
        del package.__getattr__
        loader.exec_module(package)
        return getattr(package, name)

    package.__getattr__ = load  # type: ignore[method-assign]  # PEP 562: asked for what a module does not have
    sys.modules["nbflow"] = package


if __name__ == "__main__":
    door(sys.argv[1])
    sys.path[:] = sys.argv[2:]
    from nbflow.executors.nursery import main
    from nbflow.loop import loop

    # As the front door has it: not the module of that name.
    sys.modules["nbflow"].loop = loop  # type: ignore[attr-defined]  # a package has what is put into it
    main()
