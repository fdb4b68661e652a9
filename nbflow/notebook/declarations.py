"""Which cell declared which task: replaced when a cell runs again, taken out when it is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow.lean import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from nbflow.model.task import Task
    from nbflow.notebook.cell_task import CellTask
    from nbflow.notebook.source import CellSource


@dataclass(slots=True, eq=False)
class Declared:
    """One task's cell. cell: which one it is; place: its rank in the order in which cells first ran.

    made: whether its outputs had values in this session.
    """

    cell: str
    place: int
    source: CellSource
    built: CellTask
    task: Task
    made: bool = False

    @property
    def name(self) -> str:
        return self.task.name


class Declarations:
    """The tasks of a notebook, in the order in which their cells first ran."""

    def __init__(self) -> None:
        self._all: list[Declared] = []
        self._places = 0
        # Outputs that were taken out, each with the cell that made it.
        self._gone: dict[str, str] = {}

    def __iter__(self) -> Iterator[Declared]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def names(self) -> list[str]:
        """The names of the tasks and outputs, each once."""
        return list(dict.fromkeys(name for d in self._all for name in (d.name, *d.built.outputs)))

    def outputs(self) -> set[str]:
        """The names that tasks give values to."""
        return _outputs(self._all)

    def of_cells(self, cells: Iterable[str]) -> list[Declared]:
        """What these cells declared."""
        wanted = set(cells)
        return [d for d in self._all if d.cell in wanted]

    def place_of(self, built: CellTask, mine: Sequence[Declared]) -> int:
        """A cell keeps its place; a new one comes last, except where it takes over names that another cell gave."""
        if mine:
            return mine[0].place
        for declared in self._all:
            if built.new_outputs.intersection(declared.built.outputs):
                return declared.place
        self._places += 1
        return self._places

    def register(self, declared: Declared, mine: Sequence[Declared]) -> list[Declared]:
        """Puts a cell in the place of what it replaces; gives those of other cells whose names it takes over."""
        taken_over = [
            other for other in self._all if other not in mine and declared.built.new_outputs & other.built.new_outputs
        ]
        self.remove([*mine, *taken_over])
        self._all.append(declared)
        self._all.sort(key=lambda each: each.place)
        return taken_over

    def remove(self, gone: Iterable[Declared]) -> None:
        left_out = list(gone)
        self._gone |= {name: d.cell for d in left_out for name in d.built.outputs}
        self._all = [d for d in self._all if d not in left_out]

    def snapshot(self) -> list[Declared]:
        """What `restore` takes: a cell that is refused changes nothing."""
        return list(self._all)

    def restore(self, before: Sequence[Declared]) -> None:
        self._all = list(before)

    def behind(self, names: Iterable[str]) -> set[str]:
        """These outputs and all that depend on them."""
        found, before = set(names), set[str]()
        while found != before:
            before = set(found)
            found |= _outputs([d for d in self._all if found & set(d.built.all_inputs)])
        return found

    def why_missing(self, name: str) -> str | None:
        """What became of a name that a task's cell keeps to itself, or once gave; None for any other name."""
        for declared in self._all:
            if name in declared.built.hides:
                outputs = ", ".join((*declared.built.outputs, name))
                return (
                    f"`{name}` is private to the cell of {declared.name}; name it there to use it: `%%task {outputs}`"
                )
        if name not in self._gone or name in self.outputs():
            return None
        now = [output for d in self.of_cells([self._gone[name]]) for output in d.built.outputs]
        if now:
            return f"the cell that made `{name}` makes `{', '.join(now)}` now"
        return f"the task that made `{name}` was taken out; run the cell that makes it"

    def taken_over_text(self, declared: Declared, taken_over: Sequence[Declared]) -> str:
        """What to say of names that another cell made before; "" where there is nothing to say."""
        # Without cell ids an edited cell looks like another one: it is none.
        others = [each for each in taken_over if each.made and not each.cell.startswith("text:")]
        # The same text in another cell is a cell that was moved or copied: it makes the same.
        others = [each for each in others if each.source.as_cell != declared.source.as_cell]
        if not others:
            return ""
        names = sorted(declared.built.new_outputs & _outputs(others))
        lost = sorted(_outputs(others) - self.outputs())
        also = f"; what else that cell made is gone: `{', '.join(lost)}`" if lost else ""
        return f"`{', '.join(names)}` was made by another cell before; this one makes it now{also}"


def _outputs(declared: Iterable[Declared]) -> set[str]:
    return {name for d in declared for name in d.built.outputs}
