"""Makes tasks of cells, as the names around them stand now."""

from __future__ import annotations

from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from nbflow.errors import CellError
from nbflow.flow.workshop import SOURCES
from nbflow.model.node import Node, Parameter
from nbflow.model.task import Task
from nbflow.notebook.build import build_task
from nbflow.notebook.clusters import executor_meant
from nbflow.notebook.failures import cell_failure
from nbflow.notebook.reach import names_reached_from, reached_names
from nbflow.notebook.tracebacks import BodyUnreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from nbflow.notebook.cell_task import CellTask
    from nbflow.notebook.declarations import Declarations, Declared
    from nbflow.notebook.source import CellSource

Meaning = tuple[str | None, bool]


class CellMaker:
    """Builds functions of bodies in a namespace; what other cells declared decides which names are inputs."""

    def __init__(self, namespace: dict[str, Any], declarations: Declarations) -> None:
        self._namespace = namespace
        self._declarations = declarations
        # What the names that a cell uses meant when its function was built: it holds as long as they mean the same.
        self._asked: WeakKeyDictionary[CellTask, dict[str, Meaning]] = WeakKeyDictionary()

    def built(self, source: CellSource, hidden: Collection[Declared]) -> CellTask:
        """The cell's function and names. hidden: what does not count as declared. Raises CellError."""
        meanings = self._meanings(hidden)
        asked: dict[str, Meaning] = {}

        def known(name: str) -> str | None:
            asked[name] = meanings(name)
            return asked[name][0]

        try:
            built = build_task(
                source.head,
                source.body,
                filename=source.filename,
                first_line=source.first_line,
                known=known,
                namespace=self._namespace,
            )
        except SyntaxError as error:
            raise BodyUnreadable(error, source.filename) from None
        self._asked[built] = asked
        return built

    def _meanings(self, hidden: Collection[Declared]) -> Callable[[str], Meaning]:
        """Tells of a name whether a task or a parameter gives it, else None and whether it is a variable."""
        others = {name for d in self._declarations if d not in hidden for name in d.built.outputs}

        def meaning(name: str) -> Meaning:
            value = self._namespace.get(name)
            if name in others or (isinstance(value, Node) and not isinstance(value, Parameter)):
                return "output", False
            return ("parameter", False) if isinstance(value, Parameter) else (None, name in self._namespace)

        return meaning

    def task(self, built: CellTask, source: CellSource) -> Task:
        SOURCES.register(built.filename, built.text, built.tree)
        options = source.head.options
        given = {**options.task, "executor": self._executor(source)}
        if iscoroutinefunction(built.function):
            # Its sessions and clients were made in other cells, and belong to the loop that those run on.
            given.setdefault("loop", "notebook")
        made = Task(built.function, name=options.name or built.name, **given)
        if built.loop is not None:
            made.unpacks, made.crossed = built.loop.names, built.loop.crossed
        return made

    def _executor(self, source: CellSource) -> Any:
        """What the head's `--executor` stands for by now; None where it is not there, or names nothing any more."""
        name = source.head.options.task.get("executor")
        return executor_meant(name, self._namespace) if name is not None else None

    def refresh(self, declared: Declared) -> None:
        """Makes the task anew where its executor is another one by now, or a name that it reads another thing."""
        if self._executor(declared.source) != declared.task.options.executor:
            declared.task = self.task(declared.built, declared.source)
        self._refresh_function(declared)

    def _refresh_function(self, declared: Declared) -> None:
        """Builds the function anew where a name that it reads became an output, or is none any more."""
        meanings = self._meanings([declared])
        if all(meanings(name) == before for name, before in self._asked[declared.built].items()):
            return
        try:
            built = self.built(declared.source, hidden=[declared])
        except CellError:
            # What it reads is given by no task any more: drawn as missing, and told when it runs.
            return
        if (built.all_inputs, built.free_names) != (declared.built.all_inputs, declared.built.free_names):
            declared.built = built
            declared.task = self.task(built, declared.source)

    def run_prelude(self, declared: Declared) -> None:
        """The cell's imports and definitions, which later cells see. Raises RunFailed where they raise."""
        if declared.built.prelude is None:
            return
        try:
            exec(declared.built.prelude, self._namespace)  # noqa: S102 (the user's own imports and functions)
        except Exception as error:
            message = f"the imports and definitions of {declared.name} failed, so it is not taken in"
            raise cell_failure(message, error) from error

    def reads(self, declared: Declared) -> set[str]:
        """The names that a task reads, also through functions of the notebook."""
        loop = declared.built.loop
        own = {*declared.built.free_names, *declared.built.all_inputs, *(loop.free_names if loop is not None else ())}
        by_text = names_reached_from(declared.built.functions, self._namespace)
        return own | by_text | reached_names(own, self._namespace)

    def uses(self, declared: Declared) -> set[str]:
        """The names that a task reads and that count."""
        return self.reads(declared) - set(declared.task.options.ignore)
