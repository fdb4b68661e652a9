"""What stands behind a subcommand of `%flow`: names of tasks, elements, options; read strictly."""

from __future__ import annotations

import ast
import shlex
from typing import TYPE_CHECKING, Any

from nbflow.errors import HeadError, nearest
from nbflow.lean import dataclass, field
from nbflow.notebook.params import is_given
from nbflow.notebook.stored import stored_task

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from nbflow.notebook.session import Session

HELP = frozenset({"-h", "--help"})


@dataclass(frozen=True, slots=True)
class Switch:
    """An option of a command. takes: what stands behind it, "" for a flag; choices: all that may stand there."""

    help: str
    takes: str = ""
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Given:
    """A line, read. words: names of tasks, or whatever the command takes; element: what stood in brackets behind one.

    options: by name without `--`; True for a flag.
    """

    words: tuple[str, ...] = ()
    element: Any = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def has(self, option: str) -> bool:
        return option in self.options


@dataclass(frozen=True, slots=True)
class Takes:
    """What a command takes. text: for its usage; offers: what completion proposes.

    That is "tasks", "elements", "parameters", "tasks and parameters", "files", "commands", "executors", or nothing.

    read: the words checked, and the element, for a command of that name. Raises HeadError, UnknownName.
    choices: the words that may stand there, where they are few.
    """

    text: str
    read: Callable[[Session, str, list[str]], tuple[Sequence[str], Any]]
    offers: str = "tasks"
    choices: tuple[str, ...] = ()


def split_words(line: str) -> list[str]:
    """The words of a line, as a shell would split them. Raises HeadError."""
    try:
        return shlex.split(line)
    except ValueError as error:
        raise HeadError(f"%flow {line}: {error}; close the quote") from None


def read_given(session: Session, name: str, takes: Takes, switches: Mapping[str, Switch], words: list[str]) -> Given:
    """What was written behind `%flow NAME`. Raises HeadError, UnknownName."""
    options: dict[str, Any] = {}
    rest: list[str] = []
    left = list(words)
    while left:
        word = left.pop(0)
        if not word.startswith("-") or word == "-":
            rest.append(word)
            continue
        option, value = _option(name, switches, word, left)
        if option in options:
            raise HeadError(f"%flow {name}: --{option} stands twice; keep one of them")
        options[option] = value
    read, element = takes.read(session, name, rest)
    return Given(tuple(read), element, options)


def _option(name: str, switches: Mapping[str, Switch], word: str, left: list[str]) -> tuple[str, Any]:
    given, equals, value = word.partition("=")
    switch = switches.get(given.removeprefix("--")) if given.startswith("--") else None
    if switch is None:
        known = [f"--{each}" for each in switches]
        raise HeadError(f"%flow {name} has no option {given!r}" + nearest(given, [*known, "-h"]))
    if not switch.takes:
        if equals:
            raise HeadError(f"%flow {name}: {given} takes no value")
        return given.removeprefix("--"), True
    if not equals:
        value = left.pop(0) if left and not left[0].startswith("--") else ""
    if not value:
        raise HeadError(f"%flow {name}: {given} needs a value: {given} {switch.takes}")
    if switch.choices and value not in switch.choices:
        raise HeadError(f"%flow {name}: {given} {value}" + nearest(value, switch.choices))
    return given.removeprefix("--"), value


# What commands take


def _nothing(session: Session, name: str, words: list[str]) -> tuple[Sequence[str], None]:
    if words:
        raise HeadError(f"%flow {name} takes no names; write only `%flow {name}`")
    return (), None


def _any(session: Session, name: str, words: list[str]) -> tuple[Sequence[str], None]:
    return [session.task_name(each) for each in _names(session, words)], None


def _any_and_values(session: Session, name: str, words: list[str]) -> tuple[Sequence[str], None]:
    values = [word for word in words if is_given(word)]
    names, _ = _any(session, name, [word for word in words if not is_given(word)])
    return [*names, *values], None


def _some(what: str, example: str = "") -> Callable[[Session, str, list[str]], tuple[Sequence[str], None]]:
    def read(session: Session, name: str, words: list[str]) -> tuple[Sequence[str], None]:
        if not words:
            raise HeadError(f"%flow {name} takes the names of {what}, such as `%flow {name} {_example(session)}`")
        return _any(session, name, words)

    return read


def _one(session: Session, name: str, words: list[str]) -> tuple[Sequence[str], None]:
    names = _names(session, words)
    if len(names) != 1:
        raise HeadError(f"%flow {name} takes one task, such as `%flow {name} {_example(session)}`")
    task = names[0].partition("[")[0]
    if names[0] not in _known(session) and task in _known(session):
        whole = f"%flow {name} takes a whole task: `%flow {name} {task}`"
        raise HeadError(f"{whole}; %flow why, log and debug take one element")
    return [session.task_name(names[0])], None


def _few(session: Session, name: str, words: list[str]) -> tuple[Sequence[str], None]:
    names = _names(session, words)
    if len(names) > 1:
        raise HeadError(f"%flow {name} takes one task at most, such as `%flow {name} {_example(session)}`")
    # A task that is gone has a history all the same.
    return [session.task_name(each) if each in session.names() else each for each in names], None


def _element(session: Session, name: str, words: list[str]) -> tuple[Sequence[str], Any]:
    """A task's name, and what stands in brackets behind it: `daily[3]`, `daily[oslo]`."""
    text = " ".join(words)
    head, bracket, element = text.removesuffix("]").rpartition("[")
    if bracket and not text.endswith("]") and text not in _known(session):
        raise HeadError(f"%flow {name} {text}: the bracket is not closed; write `%flow {name} {text}]`")
    if text in _known(session) or not (bracket and head and text.endswith("]")):
        names = _names(session, words)
        if len(names) != 1:
            example = _example(session)
            raise HeadError(f"%flow {name} takes one task, such as `%flow {name} {example}` or `{example}[0]`")
        return [session.task_name(names[0])], None
    return [session.task_name(head.strip())], _label(element)


def _runs(session: Session, name: str, words: list[str]) -> tuple[Sequence[str], None]:
    if len(words) > 2 or not all(word.isdigit() for word in words):
        raise HeadError(
            f"%flow {name} takes one or two numbers of runs: `%flow {name} 3 5`, or `%flow {name} 3` for run 3 and the "
            "last one; %flow history has them"
        )
    return words, None


def _stored(session: Session, name: str, words: list[str]) -> tuple[Sequence[str], None]:
    return [stored_task(session, each) for each in _names(session, words)], None


def _file(session: Session, name: str, words: list[str]) -> tuple[Sequence[str], None]:
    if len(words) != 1:
        raise HeadError(f"%flow {name} takes one file, such as `%flow {name} weather.py`")
    return words, None


def _values(session: Session, name: str, words: list[str]) -> tuple[Sequence[str], None]:
    for word in words:
        if "=" not in word.strip("="):
            raise HeadError(f"%flow {name} takes values of parameters, such as `%flow {name} n=5`, not {word!r}")
    return words, None


def _one_word(session: Session, name: str, words: list[str]) -> tuple[Sequence[str], None]:
    if len(words) > 1:
        raise HeadError(f"%flow {name} takes one name, such as `%flow {name} {words[0]}`")
    return words, None


def _words(session: Session, name: str, words: list[str]) -> tuple[Sequence[str], None]:
    return words, None


NOTHING = Takes("", _nothing, offers="")
ANY = Takes("[NAME …]", _any)
TO_RUN = Takes("[NAME …] [PARAMETER=VALUE …]", _any_and_values, offers="tasks and parameters")
EDITED = Takes("NAME …", _some("tasks that were edited"))
WAITING = Takes("NAME …", _some("tasks that wait"))
SOME = Takes("NAME …", _some("tasks"))
ONE = Takes("NAME", _one)
FEW = Takes("[NAME]", _few)
ELEMENT = Takes("NAME[ELEMENT]", _element, offers="elements")
RUNS = Takes("[RUN [RUN]]", _runs, offers="")
STORED = Takes("[NAME …]", _stored)
COMMAND = Takes("[COMMAND]", _words, offers="commands")
FILE = Takes("FILE.py", _file, offers="files")
VALUES = Takes("[NAME=VALUE …]", _values, offers="parameters")
EXECUTOR = Takes("[EXECUTOR]", _one_word, offers="executors")
LAZY = Takes("[on|off|after SECONDS]", _words, offers="", choices=("on", "off", "after"))
ON_OFF = Takes("[on|off]", _words, offers="", choices=("on", "off"))


# Names


def _known(session: Session) -> set[str]:
    return {*session.names(), *session.build().graph.nodes}


def _names(session: Session, words: list[str]) -> list[str]:
    """Names stand with blanks or commas between them; those with commas of their own are taken whole."""
    known = _known(session)
    if " ".join(words) in known:
        return [" ".join(words)]
    return [part for word in words for part in ([word] if word in known else word.split(",")) if part]


def _example(session: Session) -> str:
    return next(iter(session.names()), "NAME")


def _label(text: str) -> Any:
    """An element as it was written: a number, a text in quotes, or a text as it is."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
