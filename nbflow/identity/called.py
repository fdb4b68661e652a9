"""What becomes of what code loads: whether it is called there, and nothing else. Where that is not plain: no."""

from __future__ import annotations

import dis
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_PAIR = 2  # a callable and the place beside it, which is empty or holds `self`
_MOST_STEPS = 2_000
_CONDITIONAL = ("POP_JUMP", "JUMP_IF")


def is_called(instructions: Sequence[dis.Instruction], at: int, chain_length: int) -> bool:
    """Whether the value loaded at a place, or an attribute taken from it right there, is only called.

    instructions: without caches. chain_length: how many attribute loads follow the load.
    """
    behind = _pushed_to_be_called(instructions, at, chain_length)
    return behind is not None and _call_takes_it(instructions, behind)


def taken_by(instructions: Sequence[dis.Instruction], at: int) -> dis.Instruction | None:
    """The instruction that takes what the one at a place leaves on the stack; None where that is not plain."""
    height = 1
    for instruction in instructions[at + 1 : at + _MOST_STEPS]:
        pops = _pops(instruction)
        if pops is None or pops >= height:
            return instruction if pops is not None else None
        height += _effect(instruction, jumps=False)
    return None


def _pushed_to_be_called(instructions: Sequence[dis.Instruction], at: int, chain_length: int) -> int | None:
    """The place behind the instructions that push a callable with the place beside it; None for any other load."""
    last = at + chain_length
    instruction = instructions[last]
    if instruction.opname == "LOAD_METHOD":
        return last + 1
    if instruction.opname == "LOAD_GLOBAL" or (instruction.opname == "LOAD_ATTR" and sys.version_info >= (3, 12)):
        return last + 1 if (instruction.arg or 0) & 1 else None
    if chain_length:
        return None
    if sys.version_info >= (3, 13):
        return at + 2 if at + 1 < len(instructions) and instructions[at + 1].opname == "PUSH_NULL" else None
    return at + 1 if at > 0 and instructions[at - 1].opname == "PUSH_NULL" else None


def _call_takes_it(instructions: Sequence[dis.Instruction], at: int) -> bool:
    """Follows one way through the code, until something takes the pair from the stack: is it a call of it?"""
    places = {instruction.offset: place for place, instruction in enumerate(instructions)}
    height = _PAIR
    for _ in range(_MOST_STEPS):
        if at >= len(instructions):
            return False
        instruction = instructions[at]
        arguments = _arguments(instruction)
        if arguments is not None and height == _PAIR + arguments:
            return True
        pops = _pops(instruction)
        if pops is None or height - pops < _PAIR:
            return False
        # A loop in an argument is over at once; of two ways in an argument the first is gone.
        jumps = instruction.opname in {"FOR_ITER", "JUMP_FORWARD"}
        height += _effect(instruction, jumps=jumps)
        target = places.get(instruction.argval) if jumps else at + 1
        if target is None:
            return False
        at = target
    return False


def _arguments(instruction: dis.Instruction) -> int | None:
    """How many values a call takes besides the callable and what stands beside it; None for anything else."""
    count = instruction.arg or 0
    return {
        "CALL": count,
        "CALL_KW": count + 1,
        "CALL_FUNCTION_EX": 1 + (count & 1),
    }.get(instruction.opname)


def _effect(instruction: dis.Instruction, *, jumps: bool) -> int:
    arguments = _arguments(instruction)
    if arguments is not None:
        return 1 - _PAIR - arguments
    if instruction.opname == "PRECALL":
        return 0  # the CALL behind it takes everything
    argument = instruction.arg if instruction.opcode >= dis.HAVE_ARGUMENT else None
    return dis.stack_effect(instruction.opcode, argument, jump=jumps)


def _pops(instruction: dis.Instruction) -> int | None:
    """How many values an instruction takes from the stack; None where that is not known here."""
    name, argument = instruction.opname, instruction.arg or 0
    arguments = _arguments(instruction)
    if arguments is not None:
        return _PAIR + arguments
    if name.startswith(_CONDITIONAL):
        return 1
    if name in _COUNTED:
        return _COUNTED[name](argument)
    return _FIXED.get(name)


_COUNTED: dict[str, Callable[[int], int]] = {
    "BUILD_LIST": lambda n: n,
    "BUILD_TUPLE": lambda n: n,
    "BUILD_SET": lambda n: n,
    "BUILD_STRING": lambda n: n,
    "BUILD_SLICE": lambda n: n,
    "BUILD_MAP": lambda n: 2 * n,
    "BUILD_CONST_KEY_MAP": lambda n: n + 1,
    "MAKE_FUNCTION": lambda flags: 1 + (flags & 15).bit_count(),
    "FORMAT_VALUE": lambda flags: 2 if flags & 4 else 1,
    "SWAP": lambda n: n,
}
_FIXED = (
    dict.fromkeys(
        (
            "LOAD_CONST", "LOAD_FAST", "LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF", "LOAD_CLOSURE", "LOAD_CLASSDEREF",
            "LOAD_FAST_CHECK", "LOAD_FAST_AND_CLEAR", "LOAD_FAST_LOAD_FAST", "LOAD_FROM_DICT_OR_GLOBALS", "PUSH_NULL",
            "PRECALL", "KW_NAMES", "JUMP_FORWARD", "COPY", "NOP", "RETURN_GENERATOR",
        ),
        0,
    )
    | dict.fromkeys(
        (
            "LOAD_ATTR", "LOAD_METHOD", "UNARY_NOT", "UNARY_NEGATIVE", "UNARY_INVERT", "UNARY_POSITIVE", "TO_BOOL",
            "GET_ITER", "FOR_ITER", "LIST_EXTEND", "SET_UPDATE", "DICT_UPDATE", "DICT_MERGE", "LIST_APPEND", "SET_ADD",
            "LIST_TO_TUPLE", "CALL_INTRINSIC_1", "FORMAT_SIMPLE", "CONVERT_VALUE", "STORE_FAST", "STORE_DEREF",
            "POP_TOP",
        ),
        1,
    )
    | dict.fromkeys(
        (
            "BINARY_OP", "BINARY_SUBSCR", "COMPARE_OP", "IS_OP", "CONTAINS_OP", "MAP_ADD", "FORMAT_WITH_SPEC",
            "SET_FUNCTION_ATTRIBUTE", "END_FOR", "DELETE_SUBSCR",
        ),
        2,
    )
    | {"BINARY_SLICE": 3, "STORE_SUBSCR": 3}
)  # fmt: skip
