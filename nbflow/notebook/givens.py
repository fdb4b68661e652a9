"""What plain cells give to tasks: variables, modules, parameters; and what follows when a cell changes them."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from nbflow.errors import UnknownName, nearest
from nbflow.model.state import Freshness
from nbflow.notebook.cells import read_cell
from nbflow.notebook.conflicts import Conflict
from nbflow.notebook.edited import CurrentModules, edited_files, edited_text
from nbflow.notebook.frontend import cell_id
from nbflow.notebook.published import FILES, changed_files
from nbflow.notebook.recorded import RecordedCells
from nbflow.notebook.variables import GivenParameter, PlainVariables

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from nbflow.notebook.cells import CellNames
    from nbflow.notebook.session import Session
    from nbflow.notebook.text import Written


class Givens:
    """What a notebook holds beside its tasks, as far as tasks read it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._variables = PlainVariables(session.namespace)
        self._recorded = RecordedCells()
        self.modules = CurrentModules(session.shell)
        self.modules.note()
        self._cell_text = ""
        self._changed: set[str] = set()
        # The outputs that the present cell reads behind what it assigns as it did before.
        self._trusted: dict[str, Conflict] = {}
        self._read: tuple[str, ...] = ()

    def begin(self, text: str) -> None:
        """A cell is about to run. text: the cell, IPython's syntax transformed."""
        self._cell_text = text
        self._read = ()

    def prepare(self, outputs: Sequence[str]) -> None:
        """Brings up to date what a plain cell reads, at its head."""
        self._session.publish(outputs)
        self.tell_edited(outputs)
        self._read = tuple(outputs)

    def statements(self) -> Iterator[Written]:
        """What plain cells said, in the order in which they first ran."""
        return self._recorded.statements()

    def left_by(self, cell: str, names: Iterable[str]) -> list[str]:
        """Those of the names that an earlier plain run of a cell gave values to."""
        return self._variables.left_by(cell, names)

    def tell_edited(self, outputs: Iterable[str] | None = None) -> None:
        """A word on files of the user's modules that are not any more what was imported.

        outputs: only on those that their tasks reach, with what they need; default: all tasks.
        """
        needed = None if outputs is None else self._session.needed_for(outputs)
        declarations = [d for d in self._session.declarations if needed is None or d in needed]
        read = {name for d in declarations for name in self._session.maker.uses(d)}
        files = edited_files(self._session.namespace[name] for name in read if name in self._session.namespace)
        if files:
            self._session.flow.tell(edited_text(files))

    def note(self, tree: ast.Module, names: CellNames) -> None:
        """Remembers what a plain cell that is about to run gives values to."""
        self._variables.note(tree, names.assigned, cell_id(self._session.shell), self._cell_text)
        self._recorded.note(cell_id(self._session.shell), self._cell_text, tree)
        self._changed.update(names.assigned, names.mutated)

    def note_earlier(self, texts: Iterable[str]) -> None:
        """Takes in cells that ran before nbflow was there, and the one that loads it."""
        for text in texts:
            try:
                tree = ast.parse(text)
            except SyntaxError:
                continue
            self._variables.note(tree, read_cell(tree).assigned, None)
            self._recorded.note(None, text, tree)

    def conflict(self, changed: Mapping[str, Collection[str]], names: CellNames) -> Conflict | None:
        """What a plain cell would read that was made with the old value of what it changes before.

        changed: each name that it gives another value -> the outputs that it reads after that. The same cell run again
        mostly assigns what it did before: whether so is looked at once it has run.
        """
        users = [(d, hit) for d in self._session.declarations if (hit := changed.keys() & self._session.maker.uses(d))]
        if not users:
            return None
        graph = self._session.build().graph
        for name, outputs in changed.items():
            makers = [d for d, hit in users if name in hit]
            for output in sorted(outputs):
                needed = graph.needed([self._session.output_node(output)])
                task = next((d for d in makers if self._session.node_of(d) in needed), None)
                if task is None:
                    continue
                found = Conflict(name, task.name, output)
                if name in names.reads or not self._variables.is_from(self._cell_text, name):
                    return found
                self._trusted.setdefault(output, found)
        return None

    def _tell_untrue(self) -> None:
        """A word where the same cell, run again, gave another value than before to what its outputs depend on."""
        trusted, self._trusted = self._trusted, {}
        if not trusted:
            return
        flow = self._session.build()
        for output, conflict in trusted.items():
            if any(row.freshness is Freshness.STALE for row in flow.plan([self._session.output_node(output)]).rows):
                flow.tell(conflict.after_text())

    def _tell_written(self) -> None:
        """A word where what a cell read is out of date by now: it wrote itself a file that this is made from."""
        read, self._read = self._read, ()
        read = tuple(name for name in read if name in self._session.outputs())
        if not read:
            return
        flow = self._session.build()
        for name, row in changed_files(flow, {name: self._session.maker_node(name) for name in read}):
            what = next(reason.text for reason in row.reasons if reason.text.startswith(FILES))
            flow.tell(f"the `{name}` that this cell read was made before: {what}. Read `{name}` in a cell below")

    def after_cell(self, _result: object = None) -> None:
        """What depends on variables that a plain cell changed is no longer left for code that reads it unseen."""
        self.modules.note()
        self._tell_untrue()
        self._tell_written()
        changed, self._changed = self._changed, set()
        if changed and self._session.published.names():
            stale = [
                name
                for d in self._session.declarations
                if changed & self._session.maker.reads(d)
                for name in d.built.outputs
            ]
            self._session.published.drop(self._session.declarations.behind(stale))

    def parameters(self) -> list[GivenParameter]:
        """What tasks read that may be set: the plain literals of cells, such as `n = 5`, and Parameters."""
        read = {name for d in self._session.declarations for name in self._session.maker.reads(d)}
        given = [
            GivenParameter(node.name, node.default_value, plain=False)
            for node in self._session.build().graph.parameters.values()
        ]
        return [*self._variables.parameters(read), *given]

    def set(self, values: Mapping[str, Any]) -> None:
        """Gives parameters other values, as running their cells with them would. Raises UnknownName."""
        known = {each.name: each for each in self.parameters()}
        for name in values:
            if name not in known:
                raise UnknownName(f"no task has a parameter {name!r}" + nearest(name, known))
        for name, value in values.items():
            if known[name].plain:
                self._variables.give({name: value})
            else:
                self._session.flow.graph.parameters[name].default_value = value
        self._changed.update(values)
        self.after_cell()
