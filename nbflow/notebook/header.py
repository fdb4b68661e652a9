"""The line after `%%task`: names, a comprehension's head, options."""

from __future__ import annotations

import ast
import keyword
import re
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nbflow.errors import GraphError, HeadError, nearest
from nbflow.model.task import Options, seconds_of

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLE = "such as `%%task weather for path in paths --retries 2`"
_NEXT_PART = re.compile(r"(?<![\w.])(for|if|async)\b")
_OPTIONS = re.compile(r"--(?=[A-Za-z])")


@dataclass(frozen=True, slots=True)
class Generator:
    """One `for` of a head. names: of its target, in order; conditions: the `if`s behind it."""

    target: ast.expr
    names: tuple[str, ...]
    source: ast.expr
    conditions: tuple[ast.expr, ...]


@dataclass(frozen=True, slots=True)
class HeadOptions:
    """The options of a head. name: the task's own, where it is given; task: what `@task` would take."""

    name: str | None = None
    task: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Head:
    """A head, read. text: as it was written, without the options."""

    text: str
    names: tuple[str, ...] = ()
    generators: tuple[Generator, ...] = ()
    options: HeadOptions = HeadOptions()


@dataclass(frozen=True, slots=True)
class Option:
    """An option's reader and help. takes: what stands behind it, "" for a flag."""

    read: Callable[[str], Any]
    takes: str
    help: str


def split_head(line: str, cell: str) -> tuple[str, str, int]:
    r"""(head, body, lines of the head): open brackets continue on the next line.

    >>> split_head("x for a in [1,", "2]\\na")
    ('x for a in [1,\\n2]', 'a', 2)
    """
    head, lines, count = line, cell.split("\n"), 1
    while _open_brackets(head) > 0 and lines:
        head += "\n" + lines.pop(0)
        count += 1
    return head, "\n".join(lines), count


def parse_head(text: str) -> Head:
    """A head from its text. Raises HeadError that says what is wrong, and how to write it."""
    begin = _OPTIONS.search(text)
    head = (text[: begin.start()] if begin else text).strip()
    options = _read_options(text[begin.start() :]) if begin else HeadOptions()
    part = _NEXT_PART.search(head)
    names = _read_names(head[: part.start()] if part else head)
    if part is None:
        return Head(head, names, (), options)
    if part[1] == "if":
        raise HeadError(
            f"%%task {head}: a condition without `for` is not there yet; decide inside the body, "
            f"or leave elements out with `for x in xs if …`"
        )
    return Head(head, names, _read_generators(head[part.start() :], head), options)


def head_help() -> str:
    """How a `%%task` line is written."""
    lines = [
        "%%task [NAME, …] [for VAR in SOURCE [if CONDITION] …] [options]",
        "",
        "  NAME     what the task makes: a name the body assigns, or the value of its last expression",
        "  for …    runs the cell once for each item; several `for` give all combinations",
        "",
    ]
    lines += [f"  --{name + ' ' + option.takes:<24}{option.help}" for name, option in OPTIONS.items()]
    return "\n".join(lines)


def _read_names(text: str) -> tuple[str, ...]:
    names = [name.strip() for name in text.split(",")]
    if names and not names[-1]:
        names.pop()
    for name in names:
        if not name.isidentifier() or keyword.iskeyword(name):
            hint = f"; did you mean `{re.sub(r'[^0-9a-zA-Z_]+', '_', name).strip('_')}`?" if name else ""
            raise HeadError(
                f"%%task: `{name}` is not a name that Python can assign to{hint} Write names with commas, {EXAMPLE}"
            )
    if len(set(names)) < len(names):
        raise HeadError(f"%%task: a name stands twice in `{text.strip()}`; each output has a name of its own")
    return tuple(names)


def _read_generators(text: str, head: str) -> tuple[Generator, ...]:
    try:
        tree = ast.parse(f"[0 {text}\n]", mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        message = getattr(error, "msg", str(error))
        raise HeadError(
            f"%%task {head}: the `for` part cannot be read ({message}); write it like a comprehension, {EXAMPLE}"
        ) from None
    if not isinstance(tree, ast.ListComp) or any(each.is_async for each in tree.generators):
        raise HeadError(f"%%task {head}: write the `for` part like that of a plain comprehension, {EXAMPLE}")
    return tuple(
        Generator(each.target, _target_names(each.target, head), each.iter, tuple(each.ifs)) for each in tree.generators
    )


def _target_names(target: ast.expr, head: str) -> tuple[str, ...]:
    for node in ast.walk(target):
        if isinstance(node, (ast.Attribute, ast.Subscript)):
            raise HeadError(
                f"%%task {head}: `{ast.unparse(target)}` cannot be the variable of a `for`; write a plain name"
            )
    return tuple(node.id for node in ast.walk(target) if isinstance(node, ast.Name))


def _read_options(text: str) -> HeadOptions:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise HeadError(f"%%task … {text.strip()}: {error}; close the quote") from None
    name: str | None = None
    values: dict[str, Any] = {}
    while words:
        word = words.pop(0)
        given, has_value, value = word.removeprefix("--").partition("=")
        option = OPTIONS.get(given)
        if not word.startswith("--") or option is None:
            raise HeadError(f"%%task has no option {word!r}" + nearest(given, OPTIONS) + " `%%task -h` lists them")
        if option.takes and not has_value:
            if not words or words[0].startswith("--"):
                raise HeadError(f"%%task --{given} needs a value: --{given} {option.takes}")
            value = words.pop(0)
        elif not option.takes and has_value:
            raise HeadError(f"%%task --{given} takes no value")
        read = _value(given, option, value)
        if given == "name":
            name = read
        else:
            values["cache" if given == "no-cache" else given.replace("-", "_")] = read
    return HeadOptions(name, _checked(_renamed(values)))


def _value(given: str, option: Option, value: str) -> Any:
    try:
        return option.read(value)
    except (ValueError, GraphError) as error:
        raise HeadError(
            f"%%task --{given} {value}: {error or 'not understood'}; write --{given} {option.takes}"
        ) from None


def _renamed(values: dict[str, Any]) -> dict[str, Any]:
    if "retry_delay" in values:
        values["retry_delay_s"] = values.pop("retry_delay")
    return values


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    try:
        Options(**values)
    except GraphError as error:
        raise HeadError(f"%%task: {error}") from None
    return values


def _open_brackets(text: str) -> int:
    """How many brackets are open at the end, those in quotes left out."""
    bare = re.sub(r"""(["'])(?:\\.|(?!\1).)*\1""", "", text)
    return sum(bare.count(c) for c in "([{") - sum(bare.count(c) for c in ")]}")


def _names(value: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in value.split(",") if name.strip())


def _age(value: str) -> str:
    seconds_of(value)
    return value


OPTIONS: dict[str, Option] = {
    "retries": Option(int, "N", "further attempts after a failure"),
    "retry-delay": Option(float, "SECONDS", "wait before each of them"),
    "cache": Option(lambda _: True, "", "keep the result for good, whatever it was seen to depend on"),
    "no-cache": Option(lambda _: False, "", "never keep the result"),
    "always": Option(lambda _: True, "", "run every time; an equal result stops there"),
    "max-age": Option(_age, "AGE", "how long a result is good for: 90s, 12h, 1d"),
    "version": Option(str, "TEXT", "a text that counts: change it to run again"),
    "seed": Option(int, "N", "seed random numbers before each call"),
    "env": Option(_names, "A,B", "environment variables that count"),
    "ignore": Option(_names, "a,b", "global names that do not count"),
    "executor": Option(str, "NAME", "threads, or sync for the main thread"),
    "name": Option(str, "TEXT", "how the task is called in pictures and tables"),
}
