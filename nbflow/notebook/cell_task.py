"""A cell as a task: what was found out about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ast
    from types import CodeType, FunctionType

    from nbflow.notebook.loops import Condition, Loop


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class CellTask:
    """A cell as a task.

    inputs: names of parameters that other tasks or flow parameters give; all_inputs: with those of the head.
    free_names: globals that it reads. hides: names it assigns for itself. prelude: imports and functions that later
    cells see. shown: the output that is shown as the cell's value; shows: another value is, returned last.
    tree: compiles to the function's code; text: for people. condition: what decides whether it runs. merges: whether it
    takes the first of its inputs that was not skipped.
    """

    name: str
    outputs: tuple[str, ...]
    function: FunctionType
    filename: str
    tree: ast.Module
    text: str
    inputs: tuple[str, ...]
    free_names: tuple[str, ...]
    hides: tuple[str, ...]
    prelude: CodeType | None
    shown: str | None
    shows: bool
    loop: Loop | None
    condition: Condition | None = None
    merges: bool = False

    @property
    def all_inputs(self) -> tuple[str, ...]:
        loop = self.loop.inputs if self.loop is not None else ()
        return self.inputs + loop + (self.condition.inputs if self.condition is not None else ())

    @property
    def new_outputs(self) -> set[str]:
        """The outputs that are no next version of what the cell reads."""
        return set(self.outputs).difference(self.all_inputs)

    @property
    def functions(self) -> tuple[FunctionType, ...]:
        """The cell's function, and those of its head."""
        parts = (self.loop, self.condition)
        return (self.function, *(each.function for each in parts if each is not None))
