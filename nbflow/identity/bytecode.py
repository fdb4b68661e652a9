"""A code object in a form that only its meaning decides: no positions, no names of local variables."""

from __future__ import annotations

import dis
import inspect
from types import CodeType
from typing import TYPE_CHECKING, Any

from xxhash import xxh3_128_digest

from nbflow.identity.asked import READERS, compiled, is_alone, text_given, texts_in, words_in
from nbflow.identity.called import is_called
from nbflow.identity.encoding import atom_id, framed, set_id, tuple_id
from nbflow.identity.imported import bound_by_import, stored_name
from nbflow.identity.nested import nested_code
from nbflow.identity.reach import Reach
from nbflow.identity.texts import names_in_texts
from nbflow.lean import dataclass, replace

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

# Code that looks at its own variables by name: their names count.
LOOKS_AT_LOCALS = frozenset({"locals", "eval", "exec", "vars", "dir"})
_MASKED_NAMES = frozenset({"__qualname__", "__firstlineno__", "__module__", "__static_attributes__", "__doc__"})
# Set by where a function stands, or whether it has a docstring.
_FLAGS_LEFT_OUT = inspect.CO_NESTED | 0x4000000
_NO_STEPS = frozenset({"NOP", "CACHE", "EXTENDED_ARG"})
_SKIPPED = frozenset({"RESUME", "MAKE_CELL", "COPY_FREE_VARS", "LOAD_CLOSURE"})
# What is done with a task that counts by its name alone: it is called, or mapped.
CALLED_CHAINS = frozenset({(), ("map",), ("product",)})
_CHAIN = frozenset({"LOAD_ATTR", "LOAD_METHOD"})
_GLOBAL = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
_LOADS = ("LOAD_GLOBAL", "LOAD_FAST", "LOAD_DEREF", "LOAD_NAME", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF")


@dataclass(slots=True)
class Meaning:
    """What a code object says.

    digest: 16 bytes; free: its free variables in the order of their first use; called: those of them that are only
    ever called, or whose `map` or `product` is; attributes: all names that it asks values for.
    """

    digest: bytes
    free: tuple[str, ...]
    reaches: tuple[Reach, ...]
    called: frozenset[str]
    attributes: frozenset[str]


def meaning_of(code: CodeType) -> Meaning:
    """The meaning of a function's code and of all code inside it."""
    numbers = _Numbers(code.co_freevars, None)
    listing = _listed(code)
    digest = _encode(listing, numbers)
    free = tuple(sorted(code.co_freevars, key=lambda name: numbers.number(name)[1]))
    called = frozenset(free) - frozenset(_used_otherwise(listing))
    attributes = frozenset(name for each in (code, *nested_code(code)) for name in each.co_names)
    return Meaning(digest, free, tuple(dict.fromkeys(_reaches(listing, {}, code))), called, attributes)


def reaches_of(code: CodeType) -> tuple[Reach, ...]:
    """The global paths that a function's code and all code inside it use; remembered."""
    known = _REACHES.get(id(code))
    if known is None or known[0] is not code:
        known = _REACHES[id(code)] = (code, tuple(dict.fromkeys(_reaches(_listed(code), {}, code))))
    return known[1]


def same_code(one: CodeType, other: CodeType) -> bool:
    """Whether two code objects do the same; positions do not count."""
    return (
        one.co_code == other.co_code
        and one.co_names == other.co_names
        and one.co_varnames == other.co_varnames
        and one.co_freevars == other.co_freevars
        and one.co_cellvars == other.co_cellvars
        and one.co_exceptiontable == other.co_exceptiontable
        and len(one.co_consts) == len(other.co_consts)
        and all(_same_constant(a, b) for a, b in zip(one.co_consts, other.co_consts, strict=True))
    )


def _same_constant(one: Any, other: Any) -> bool:
    if isinstance(one, CodeType) and isinstance(other, CodeType):
        return same_code(one, other)
    return type(one) is type(other) and _constant(one) == _constant(other)


@dataclass(frozen=True, slots=True)
class _Listing:
    """A code object and its instructions, read once. inside: the listings of the code in it, by constant number."""

    code: CodeType
    instructions: list[dis.Instruction]
    inside: dict[int, _Listing]


def _listed(code: CodeType) -> _Listing:
    instructions = [each for each in dis.get_instructions(code) if each.opname not in _NO_STEPS]
    inside = {i: _listed(each) for i, each in enumerate(code.co_consts) if isinstance(each, CodeType)}
    return _Listing(code, instructions, inside)


def _encode(listing: _Listing, own: _Numbers) -> bytes:
    """16 bytes. own: the numbers of its variables, filled here."""
    code = listing.code
    parameters = code.co_varnames[: _parameter_count(code)]
    for name in parameters:
        own.number(name)
    instructions = [each for each in listing.instructions if each.opname not in _SKIPPED]
    position = {instruction.offset: at for at, instruction in enumerate(instructions)}
    parts = [_instruction(listing, instructions, at, own, position) for at in range(len(instructions))]
    by_name = not LOOKS_AT_LOCALS.isdisjoint(code.co_names) or any(names_in_texts(code))
    names = code.co_varnames + code.co_cellvars if by_name else ()
    header = (parameters, code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, names)
    flags = code.co_flags & ~_FLAGS_LEFT_OUT
    return framed("code", repr((header, flags)).encode(), b"".join(parts), _exceptions(code, instructions, position))


class _Numbers:
    """Numbers the variables of one code object by their first use; free ones are numbered where they belong."""

    def __init__(self, free: tuple[str, ...], around: _Numbers | None) -> None:
        self._free = frozenset(free)
        self._around = around
        self.known: dict[str, int] = {}

    def number(self, name: str) -> tuple[int, int]:
        """How many functions further out a variable belongs, and its number there."""
        if name in self._free and self._around is not None:
            up, number = self._around.number(name)
            return up + 1, number
        return 0, self.known.setdefault(name, len(self.known))


def _instruction(
    listing: _Listing, instructions: list[dis.Instruction], at: int, own: _Numbers, position: dict[int, int]
) -> bytes:
    code, instruction = listing.code, instructions[at]
    argument: Any = instruction.arg
    operation = instruction.opcode
    if operation in dis.haslocal or operation in dis.hasfree:
        if instruction.opname == "LOAD_FAST" and instruction.argval in (code.co_cellvars + code.co_freevars):
            return b""  # how 3.13 hands a cell to a nested function, which counts it itself
        names = instruction.argval if isinstance(instruction.argval, tuple) else (instruction.argval,)
        argument = tuple(own.number(name) for name in names)
    elif operation in dis.hasconst:
        following = instructions[at + 1] if at + 1 < len(instructions) else None
        masked = following is not None and following.opname == "STORE_NAME" and following.argval in _MASKED_NAMES
        argument = b"masked" if masked else _loaded_constant(listing, argument, own)
    elif operation in dis.hasname:
        argument = (instruction.argval, (instruction.arg or 0) & 1)
    elif operation in dis.hasjrel or operation in dis.hasjabs:
        argument = _target(instruction.argval, position, instructions)
    return repr((instruction.opname, argument)).encode()


def _loaded_constant(listing: _Listing, number: int, around: _Numbers) -> bytes:
    inside = listing.inside.get(number)
    if inside is not None:
        return _encode(inside, _Numbers(inside.code.co_freevars, around))
    # By number: on 3.11, dis does not tell the names of keyword arguments, which are constants, too.
    return _constant(listing.code.co_consts[number])


def _target(offset: int, position: dict[int, int], instructions: list[dis.Instruction]) -> int:
    """The place of the first instruction at or behind an offset: one that was left out may stand there."""
    if offset in position:
        return position[offset]
    return next((at for at, each in enumerate(instructions) if each.offset >= offset), len(instructions))


def _exceptions(code: CodeType, instructions: list[dis.Instruction], position: dict[int, int]) -> bytes:
    rows = [
        (*tuple(_target(offset, position, instructions) for offset in (e.start, e.end, e.target)), e.depth, e.lasti)
        for e in dis._parse_exception_table(code)  # type: ignore[attr-defined]  # the only reader of this table there is
    ]
    return repr(rows).encode()


def _constant(value: Any) -> bytes:
    """A constant with its type: 1, True, 1.0 and "1" differ, and the order of a set does not matter."""
    if isinstance(value, tuple):
        return tuple_id(_constant(each) for each in value)
    if isinstance(value, frozenset):
        return set_id((_constant(each) for each in value), frozen=True)
    return atom_id(value) or xxh3_128_digest(f"{type(value).__name__} {value!r}".encode())


def _parameter_count(code: CodeType) -> int:
    stars = bool(code.co_flags & inspect.CO_VARARGS) + bool(code.co_flags & inspect.CO_VARKEYWORDS)
    return code.co_argcount + code.co_kwonlyargcount + stars


def _reaches(listing: _Listing, around: dict[str, tuple[Reach, ...]], whole: CodeType) -> Iterator[Reach]:
    """The global paths of a code object and of all inside it.

    around: names that imports bound further out. whole: the code that it is a part of.
    """
    instructions = listing.instructions
    own: dict[str, tuple[Reach, ...]] = {}
    for at, instruction in enumerate(instructions):
        if instruction.opname == "IMPORT_NAME":
            for name, reach in bound_by_import(instructions, at):
                # Two branches may import the same name from two places: both count.
                own[name] = (*own.get(name, ()), reach)
    imported = {**around, **own}
    for at, instruction in enumerate(instructions):
        chain = tuple(_chain(instructions, at + 1))
        if instruction.opname in _GLOBAL and instruction.argval not in imported:
            called, text = is_called(instructions, at, len(chain)), _asked_for(instructions, at, len(chain))
            path = (instruction.argval, *chain)
            yield Reach(path, called=called, text=text, **_asked(listing, at, path, whole))
        for name in _loaded_locals(listing.code, instruction):
            for origin in imported.get(name, ()):
                called = is_called(instructions, at, len(chain))
                text = _asked_for(instructions, at, len(chain))
                path = (*origin.names, *chain)
                asked = _asked(listing, at, path[-1 - len(chain) :], whole)
                yield Reach(path, origin.module, origin.level, called, text, **asked)
    for name in names_in_texts(listing.code):
        yield Reach((name,), guessed=True)
    for inside in listing.inside.values():
        yield from _reaches(inside, imported, whole)


def _asked_for(instructions: list[dis.Instruction], at: int, length: int) -> str | None:
    """The text that stands right behind a path, as an index or first argument, or before it and `in`."""
    end = at + length + 1
    if end < len(instructions) and instructions[end].opname == "PUSH_NULL":
        end += 1
    following = instructions[end] if end < len(instructions) else None
    if following is not None and following.opname in {"CONTAINS_OP", "COPY", "SWAP"} and at:
        following = instructions[at - 1]
    if following is None or following.opname != "LOAD_CONST" or not isinstance(following.argval, str):
        return None
    return following.argval


def _asked(listing: _Listing, at: int, path: tuple[str, ...], whole: CodeType) -> dict[str, Any]:
    """What a text names that a reader of texts gets. path: from what is loaded at a place to the reader."""
    if not path or path[-1] not in READERS:
        return {}
    instructions, behind = listing.instructions, at + len(path)
    text, unseen = text_given(instructions, behind, path[-1])
    # What the function itself binds before hides a global of that name.
    hidden = {name for each in instructions[:at] if (name := stored_name(each)) is not None}
    hidden.update(listing.code.co_varnames[: _parameter_count(listing.code)])
    any_of = None
    if text is None:
        any_of = "words" if path[-1] != "globals" else "names" if unseen else "places"
        words = words_in(texts_in(whole), whole, any_of)
        found: Iterable[Reach] = (Reach((name,)) for name in words if name not in hidden)
    elif path[-1] == "globals":
        found = [Reach((text,))] if text else []
    else:
        found = _in_text(text, hidden if is_alone(instructions, behind) else set())
    return {"asked": tuple(replace(each, guessed=True) for each in found), "any_of": any_of, "unseen": unseen}


def _in_text(text: str, hidden: Collection[str]) -> Iterator[Reach]:
    code = compiled(text)
    if code is None:
        return
    listing = _listed(code)
    first: dict[str, bool] = {}
    for each in listing.instructions:
        if each.opname in {"LOAD_NAME", "STORE_NAME"}:
            first.setdefault(each.argval, each.opname == "STORE_NAME")
    for reach in _reaches(listing, {}, code):
        if reach.module is not None or not (reach.names[0] in hidden or first.get(reach.names[0])):
            yield reach


def _used_otherwise(listing: _Listing) -> Iterator[str]:
    """The free variables of a code object, and of all inside it, that are not only called."""
    instructions = listing.instructions
    for at, instruction in enumerate(instructions):
        if instruction.opname in {"LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"}:
            chain = tuple(_chain(instructions, at + 1))
            if chain not in CALLED_CHAINS or not is_called(instructions, at, len(chain)):
                yield instruction.argval
        elif instruction.opname in {"STORE_DEREF", "DELETE_DEREF"}:
            yield instruction.argval
    for inside in listing.inside.values():
        yield from _used_otherwise(inside)


def _loaded_locals(code: CodeType, instruction: dis.Instruction) -> tuple[str, ...]:
    """The local variables whose values an instruction loads; handing a cell to a nested function is no use of it."""
    if instruction.opname == "STORE_FAST_LOAD_FAST":
        return (instruction.argval[1],)
    if not instruction.opname.startswith(_LOADS):
        return ()
    names = instruction.argval if isinstance(instruction.argval, tuple) else (instruction.argval,)
    cells = code.co_cellvars + code.co_freevars if instruction.opname == "LOAD_FAST" else ()
    return tuple(name for name in names if name not in cells)


def _chain(instructions: list[dis.Instruction], at: int) -> Iterator[str]:
    while at < len(instructions) and instructions[at].opname in _CHAIN:
        yield instructions[at].argval
        at += 1


# By the id of a code object, which is held here, so that the id stays its own.
_REACHES: dict[int, tuple[CodeType, tuple[Reach, ...]]] = {}
