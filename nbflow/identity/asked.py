"""What code asks Python for by a text: `eval("K * 2")`, `globals()["K"]`, `pandas.eval("K + 1")`."""

from __future__ import annotations

import builtins
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any

from nbflow.identity.called import taken_by
from nbflow.identity.nested import nested_code
from nbflow.identity.reach import Reach
from nbflow.identity.texts import named_in, reads_names
from nbflow.lean import pattern

if TYPE_CHECKING:
    import dis
    from collections.abc import Iterable, Iterator, Sequence
    from types import FunctionType

# By the last part of how they are called; what they are is looked at in the function that calls them.
READERS = frozenset({"eval", "exec", "globals", "evaluate"})
_OWN = frozenset({"eval", "exec", "globals"})
_LIBRARIES = frozenset({("pandas", "eval"), ("numexpr", "evaluate"), *(("builtins", name) for name in _OWN)})
_WORD = pattern(r"[^\W\d]\w*")
_PLACE = pattern(r"(?:[{(]\s*|\$\{?)([^\W\d]\w*)")
# A table of texts is short; what is longer is data.
_MOST_TEXTS = 100
_METHODS = frozenset({"LOAD_ATTR", "LOAD_METHOD"})
_USES = ("CALL", "BINARY_SUBSCR", "CONTAINS_OP")


def with_asked(fn: FunctionType, reaches: Sequence[Reach]) -> Iterator[Reach]:
    """Paths, and what texts name that Python or a known library reads: those in the code, and in globals it uses."""
    texts: list[str] | None = None
    for reach in reaches:
        yield reach
        if reach.asked is None or not reads_texts(fn, reach):
            continue
        yield from reach.asked
        if reach.any_of is not None:
            texts = texts if texts is not None else list(_texts_in(fn, reaches))
            yield from (Reach((word,), guessed=True) for word in words_in(texts, fn.__code__, reach.any_of))
    called = {name for code in (fn.__code__, *nested_code(fn.__code__)) for name in code.co_names}
    if reads_names(called):
        texts = texts if texts is not None else list(_texts_in(fn, reaches))
        yield from (Reach((name,), guessed=True) for name in named_in(called, texts))


def _texts_in(fn: FunctionType, reaches: Sequence[Reach]) -> Iterator[str]:
    """The texts that a function uses as globals, also those in a short list or table."""
    for reach in reaches:
        value: Any = fn.__globals__.get(reach.names[0]) if reach.module is None else None
        parts: Sequence[Any] = (
            list(value.values()) if type(value) is dict else value if type(value) in {list, tuple} else [value]
        )
        if len(parts) <= _MOST_TEXTS:
            yield from (part for part in parts if type(part) is str)


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
    if taker.opname == "BINARY_OP" and taker.argrepr != "[]":
        return None, False
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


def words_in(texts: Iterable[str], code: CodeType, any_of: str) -> list[str]:
    """The names in texts that may be asked for, but for the variables of the code that asks, in alphabetical order.

    any_of: "names" for texts that are a name and no more, "words" for all, "places" for what text with places to fill
    in, such as "{K}", or Python names.
    """
    found: set[str] = set()
    for text in texts:
        if text.isidentifier():
            found.add(text)
        elif any_of == "words" or (any_of == "places" and compiled(text) is not None):
            found.update(_WORD.findall(text))
        elif any_of == "places":
            found.update(_PLACE.findall(text))
    return sorted(found.difference(code.co_varnames, code.co_cellvars))


def texts_in(code: CodeType) -> Iterator[str]:
    """The texts among the constants of a code object and of all inside it."""
    todo: list[object] = list(code.co_consts)
    while todo:
        match todo.pop():
            case str() as text:
                yield text
            case tuple() | frozenset() as several:
                todo.extend(several)
            case CodeType() as inside:
                todo.extend(inside.co_consts)


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
