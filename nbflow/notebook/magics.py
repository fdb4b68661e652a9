"""`%%task` and `%flow`, and what happens around plain cells."""

from __future__ import annotations

from functools import partial
from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import no_var_expand

from nbflow.errors import RunFailed
from nbflow.identity.named import opaque
from nbflow.notebook.arguments import HELP
from nbflow.notebook.commands import COMMANDS, flow_help, perform
from nbflow.notebook.complete import matcher_for
from nbflow.notebook.flow_cell import run_flow_cell
from nbflow.notebook.header import head_help
from nbflow.notebook.output import SHELLS, ready_figures
from nbflow.notebook.places import one_line
from nbflow.notebook.plain import PREPARE, PlainCells, misplaced_text
from nbflow.notebook.session import Session
from nbflow.notebook.shown import state_line

WHOLE_CELLS = ("task", "flow")
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
    shell.register_magic_function(magics.flow, "line_cell", "flow")
    for name in WHOLE_CELLS:
        # IPython looks for it where the cell that loads nbflow goes on with such a cell.
        shell.register_magic_function(partial(_misplaced, name), "line", f"%{name}")
    session.plain = PlainCells(session)
    shell.ast_transformers.append(session.plain)
    shell.input_transformers_cleanup.append(session.forms)
    for event, callback in session.events().items():
        shell.events.register(event, callback)
    session.matcher = matcher_for(session)
    shell.Completer.custom_matchers.append(session.matcher)
    session.givens.note_earlier(shell.user_ns.get("In", ()))
    SHELLS.append(shell)
    _SESSIONS[id(shell)] = session
    return session


def unload(shell: Any) -> None:
    """Takes the magics away again; plain cells are left alone from then on."""
    session = _SESSIONS.pop(id(shell), None)
    if session is None:
        return
    for kind, name in (("cell", "task"), ("cell", "flow"), ("line", "flow"), *(("line", f"%{n}") for n in WHOLE_CELLS)):
        shell.magics_manager.magics[kind].pop(name, None)
    if session.plain in shell.ast_transformers:
        shell.ast_transformers.remove(session.plain)
    SHELLS.remove(shell)
    if session.forms in shell.input_transformers_cleanup:
        shell.input_transformers_cleanup.remove(session.forms)
    for event, callback in session.events().items():
        if callback in shell.events.callbacks[event]:
            shell.events.unregister(event, callback)
    shell.user_ns.pop(PREPARE, None)
    if session.matcher in shell.Completer.custom_matchers:
        shell.Completer.custom_matchers.remove(session.matcher)
    session.close()


def _misplaced(name: str, line: str) -> None:
    raise UsageError(misplaced_text(name, consequence=""))


class Magics:
    """The two magics of one session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @no_var_expand
    def task(self, line: str, cell: str) -> Any:
        if line.strip() in HELP:
            print(head_help())
            return None
        declared = self._session.declare(line, cell)
        with one_line() as line_below:
            try:
                run = self._session.update(declared)
            except RunFailed:
                line_below.say(f"✗ {', '.join(declared.built.outputs)} · failed")
                raise
            line_below.say(state_line(declared, self._session.node_of(declared), run))
        self._session.givens.tell_edited(declared.built.outputs)
        # Before what is behind it runs: that builds the flow anew.
        value = self._session.shown_value(declared, run)
        with one_line() as line_below:
            behind = self._session.update_behind(declared)
            if behind:
                line_below.say(f"  and behind it: {', '.join(behind)}")
        ready_figures(self._session.shell)
        return value

    @no_var_expand
    def flow(self, line: str, cell: str | None = None) -> Any:
        return perform(self._session, line) if cell is None else run_flow_cell(self._session, line, cell, COMMANDS)


# `%%task?` and `%flow?` show these.
Magics.task.__doc__ = f"""The cell becomes a task: it is brought up to date, and shows its value like any cell.

{head_help()}
"""
Magics.flow.__doc__ = f"""The notebook's flow: drawn, planned, run, looked at.

{flow_help()}
"""
