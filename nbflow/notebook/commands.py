"""The subcommands of `%flow`: one entry of a table each, from which their help and completion are made, too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbflow.errors import HeadError, nearest
from nbflow.lean import dataclass, field
from nbflow.notebook import actions
from nbflow.notebook.arguments import (
    ANY,
    COMMAND,
    EDITED,
    ELEMENT,
    EXECUTOR,
    FEW,
    FILE,
    HELP,
    LAZY,
    NOTHING,
    ON_OFF,
    ONE,
    RUNS,
    SOME,
    STORED,
    TO_RUN,
    VALUES,
    WAITING,
    Given,
    Switch,
    Takes,
    read_given,
    split_words,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nbflow.notebook.session import Session

# Other words for the same, which no spelling tells.
_MEANT = dict.fromkeys(("delete", "del", "drop", "forget", "remove"), "rm")
_ENDING = frozenset({"cancel", "stop", "abort", "kill", "interrupt"})


@dataclass(frozen=True, slots=True)
class Command:
    """A subcommand. act: does it, and gives what the cell shows; examples: lines as a user writes them."""

    act: Callable[[Session, Given], Any]
    takes: Takes
    help: str
    examples: tuple[str, ...] = ()
    options: Mapping[str, Switch] = field(default_factory=dict)


def perform(session: Session, line: str) -> Any:
    """Does what stands behind `%flow`; a line alone draws. Raises HeadError, UnknownName."""
    words = split_words(line)
    if not words:
        return session.by_helpers.as_in_a_run().plan().drawing()
    name, *rest = words
    if name in HELP:
        name, rest = "help", []
    command = COMMANDS.get(name)
    if name in _ENDING:
        raise HeadError(f"%flow has no {name!r}: {_how_to_end(session.namespace)}")
    if command is None:
        near = f"; did you mean {_MEANT[name]!r}?" if name in _MEANT else nearest(name, COMMANDS) or "."
        raise HeadError(f"%flow has no {name!r}{near} `%flow help` lists them")
    if HELP & set(rest):
        print(help_of(name))
        return None
    return command.act(session, read_given(session, name, command.takes, command.options, rest))


def _how_to_end(namespace: Mapping[str, Any]) -> str:
    """How a run is ended; of one that goes on in the background, by what it is called."""
    from nbflow.flow.background import Background

    handles = {name: each for name, each in namespace.items() if isinstance(each, Background) and not each.done}
    # `_5` is what the cell with that number gave; `_` is another thing soon.
    names = sorted((name for name in handles if name.strip("_")), key=lambda name: name.startswith("_"))
    here = "a run is ended by the kernel's interrupt (■ in the toolbar)"
    if not names:
        return (
            f"{here}, and one in the background by the Cancel button under it, or by `handle.cancel()` where "
            f"`handle = flow.start()` began it; none runs there now"
        )
    handle = handles[names[0]]
    return (
        f"{here}; {handle.run.flow.name!r}, which runs in the background ({handle.progress}), by the Cancel button "
        f"under it, or by `{names[0]}.cancel()`"
    )


def flow_help() -> str:
    """All commands, a line each."""
    lines = [f"{'%flow':<36}draw the notebook's flow, coloured by what is fresh, stale and new"]
    lines += [usage(name) for name in COMMANDS]
    lines += [
        "",
        f"{'%flow COMMAND -h':<36}the options of a command, and examples",
        f"{'%%flow NAME':<36}run the cell's Python inside `with Flow(NAME)`, and draw it",
        f"{'%%task -h':<36}how a cell becomes a task",
    ]
    return "\n".join(lines)


def usage(name: str) -> str:
    """One command in one line."""
    command = COMMANDS[name]
    options = [
        f"[--{option}{' ' + switch.takes if switch.takes else ''}]" for option, switch in command.options.items()
    ]
    written = " ".join(part for part in (f"%flow {name}", command.takes.text, *options) if part)
    # A long one still keeps its distance.
    return f"{written:<34}  {command.help}"


def help_of(name: str) -> str:
    """One command with its options and examples."""
    command = COMMANDS[name]
    lines = [usage(name)]
    lines += [
        f"  --{(option + ' ' + switch.takes).strip():<20}{switch.help}" for option, switch in command.options.items()
    ]
    if command.examples:
        lines += ["", "Examples:", *(f"  {example}" for example in command.examples)]
    return "\n".join(lines)


def _help(session: Session, given: Given) -> None:
    for name in given.words:
        if name not in COMMANDS:
            raise HeadError(f"%flow has no {name!r}" + nearest(name, COMMANDS))
        print(help_of(name))
    if not given.words:
        print(flow_help())


COMMANDS: dict[str, Command] = {
    "run": Command(
        actions.run,
        TO_RUN,
        "run everything that is stale, or only these and what they need; parameters have other values for this run",
        (
            "%flow run",
            "%flow run daily report",
            "%flow run rate=2",
            "%flow run daily --force",
            "%flow run --background",
        ),
        {
            "force": Switch("run although the results are known"),
            "background": Switch("go on while other cells run; with a Cancel button, and a handle to wait for it"),
        },
    ),
    "plan": Command(actions.plan, ANY, "what would run, and why; runs nothing", ("%flow plan", "%flow plan report")),
    "why": Command(
        actions.why,
        ELEMENT,
        "why a task or one element would run now, or where its result is from",
        ("%flow why daily", "%flow why daily[3]", "%flow why daily[oslo]"),
    ),
    "frame": Command(
        actions.frame,
        ONE,
        "the elements of a task as a DataFrame; runs nothing where some are known",
        ("%flow frame daily", "%flow frame daily --grid"),
        {"grid": Switch("as a table to sort, filter and select from, with a button that runs the selection again")},
    ),
    "status": Command(
        actions.status, NOTHING, "one line a task: fresh, stale, new; and where results are kept", ("%flow status",)
    ),
    "log": Command(
        actions.log,
        ELEMENT,
        "what a task or one element printed, logged, warned of and displayed, also of reused ones",
        ("%flow log daily", "%flow log daily[3]"),
    ),
    "history": Command(
        actions.history,
        FEW,
        "the runs in which something ran, a row each; or those of one task",
        ("%flow history", "%flow history daily", "%flow history --all"),
        {"all": Switch("also the runs in which everything was reused")},
    ),
    "compare": Command(
        actions.compare,
        RUNS,
        "how outputs differ between two runs, or one and the last; or what changed last",
        ("%flow compare", "%flow compare 3", "%flow compare 3 5"),
    ),
    "accept": Command(
        actions.accept,
        EDITED,
        "keep the results from before an edit that changes none of them",
        ("%flow accept daily",),
    ),
    "approve": Command(actions.approve, WAITING, "let tasks run that wait for approval", ("%flow approve deploy",)),
    "rm": Command(
        actions.remove, SOME, "remove tasks from the flow; their stored results stay", ("%flow rm daily report",)
    ),
    "lazy": Command(
        actions.lazy,
        LAZY,
        "whether cells only declare, and when plain cells stop",
        ("%flow lazy on", "%flow lazy off", "%flow lazy after 300"),
    ),
    "auto": Command(
        actions.auto,
        ON_OFF,
        "whether a task's cell also runs what depends on it",
        ("%flow auto on", "%flow auto off"),
    ),
    "executor": Command(
        actions.executor,
        EXECUTOR,
        "where the tasks of this notebook are called, where their cells name nothing else",
        ("%flow executor processes", "%flow executor dask", "%flow executor cluster"),
    ),
    "cache": Command(
        actions.cache, NOTHING, "where results are kept, how much they take up, and what may go", ("%flow cache",)
    ),
    "clear": Command(
        actions.clear_stored,
        STORED,
        "drop what is stored of these tasks, or of all in the notebook",
        ("%flow clear daily", "%flow clear"),
    ),
    "export": Command(
        actions.export,
        FILE,
        "write the flow as a module of tasks that gives the same results",
        ("%flow export weather.py", "%flow export weather.py --force"),
        {"force": Switch("write over a file that is there")},
    ),
    "params": Command(
        actions.params,
        VALUES,
        "a form for the parameters that runs the flow with them, or their values set",
        ("%flow params", "%flow params n=5 how=median"),
    ),
    "debug": Command(
        actions.debug,
        ELEMENT,
        "call a task, or one element, again under the debugger; nothing is stored",
        ("%flow debug daily", "%flow debug daily[3]"),
    ),
    "help": Command(_help, COMMAND, "this text, or one command with its options and examples", ("%flow help run",)),
}
