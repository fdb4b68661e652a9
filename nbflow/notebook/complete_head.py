"""What can stand in a `%%task` head where the cursor is."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from nbflow import triggers
from nbflow.lean import dataclass, pattern
from nbflow.model.executor import EXECUTORS
from nbflow.notebook.options import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_OPTIONS_AT = pattern(r"(?:^|\s)--(?=[A-Za-z]|$)")
_CLAUSE = pattern(r"(?<![\w.])(for|in|if)\s")
_WORD = pattern(r"[^\W\d]?\w*$")
_SOURCES = ("range", "enumerate", "zip", "sorted", "reversed")
# The others are made by calls, which a head has no words for.
_TRIGGERS = tuple(name for name in triggers.__all__ if not name.startswith("some_"))


@dataclass(frozen=True, slots=True)
class Proposed:
    """What is proposed for the fragment before the cursor: pairs of text and kind."""

    fragment: str
    offers: tuple[tuple[str, str], ...] = ()

    def found(self) -> Iterator[tuple[str, str]]:
        """Those that the fragment begins."""
        return (offer for offer in self.offers if offer[0].startswith(self.fragment))


@dataclass(frozen=True, slots=True)
class _Known:
    """The notebook's names that options take. clusters: the variables that hold one."""

    tasks: Sequence[str]
    variables: Sequence[str]
    clusters: Sequence[str]


def propose_in_head(
    head: str, tasks: Sequence[str], variables: Sequence[str], clusters: Sequence[str]
) -> Proposed | None:
    """What fits behind a head that ends at the cursor; None for attributes, which others complete."""
    options = _OPTIONS_AT.search(head)
    if options is not None:
        return _option(head[options.start() :].split(), head, _Known(tasks, variables, clusters))
    match = _WORD.search(head)
    fragment = match[0] if match is not None else ""
    before = head[: len(head) - len(fragment)]
    if before.endswith("."):
        return None
    clauses = _CLAUSE.findall(before)
    if head.endswith("-"):
        return Proposed("-", tuple((f"--{name}", "option") for name in OPTIONS))
    if not clauses:
        return _names(before, fragment, tasks)
    if clauses[-1] == "for":
        return Proposed(fragment, (("in", "keyword"),) if re.search(r"for\s+.*[\w)]\s+$", before, re.DOTALL) else ())
    offers = [*((name, "task") for name in tasks), *((n, "variable") for n in variables if n not in tasks)]
    if clauses[-1] == "in":
        offers += [(name, "function") for name in _SOURCES if name not in variables]
    if re.search(r"[\w)\]]\s+$", before) and not re.search(r"(?<!\w)(?:in|if|and|or|not)\s+$", before):
        # An expression ended here; another clause may follow.
        return Proposed(fragment, (("if", "keyword"), ("for", "keyword"), ("and", "keyword"), ("or", "keyword")))
    return Proposed(fragment, tuple(offers))


def propose_in_comment(line: str) -> Proposed | None:
    """The options behind `# task:`, as keywords."""
    match = re.fullmatch(r"#[ \t]*task[ \t]*:(?:.*[,\s])?(\w*)", line)
    if match is None:
        return None
    sets = dict.fromkeys(option.sets for name, option in OPTIONS.items() if name not in {"merge", "no-cache"})
    return Proposed(match[1], tuple((f"{name}=", "option") for name in sets if f"{name}=" not in line))


def _names(before: str, fragment: str, tasks: Sequence[str]) -> Proposed:
    """A name stands first; behind one, a comma or a clause."""
    if not before.strip() or before.rstrip().endswith(","):
        given = {name.strip() for name in before.split(",")}
        return Proposed(fragment, tuple((name, "task") for name in tasks if name not in given))
    return Proposed(fragment, (("for", "keyword"), ("if", "keyword"), *((f"--{n}", "option") for n in OPTIONS)))


def _option(words: list[str], head: str, known: _Known) -> Proposed:
    complete = head[-1:].isspace()
    word = "" if complete else words.pop()
    name, equals, value = word.partition("=")
    if equals:
        return Proposed(value.rpartition(",")[2], _values(name, known))
    option = OPTIONS.get(words[-1].removeprefix("--")) if words else None
    if option is not None and option.takes and not word.startswith("--"):
        return Proposed(word.rpartition(",")[2], _values(words[-1], known))
    used = {each.partition("=")[0] for each in words}
    return Proposed(word, tuple((f"--{each}", "option") for each in OPTIONS if f"--{each}" not in used))


def _values(option: str, known: _Known) -> tuple[tuple[str, str], ...]:
    """The values of an option, where they are a fixed set or known names."""
    match option:
        case "--trigger":
            return tuple((name, "value") for name in _TRIGGERS)
        case "--executor":
            return executors(known.clusters)
        case "--merge":
            return tuple((name, "task") for name in known.tasks)
        case "--ignore":
            return tuple((name, "variable") for name in known.variables)
        case "--env":
            return tuple((name, "variable") for name in sorted(os.environ))
    return ()


def executors(clusters: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """What may stand where an executor is named."""
    return (*((name, "value") for name in EXECUTORS), *((name, "variable") for name in clusters))
