"""The front door: Flow and Run join graph, plan, engine, results and picture."""

from nbflow.flow.finished import Run
from nbflow.flow.front import Flow
from nbflow.flow.implicit import implicit_flow
from nbflow.flow.plans import Plan, Status
from nbflow.model.node import FLOW_FACTORY
from nbflow.results.comparison import Comparison

__all__ = ["Comparison", "Flow", "Plan", "Run", "Status"]

# How a node outside of any flow runs and shows itself.
FLOW_FACTORY[:] = [implicit_flow]
