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

from typing import Any

from nbflow.flow import Flow, Plan, Run
from nbflow.identity.value import opaque
from nbflow.model.graph import Node, Parameter
from nbflow.model.mapping import unmapped
from nbflow.model.state import Freshness, State
from nbflow.model.task import Task, task
from nbflow.probe.secrets import secret

__version__ = "0.1.0"

__all__ = [
    "Flow",
    "Freshness",
    "Node",
    "Parameter",
    "Plan",
    "Run",
    "State",
    "Task",
    "opaque",
    "secret",
    "task",
    "unmapped",
]


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext nbflow`: brings `%%task` and `%flow`."""
    from nbflow.notebook import load

    load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """`%unload_ext nbflow`: takes them away again; results stay in the store."""
    from nbflow.notebook import unload

    unload(shell)
