"""The names that imports in a body bind, and where they lead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow.identity.reach import Reach

if TYPE_CHECKING:
    import dis
    from collections.abc import Iterator

_STORES = frozenset({"STORE_FAST", "STORE_DEREF", "STORE_NAME", "STORE_GLOBAL"})


def bound_by_import(instructions: list[dis.Instruction], at: int) -> Iterator[tuple[str, Reach]]:
    """The names that one import statement in a body binds, and where they lead."""
    module = instructions[at].argval
    level, wanted = instructions[at - 2].argval, instructions[at - 1].argval
    if wanted is None:
        names, dotted = _as_names(instructions, at)
        top = module.split(".")[0]
        yield (names, Reach((), module if dotted else top, 0))
        return
    position = at + 1
    while position < len(instructions) and instructions[position].opname == "IMPORT_FROM":
        name = instructions[position].argval
        stored = stored_name(instructions[position + 1])
        if stored is not None:
            yield stored, Reach((name,), module, level)
        position += 2


def _as_names(instructions: list[dis.Instruction], at: int) -> tuple[str, bool]:
    """The name that `import a.b` or `import a.b as c` binds, and whether it is bound to the module at the end."""
    dotted = False
    for instruction in instructions[at + 1 :]:
        if instruction.opname == "IMPORT_FROM":
            dotted = True
        stored = stored_name(instruction)
        if stored is not None:
            return stored, dotted or "." not in instructions[at].argval
    return "", False


def stored_name(instruction: dis.Instruction) -> str | None:
    """The variable that an instruction binds; from 3.13 on one may bind a variable and load another."""
    if instruction.opname in _STORES:
        name: str = instruction.argval
        return name
    return instruction.argval[0] if instruction.opname.startswith("STORE_FAST_") else None
