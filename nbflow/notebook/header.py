"""The line after `%%task`: names, the head of a comprehension, options."""

from __future__ import annotations

import ast
import keyword
import re
import unicodedata
import warnings
from typing import TYPE_CHECKING, Any, NoReturn

from nbflow.errors import HeadError
from nbflow.lean import dataclass, field, pattern
from nbflow.notebook.options import OPTIONS, HeadOptions, head_help, read_options

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Generator", "Head", "HeadOptions", "head_help", "names_in", "parse_head", "split_head"]

EXAMPLE = "write it like this: %%task weather for path in paths --retries 2"
_TOKEN = pattern(
    r"""(?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
    |(?P<comment>\#[^\n]*)|(?P<open>[(\[{])|(?P<close>[)\]}])|(?P<quote>["'])|(?P<options>--(?=[A-Za-z]))""",
    re.VERBOSE,
)
_CLAUSE = pattern(r"(?<![\w.])(async|for|if)\b")
_CLOSES = {")": "(", "]": "[", "}": "{"}
# What stands before the clauses when they are parsed as a comprehension.
_BEFORE = "[0 "


@dataclass(frozen=True, slots=True)
class Generator:
    """One `for` of a head. names: of its target, in order; conditions: the `if`s behind it."""

    target: ast.expr
    names: tuple[str, ...]
    source: ast.expr
    conditions: tuple[ast.expr, ...]


@dataclass(frozen=True, slots=True)
class Head:
    """A head, read. text: as it was written, without the options; condition: of an `if` without `for`.

    commented: it was a `# task` line, whose names and `for` are in the body.
    """

    text: str
    names: tuple[str, ...] = ()
    generators: tuple[Generator, ...] = ()
    condition: ast.expr | None = None
    options: HeadOptions = field(default_factory=HeadOptions)
    commented: bool = False

    @property
    def mark(self) -> str:
        """What makes its cell a task."""
        return "# task" if self.commented else "%%task"


def split_head(line: str, cell: str) -> tuple[str, str, int]:
    r"""(head, body, lines of the head): open brackets continue on the next line.

    >>> split_head("x for a in [1,", "2]\na")
    ('x for a in [1,\n2]', 'a', 2)
    """
    head, body, open_brackets = [line], cell.split("\n"), _count_open(line)
    while open_brackets > 0 and body:
        head.append(body.pop(0))
        open_brackets += _count_open(head[-1])
    return "\n".join(head), "\n".join(body), len(head)


def parse_head(text: str, namespace: Mapping[str, Any] | None = None) -> Head:
    """A head from its text. Raises HeadError that says what is wrong, where, and how to write it.

    namespace: the notebook's, whose clusters `--executor` may name.

    >>> head = parse_head("daily for df in weather if len(df) --retries 2")
    >>> head.names, head.generators[0].names, head.options.task
    (('daily',), ('df',), {'retries': 2})
    """
    bare, options_at = _without_insides(text)
    head = _Text(text, bare[:options_at])
    options = read_options(text, options_at, head.fail, namespace or {})
    clause = _CLAUSE.search(head.bare)
    before = clause.start() if clause else options_at
    _refuse_misspelt_for(head, before)
    names = tuple(_read_names(head, before))
    generators: tuple[Generator, ...] = ()
    condition: ast.expr | None = None
    if clause is not None and clause[1] == "if":
        condition = _read_condition(head, clause)
    elif clause is not None:
        generators = _read_generators(head, clause)
    return Head(text[:options_at].strip(), names, generators, condition, options)


@dataclass(frozen=True, slots=True)
class _Text:
    """A head's text; bare: the part before the options, as long, with blanks for what brackets and quotes hold."""

    text: str
    bare: str

    def fail(self, at: int, message: str) -> NoReturn:
        """Raises HeadError with the line and a caret under the place."""
        start = self.text.rfind("\n", 0, at) + 1
        line = self.text[start:].split("\n")[0].replace("\t", " ")
        magic = "" if start else "%%task "
        caret = " " * (len(magic) + at - start) + "^"
        raise HeadError(f"{message}\n    {magic}{line}\n    {caret}") from None


def _without_insides(text: str) -> tuple[str, int]:
    """(the text with blanks for what stands in brackets, quotes and comments, where the options begin)."""
    bare, opened = list(text), list[int]()
    whole = _Text(text, text)
    for token in _TOKEN.finditer(text):
        at, kind = token.start(), token.lastgroup
        if kind == "options" and not opened:
            return _blanked(bare, text), at
        if kind == "open":
            opened.append(at)
        elif kind == "close":
            if not opened or text[opened[-1]] != _CLOSES[token[0]]:
                whole.fail(at, f"this `{token[0]}` closes no bracket")
            first = opened.pop()
            bare[first : at + 1] = " " * (at + 1 - first)
        elif kind == "quote":
            whole.fail(at, "this quote is never closed")
        elif kind in {"string", "comment"}:
            bare[at : token.end()] = " " * len(token[0])
    if opened:
        whole.fail(opened[0], f"this `{text[opened[0]]}` is never closed")
    return _blanked(bare, text), len(text)


def _blanked(bare: list[str], text: str) -> str:
    # Line ends stay, so that lines and columns are the same in both.
    return "".join("\n" if old == "\n" else new for old, new in zip(text, bare, strict=True))


def _count_open(line: str) -> int:
    """How many more brackets a line opens than it closes."""
    count = 0
    for token in _TOKEN.finditer(line):
        if token.lastgroup == "options" and count <= 0:
            break
        count += (token.lastgroup == "open") - (token.lastgroup == "close")
    return count


def _refuse_misspelt_for(head: _Text, end: int) -> None:
    """Fails for `orders fro p in paths`."""
    inside = re.search(r"(?<![\w.])in(?!\w)", head.bare[:end])
    for word in re.finditer(r"(?<![\w.])\w+(?=\s+[^\W\d])", head.bare[: inside.start()] if inside else ""):
        import difflib  # of use for a mistake alone

        if difflib.get_close_matches(word[0], ["for"], cutoff=0.6):
            head.fail(word.start(), f"`{word[0]}` means nothing here; did you mean `for`?")


def _read_names(head: _Text, end: int) -> Iterator[str]:
    seen: set[str] = set()
    pieces = head.bare[:end].split(",")
    start = 0
    for number, piece in enumerate(pieces):
        at = start + len(piece) - len(piece.lstrip())
        written = head.text[start : start + len(piece)].strip()
        start += len(piece) + 1
        if not written and number == len(pieces) - 1:
            return
        name = unicodedata.normalize("NFKC", written)
        _check_name(head, at, name)
        if name in seen:
            head.fail(at, f"`{name}` stands twice; each output has a name of its own")
        seen.add(name)
        yield name


def _check_name(head: _Text, at: int, name: str) -> None:
    """Fails for what Python cannot assign to, with the fix that is most likely meant."""
    words = name.split()
    first = re.split(r"\W", name, maxsplit=1)[0]
    if name.isidentifier() and not keyword.iskeyword(name):
        return
    if not name:
        head.fail(at, "a name is missing before this comma")
    elif keyword.iskeyword(name):
        head.fail(at, f"`{name}` is a word of Python's own; write `{name}_`")
    elif dash := re.search(r"(?<!\S)[-–—]\w", name) or re.match(r"[-–—]", name):
        head.fail(at + dash.start(), "options begin with two minus signs, such as --retries 2")
    elif "=" in name and first.replace("_", "-") in OPTIONS:
        head.fail(at, f"options are written --{first.replace('_', '-')} VALUE, behind all else")
    elif "=" in name:
        head.fail(at, f"only names stand here; write `{name}` into the body below")
    elif len(words) > 1 and all(word.isidentifier() for word in words):
        head.fail(at, f"names stand with commas: `{', '.join(words)}`, or as one: `{'_'.join(words)}`")
    else:
        proposal = re.sub(r"\W+", "_", name).strip("_")
        proposal = f"_{proposal}" if proposal[:1].isdigit() else proposal
        hint = f"; write `{proposal}`" if proposal.isidentifier() else f"; {EXAMPLE}"
        head.fail(at, f"`{name}` is not a name that Python can assign to{hint}")


def _read_generators(head: _Text, clause: re.Match[str]) -> tuple[Generator, ...]:
    if clause[1] == "async":
        head.fail(clause.start(), "`async for` cannot stand in a head; await in the body below")
    tree = _parse(head, clause.start())
    generators = tuple(
        Generator(each.target, tuple(names_in(each.target)), each.iter, tuple(each.ifs)) for each in tree.generators
    )
    names = [name for each in generators for name in each.names]
    for name in names:
        if names.count(name) > 1:
            head.fail(clause.start(), f"two loop variables are called `{name}`; give each a name of its own")
    return generators


def _read_condition(head: _Text, clause: re.Match[str]) -> ast.expr:
    later = re.compile(r"(?<![\w.])for\b").search(head.bare, clause.end())
    if later is not None:
        head.fail(clause.start(), "`for` stands before `if`: %%task big for x in xs if x > 9")
    source = head.text[clause.end() : len(head.bare)].strip()
    if not source:
        head.fail(clause.start(), "a condition is missing behind `if`: %%task report if enough")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(f"({source}\n)", "<head>", mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        message = error.msg if isinstance(error, SyntaxError) else error or "too deep"
        head.fail(clause.end(), f"the condition cannot be read: {message}; write it like this: %%task report if enough")
    if any(isinstance(node, ast.Await | ast.Yield | ast.YieldFrom | ast.NamedExpr) for node in ast.walk(tree)):
        head.fail(clause.end(), "a condition is a plain expression; make it a task of its own, and use its name here")
    return tree.body


def _parse(head: _Text, start: int) -> ast.ListComp:
    """The clauses as Python reads them in a comprehension."""
    source = f"{_BEFORE}{head.text[start : len(head.bare)]}\n]"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source, "<head>", mode="eval")
            compile(tree, "<head>", "eval", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    except SyntaxError as error:
        at = _position(head, start, error.lineno or 1, (error.offset or 1) - 1)
        head.fail(at, f"the `for` part cannot be read: {error.msg}; {EXAMPLE}")
    except (ValueError, RecursionError, MemoryError) as error:
        head.fail(start, f"the `for` part cannot be read: {error or 'too deep'}; {EXAMPLE}")
    comprehension = tree.body
    if not isinstance(comprehension, ast.ListComp) or any(each.is_async for each in comprehension.generators):
        head.fail(start, f"the `for` part is not that of a plain comprehension; {EXAMPLE}")
    for target in (each.target for each in comprehension.generators):
        if any(isinstance(node, ast.Attribute | ast.Subscript) for node in ast.walk(target)):
            head.fail(start, f"`{ast.unparse(target)}` cannot be a loop variable; write a plain name")
        if not any(names_in(target)):
            head.fail(start, f"`for {ast.unparse(target)}` has no loop variable; write a plain name")
    if any(isinstance(node, ast.Await) for node in ast.walk(tree)):
        head.fail(start, "`await` cannot stand in a head; make the source a task of its own, and await there")
    return comprehension


def names_in(target: ast.expr) -> Iterator[str]:
    """The names that a loop's target binds, in order."""
    match target:
        case ast.Name(id=name):
            yield name
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            for part in parts:
                yield from names_in(part)
        case ast.Starred(value=part):
            yield from names_in(part)


def _position(head: _Text, start: int, line: int, column: int) -> int:
    """A place in the parsed source as one in the head, at most its end."""
    if line == 1:
        return min(max(start, start + column - len(_BEFORE)), len(head.bare))
    at = start
    for _ in range(line - 1):
        at = head.text.find("\n", at) + 1 or len(head.text)
    return min(at + column, len(head.bare))
