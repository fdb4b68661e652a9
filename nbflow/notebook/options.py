"""The options behind a `%%task` line, and the help that is made from them."""

from __future__ import annotations

import math
import re
import shlex
from typing import TYPE_CHECKING, Any, NoReturn

from nbflow.errors import GraphError, nearest
from nbflow.lean import dataclass, field, pattern
from nbflow.model.rate import read_rate
from nbflow.model.task import Options, seconds_of
from nbflow.notebook.clusters import executor_meant, unknown_executor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_WORD = pattern(r"""(?:"(?:\\.|[^"\\])*"|'[^']*'|\S)+""")


@dataclass(frozen=True, slots=True)
class HeadOptions:
    """The options of a head. name: the task's own, where it is given; task: what `@task` would take.

    merge: the outputs of which the cell takes the first that was not skipped. lazy: the cell only declares. An executor
    may be the name of a variable that holds a cluster.
    """

    name: str | None = None
    merge: tuple[str, ...] = ()
    task: dict[str, Any] = field(default_factory=dict)
    lazy: bool = False


@dataclass(frozen=True, slots=True)
class Option:
    """One option. sets: the option of `@task`; read: its value from text, ValueError where it does not fit.

    takes: what stands behind it, "" for a flag.
    """

    sets: str
    read: Callable[[str], Any]
    takes: str
    help: str


def read_options(
    text: str, start: int, fail: Callable[[int, str], NoReturn], namespace: Mapping[str, Any]
) -> HeadOptions:
    """The options from `start` on. fail: raises HeadError for a position and a message.

    namespace: the notebook's, where `--executor NAME` may find a cluster.
    """
    words = [(match.start(), match[0]) for match in _WORD.finditer(text, start)]
    values: dict[str, Any] = {}
    while words:
        at, word = words.pop(0)
        given, equals, value = word.partition("=")
        option = _option(given, at, fail)
        if option.takes and not equals:
            value = _following(words)
        if option.takes and not value:
            fail(at, f"{given} needs a value: {given} {option.takes}")
        if equals and not option.takes:
            fail(at, f"{given} takes no value")
        if option.sets in values:
            fail(at, f"{given} says again, or otherwise, what an option before it said; keep one of them")
        values[option.sets] = _value(option, value, given, at, fail)
        if option.sets == "executor" and executor_meant(values["executor"], namespace) is None:
            fail(at, f"{given} {value}: {unknown_executor(values['executor'], namespace)}")
    name, merge, lazy = values.pop("name", None), values.pop("merge", ()), values.pop("lazy", False)
    try:
        check_options(values, namespace)
    except GraphError as error:
        fail(start, str(error))
    return HeadOptions(name, merge, values, lazy)


def check_options(values: Mapping[str, Any], namespace: Mapping[str, Any]) -> None:
    """Raises GraphError for options that no task takes; TypeError, ValueError where a value is of another kind."""
    executor = values.get("executor")
    if isinstance(executor, str):
        meant = executor_meant(executor, namespace)
        if meant is None:
            raise GraphError(f"executor={executor}: {unknown_executor(executor, namespace)}")
        values = {**values, "executor": meant}
    Options(**values)


def head_help() -> str:
    """How a `%%task` line is written."""
    lines = [
        "%%task [NAME, …] [for VAR in SOURCE [if CONDITION] … | if CONDITION] [options]",
        "",
        "  NAME     what the task makes: a name the body assigns, or the value of its last expression",
        "  for …    runs the cell once for each item; several `for` give all combinations",
        "  if …     behind `for` leaves items out; without `for` it runs the task only where it is true",
        "",
    ]
    lines += [f"  --{name + ' ' + option.takes:<24}{option.help}" for name, option in OPTIONS.items()]
    return "\n".join(lines)


def _option(given: str, at: int, fail: Callable[[int, str], NoReturn]) -> Option:
    if given in {"-h", "--help"}:
        fail(at, "the help is shown by `%%task -h`, with nothing else on the line")
    option = OPTIONS.get(given.removeprefix("--"))
    if option is None and not given.startswith("--"):
        fail(at, f"`{given}` belongs to no option; put a value of several words in quotes")
    if option is None:
        fail(at, f"there is no option {given}" + nearest(given, [f"--{name}" for name in OPTIONS]) + " See %%task -h")
    return option


def _following(words: list[tuple[int, str]]) -> str:
    """The value behind an option; a list goes on behind its commas."""
    value = ""
    while words and not words[0][1].startswith("--") and (not value or value.endswith(",")):
        value += words.pop(0)[1]
    return value


def _value(option: Option, value: str, given: str, at: int, fail: Callable[[int, str], NoReturn]) -> Any:
    try:
        return option.read("".join(shlex.split(value)))
    except (ValueError, GraphError) as error:
        fail(at, f"{given} {value}: {error}; write {given} {option.takes}")


def _whole(value: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", value):
        raise ValueError("a whole number is needed")
    return int(value)


def _seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise ValueError("a number of seconds is needed, 0 or more")
    return seconds


def _names(value: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in value.split(",") if name.strip())
    for name in names:
        if not name.isidentifier():
            raise ValueError(f"{name!r} is not a name")
    return names


def _amounts(value: str) -> dict[str, float]:
    found = {}
    for each in value.split(","):
        name, _, text = (part.strip() for part in each.partition("="))
        try:
            amount = float(text)
        except ValueError:
            amount = math.nan
        if not name or not 0 < amount < math.inf:
            raise ValueError("names and amounts above 0 are needed, as GPU=1")
        found[name] = amount
    return found


def _age(value: str) -> str:
    seconds_of(value)
    return value


def _rate(value: str) -> str:
    read_rate(value)
    return value


def _flag(value: bool) -> Callable[[str], bool]:
    return lambda _: value


OPTIONS: dict[str, Option] = {
    "retries": Option("retries", _whole, "N", "further attempts after a failure"),
    "retry-delay": Option("retry_delay_s", _seconds, "SECONDS", "wait before each of them"),
    "cache": Option("cache", _flag(True), "", "keep the result for good, whatever it was seen to depend on"),
    "no-cache": Option("cache", _flag(False), "", "never keep the result"),
    "always": Option("always", _flag(True), "", "run every time; an equal result stops there"),
    "max-age": Option("max_age", _age, "AGE", "how long a result is good for: 90s, 12h, 1d"),
    "version": Option("version", str, "TEXT", "a text that counts: change it to run again"),
    "seed": Option("seed", _whole, "N", "seed random numbers before each call"),
    "by-position": Option("by_position", _flag(True), "", "with --seed: equal elements are different draws"),
    "env": Option("env", _names, "A,B", "environment variables that count"),
    "ignore": Option("ignore", _names, "a,b", "global names that do not count"),
    "trigger": Option("trigger", str, "NAME", "run when all_finished, any_failed, … instead of all_successful"),
    "no-skip": Option("skip_on_upstream_skip", lambda _: False, "", "run although something above was skipped"),
    "merge": Option("merge", _names, "a,b", "the first of these that was not skipped; the cell has no body then"),
    "timeout": Option("timeout_s", _seconds, "SECONDS", "fail when it takes longer"),
    "loop-times": Option("loop_times", _whole, "N", "run it N times, each with loop.result of the one before"),
    "max-loops": Option("max_loops", _whole, "N", "iterations after which LOOP is taken for a runaway"),
    "concurrency": Option("concurrency", _whole, "5", "how many elements run at once, at most"),
    "rate": Option("rate", _rate, "10/s", "how many elements begin in a time, at most: 10/s, 100/min"),
    "loop": Option("loop", str, "NAME", "where a body with await runs: notebook (default), or own"),
    "executor": Option(
        "executor", str, "NAME", "threads, processes, dask, sync (the main thread), or a variable: a DaskExecutor"
    ),
    "resources": Option("resources", _amounts, "GPU=1", "what of a Dask cluster each call needs: GPU=1,MEMORY=4e9"),
    "lazy": Option("lazy", _flag(True), "", "declare only: `%flow run NAME` runs it, and so does no other cell"),
    "name": Option("name", str, "TEXT", "how the task is called in pictures and tables"),
}
