"""nbflow turns a Jupyter notebook into an incremental pipeline.

In a notebook: `%load_ext nbflow`, then `%%task NAME` above a cell. In Python:

>>> from nbflow import Flow, task
>>> @task
... def double(x):
...     return 2 * x
>>> with Flow("numbers") as flow:
...     doubled = double.map([1, 2, 3])
>>> flow.run()["double"]
[2, 4, 6]
"""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from nbflow import signals, tasks, triggers
from nbflow.engine.hooks import StateChange
from nbflow.executors.cluster import DaskExecutor
from nbflow.flow import Comparison, Flow, Plan, Run, Status
from nbflow.flow.displays import DISPLAYS
from nbflow.flow.watching import WATCHERS, Cancel
from nbflow.identity.named import opaque
from nbflow.loop import loop
from nbflow.model.control import Switch, apply_map, case, chain, flatten, merge, switch
from nbflow.model.mapping import unmapped
from nbflow.model.node import Node, Parameter
from nbflow.model.resource import resource
from nbflow.model.state import Failed, Freshness, Skipped, State
from nbflow.model.task import Task, task
from nbflow.probe.file import File
from nbflow.probe.routing import FRONT
from nbflow.probe.secrets import secret

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


__version__ = "0.1.0"

__all__ = [
    "Comparison",
    "DaskExecutor",
    "Failed",
    "File",
    "Flow",
    "Freshness",
    "Node",
    "Parameter",
    "Plan",
    "Run",
    "Skipped",
    "State",
    "StateChange",
    "Status",
    "Switch",
    "Task",
    "apply_map",
    "case",
    "chain",
    "flatten",
    "loop",
    "merge",
    "opaque",
    "resource",
    "secret",
    "signals",
    "switch",
    "task",
    "tasks",
    "triggers",
    "unmapped",
]


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext nbflow`: brings `%%task` and `%flow`."""
    from nbflow.notebook.magics import load

    load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """`%unload_ext nbflow`: takes them away again; results stay in the store."""
    from nbflow.notebook.magics import unload

    unload(shell)


def _watch(run: Run, cancel: Cancel | None) -> AbstractContextManager[None]:
    """Shows a run under IPython, in a notebook also where nobody loaded the extension; in scripts nothing."""
    if "IPython" not in sys.modules:
        return nullcontext()
    from nbflow.notebook.onlookers import watch

    return watch(run, cancel)


WATCHERS.append(_watch)


def _display(value: Any) -> None:
    """Shows a form or a run in the background, where IPython asks for it."""
    from nbflow.notebook.displays import display_value

    display_value(value)


DISPLAYS.append(_display)


def _front() -> Any:
    """What shows displays of tasks, where an IPython shell runs."""
    if "IPython" not in sys.modules:
        return None
    from nbflow.notebook.output import find_front

    return find_front()


FRONT[:] = [_front]
