"""The notebook's own flow: made of its `%%task` cells, built anew whenever it is needed."""

from __future__ import annotations

import ast
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbflow.errors import CellError, NbflowError, UnknownName, nearest
from nbflow.flow import Flow
from nbflow.flow.output import OutputStyle
from nbflow.model.graph import Graph
from nbflow.model.node import Node
from nbflow.model.state import Freshness
from nbflow.notebook.assembly import Assembly
from nbflow.notebook.cells import read_cell
from nbflow.notebook.conflicts import Conflict
from nbflow.notebook.declarations import Declarations, Declared
from nbflow.notebook.edited import LocalModules
from nbflow.notebook.failures import raise_first_failure, refuse_missing
from nbflow.notebook.forms import CellForms
from nbflow.notebook.frontend import cell_id, deleted_cells
from nbflow.notebook.maker import CellMaker
from nbflow.notebook.modes import Modes
from nbflow.notebook.output import ready_figures
from nbflow.notebook.places import one_line, open_line
from nbflow.notebook.published import Published, still_fresh
from nbflow.notebook.reach import reached_names
from nbflow.notebook.recorded import RecordedCells
from nbflow.notebook.shown import has_value, is_made, state_line
from nbflow.notebook.source import read_source
from nbflow.notebook.tracebacks import Interrupted
from nbflow.notebook.variables import GivenParameter, PlainVariables
from nbflow.store import find_store

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from nbflow.flow import Run
    from nbflow.flow.background import Background
    from nbflow.notebook.cells import CellNames
    from nbflow.notebook.plain import PlainCells


class Session:
    """The tasks that a notebook's cells declared, and the values that were put into its namespace."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.plain: PlainCells | None = None
        # What completes, as IPython knows it.
        self.matcher: Any = None
        # Where the kernel started decides, also when a cell changes the working directory later.
        self.store = find_store(None)
        self.flow = Flow(_notebook_name(), store=self.store)
        self.flow.tell = _print
        self.flow.output = OutputStyle(see=_SEE)
        self.forms = CellForms()
        self.modes = Modes()
        self._declared = Declarations()
        self._maker = CellMaker(shell.user_ns, self._declared)
        self._published = Published(shell.user_ns)
        self._assembly = Assembly(self.flow.graph, (), shell.user_ns, self._maker.refresh)
        self._nodes: dict[Declared, Node] = {}
        self._variables = PlainVariables(shell.user_ns)
        self.recorded = RecordedCells()
        self._modules = LocalModules()
        self._cell_text = ""
        self._changed: set[str] = set()
        # The outputs that the present cell reads behind what it assigns as it did before.
        self._trusted: dict[str, Conflict] = {}
        # Whether tasks are running: code that they hand to magics must not prepare anything once more.
        self.busy = False
        self._preparing: set[str] = set()

    @property
    def namespace(self) -> dict[str, Any]:
        namespace: dict[str, Any] = self.shell.user_ns
        return namespace

    def events(self) -> dict[str, Callable[..., None]]:
        """What IPython calls around each cell."""
        return {"pre_run_cell": self.before_cell, "post_run_cell": self.after_cell}

    def close(self) -> None:
        self._published.drop(self._published.names())

    # Declaring

    def declare(self, line: str, cell: str) -> Declared:
        """Takes a task's cell in; it replaces what the same cell declared before. Refused, it changes nothing."""
        source = read_source(self.shell, self.forms, line, cell)
        which = cell_id(self.shell) or source.as_cell
        mine = self._declared.of_cells([which])
        built = self._maker.built(source, hidden=mine)
        task = self._maker.task(built, source)
        before = self._declared.snapshot()
        declared = Declared(which, self._declared.place_of(built, mine), source, built, task)
        taken_over = self._declared.register(declared, mine)
        try:
            self.build()
            self._maker.run_prelude(declared)
        except NbflowError:
            # A circle, or an import that fails: it is not taken in, so that the others go on working.
            self._declared.restore(before)
            self.build()
            raise
        told = self._declared.taken_over_text(declared, taken_over)
        if told:
            print(told)
        self._clean_namespace(declared, [*mine, *taken_over])
        return declared

    def edited_files(self) -> list[str]:
        """The files of the user's modules that tasks reach, and that are not any more what was imported."""
        read = {name for d in self._declared for name in self._maker.uses(d)}
        return self._modules.edited(self.namespace[name] for name in read if name in self.namespace)

    def private_to(self, name: str) -> str | None:
        """How to make an output of a name that a task's cell keeps to itself; None for any other name."""
        return self._declared.private_to(name)

    def names(self) -> list[str]:
        """The names of the tasks and outputs, in the order of their cells."""
        return self._declared.names()

    def outputs(self) -> set[str]:
        """The names that tasks give values to."""
        return self._declared.outputs()

    def task_name(self, name: str) -> str:
        """The task that makes an output of that name. Raises UnknownName."""
        self.build()
        for declared in reversed(list(self._declared)):
            if name in declared.built.outputs or name == declared.name:
                return self._nodes[declared].name
        if name in self.flow.graph.nodes:
            return name
        raise UnknownName(f"no task is called {name!r}" + nearest(name, self.names()))

    def in_order(self) -> list[Declared]:
        """The cells of the flow as it was last built, each behind what it needs."""
        return list(self._nodes)

    def is_mapped(self, name: str, reader: Declared) -> bool:
        """Whether an output, as one cell reads it, has elements."""
        maker = self._assembly.maker(name, reader)
        return maker is not None and self._nodes[maker].mapped

    def remove(self, name: str) -> None:
        """Takes a task out of the flow, with what it had put into the namespace."""
        self._take_out([d for d, node in self._nodes.items() if node.name == name])

    def _take_out(self, gone: Sequence[Declared]) -> list[str]:
        outputs = [name for d in gone for name in d.built.outputs]
        self._published.drop(self._declared.behind(outputs))
        self._declared.remove(gone)
        return outputs

    # Around cells

    def before_cell(self, info: Any = None) -> None:
        """Deleted cells take their tasks along."""
        raw = getattr(info, "raw_cell", None) or ""
        self._cell_text = getattr(info, "transformed_cell", None) or self.shell.transform_cell(raw)
        self._take_out(self._declared.of_cells(deleted_cells(self.shell)))

    def leave_cell(self) -> None:
        """Takes out what the present cell declared before: it is another cell now."""
        which = cell_id(self.shell)
        outputs = self._take_out(self._declared.of_cells([which] if which is not None else []))
        if outputs:
            _print(f"this cell was the task of `{', '.join(outputs)}`, and is none any more")

    def note_plain(self, tree: ast.Module, names: CellNames) -> None:
        """Remembers what a plain cell that is about to run gives values to."""
        self._variables.note(tree, names.assigned, cell_id(self.shell), self._cell_text)
        self.recorded.note(cell_id(self.shell), self._cell_text, tree)
        self._changed.update(names.assigned, names.mutated)

    def note_before(self, texts: Iterable[str]) -> None:
        """Takes in cells that ran before nbflow was there, and the one that loads it."""
        for text in texts:
            try:
                tree = ast.parse(text)
            except SyntaxError:
                continue
            self._variables.note(tree, read_cell(tree).assigned, None)
            self.recorded.note(None, text, tree)

    def conflict(self, changed: Mapping[str, Collection[str]], names: CellNames) -> Conflict | None:
        """What a plain cell would read that was made with the old value of what it changes before.

        changed: each name that it gives another value -> the outputs that it reads after that. The same cell run again
        mostly assigns what it did before: whether so is looked at once it has run.
        """
        users = [(d, hit) for d in self._declared if (hit := changed.keys() & self._maker.uses(d))]
        if not users:
            return None
        graph = self.build().graph
        for name, outputs in changed.items():
            makers = [d for d, hit in users if name in hit]
            for output in sorted(outputs):
                needed = graph.needed([self._assembly.output_node(output)])
                task = next((d for d in makers if self._nodes[d] in needed), None)
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
        flow = self.build()
        for output, conflict in trusted.items():
            if any(row.freshness is Freshness.STALE for row in flow.plan([self._assembly.output_node(output)]).rows):
                _print(conflict.after_text())

    def after_cell(self, _result: object = None) -> None:
        """What depends on variables that a plain cell changed is no longer left for code that reads it unseen."""
        self._modules.note()
        self._tell_untrue()
        changed, self._changed = self._changed, set()
        if changed and self._published.names():
            stale = [name for d in self._declared if changed & self._maker.reads(d) for name in d.built.outputs]
            self._published.drop(self._declared.behind(stale))

    def stop_text(self, names: Sequence[str]) -> str | None:
        """Why a plain cell that reads these outputs must not run now, and how to go on; None where it may."""
        flow = self.build()
        targets = [self._assembly.output_node(name) for name in names]
        needed = {node.name for node in flow.graph.needed(targets)}
        lazy = {self._nodes[d].name for d in self._declared if d.source.head.options.lazy} & needed
        if not self.modes.lazy and not lazy:
            took = [last.seconds for name, last in flow.store.last(flow.name).items() if name in needed]
            if sum(took) <= self.modes.slow_s:
                return None
        rows = [row for row in flow.plan(targets).rows if row.freshness is not Freshness.FRESH and not row.skipped]
        return self.modes.stop_text(names, rows, lazy)

    def parameters(self) -> list[GivenParameter]:
        """What tasks read that may be set: the plain literals of cells, such as `n = 5`, and Parameters."""
        read = {name for d in self._declared for name in self._maker.reads(d)}
        given = [
            GivenParameter(node.name, node.default_value, plain=False)
            for node in self.build().graph.parameters.values()
        ]
        return [*self._variables.parameters(read), *given]

    def set_parameters(self, values: Mapping[str, Any]) -> None:
        """Gives parameters other values, as running their cells with them would. Raises UnknownName."""
        known = {each.name: each for each in self.parameters()}
        for name in values:
            if name not in known:
                raise UnknownName(f"no task has a parameter {name!r}" + nearest(name, known))
        for name, value in values.items():
            if known[name].plain:
                self._variables.give({name: value})
            else:
                self.flow.graph.parameters[name].default_value = value
        self._changed.update(values)
        self.after_cell()

    # Building and running

    def build(self) -> Flow:
        """The flow of all tasks as they are declared now."""
        if self.busy:
            raise CellError("a task is running; `%flow` and `%%task` cannot stand inside one, nor in what it calls")
        self.flow.graph = Graph(self.flow.name, self.flow)
        self._assembly = Assembly(self.flow.graph, list(self._declared), self.namespace, self._maker.refresh)
        self._nodes = self._assembly.build()
        return self.flow

    def run(
        self,
        names: Sequence[str] | None = None,
        *,
        force: bool = False,
        check: bool = True,
        approve: Sequence[str] = (),
    ) -> Run:
        """Brings the named nodes (default: all) up to date. check: raises RunFailed when one could not be."""
        flow, targets, forced = self._asked(names, force=force)
        self.busy = True
        try:
            run = flow.run(targets=targets, force=forced, approve=approve)
        except KeyboardInterrupt as stop:
            raise Interrupted from stop
        finally:
            self.busy = False
        for declared, node in self._nodes.items():
            declared.made = declared.made or is_made(run, node)
        if check:
            raise_first_failure(run)
        return run

    def run_with(self, name: str) -> Run:
        """The last run where it had this task as it is now, else a new one of it."""
        node, run = self.build().graph[name], self.flow.last_run
        made = run._nodes.get(name) if run is not None else None
        if run is None or made is None or made.task is not node.task:
            run = self.run([name], check=False)
        return run

    def debug(self, name: str, element: Any) -> None:
        """Calls a task again under the debugger; one that was not called as it is now runs before."""
        run = self.run_with(name)
        self.busy = True
        try:
            run.debug(name, element)
        finally:
            self.busy = False

    def start(self, names: Sequence[str] | None = None, *, force: bool = False) -> Background:
        """As `run`, in the background; cells run meanwhile."""
        flow, targets, forced = self._asked(names, force=force)
        return flow.start(targets=targets, force=forced)

    def _asked(self, names: Sequence[str] | None, *, force: bool) -> tuple[Flow, list[str] | None, list[str] | None]:
        """The flow as it is declared now, the nodes that are to run (None: all), and those that are forced to."""
        flow = self.build()
        wanted = [flow.graph[name] for name in names] if names is not None else list(flow.graph.nodes.values())
        refuse_missing(flow.graph.needed(wanted), self._declared, self.namespace)
        if self._publish_for_helpers(names):
            flow = self.build()
        targets = list(names) if names is not None else None
        return flow, targets, (targets or list(flow.graph.nodes)) if force else None

    def _publish_for_helpers(self, names: Sequence[str] | None) -> bool:
        """Puts outputs that helpers of the tasks read through globals into the namespace, as a plain cell's would be.

        They count then like any global that a task reaches.
        """
        graph = self.flow.graph
        wanted = graph.needed([graph[name] for name in names] if names is not None else graph.nodes.values())
        needed = {name for d, node in self._nodes.items() if node in wanted for name in self._by_helpers(d)}
        needed -= self._preparing
        if not needed:
            return False
        self._preparing |= needed
        try:
            self.publish(sorted(needed))
        finally:
            self._preparing -= needed
        return True

    def _by_helpers(self, declared: Declared) -> set[str]:
        """The outputs of other tasks that a task's helpers read."""
        reached = reached_names(declared.built.free_names, self.namespace)
        own = {*declared.built.outputs, *declared.built.all_inputs}
        return (reached & self.outputs()) - own

    def update(self, declared: Declared) -> Run | None:
        """Brings one cell's task up to date, with whatever it needs; None where the cell only declares."""
        self.build()
        if self.modes.lazy or declared.source.head.options.lazy:
            return None
        shown = declared.built.shown
        name = self._nodes[declared].name
        also = [self._assembly.version_of(declared, shown).name] if shown is not None else []
        self.flow.output = OutputStyle(own=name, see=_SEE, begin=open_line)
        try:
            return self.run([name, *also])
        finally:
            self.flow.output = OutputStyle(see=_SEE)

    def update_behind(self, declared: Declared) -> list[str]:
        """Where `%flow auto` is on, brings up to date what depends on a cell's task; gives its names."""
        if not self.modes.auto:
            return []
        graph, node = self.build().graph, self._nodes[declared]
        behind = [
            other.name
            for d, other in self._nodes.items()
            if other is not node and not d.source.head.options.lazy and node in graph.needed([other])
        ]
        if behind:
            self.run(behind)
        return behind

    def publish(self, names: Iterable[str]) -> None:
        """Brings outputs up to date and puts their values into the namespace, as copies of the stored ones."""
        wanted = list(names)
        self.build()
        with one_line() as line:
            run = self.run([self._assembly.output_node(name).name for name in wanted])
            line.replace(f"✓ {', '.join(wanted)} · brought up to date")
        for name in wanted:
            self._published.put(name, self._assembly.output_node(name), run)
        ready_figures(self.shell)
        self._drop_outdated(self._published.names() - set(wanted))

    def shown_value(self, declared: Declared, run: Run | None) -> Any:
        """What the cell shows: the value of its last expression; None when it ends in an assignment."""
        node = self._nodes[declared]
        if run is None or not has_value(run, node):
            return None
        if declared.built.shows:
            return run.part(node, len(declared.built.outputs))
        shown = declared.built.shown
        if shown is None:
            return None
        version = self._assembly.version_of(declared, shown)
        if version is not self._assembly.output_node(shown):
            # A later cell makes the next version, which is what the name stands for in the notebook.
            return run.values(version)
        self._published.put(shown, version, run)
        return self.namespace[shown]

    def state_line(self, declared: Declared, run: Run | None) -> str:
        """One line that says the same each time the cell is fresh: no times, no counts of what ran."""
        return state_line(declared, self._nodes[declared], run)

    def store_place(self) -> str:
        return os.path.relpath(self.store)

    def _drop_outdated(self, names: Iterable[str]) -> None:
        """Takes values out of the namespace that are no longer what their task would give."""
        nodes = {name: self._assembly.task_node(name) for name in names if name in self.outputs()}
        self._published.drop(set(names) - still_fresh(self.flow, nodes))

    # Details

    def _clean_namespace(self, declared: Declared, before: Sequence[Declared]) -> None:
        """Takes out what is stale now, and puts in the cell's imports and functions."""
        gone = {name for d in before for name in d.built.outputs}
        self._published.drop(self._declared.behind(gone | set(declared.built.outputs)))
        # A variable that an earlier plain run of this cell left behind would hide that it is private now.
        left_behind = self._variables.left_by(declared.cell, declared.built.hides)
        for name in (*declared.built.outputs, *left_behind):
            if not isinstance(self.namespace.get(name), (Node, type(os))):
                self.namespace.pop(name, None)


_SEE = "%flow log {name}"


def _notebook_name() -> str:
    """The name of the notebook's file, as far as the server tells: two of them in one project are told apart."""
    return Path(os.environ.get("JPY_SESSION_NAME", "notebook")).stem


def _print(message: str) -> None:
    print(f"nbflow: {message}")
