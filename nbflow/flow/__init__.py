"""The front door: Flow and Run join graph, plan, engine, results and picture."""

from nbflow.flow.finished import Run
from nbflow.flow.front import Flow
from nbflow.flow.plans import Plan, Status
from nbflow.results.comparison import Comparison

__all__ = ["Comparison", "Flow", "Plan", "Run", "Status"]
