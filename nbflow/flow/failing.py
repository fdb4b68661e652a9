"""A failure as one short block: the task, the element and its inputs, the user's lines, and how to go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbflow.engine.ledger import MISSING, LostValue
from nbflow.errors import MOST_LINES, NotSuccessful
from nbflow.flow.unrun import why_not_run
from nbflow.model.node import Node
from nbflow.model.state import UNSUCCESSFUL, State
from nbflow.probe.secrets import error_text, redact, short_text
from nbflow.results.arguments import argument_columns
from nbflow.results.report import is_visible
from nbflow.results.traces import exception_lines, kinds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nbflow.flow.finished import Run

    # What to do next: from the name of the node, the position of the element (None: not mapped) and the exception.
    NextSteps = Callable[[str, int | None, BaseException | None], Sequence[str]]

_LONGEST_INPUT = 80
_LONGEST_LINE = 200
_MOST_INPUTS = 6
# In a script, Python's own lines about where the run was started stand above the block.
LINES_IN_SCRIPTS = 14


def failed_nodes(run: Run) -> list[Node]:
    """The nodes that failed themselves, in running order; those that a running task made behind the others."""
    found = [node for node in run.nodes() if run.track(node).state() is State.FAILED]
    # Parts that are taken out of values, such as node["k"], are told of only where nothing else failed.
    shown = [node for node in found if is_visible(node)] or found
    return sorted(shown, key=lambda node: node.maker is not None)


def failure_block(run: Run, node: Node, next_steps: NextSteps, most: int = MOST_LINES) -> str:
    """What is told of a node that failed, in no more than that many lines. next_steps: a line each."""
    index, error = first_error(run, node)
    headline, error = _through_children(_headline(run, node, index), error)
    mapped = node.mapped and run.track(node).verdict is None
    below = [f"→ {step}" for step in next_steps(node.name, index if mapped else None, error)]
    others = _others(run, node)
    room = most - len(headline) - len(others) - len(below)
    lines = [] if error is None else exception_lines(error, room)
    return "\n".join([*map(redact, headline), *lines, *others, *below])


def failure_line(run: Run) -> str:
    """One line for a run that failed: the first task, how much of it, its error, and where to look."""
    node = failed_nodes(run)[0]
    _, error = first_error(run, node)
    counts = run.track(node).counts()
    of = f"{counts.get(State.FAILED, 0)} of {sum(counts.values())} elements of " if node.mapped else ""
    what = "" if error is None else f": {_cut_line(error_text(error))}"
    more = f"run.failed({node.name!r}) and run.error({node.name!r}) tell more"
    if not run.flow.output.failures:
        # It is run by cells, which have no name for the run.
        more = f"`%flow frame {node.name}` and `%flow debug {node.name}` tell more"
    return "; ".join([f"{of}{node.name} failed{what}", *_others(run, node), more])


def _cut_line(text: str) -> str:
    line = text.splitlines()[0] if text else ""
    return line if len(line) <= _LONGEST_LINE else line[: _LONGEST_LINE - 1] + "…"


def first_error(run: Run, node: Node) -> tuple[int, BaseException | None]:
    """The first element of a node that failed, and its exception."""
    errors = run.ledger.books[node].errors
    return min(errors.items(), key=lambda pair: pair[0]) if errors else (0, None)


def _headline(run: Run, node: Node, index: int) -> list[str]:
    track, errors = run.track(node), run.ledger.books[node].errors
    inputs = inputs_text(run, node, index)
    given = f" with {inputs}" if inputs else ""
    if not node.mapped or track.verdict is not None:
        return [f"task {node.name} failed{given}"]
    failed = track.states.count(State.FAILED)
    head = f"task {node.name} failed on {failed:,} of {len(track.states):,} elements"
    head += f"; the first is {node.name}[{index}]{given}"
    raised = [errors[i] for i in errors if i < len(track.states)]
    return [head] if len(set(map(type, raised))) < 2 else [head, f"  {kinds(raised)}"]


def _through_children(headline: list[str], error: BaseException | None) -> tuple[list[str], BaseException | None]:
    """Where one of the nodes failed that a task made: what that one raised is what helps."""
    while isinstance(error, NotSuccessful) and error.error is not None:
        headline = [f"{headline[0]}: {str(error).partition(': ')[0]}", *headline[1:]]
        error = error.error
    return headline, error


def inputs_text(run: Run, node: Node, index: int) -> str:
    """What an element was given, in short: mapped arguments first, nothing loaded that is large."""
    try:
        shown: dict[str, Any] = {
            name: column[0] for name, column in argument_columns(node, run.ledger, [index]).items()
        }
    except LostValue:
        shown = {}
    for argument in node.arguments:
        if not argument.mapped and argument.name not in shown:
            value = _in_memory(run, argument.value)
            if value is not MISSING:
                shown[argument.name] = value
    texts = [f"{name}={short_text(value, name, _LONGEST_INPUT)}" for name, value in shown.items()]
    more = f" and {len(texts) - _MOST_INPUTS} more" if len(texts) > _MOST_INPUTS else ""
    return " ".join(", ".join(texts[:_MOST_INPUTS]).split()) + more


def _in_memory(run: Run, value: Any) -> Any:
    """An argument's value where it is at hand."""
    if not isinstance(value, Node):
        return value
    if value.mapped or not run.takes_part(value):
        return MISSING
    return run.ledger.books[value].values[0]


def _others(run: Run, node: Node) -> list[str]:
    """What else failed, and what did not run because of it."""
    # What a running task made is told with that task.
    failed = [each for each in failed_nodes(run) if each is not node and each.maker is None]
    waiting = [each for each in run.nodes() if is_visible(each) and run.track(each).state() is State.TRIGGER_FAILED]
    lines = [f"also failed: {_named(failed)}"] if failed else []
    return lines + ([f"did not run because of that: {_named(waiting)}"] if waiting else [])


def _named(nodes: Sequence[Node]) -> str:
    names = ", ".join(short_text(node.name).strip("'\"") for node in nodes[:5])
    return names + (f" and {len(nodes) - 5} more" if len(nodes) > 5 else "")


def unsuccessful_text(run: Run, node: Node) -> str:
    """Why a node did not run, with what failed at the root of it."""
    text = f"{node.name} did not run, because {why_not_run(run, node)}"
    root = node
    while True:
        above = [up for up in root.upstreams if run.takes_part(up) and run.track(up).state() in UNSUCCESSFUL]
        if not above:
            break
        root = above[0]
    _, error = first_error(run, root)
    return text if root is node or error is None else f"{text}\n  {root.name}: {error_text(error)}"


def in_python(run_name: str) -> NextSteps:
    """The next steps of those who have a Run object, which has that name."""

    def steps(name: str, index: int | None, error: BaseException | None) -> list[str]:
        element = "" if index is None else f", {index}"
        lines = [
            f"raise {run_name}.error({name!r}{element}) shows the whole traceback",
            f"{run_name}.debug({name!r}{element}) calls it again under the debugger",
        ]
        if index is not None:
            lines.append(f"{run_name}.failed({name!r}) has all that failed, with their inputs; what succeeded is kept")
        return [*lines, f"{run_name}.retry() runs again what failed, and what waited for it"]

    return steps
