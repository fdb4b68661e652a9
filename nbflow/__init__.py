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
from importlib import import_module
from typing import TYPE_CHECKING, Any

from nbflow.loop import loop
from nbflow.seams import DISPLAYS, FLOW_FACTORY, FRONT, WATCHERS

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from nbflow import signals, tasks, triggers
    from nbflow.engine.hooks import StateChange
    from nbflow.executors.cluster import DaskExecutor
    from nbflow.flow.finished import Run
    from nbflow.flow.front import Flow
    from nbflow.flow.plans import Plan, Status
    from nbflow.identity.named import opaque
    from nbflow.model.control import Switch, apply_map, case, chain, flatten, merge, switch
    from nbflow.model.mapping import unmapped
    from nbflow.model.node import Node, Parameter
    from nbflow.model.resource import resource
    from nbflow.model.state import Failed, Freshness, Skipped, State
    from nbflow.model.task import Task, task
    from nbflow.probe.file import File
    from nbflow.probe.secrets import secret
    from nbflow.results.comparison import Comparison


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

# Where each name is from. That is loaded when somebody asks for the name: workers need a small part of nbflow, and most
# scripts and notebooks need no more than half of it.
_HOMES = {
    "Comparison": "nbflow.results.comparison",
    "DaskExecutor": "nbflow.executors.cluster",
    "Failed": "nbflow.model.state",
    "File": "nbflow.probe.file",
    "Flow": "nbflow.flow.front",
    "Freshness": "nbflow.model.state",
    "Node": "nbflow.model.node",
    "Parameter": "nbflow.model.node",
    "Plan": "nbflow.flow.plans",
    "Run": "nbflow.flow.finished",
    "Skipped": "nbflow.model.state",
    "State": "nbflow.model.state",
    "StateChange": "nbflow.engine.hooks",
    "Status": "nbflow.flow.plans",
    "Switch": "nbflow.model.control",
    "Task": "nbflow.model.task",
    "apply_map": "nbflow.model.control",
    "case": "nbflow.model.control",
    "chain": "nbflow.model.control",
    "flatten": "nbflow.model.control",
    "merge": "nbflow.model.control",
    "opaque": "nbflow.identity.named",
    "resource": "nbflow.model.resource",
    "secret": "nbflow.probe.secrets",
    "switch": "nbflow.model.control",
    "task": "nbflow.model.task",
    "unmapped": "nbflow.model.mapping",
}
_SUBMODULES = frozenset({"signals", "tasks", "triggers"})

# Type checkers know what there is; with this in sight they would let any name pass.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name in _SUBMODULES:
            return import_module(f"nbflow.{name}")
        if name not in _HOMES:
            raise AttributeError(f"module 'nbflow' has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(_HOMES[name]), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext nbflow`: brings `%%task` and `%flow`."""
    from nbflow.notebook.magics import load

    load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """`%unload_ext nbflow`: takes them away again; results stay in the store."""
    from nbflow.notebook.magics import unload

    unload(shell)


def _flow_of(targets: list[Node]) -> Flow:
    """The flow of nodes that were made outside of any: how such a node runs and shows itself."""
    from nbflow.flow.implicit import implicit_flow

    return implicit_flow(targets)


def _watch(run: Run, cancel: Callable[[], None] | None) -> AbstractContextManager[None]:
    """Shows a run under IPython, in a notebook also where nobody loaded the extension; in scripts nothing."""
    if "IPython" not in sys.modules:
        return nullcontext()
    from nbflow.notebook.onlookers import watch

    return watch(run, cancel)


def _display(value: Any) -> None:
    """Shows a form or a run in the background, where IPython asks for it."""
    from nbflow.notebook.displays import display_value

    display_value(value)


def _front() -> Any:
    """What shows displays of tasks, where an IPython shell runs."""
    if "IPython" not in sys.modules:
        return None
    from nbflow.notebook.output import find_front

    return find_front()


FLOW_FACTORY[:] = [_flow_of]
WATCHERS[:] = [_watch]
DISPLAYS[:] = [_display]
FRONT[:] = [_front]
