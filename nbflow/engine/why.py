"""Reasons, made from what a key consisted of last time and what it consists of now."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from xxhash import xxh3_128_digest

from nbflow.lean import dataclass, pattern
from nbflow.model.node import Node
from nbflow.model.tree import leaves
from nbflow.probe.secrets import DOTS, is_secret_name, redact, short_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from nbflow.engine.keys import Recipe
    from nbflow.identity.parts import Component
    from nbflow.model.task import Options

# Kinds of components whose text is source code, best shown as a diff.
SOURCE_KINDS = frozenset({"code", "helper", "class"})
# Kinds that say what a task is given, and not what it does with it.
INPUT_KINDS = frozenset({"parameter", "upstream", "value", "env", "places"})
# Lines of a diff that are shown unless all are asked for.
DIFF_LINES = 30


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that a key was made of, as it is kept for `why`: no secret is in it."""

    kind: str
    name: str
    id: bytes
    text: str


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something runs. diff: lines of a unified diff, where it was code that changed."""

    text: str
    diff: tuple[str, ...] = ()

    def lines(self, limit: int | None = DIFF_LINES) -> list[str]:
        """The text, and the diff below it; limit: lines of the diff at most, None for all."""
        shown = self.diff[:limit]
        rest = len(self.diff) - len(shown)
        more = [f"… {rest} more lines; flow.why(…).full has all"] if rest else []
        return [self.text, *("    " + line for line in (*shown, *more))]

    def __str__(self) -> str:
        return "\n".join(self.lines())


def parts_of(components: Iterable[Component], salted: Callable[[bytes], bytes]) -> list[Part]:
    """A code id's components, with secrets taken out; salted: makes an id of which nobody can guess the value."""
    return [
        Part(c.kind, c.name, salted(c.id) if _is_secret(c.kind, c.name) else c.id, _clean(c.kind, c.name, c.text))
        for c in components
    ]


def argument_parts(
    node: Node, recipe: Recipe, times: int | None, describe: Callable[[Any], str] = lambda _: ""
) -> list[Part]:
    """A recipe's arguments, declared environment and options, with secrets taken out (they are texts already).

    times: how often it is run, where that is said outside its function. describe: a short form of the value of an
    argument that comes from upstream.
    """
    parts = [
        Part(i.kind, i.name, i.id, i.text or (describe(a.value) if i.kind == "upstream" else ""))
        for i, a in zip(recipe.ingredients, node.arguments, strict=True)
    ]
    parts += [Part(i.kind, i.name, i.id, i.text) for i in recipe.extra]
    if node.arguments:
        parts.append(_places(node, recipe))
    options = [(name, redact(text)) for name, text in _options(node.task.options, times)]
    return parts + [Part("option", name, xxh3_128_digest(text.encode()), text) for name, text in options]


def compare(before: Sequence[Part], now: Sequence[Part]) -> list[Reason]:
    """What differs between two lists of parts, the most telling first.

    >>> compare([Part("parameter", "n", b"1", "5")], [Part("parameter", "n", b"2", "6")])[0].text
    'parameter n: 5 → 6'
    """
    old = {_place(part): part for part in before if part.kind not in _NOT_COMPARED}
    new = {_place(part): part for part in now if part.kind not in _NOT_COMPARED}
    _leave_out_renamed(old, new)
    changed = [(old[key], part) for key, part in new.items() if key in old and old[key].id != part.id]
    if any(part.kind == "python" for _, part in changed):
        # Another Python compiles the same text otherwise.
        changed = [(a, b) for a, b in changed if b.kind not in SOURCE_KINDS or a.text != b.text]
    changed.sort(key=lambda pair: _rank(pair[1]))
    came = sorted((part for key, part in new.items() if key not in old), key=_rank)
    went = sorted((part for key, part in old.items() if key not in new), key=_rank)
    if any(part.kind in INPUT_KINDS for part in (*(b for _, b in changed if b.kind != "places"), *came, *went)):
        # Told already, and better.
        changed = [(a, b) for a, b in changed if b.kind != "places"]
    if any(part.kind in SOURCE_KINDS for _, part in changed):
        # The diff shows which packages the code uses now.
        came, went = ([part for part in parts if part.kind != "package"] for parts in (came, went))
    if came or went:
        # A name that is read otherwise, since what gave it is gone, makes other code of the same text.
        changed = [(a, b) for a, b in changed if b.kind != "code" or not b.text or a.text != b.text]
    told = [_difference(a, b) for a, b in changed]
    return told + [_came(part) for part in came] + [_went(part) for part in went]


def _place(part: Part) -> tuple[str, str]:
    """Which part of another list a part is compared with: a task that was renamed has the code that it had."""
    return part.kind, "" if part.kind == "code" else part.name


def at_most(reasons: Sequence[Reason], most: int = 5) -> list[Reason]:
    """The first reasons, each once; how many more there are is told.

    >>> [reason.text for reason in at_most([Reason("a"), Reason("b"), Reason("b"), Reason("c")], 2)]
    ['a', 'b', 'and 1 more like these']
    """
    each = list(dict.fromkeys(reasons))
    rest = len(each) - most
    return each if rest <= 0 else [*each[:most], Reason(f"and {rest} more like these")]


def outline(value: Any) -> str:
    """How large a value is, or a number itself: what can be told of any value without showing what is in it.

    >>> outline(3), outline([1, 2]), outline("abc"), outline(None)
    ('3', 'list of 2', 'text of 3 characters', 'None')
    """
    if value is None or isinstance(value, (bool, int, float, complex)):
        return short_text(value)
    if isinstance(value, str):
        return f"text of {len(value)} characters"
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        # A number of NumPy's has the empty shape.
        return short_text(value if shape or not hasattr(value, "item") else value.item())
    if isinstance(value, (list, tuple, set, frozenset, bytes, Mapping)):
        return f"{type(value).__name__} of {len(value)}"
    return f"a {type(value).__name__}"


def moment(time_ns: int) -> str:
    """A point in time for people, in the time zone of this machine.

    >>> len(moment(0))
    16
    """
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(time_ns / 1e9))


def diff_of(before: str, now: str) -> tuple[str, ...]:
    """The lines of a unified diff, with one line of context; `…` stands between its parts."""
    import difflib

    lines = list(difflib.unified_diff(before.splitlines(), now.splitlines(), lineterm="", n=1))
    # The first two lines name files, which there are none of; the third begins the first part.
    return tuple(" …" if line.startswith("@@") else line for line in lines[3:])


def _difference(before: Part, now: Part) -> Reason:
    noun = _NOUNS.get(now.kind, now.kind)
    old, new = _line(before.text), _line(now.text)
    how = f": {old} → {new}" if old != new else f" ({new})" if new else ""
    match now.kind:
        case "upstream":
            return Reason(f"upstream `{now.name}` gave another value{how if old else f' ({new})' if new else ''}")
        case "code" | "helper" | "class":
            what = "code changed" if now.kind == "code" else f"{noun} `{now.name}` changed"
            diff = diff_of(before.text, now.text)
            # Where the source is not to be had, nothing can be said of it.
            return Reason(f"{what} (its text reads the same)" if now.text and not diff else what, diff)
        case "package":
            return Reason(f"{now.name} {old} → {new}")
        case "python":
            return Reason(f"Python {old} → {new}: everything runs again")
        case "places":
            return Reason(f"arguments changed: {old} → {new}")
        case "parameter" | "env" | "option":
            return Reason(f"{noun} {now.name}: {old} → {new}" if old != new else f"{noun} {now.name} changed{how}")
    return Reason(f"{noun} `{now.name}`{how}" if old != new else f"{noun} `{now.name}` changed{how}")


def _came(part: Part) -> Reason:
    noun = _NOUNS.get(part.kind, part.kind)
    if part.kind == "option":
        return Reason(f"{noun} {part.name} is given now: {_line(part.text)}")
    if part.kind == "missing":
        return Reason(f"`{part.name}` has no value now")
    return Reason(f"{noun} `{part.name}` is used now")


def _went(part: Part) -> Reason:
    noun = _NOUNS.get(part.kind, part.kind)
    if part.kind == "option":
        return Reason(f"{noun} {part.name} is no longer given (it was {_line(part.text)})")
    return Reason(f"{noun} `{part.name}` is no longer used")


def _leave_out_renamed(old: dict[tuple[str, str], Part], new: dict[tuple[str, str], Part]) -> None:
    """Takes out inputs that only have another name: what is upstream may be called anything."""
    if not any(kind == "places" for kind, _ in old) or not any(kind == "places" for kind, _ in new):
        # A task that had no arguments, or of which that was not kept.
        for parts in (old, new):
            parts.pop(("places", ""), None)
    gone = [key for key in old if key[0] in INPUT_KINDS and key not in new]
    for key in [key for key in new if key[0] in INPUT_KINDS and key not in old]:
        same = next((each for each in gone if old[each].id == new[key].id), None)
        if same is not None:
            gone.remove(same)
            del old[same], new[key]


def _places(node: Node, recipe: Recipe) -> Part:
    """Which argument gets what. Its id tells no names of what is upstream."""
    texts: list[str] = []
    parts: list[bytes] = []
    for argument, ingredient in zip(node.arguments, recipe.ingredients, strict=True):
        sources = ", ".join(dict.fromkeys(f"`{each.name}`" for each in leaves(argument.value, Node)))
        texts.append(f"{argument.name}={'each of ' if argument.mapped else ''}{sources or 'a value'}")
        parts += [argument.name.encode(), bytes([argument.mapped]), ingredient.id]
    return Part("places", "", xxh3_128_digest(b"\0".join(parts)), ", ".join(texts))


def _options(options: Options, times: int | None) -> Iterator[tuple[str, str]]:
    """The options that decide what results stand for, where they are given."""
    if options.version:
        yield "version=", repr(options.version)
    if options.seed is not None:
        yield "seed=", repr(options.seed)
    if options.by_position:
        yield "by_position=", "True"
    if options.ignore:
        yield "ignore=", repr(options.ignore)
    if options.depends_on:
        yield "depends_on=", ", ".join(short_text(each) for each in options.depends_on)
    if times is not None:
        yield "loop_times=", repr(times)


def _line(text: str, limit: int = 120) -> str:
    # Where an object lies in memory says nothing.
    line = _ADDRESS.sub("", " ".join(text.split()))
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _rank(part: Part) -> int:
    return _ORDER.index(part.kind) if part.kind in _ORDER else len(_ORDER)


def _clean(kind: str, name: str, text: str) -> str:
    return DOTS if _is_secret(kind, name) else redact(text)


def _is_secret(kind: str, name: str) -> bool:
    return kind not in SOURCE_KINDS and is_secret_name(name)


_ADDRESS = pattern(r"(?: object)? at 0x[0-9a-fA-F]+")
_ORDER = (
    "python", "code", "helper", "class", "module", "global", "closure", "default", "missing", "package", "parameter",
    "value", "upstream", "env", "places", "option",
)  # fmt: skip
# Mapped arguments are told element by element; the prefix stands for all the others.
_NOT_COMPARED = frozenset({"mapped", "prefix"})
_NOUNS = {
    "global": "global",
    "closure": "closure variable",
    "missing": "undefined name",
    "value": "argument",
    "env": "environment variable",
}
