"""`%%task` and `%flow`, and what happens around plain cells."""

from __future__ import annotations

import ast
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from IPython.core.magic import no_var_expand

from nbflow.errors import HeadError, nearest
from nbflow.identity.value import opaque
from nbflow.notebook.flow_cell import run_flow_cell
from nbflow.notebook.header import head_help
from nbflow.notebook.places import one_line
from nbflow.notebook.plain import PlainCells
from nbflow.notebook.session import Session
from nbflow.notebook.stored import cache_text, clear, stored_task

if TYPE_CHECKING:
    from collections.abc import Callable

_SESSIONS: dict[int, Session] = {}


def load(shell: Any) -> Session:
    """Registers the magics with a shell; loading twice changes nothing."""
    if id(shell) in _SESSIONS:
        return _SESSIONS[id(shell)]
    # Bodies with magics reach the shell through get_ipython(): which one it is changes no result.
    opaque(shell, id="IPython shell")
    session = Session(shell)
    magics = Magics(session)
    shell.register_magic_function(magics.task, "cell", "task")
    shell.register_magic_function(magics.flow, "line", "flow")
    shell.register_magic_function(magics.flow_cell, "cell", "flow")
    session.plain = PlainCells(session)
    shell.ast_transformers.append(session.plain)
    shell.input_transformers_cleanup.append(session.forms)
    for event, callback in session.events().items():
        shell.events.register(event, callback)
    _SESSIONS[id(shell)] = session
    return session


def unload(shell: Any) -> None:
    """Takes the magics away again; plain cells are left alone from then on."""
    session = _SESSIONS.pop(id(shell), None)
    if session is None:
        return
    for kind, name in (("cell", "task"), ("line", "flow"), ("cell", "flow")):
        shell.magics_manager.magics[kind].pop(name, None)
    if session.plain in shell.ast_transformers:
        shell.ast_transformers.remove(session.plain)
    if session.forms in shell.input_transformers_cleanup:
        shell.input_transformers_cleanup.remove(session.forms)
    for event, callback in session.events().items():
        if callback in shell.events.callbacks[event]:
            shell.events.unregister(event, callback)
    session.close()


@dataclass(frozen=True, slots=True)
class Command:
    """A subcommand of %flow.

    names: what it takes: "" (nothing), "one" or "any" names of tasks, "few" (none or one), "element" (a task, or one
    of its elements), "runs" (none, one or two numbers of runs), "stored" (any number, also of tasks that the notebook
    has no more and the store still has results of), "words" (what it reads itself).
    """

    act: Callable[[list[str], bool], Any]
    names: str
    help: str
    force: bool = False


class Magics:
    """The two magics of one session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._commands = {
            "run": Command(
                self._run, "any", "run everything that is stale, or only these and what they need", force=True
            ),
            "plan": Command(self._plan, "any", "what would run, and why; runs nothing"),
            "why": Command(
                self._why, "element", "why a task or one element would run now, or where its result is from"
            ),
            "frame": Command(self._frame, "one", "the elements of a task as a DataFrame"),
            "status": Command(self._status, "", "one line a task: fresh, stale, new; and where results are kept"),
            "history": Command(self._history, "few", "the runs so far, a row each; or those of one task"),
            "compare": Command(
                self._compare, "runs", "how outputs differ between two runs; the last two that ran tasks"
            ),
            "accept": Command(self._accept, "any", "keep the results from before an edit that changes none of them"),
            "approve": Command(self._approve, "any", "let tasks run that wait for approval"),
            "rm": Command(self._rm, "any", "remove tasks from the flow; their stored results stay"),
            "lazy": Command(
                self._lazy, "words", "on, off, after SECONDS: whether cells only declare, and when plain cells stop"
            ),
            "auto": Command(self._auto, "words", "on, off: whether a task's cell also runs what depends on it"),
            "cache": Command(self._cache, "", "where results are kept, how much they take up, and what may go"),
            "clear": Command(self._clear, "stored", "drop what is stored of these tasks, or of all in the notebook"),
            "help": Command(self._help, "", "this text"),
        }

    @no_var_expand
    def task(self, line: str, cell: str) -> Any:
        """The cell becomes a task, is brought up to date, and shows its value like any cell.

        %%task [NAME, …] [for VAR in SOURCE …] [if CONDITION] [--option value …]
        """
        if line.strip() in {"-h", "--help"}:
            print(head_help())
            return None
        declared = self._session.declare(line, cell)
        with one_line() as line_below:
            run = self._session.update(declared)
            line_below.say(self._session.state_line(declared, run))
        with one_line() as line_below:
            behind = self._session.update_behind(declared)
            if behind:
                line_below.say(f"  and behind it: {', '.join(behind)}")
        return self._session.shown_value(declared, run)

    @no_var_expand
    def flow(self, line: str) -> Any:
        """%flow draws the notebook's flow; %flow help lists what else it does."""
        words = _words(line)
        if not words:
            return self._session.build().plan().drawing()
        name, *rest = words
        if name in {"-h", "--help"}:
            name, rest = "help", []
        command = self._commands.get(name)
        if command is None:
            raise HeadError(f"%flow has no {name!r}" + nearest(name, self._commands) + " `%flow help` lists them")
        if {"-h", "--help"} & set(rest):
            print(self._usage(name))
            return None
        return command.act(*self._arguments(name, command, rest))

    @no_var_expand
    def flow_cell(self, line: str, cell: str) -> Any:
        """%%flow NAME runs the cell's Python inside `with Flow(NAME)` and draws the flow."""
        return run_flow_cell(self._session, line, cell, self._commands)

    def _arguments(self, name: str, command: Command, words: list[str]) -> tuple[list[str], bool]:
        options = [word for word in words if word.startswith("-")]
        if command.names == "words":
            return words, False
        if command.names in {"runs", "element"} and not options:
            return (_numbers(words) if command.names == "runs" else self._element(name, words)), False
        names = self._names([word for word in words if not word.startswith("-")])
        allowed = ["--force"] if command.force else []
        for option in options:
            if option not in allowed:
                raise HeadError(f"%flow {name} has no option {option!r}" + nearest(option, [*allowed, "-h"]))
        if command.names == "" and names:
            raise HeadError(f"%flow {name} takes no names; write only `%flow {name}`")
        if command.names == "one" and len(names) != 1:
            raise HeadError(f"%flow {name} takes one task, such as `%flow {name} {self._example()}`")
        if command.names == "few":
            if len(names) > 1:
                raise HeadError(f"%flow {name} takes one task at most, such as `%flow {name} {self._example()}`")
            # A task that is gone has a history all the same.
            return [self._session.task_name(each) if each in self._session.names() else each for each in names], False
        if command.names == "stored":
            return [stored_task(self._session, each) for each in names], bool(options)
        return [self._session.task_name(each) for each in names], bool(options)

    def _example(self) -> str:
        return next(iter(self._session.names()), "NAME")

    def _element(self, name: str, words: list[str]) -> list[str]:
        """A task's name, and behind it what stands in brackets: `daily[3]`, `daily[oslo]`."""
        text = " ".join(words)
        known = {*self._session.names(), *self._session.build().graph.nodes}
        head, bracket, element = text.removesuffix("]").rpartition("[")
        if text in known or not (bracket and head and text.endswith("]")):
            names = self._names(words)
            if len(names) != 1:
                example = self._example()
                raise HeadError(f"%flow {name} takes one task, such as `%flow {name} {example}` or `{example}[0]`")
            return [self._session.task_name(names[0])]
        return [self._session.task_name(head.strip()), element]

    def _names(self, words: list[str]) -> list[str]:
        """Names stand with blanks or commas between them; those with commas of their own are taken whole."""
        known = {*self._session.names(), *self._session.build().graph.nodes}
        if " ".join(words) in known:
            return [" ".join(words)]
        return [part for word in words for part in ([word] if word in known else word.split(",")) if part]

    def _run(self, names: list[str], force: bool) -> Any:
        run = self._session.run(names or None, force=force)
        print(run.summary())
        return run

    def _plan(self, names: list[str], _force: bool) -> Any:
        return self._session.build().plan(names or None)

    def _why(self, names: list[str], _force: bool) -> Any:
        name, *element = names
        print(self._session.build().why(name, _label(element[0]) if element else None))

    def _frame(self, names: list[str], _force: bool) -> Any:
        return self._session.run(names, check=False).frame(names[0])

    def _status(self, _names: list[str], _force: bool) -> None:
        for line in self._session.build().status().lines():
            print(line)
        print(f"results are kept in {self._session.store_place()}")

    def _history(self, names: list[str], _force: bool) -> Any:
        return self._session.build().history(names[0] if names else None)

    def _compare(self, numbers: list[str], _force: bool) -> Any:
        flow = self._session.build()
        runs = [int(number) for number in numbers]
        if not runs:
            # A notebook's plain cells make runs, too, in which mostly nothing runs.
            history = flow.history()
            runs = list(history.index[history.ran > 0])[-2:]
        return flow.compare(*runs) if len(runs) == 2 or numbers else flow.compare()

    def _accept(self, names: list[str], _force: bool) -> None:
        if not names:
            raise HeadError(
                f"%flow accept takes the names of tasks that were edited, such as `%flow accept {self._example()}`"
            )
        print(self._session.build().accept(*names))

    def _approve(self, names: list[str], _force: bool) -> Any:
        if not names:
            raise HeadError("%flow approve takes the names of tasks that wait, such as `%flow approve deploy`")
        run = self._session.run(names, approve=names)
        print(run.summary())
        return run

    def _rm(self, names: list[str], _force: bool) -> None:
        if not names:
            raise HeadError("%flow rm takes the names of tasks, such as `%flow rm daily`")
        for name in names:
            self._session.remove(name)
        print("removed: " + ", ".join(names))

    def _lazy(self, words: list[str], _force: bool) -> None:
        print(self._session.modes.set_lazy(words))

    def _auto(self, words: list[str], _force: bool) -> None:
        print(self._session.modes.set_auto(words))

    def _cache(self, _names: list[str], _force: bool) -> None:
        print(cache_text(self._session))

    def _clear(self, names: list[str], _force: bool) -> None:
        print(clear(self._session, names))

    def _help(self, _names: list[str], _force: bool) -> None:
        print("%flow               draw the notebook's flow")
        for name in self._commands:
            print(self._usage(name))
        print("\n%%task -h           how a cell becomes a task")

    def _usage(self, name: str) -> str:
        command = self._commands[name]
        names = _TAKES[command.names]
        options = " [--force]" if command.force else ""
        return f"%flow {name + names + options:<28}{command.help}"


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        raise HeadError(f"%flow {line}: {error}; close the quote") from None


def _numbers(words: list[str]) -> list[str]:
    if len(words) > 2 or not all(word.isdigit() for word in words):
        raise HeadError("%flow compare takes two numbers of runs, such as `%flow compare 3 5`; %flow history has them")
    return words


def _label(text: str) -> Any:
    """An element as it was written: a number, a text in quotes, or a text as it is."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


_TAKES = {
    "": "",
    "one": " NAME",
    "any": " [NAME …]",
    "few": " [NAME]",
    "element": " NAME[ELEMENT]",
    "runs": " [RUN RUN]",
    "stored": " [NAME …]",
    "words": " [on|off]",
}
