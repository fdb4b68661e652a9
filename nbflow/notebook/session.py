"""The notebook's own flow: made of its `%%task` cells, built anew whenever it is needed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.error import StdinNotImplementedError

from nbflow.errors import CellError, NbflowError, UnknownName, nearest
from nbflow.flow.front import Flow
from nbflow.flow.output import OutputStyle
from nbflow.lean import replace
from nbflow.model.graph import Graph
from nbflow.model.node import Node
from nbflow.model.state import Freshness
from nbflow.notebook.assembly import Assembly
from nbflow.notebook.by_helpers import ByHelpers
from nbflow.notebook.declarations import Declarations, Declared
from nbflow.notebook.failures import raise_first_failure, refuse_missing
from nbflow.notebook.forms import CellForms
from nbflow.notebook.frontend import cell_id, deleted_cells
from nbflow.notebook.givens import Givens
from nbflow.notebook.maker import CellMaker
from nbflow.notebook.modes import Modes, goes_on_text, twice_text
from nbflow.notebook.output import ready_figures
from nbflow.notebook.places import one_line, open_line
from nbflow.notebook.published import Published, still_fresh
from nbflow.notebook.shown import has_value, is_made
from nbflow.notebook.source import read_source
from nbflow.store import find_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from nbflow.flow.background import Background
    from nbflow.flow.finished import Run
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
        self.flow.output = _STYLE
        self.forms = CellForms()
        self.modes = Modes()
        self.declarations = Declarations()
        self.maker = CellMaker(shell.user_ns, self.declarations)
        self.published = Published(shell.user_ns)
        self._assembly = Assembly(self.flow.graph, (), shell.user_ns, self.maker.refresh)
        self._nodes: dict[Declared, Node] = {}
        self.givens = Givens(self)
        self.by_helpers = ByHelpers(self)
        # Whether tasks are running: code that they hand to magics must not prepare anything once more.
        self.busy = False
        # The last run that was begun in the background.
        self.behind: Background | None = None

    @property
    def namespace(self) -> dict[str, Any]:
        namespace: dict[str, Any] = self.shell.user_ns
        return namespace

    def events(self) -> dict[str, Callable[..., None]]:
        """What IPython calls around each cell."""
        return {"pre_run_cell": self.before_cell, "post_run_cell": self.givens.after_cell}

    def close(self) -> None:
        self.published.drop(self.published.names())

    # Declaring

    def declare(self, line: str, cell: str) -> Declared:
        """Takes a task's cell in; it replaces what the same cell declared before. Refused, it changes nothing."""
        source = read_source(self.shell, self.forms, line, cell)
        which = cell_id(self.shell) or source.as_cell
        mine = self.declarations.of_cells([which])
        built = self.maker.built(source, hidden=mine)
        task = self.maker.task(built, source)
        before = self.declarations.snapshot()
        declared = Declared(which, self.declarations.place_of(built, mine), source, built, task)
        taken_over = self.declarations.register(declared, mine)
        try:
            self.build()
            self.maker.run_prelude(declared)
        except NbflowError:
            # A circle, or an import that fails: it is not taken in, so that the others go on working.
            self.declarations.restore(before)
            self.build()
            raise
        told = self.declarations.taken_over_text(declared, taken_over)
        if told:
            print(told)
        self._clean_namespace(declared, [*mine, *taken_over])
        return declared

    def node_of(self, declared: Declared) -> Node:
        """A cell's node in the flow as it was last built."""
        return self._nodes[declared]

    def output_node(self, name: str) -> Node:
        """What an output's name stands for in the notebook, in the flow as it was last built."""
        return self._assembly.output_node(name)

    def maker_node(self, name: str) -> Node:
        """The node of the task that makes an output, in the flow as it was last built."""
        return self._assembly.task_node(name)

    def names(self) -> list[str]:
        """The names of the tasks and outputs, in the order of their cells."""
        return self.declarations.names()

    def outputs(self) -> set[str]:
        """The names that tasks give values to."""
        return self.declarations.outputs()

    def task_name(self, name: str) -> str:
        """The task that makes an output of that name. Raises UnknownName."""
        self.build()
        for declared in reversed(list(self.declarations)):
            if name in declared.built.outputs or name == declared.name:
                return self._nodes[declared].name
        if name in self.flow.graph.nodes:
            return name
        raise UnknownName(f"no task is called {name!r}" + nearest(name, self.names()))

    def needed_for(self, outputs: Iterable[str]) -> set[Declared]:
        """The cells that make these outputs, and all that they need, in the flow as it was last built."""
        needed = self.flow.graph.needed([self.maker_node(name) for name in outputs])
        return {declared for declared, node in self._nodes.items() if node in needed}

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
        self.published.drop(self.declarations.behind(outputs))
        self.declarations.remove(gone)
        return outputs

    # Around cells

    def before_cell(self, info: Any = None) -> None:
        """Deleted cells take their tasks along."""
        raw = getattr(info, "raw_cell", None) or ""
        self.givens.begin(getattr(info, "transformed_cell", None) or self.shell.transform_cell(raw))
        self._take_out(self.declarations.of_cells(deleted_cells(self.shell)))

    def leave_cell(self) -> None:
        """Takes out what the present cell declared before: it is another cell now."""
        which = cell_id(self.shell)
        outputs = self._take_out(self.declarations.of_cells([which] if which is not None else []))
        if outputs:
            _print(f"this cell was the task of `{', '.join(outputs)}`, and is none any more")

    def stop_text(self, names: Sequence[str]) -> str | None:
        """Why a plain cell that reads these outputs must not run now, and how to go on; None where it may."""
        flow = self.build()
        targets = [self._assembly.output_node(name) for name in names]
        needed = {node.name for node in flow.graph.needed(targets)}
        lazy = {self._nodes[d].name for d in self.declarations if d.source.head.options.lazy} & needed
        if not self.modes.lazy and not lazy:
            took = [last.seconds for name, last in flow.store.last(flow.name).items() if name in needed]
            if sum(took) <= self.modes.slow_s:
                return None
        rows = [row for row in flow.plan(targets).rows if row.freshness is not Freshness.FRESH and not row.skipped]
        return self.modes.stop_text(names, rows, lazy, goes_on_text(self.behind, (row.name for row in rows)))

    # Building and running

    def build(self) -> Flow:
        """The flow of all tasks as they are declared now."""
        if self.busy:
            raise CellError("a task is running; `%flow` and `%%task` cannot stand inside one, nor in what it calls")
        self.flow.graph = Graph(self.flow.name, self.flow)
        self._assembly = Assembly(self.flow.graph, list(self.declarations), self.namespace, self.maker.refresh)
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
        finally:
            self.busy = False
        for declared, node in self._nodes.items():
            declared.made = declared.made or is_made(run, node)
        if check:
            raise_first_failure(run)
        return run

    def run_with(self, name: str) -> Run:
        """The last run where it had this task as it is now, else a new one of it."""
        return self.last_with(name) or self.run([name], check=False)

    def last_with(self, name: str) -> Run | None:
        """The last run, where it had this task as it is now."""
        node, run = self.build().graph[name], self.flow.last_run
        made = run.named(name) if run is not None else None
        return run if made is not None and made.task is node.task else None

    def debug(self, name: str, element: Any) -> None:
        """Calls a task again under the debugger; one that was not called as it is now runs before."""
        run = self.run_with(name)
        self.busy = True
        try:
            run.debug(name, element)
        except StdinNotImplementedError:
            raise CellError(
                "the debugger asks what to do, and nobody here can answer (papermill, nbclient); open the notebook in "
                "JupyterLab, or look at the error: %tb"
            ) from None
        finally:
            self.busy = False

    def start(self, names: Sequence[str] | None = None, *, force: bool = False) -> Background:
        """As `run`, in the background; cells run meanwhile."""
        flow, targets, forced = self._asked(names, force=force)
        self.behind = flow.start(targets=targets, force=forced)
        return self.behind

    def _asked(self, names: Sequence[str] | None, *, force: bool) -> tuple[Flow, list[str] | None, list[str] | None]:
        """The flow as it is declared now, the nodes that are to run (None: all), and those that are forced to."""
        flow = self.build()
        wanted = [flow.graph[name] for name in names] if names is not None else list(flow.graph.nodes.values())
        refuse_missing(flow.graph.needed(wanted), self.declarations, self.namespace)
        if self.by_helpers.bring(names):
            flow = self.build()
        targets = list(names) if names is not None else None
        told = twice_text(self.behind, flow.graph.needed([flow.graph[name] for name in targets or flow.graph.nodes]))
        if told:
            flow.tell(told)
        return flow, targets, (targets or list(flow.graph.nodes)) if force else None

    def update(self, declared: Declared) -> Run | None:
        """Brings one cell's task up to date, with whatever it needs; None where the cell only declares."""
        self.build()
        if self.modes.lazy or declared.source.head.options.lazy:
            return None
        shown = declared.built.shown
        name = self._nodes[declared].name
        also = [self._assembly.version_of(declared, shown).name] if shown is not None else []
        self.flow.output = replace(_STYLE, own=name, begin=open_line)
        try:
            return self.run([name, *also])
        finally:
            self.flow.output = _STYLE

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
            # There is such a line only where it took so long that the run was shown.
            line.replace(f"✓ {', '.join(wanted)} · {'brought up to date' if run.counts()[0] else 'fresh'}")
        for name in wanted:
            self.published.put(name, self._assembly.output_node(name), run)
        ready_figures(self.shell)
        self._drop_outdated(self.published.names() - set(wanted))

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
        self.published.put(shown, version, run)
        return self.namespace[shown]

    def _drop_outdated(self, names: Iterable[str]) -> None:
        """Takes values out of the namespace that are no longer what their task would give."""
        nodes = {name: self.maker_node(name) for name in names if name in self.outputs()}
        self.published.drop(set(names) - still_fresh(self.flow, nodes))

    # Details

    def _clean_namespace(self, declared: Declared, before: Sequence[Declared]) -> None:
        """Takes out what is stale now, and puts in the cell's imports and functions."""
        gone = {name for d in before for name in d.built.outputs}
        self.published.drop(self.declarations.behind(gone | set(declared.built.outputs)))
        # A variable that an earlier plain run of this cell left behind would hide that it is private now.
        left_behind = self.givens.left_by(declared.cell, declared.built.hides)
        for name in (*declared.built.outputs, *left_behind):
            if not isinstance(self.namespace.get(name), (Node, type(os))):
                self.namespace.pop(name, None)


# A run that fails stops its cell, which tells of it.
_STYLE = OutputStyle(see="%flow log {name}", failures=False)


def _notebook_name() -> str:
    """The name of the notebook's file, as far as the server tells: two of them in one project are told apart."""
    return Path(os.environ.get("JPY_SESSION_NAME", "notebook")).stem


def _print(message: str) -> None:
    print(f"nbflow: {message}")
