"""Completion of `%flow` lines and `%%task` heads, by IPython's matcher API. Nothing is evaluated, nothing is built."""

from __future__ import annotations

import contextlib
import os
import re
from typing import TYPE_CHECKING, Any

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher

from nbflow.errors import UnknownName
from nbflow.flow.front import Flow
from nbflow.lean import dataclass, pattern
from nbflow.notebook.cells import SHELL_NAMES
from nbflow.notebook.clusters import cluster_names
from nbflow.notebook.commands import COMMANDS, Command
from nbflow.notebook.complete_head import Proposed, executors, propose_in_comment, propose_in_head
from nbflow.notebook.header import split_head
from nbflow.probe.secrets import short_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from nbflow.notebook.session import Session

_LINE = pattern(r"\s*(?:\w+\s*=\s*)?%flow(?:\s(?P<words>.*))?", re.DOTALL)
_FLOW_CELL = pattern(r"%%flow (?P<name>\S*)")
_ELEMENT = pattern(r"(?P<task>[^\s\[\]]+)\[(?P<label>[^\[\]]*)")
# More of them help nobody to choose.
_MOST_ELEMENTS = 50
# IPython's own matchers have 0, Jedi's is tried with the same.
_FIRST = 100.0


@dataclass(frozen=True, slots=True)
class Known:
    """What a notebook has to propose. tasks: names of tasks and outputs; variables: public names of the namespace.

    clusters: those that hold one. notebook: its name. parameters: by name, each with its value as it is written.
    """

    tasks: tuple[str, ...]
    variables: tuple[str, ...]
    clusters: tuple[str, ...]
    notebook: str
    elements: Callable[[str], Iterable[str]]
    parameters: Callable[[], Mapping[str, str]]
    flows: Callable[[], Iterable[str]]


def matcher_for(session: Session) -> Any:
    """The matcher to append to `shell.Completer.custom_matchers`."""

    def match(context: CompletionContext) -> SimpleMatcherResult:
        before = "\n".join([*context.full_text.split("\n")[: context.cursor_line], context.text_until_cursor])
        proposed = propose(before, _known(session))
        if proposed is None:
            return {"completions": [], "suppress": False}
        found = [SimpleCompletion(text=text, type=kind) for text, kind in proposed.found()]
        return {"completions": found, "matched_fragment": proposed.fragment, "suppress": True, "ordered": True}

    return context_matcher(identifier="nbflow", priority=_FIRST)(match)


def propose(before: str, known: Known) -> Proposed | None:
    """What fits where the cursor stands, behind `before` in its cell; None where nbflow has no say."""
    lines = before.split("\n")
    line = _LINE.fullmatch(lines[-1])
    if line is not None and line["words"] is not None:
        return _or_help(_in_line(line["words"], known))
    first = next((i for i, each in enumerate(lines) if each.strip() and not each.lstrip().startswith("#")), None)
    flow_cell = _FLOW_CELL.fullmatch(lines[-1]) if first == len(lines) - 1 else None
    if flow_cell is not None:
        return _or_help(Proposed(flow_cell["name"], tuple((name, "flow") for name in known.flows())))
    if first is None:
        return propose_in_comment(lines[-1]) if len([each for each in lines if each.strip()]) == 1 else None
    magic, _, head = lines[first].partition(" ")
    if magic != "%%task" or lines[first] == magic:
        return None
    _, _, head_lines = split_head(head, "\n".join(lines[first + 1 :]))
    if len(lines) - first > head_lines:
        return None
    return propose_in_head("\n".join([head, *lines[first + 1 :]]), known.tasks, known.variables, known.clusters)


def _or_help(proposed: Proposed) -> Proposed:
    """Where a word begins and nothing is known, what helps: names of Python would stand there otherwise."""
    return Proposed("", (("-h", "option"),)) if not proposed.fragment and not proposed.offers else proposed


def _in_line(text: str, known: Known) -> Proposed:
    *before, word = re.split(r"\s+", text.lstrip())
    if not before:
        return Proposed(word, tuple((name, "command") for name in COMMANDS))
    command = COMMANDS.get(before[0])
    if command is None:
        return Proposed(word)
    return _behind(command, before[1:], word, known)


def _behind(command: Command, before: list[str], word: str, known: Known) -> Proposed:
    value_of = command.options.get(before[-1].removeprefix("--")) if before and before[-1].startswith("--") else None
    if value_of is not None and value_of.takes:
        return Proposed(word, tuple((choice, "value") for choice in value_of.choices))
    option, equals, value = word.partition("=")
    if equals and option.startswith("--"):
        switch = command.options.get(option.removeprefix("--"))
        return Proposed(value, tuple((choice, "value") for choice in (switch.choices if switch else ())))
    if word.startswith("-"):
        unused = [f"--{name}" for name in command.options if f"--{name}" not in before]
        return Proposed(word, tuple((name, "option") for name in (*unused, "-h")))
    return _words(command, before, word, known)


def _words(command: Command, before: list[str], word: str, known: Known) -> Proposed:
    takes = command.takes
    names = tuple((name, "task") for name in known.tasks if name not in before)
    if takes.choices:
        return Proposed(word, tuple((choice, "value") for choice in takes.choices) if not before else ())
    match takes.offers:
        case "elements" if (element := _ELEMENT.fullmatch(word)) is not None:
            labels = list(known.elements(element["task"]))[:_MOST_ELEMENTS]
            return Proposed(word, tuple((f"{element['task']}[{label}]", "element") for label in labels))
        case "tasks and parameters":
            # Between commas, as blanks: only the last name is being written.
            return Proposed(word.rpartition(",")[2], (*names, *_parameters(word, before, known)))
        case "tasks" | "elements":
            return Proposed(word.rpartition(",")[2], names)
        case "parameters":
            return Proposed(word, _parameters(word, before, known))
        case "files":
            return Proposed(word, tuple(_modules(word, known)) if not before else ())
        case "executors":
            return Proposed(word, executors(known.clusters) if not before else ())
        case "commands":
            return Proposed(word, tuple((name, "command") for name in COMMANDS) if not before else ())
    return Proposed(word)


def _parameters(word: str, before: list[str], known: Known) -> tuple[tuple[str, str], ...]:
    """Parameters to be given a value; behind the equals sign, the value that they have."""
    given = {each.partition("=")[0] for each in before}
    values = {name: value for name, value in known.parameters().items() if name not in given}
    return tuple((f"{name}={value if '=' in word else ''}", "parameter") for name, value in values.items())


def _modules(word: str, known: Known) -> Iterator[tuple[str, str]]:
    """Modules that are there, and folders; first one with the name of the notebook."""
    folder, name = os.path.split(word)
    own = os.path.join(folder, re.sub(r"\W+", "_", known.notebook) + ".py")
    yield own, "path"
    with contextlib.suppress(OSError):
        for each in sorted(os.scandir(folder or "."), key=lambda each: each.name):
            path = os.path.join(folder, each.name)
            hidden = each.name.startswith(".") and not name.startswith(".")
            if hidden or path == own:
                continue
            if each.is_dir():
                yield f"{path}/", "path"
            elif each.name.endswith(".py"):
                yield path, "path"


def _known(session: Session) -> Known:
    shown = [name for name in session.namespace if not name.startswith("_") and name not in SHELL_NAMES]
    return Known(
        tasks=tuple(name for name in session.names() if not re.search(r"[\s,]", name)),
        variables=tuple(dict.fromkeys([*session.outputs(), *shown])),
        clusters=cluster_names(session.namespace),
        notebook=session.flow.name,
        elements=lambda task: _elements(session, task),
        parameters=lambda: {each.name: short_text(each.value, each.name) for each in session.givens.parameters()},
        flows=lambda: [each.name for name, each in session.namespace.items() if type(each) is Flow and name in shown],
    )


def _elements(session: Session, task: str) -> list[str]:
    """The elements that a task had in the last run; where it did not take part, the numbers of those it had before."""
    run = session.flow.last_run
    try:
        node = run.find(task) if run is not None else None
    except UnknownName:
        node = None
    if run is not None and node is not None and node.mapped:
        from nbflow.flow.whys import labels_of  # brings in what tells why nodes run

        return [str(label) for label in labels_of(node, run.ledger, run.track(node).count or 0)]
    known = session.flow.graph.nodes.get(task)
    last = session.flow.store.last(session.flow.name).get(task)
    count = last.count if last is not None and known is not None and known.mapped else 0
    return [str(number) for number in range(min(count, _MOST_ELEMENTS))]
