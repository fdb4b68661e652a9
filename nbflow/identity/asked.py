"""What code asks Python for by a text: `eval("K * 2")`, `globals()["K"]`, `pandas.eval("K + 1")`."""

from __future__ import annotations

import builtins
import re
from types import CodeType, ModuleType
from typing import TYPE_CHECKING

from nbflow.identity.called import taken_by

if TYPE_CHECKING:
    import dis
    from collections.abc import Iterable, Iterator, Sequence
    from types import FunctionType

    from nbflow.identity.reach import Reach

# By the last part of how they are called; what they are is looked at in the function that calls them.
READERS = frozenset({"eval", "exec", "globals", "evaluate"})
_OWN = frozenset({"eval", "exec", "globals"})
_LIBRARIES = frozenset({("pandas", "eval"), ("numexpr", "evaluate"), *(("builtins", name) for name in _OWN)})
_WORD = re.compile(r"[^\W\d]\w*")
_METHODS = frozenset({"LOAD_ATTR", "LOAD_METHOD"})
_USES = ("CALL", "BINARY_SUBSCR", "CONTAINS_OP")


def with_asked(fn: FunctionType, reaches: Iterable[Reach]) -> Iterator[Reach]:
    """Paths, each followed by what the texts name that it reads, where it is Python's own or a known library's."""
    for reach in reaches:
        yield reach
        if reach.asked and reads_texts(fn, reach):
            yield from reach.asked


def reads_texts(fn: FunctionType, reach: Reach) -> bool:
    """Whether a path leads to Python's own eval, exec or globals, or to a library's that finds variables by a text."""
    first, *rest = reach.names or ("",)
    if reach.module is not None:
        return (reach.module, *reach.names) in _LIBRARIES
    value = fn.__globals__.get(first, vars(builtins).get(first))
    if isinstance(value, ModuleType):
        return (value.__name__, *rest) in _LIBRARIES
    return first in _OWN and value is vars(builtins)[first] and not rest


def text_given(instructions: Sequence[dis.Instruction], at: int, name: str) -> tuple[str | None, bool]:
    """The text that a reader gets, and whether there is one that is made only as the code runs.

    at: the place behind the load of the reader. name: the last part of the path to it. For `globals` the text is what
    the dict is asked for: `globals()["K"]`, `globals().get("K")`, `"K" in globals()`.
    """
    if name != "globals":
        text = _text(instructions, at)
        return text, text is None
    call = next((i for i in range(at, len(instructions)) if instructions[i].opname == "CALL"), at)
    taker = taken_by(instructions, call)
    if taker is None or taker.opname.startswith("CALL"):
        # `eval("K", globals())` looks for itself; of what else gets them, any word may be asked for.
        looks = any(each.argval in _OWN for each in instructions[max(at - 4, 0) : at - 2])
        return ("" if looks else None), False
    if taker.opname in {"STORE_SUBSCR", "DELETE_SUBSCR"}:
        return "", False
    place = {"CONTAINS_OP": at - 2, "LOAD_ATTR": call + 2, "LOAD_METHOD": call + 2}.get(taker.opname, call + 1)
    text = _text(instructions, place)
    return text, text is None and taker.opname in {"BINARY_SUBSCR", "BINARY_OP", "CONTAINS_OP", *_METHODS}


def is_alone(instructions: Sequence[dis.Instruction], at: int) -> bool:
    """Whether a reader gets a text and nothing else, so that it sees the variables around it."""
    behind = [each for each in instructions[at : at + 3] if each.opname not in {"PUSH_NULL", "PRECALL"}]
    return [each.opname for each in behind[1:2]] == ["CALL"] and behind[1].arg == 1


def compiled(text: str) -> CodeType | None:
    """The code of a text; None where it is not Python."""
    try:
        return compile(text.strip(), "<text>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return None


def words_in(code: CodeType, *, alone: bool) -> Iterator[str]:
    """The words in all texts of a code object and of all inside it, but for its variables: any may be asked for.

    alone: only texts that are one word and no more.
    """
    todo: list[object] = list(code.co_consts)
    found: set[str] = set()
    while todo:
        match todo.pop():
            case str() as text:
                found.update([text] if text.isidentifier() else [] if alone else _WORD.findall(text))
            case tuple() | frozenset() as several:
                todo.extend(several)
            case CodeType() as inside:
                todo.extend(inside.co_consts)
    yield from sorted(found.difference(code.co_varnames, code.co_cellvars))


def _text(instructions: Sequence[dis.Instruction], at: int) -> str | None:
    """The text that is loaded at a place, where nothing else is made of it before it is used."""
    if at < len(instructions) and instructions[at].opname == "PUSH_NULL":
        at += 1
    if not 0 <= at < len(instructions) or instructions[at].opname != "LOAD_CONST":
        return None
    constant, taker = instructions[at].argval, taken_by(instructions, at)
    # An index is an operation like another one from Python 3.14 on.
    used = taker is None or taker.opname.startswith(_USES) or taker.argrepr == "[]"
    return constant if isinstance(constant, str) and used else None
