"""The notebook's own flow: made of its `%%task` cells, built anew whenever it is needed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbflow.errors import CellError, UnknownName, nearest
from nbflow.flow import Flow
from nbflow.flow.output import OutputStyle
from nbflow.flow.workshop import SOURCES
from nbflow.model.graph import Graph
from nbflow.model.node import Node, Parameter
from nbflow.model.state import State
from nbflow.model.task import Task
from nbflow.notebook.assembly import Assembly, Declared
from nbflow.notebook.build import CellTask, build_task
from nbflow.notebook.cells import SHELL_NAMES
from nbflow.notebook.failures import raise_first_failure
from nbflow.notebook.header import Head, parse_head, split_head
from nbflow.notebook.published import Published
from nbflow.notebook.reach import reached_names
from nbflow.notebook.tracebacks import BodyUnreadable, Interrupted
from nbflow.store import find_store

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nbflow.flow import Run
    from nbflow.notebook.plain import PlainCells


class Session:
    """The tasks that a notebook's cells declared, and the values that were put into its namespace."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.plain: PlainCells | None = None
        # Where the kernel started decides, also when a cell changes the working directory later.
        self._store = find_store(None)
        self.flow = Flow(_notebook_name(), store=self._store)
        self.flow.tell = _print
        self.flow.output = OutputStyle(see=_SEE)
        self._declared: list[Declared] = []
        self._published = Published(shell.user_ns)
        self._assembly = Assembly(self.flow.graph, (), shell.user_ns, self._refresh)
        self._nodes: dict[Declared, Node] = {}
        self._places = 0
        # Whether tasks are running: code that they hand to magics must not prepare anything once more.
        self.busy = False
        self._plain_cells: dict[str, str] = {}
        self._preparing: set[str] = set()

    @property
    def namespace(self) -> dict[str, Any]:
        namespace: dict[str, Any] = self.shell.user_ns
        return namespace

    def close(self) -> None:
        self._published.drop(self._published.names())

    # Declaring

    def declare(self, line: str, cell: str) -> Declared:
        """Takes a `%%task` cell in; it replaces what the same cell declared before."""
        head_text, body, head_lines = split_head(line, cell)
        head = parse_head(head_text)
        blank = len(body) - len(body.lstrip("\n"))
        # IPython drops empty lines at the head, which would move all others.
        body = "\n" * blank + self.shell.transform_cell(body)
        # The head stands in as a comment: tracebacks show it, and equal bodies under other heads differ.
        head_comment = "".join(f"# {each}\n" for each in f"%%task {head_text}".split("\n"))
        filename = self.shell.compile.cache(head_comment + body)
        cell_id = self._cell_id()
        # Front ends that do not tell which cell it is: the same text is the same cell.
        same = cell_id or f"text:{head.text}\n{body}"
        mine = [d for d in self._declared if d.cell == same]
        try:
            built = self._built(head, body, filename, head_lines + 1, hidden=mine)
        except SyntaxError as error:
            raise BodyUnreadable(error, filename) from None
        place = mine[0].place if mine else self._place_of(built)
        declared = Declared(
            cell=same,
            place=place,
            head=head,
            body=body,
            filename=filename,
            first_line=head_lines + 1,
            built=built,
            task=self._task(built, head),
        )
        before = list(self._declared)
        taken_over = self._register(declared, mine)
        try:
            self.build()
        except CellError:
            # A circle: the cell is not taken in, so that the others go on working.
            self._declared = before
            raise
        self._tell_taken_over(taken_over, before)
        self._clean_namespace(declared, mine)
        return declared

    def _tell_taken_over(self, names: Sequence[str], before: Sequence[Declared]) -> None:
        if names:
            lost = {name for d in before for name in d.built.outputs} - self.outputs()
            also = f"; what else that cell made is gone: `{', '.join(sorted(lost))}`" if lost else ""
            print(f"`{', '.join(names)}` was made by another cell before; this one makes it now{also}")

    def private_to(self, name: str) -> str | None:
        """How to make an output of a name that a task's cell keeps to itself; None for any other name."""
        for declared in self._declared:
            if name in declared.built.hides:
                outputs = ", ".join((*declared.built.outputs, name))
                return (
                    f"`{name}` is private to the cell of {declared.name}; name it there to use it: `%%task {outputs}`"
                )
        return None

    def note_plain(self, assigned: Iterable[str]) -> None:
        """Remembers which cell gave plain variables their values."""
        cell = self._cell_id()
        if cell is not None:
            self._plain_cells.update(dict.fromkeys(assigned, cell))

    def names(self) -> list[str]:
        """The names of the tasks and outputs, in the order of their cells."""
        names = [name for d in self._declared for name in (d.name, *d.built.outputs)]
        return list(dict.fromkeys(names))

    def outputs(self) -> set[str]:
        """The names that tasks give values to."""
        return {name for d in self._declared for name in d.built.outputs}

    def task_name(self, name: str) -> str:
        """The task that makes an output of that name. Raises UnknownName."""
        self.build()
        for declared in reversed(self._declared):
            if name in declared.built.outputs or name == declared.name:
                return self._nodes[declared].name
        if name in self.flow.graph.nodes:
            return name
        raise UnknownName(f"no task is called {name!r}" + nearest(name, self.names()))

    def remove(self, name: str) -> None:
        """Takes a task out of the flow, with what it had put into the namespace."""
        gone = [d for d, node in self._nodes.items() if node.name == name]
        self._declared = [d for d in self._declared if d not in gone]
        self._published.drop([output for d in gone for output in d.built.outputs])

    def leave_cell(self) -> None:
        """Takes out what the present cell declared before: it is another cell now."""
        cell = self._cell_id()
        gone = [d for d in self._declared if d.cell == cell]
        if gone:
            outputs = [name for d in gone for name in d.built.outputs]
            self._forget_behind(set(outputs))
            self._declared = [d for d in self._declared if d not in gone]
            _print(f"this cell was the task of `{', '.join(outputs)}`, and is none any more")

    # Building and running

    def build(self) -> Flow:
        """The flow of all tasks as they are declared now."""
        if self.busy:
            raise CellError("a task is running; `%flow` and `%%task` cannot stand inside one, nor in what it calls")
        self.flow.graph = Graph(self.flow.name, self.flow)
        self._assembly = Assembly(self.flow.graph, self._declared, self.namespace, self._refresh)
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
        """Brings the named nodes (default: all) up to date. check: raises TaskFailed when one could not be."""
        flow = self.build()
        self._check_names(names)
        if self._publish_for_helpers(names):
            flow = self.build()
        targets = list(names) if names is not None else None
        self.busy = True
        try:
            forced = (targets or list(flow.graph.nodes)) if force else None
            run = flow.run(targets=targets, force=forced, approve=approve)
        except KeyboardInterrupt as stop:
            raise Interrupted from stop
        finally:
            self.busy = False
        if check:
            raise_first_failure(run)
        return run

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

    def update(self, declared: Declared) -> Run:
        """Brings one cell's task up to date, with whatever it needs."""
        self.build()
        name = self._nodes[declared].name
        self.flow.output = OutputStyle(own=name, see=_SEE)
        try:
            return self.run([name])
        finally:
            self.flow.output = OutputStyle(see=_SEE)

    def publish(self, names: Iterable[str]) -> None:
        """Brings outputs up to date and puts their values into the namespace, as copies of the stored ones."""
        wanted = list(names)
        self.build()
        run = self.run([self._assembly.output_node(name).name for name in wanted])
        for name in wanted:
            self._published.put(name, self._assembly.output_node(name), run)
        self._drop_outdated(self._published.names() - set(wanted))

    def shown_value(self, declared: Declared, run: Run) -> Any:
        """What the cell shows: the value of its last expression; None when it ends in an assignment."""
        node = self._nodes[declared]
        if run.state(node) in {State.SKIPPED, State.PAUSED}:
            return None
        if declared.built.shows:
            return run.part(node, len(declared.built.outputs))
        if declared.built.shown is None:
            return None
        self._published.put(declared.built.shown, self._assembly.output_node(declared.built.shown), run)
        return self.namespace[declared.built.shown]

    def state_line(self, declared: Declared, run: Run) -> str:
        """One line that says the same each time the cell is fresh: no times, no counts of what ran."""
        node = self._nodes[declared]
        track = run.track(node)
        elements = len(track.states)
        count = f" · {elements} element{'s' if elements != 1 else ''}" if node.mapped else ""
        if track.state() is State.SKIPPED:
            return f"⤼ {', '.join(declared.built.outputs)} · skipped: {run.why_skipped(node)}"
        if track.state() is State.PAUSED:
            return f"Ⅱ {', '.join(declared.built.outputs)} · waits for approval: %flow approve {run.paused[0]}"
        return f"✓ {', '.join(declared.built.outputs)}{count} · fresh"

    def store_place(self) -> str:
        return os.path.relpath(self._store)

    def _drop_outdated(self, names: Iterable[str]) -> None:
        """Takes values out of the namespace that are no longer what their task would give."""
        nodes = {name: self._assembly.output_node(name) for name in names if name in self.outputs()}
        fresh = {row.name for row in self.flow.plan(list(nodes.values())).rows if row.freshness.label == "fresh"}
        self._published.drop([n for n in names if n not in nodes or self.task_name(n) not in fresh])

    # Details

    def _cell_id(self) -> str | None:
        parent = getattr(self.shell, "parent_header", None) or {}
        get_parent = getattr(self.shell, "get_parent", None)
        parent = get_parent() if get_parent is not None else parent
        cell_id: str | None = (parent.get("metadata") or {}).get("cellId")
        return cell_id

    def _built(self, head: Head, body: str, filename: str, first_line: int, hidden: Sequence[Declared]) -> CellTask:
        others = {name for d in self._declared if d not in hidden for name in d.built.outputs}

        def known(name: str) -> str | None:
            if name in others:
                return "output"
            value = self.namespace.get(name)
            if isinstance(value, Parameter):
                return "parameter"
            return "output" if isinstance(value, Node) else None

        return build_task(
            head,
            body,
            filename=filename,
            first_line=first_line,
            known=known,
            namespace=self.namespace,
        )

    def _task(self, built: CellTask, head: Head) -> Task:
        SOURCES.register(built.filename, built.text, built.tree)
        return Task(built.function, name=head.options.name or built.name, **head.options.task)

    def _place_of(self, built: CellTask) -> int:
        """A new cell comes last, except where it takes over names that another cell gave before."""
        for declared in self._declared:
            if built.new_outputs.intersection(declared.built.outputs):
                return declared.place
        self._places += 1
        return self._places

    def _register(self, declared: Declared, mine: Sequence[Declared]) -> list[str]:
        """Puts a cell in the place of what it replaces; gives the names that it takes from other cells."""
        taken_over: set[str] = set()
        for other in list(self._declared):
            taken = declared.built.new_outputs & other.built.new_outputs
            if other in mine:
                self._declared.remove(other)
            elif taken:
                self._declared.remove(other)
                taken_over |= taken if not other.cell.startswith("text:") else set()
        self._declared.append(declared)
        self._declared.sort(key=lambda each: each.place)
        return sorted(taken_over)

    def _clean_namespace(self, declared: Declared, mine: Sequence[Declared]) -> None:
        """Takes out what is stale now, and puts in the cell's imports and functions."""
        gone = {name for d in mine for name in d.built.outputs}
        self._forget_behind(gone | set(declared.built.outputs))
        # A variable that an earlier plain run of this cell left behind would hide that it is private now.
        left_behind = [n for n in declared.built.hides if self._plain_cells.get(n) == declared.cell]
        for name in (*declared.built.outputs, *left_behind):
            if not isinstance(self.namespace.get(name), (Node, type(os))):
                self.namespace.pop(name, None)
        if declared.built.prelude is not None:
            exec(declared.built.prelude, self.namespace)  # noqa: S102 (the user's own imports and functions)

    def _forget_behind(self, names: set[str]) -> None:
        """What depends on outputs that were declared anew is stale at once."""
        stale, before = set(names), set[str]()
        while stale != before:
            before = set(stale)
            for declared in self._declared:
                if stale & set(declared.built.all_inputs):
                    stale |= set(declared.built.outputs)
        self._published.drop(stale)

    def _refresh(self, declared: Declared) -> None:
        """Builds the function anew where a name that it reads became an output, or is none any more."""
        try:
            built = self._built(declared.head, declared.body, declared.filename, declared.first_line, hidden=[declared])
        except CellError:
            # What it reads is given by no task any more: drawn as missing, and told when it runs.
            return
        if (built.all_inputs, built.free_names) != (declared.built.all_inputs, declared.built.free_names):
            declared.built = built
            declared.task = self._task(built, declared.head)

    def _check_names(self, names: Sequence[str] | None) -> None:
        """An error for a name that a task is about to read, and that nothing gives."""
        graph = self.flow.graph
        wanted = [graph[name] for name in names] if names is not None else list(graph.nodes.values())
        for node in graph.needed(wanted):
            if node.problem:
                raise CellError(f"{node.name} cannot run: {node.problem}")
            if node.missing:
                name = node.missing[0]
                private = self.private_to(name)
                if private is not None:
                    raise CellError(f"{node.name} reads `{name}`, which nothing defines: {private}")
                plain = (n for n in self.namespace if not n.startswith("_") and n not in SHELL_NAMES)
                known = nearest(name, [*self.outputs(), *plain])
                raise CellError(f"{node.name} reads `{name}`, which nothing defines{known}")


_SEE = "%flow log {name}"


def _notebook_name() -> str:
    """The name of the notebook's file, as far as the server tells: two of them in one project are told apart."""
    return Path(os.environ.get("JPY_SESSION_NAME", "notebook")).stem


def _print(message: str) -> None:
    print(f"nbflow: {message}")
