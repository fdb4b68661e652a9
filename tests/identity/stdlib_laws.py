"""Laws of code ids over the functions of the standard library; runs on any Python, and prints what it found as JSON.

    python stdlib_laws.py FILES EDITS     every FILES-th file, and every EDITS-th kind of edit of each function there

Reformatting (`ast.unparse`) must change no code id; an edit that changes what a function does must change it.
An edit counts as none, by rule:
  - "not Python": the compiler refuses the edited function;
  - "same bytecode": with all positions equal, the compiler makes the same code of both, as of an edit in dead code;
  - "same but for local names": the same code once local variables are numbered by their first use.
"""

import ast
import collections
import dis
import json
import sys
import sysconfig
import types
import warnings
import zlib
from pathlib import Path

from mutations import mutants

from nbflow.identity import meanings
from nbflow.identity.bytecode import meaning_of
from nbflow.identity.code import CodeIds
from nbflow.identity.nested import nested_code
from nbflow.identity.normal import Normalizer
from nbflow.probe.packages import Packages
from nbflow.probe.sources import Sources


def main(file_share, edit_share):
    warnings.simplefilter("ignore")
    found = {"python": sys.version.split()[0], "files": 0, "functions": 0, "without normal form": 0, "reformatted": []}
    found["edited functions"] = 0
    kinds, excluded, unchanged = collections.Counter(), collections.Counter(), []
    for name, text in library(file_share):
        found["files"] += 1
        count, raw, different = reformatted(text)
        found["functions"] += count
        found["without normal form"] += raw
        found["reformatted"] += [f"{name}: {each}" for each in different]
        for function in functions(ast.parse(text)):
            where = f"{name}:{function.lineno} {function.name}"
            found["edited functions"] += 1
            mutate(function, where, edit_share, kinds, excluded, unchanged)
    found |= {"edits": kinds.total(), "kinds": dict(sorted(kinds.items()))}
    found |= {"excluded": dict(excluded), "unchanged": unchanged}
    print(json.dumps(found, indent=1))


def library(share):
    """(name, text) of the modules of the standard library, without its tests."""
    root = Path(sysconfig.get_path("stdlib"))
    for path in sorted(root.rglob("*.py")):
        inside = path.relative_to(root)
        if {"site-packages", "test", "tests", "idle_test"} & set(inside.parts) or not chosen(str(inside), share):
            continue
        try:
            text = path.read_text()
            ast.parse(text)
        except (SyntaxError, UnicodeDecodeError):
            continue  # lib2to3 keeps files of Python 2
        yield str(inside), text


def chosen(name, share):
    return zlib.crc32(name.encode()) % share == 0


class Text:
    """Stands for Sources: one text under the name of one file."""

    def __init__(self, text):
        self.text, self.parsed = text, ast.parse(text)

    def tree(self, filename):
        return self.text, self.parsed


def reformatted(text):
    """How many functions a text holds, how many of them have no normal form, and which other formatting changes."""
    meanings = [meanings_of(each) for each in (text, ast.unparse(ast.parse(text)))]
    count, raw = len(meanings[0]), sum(not normal for _, normal, _ in meanings[0])
    if count != len(meanings[1]):
        return count, raw, [f"{count} functions became {len(meanings[1])}"]
    return count, raw, [one[0] for one, other in zip(*meanings, strict=True) if one[2] != other[2]]


def meanings_of(text):
    normalizer = Normalizer(Text(text))
    tree = ast.parse(text)
    bounds = {each.name for each in ast.walk(tree) if hasattr(each, "bound") or hasattr(each, "default_value")}
    found = []
    for each in nested_code(compile(text, "text", "exec", dont_inherit=True)):
        normal = normalizer.normal(each)
        if each.co_name == "<generic parameters>" or each.co_name.startswith("<generic parameters of"):
            continue  # no function: what evaluates type parameters
        if each.co_name in bounds:
            continue  # nor is what evaluates the bound or the default of one
        found.append((each.co_qualname, normal is not each, meaning_of(normal)))
    return found


def functions(tree):
    """The functions of a module, also in classes; those inside others count with them."""
    todo = [tree]
    while todo:
        for each in ast.iter_child_nodes(todo.pop()):
            if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield each
            elif not isinstance(each, ast.expr):
                todo.append(each)


def mutate(function, where, share, kinds, excluded, unchanged):
    original = inside(function)
    before = code_id(original)
    plain = told(original)
    for kind, changed in mutants(original, where):
        for mutant in changed if chosen(f"{where} {kind}", share) else ():
            try:
                after = code_id(mutant)
            except (SyntaxError, ValueError):
                excluded["not Python"] += 1
                continue
            if after != before:
                kinds[kind] += 1
                break
            if told(mutant) == plain:
                excluded["same bytecode"] += 1
            elif told(mutant, names=False) == told(original, names=False):
                excluded["same but for local names"] += 1
            else:
                unchanged.append(f"{where}: {kind}")
                break


def inside(function):
    """A module with a function that holds the function: its defaults and decorators are code, too."""
    outer = ast.parse("def outer():\n    pass").body[0]
    outer.body = [function]
    return ast.Module([outer], [])


SOURCES, PACKAGES = Sources(), Packages()


def code_id(tree):
    name = "<a function>"
    namespace = {"__name__": "user_module", "__package__": "user_package"}
    exec(compile(tree, name, "exec", dont_inherit=True), namespace)
    SOURCES.register(name, "", tree)
    # What is kept from plan to plan would keep every edit.
    meanings._MEANINGS.clear()
    return CodeIds(SOURCES, PACKAGES).identify(namespace["outer"]).id


def told(tree, names=True):
    """Everything that a compiled tree says but for positions; names: with those of local variables."""
    tree = ast.parse(ast.unparse(tree))
    for node in ast.walk(tree):
        if hasattr(node, "lineno"):
            node.lineno = node.end_lineno = 1
            node.col_offset = node.end_col_offset = 0
    return _told(compile(tree, "x", "exec", dont_inherit=True), names)


def _told(value, names):
    if isinstance(value, tuple):
        return [_told(each, names) for each in value]
    if not isinstance(value, types.CodeType):
        return type(value).__name__, sorted(map(repr, value)) if isinstance(value, frozenset) else repr(value)
    local = {name: f"local {i}" for i, name in enumerate(_first_use(value))}
    numbered = lambda each: tuple(local.get(name, name) for name in each) if not names else each
    return [
        [(each.opname, _argument(value, each, local, names)) for each in dis.get_instructions(value)],
        [_told(each, names) for each in value.co_consts if isinstance(each, types.CodeType)],
        value.co_exceptiontable,
        (value.co_flags, value.co_argcount, value.co_posonlyargcount, value.co_kwonlyargcount),
        value.co_varnames[: value.co_argcount + value.co_kwonlyargcount],
        numbered(value.co_freevars),
    ]


def _first_use(code):
    return dict.fromkeys(
        name
        for each in dis.get_instructions(code)
        if each.opcode in dis.haslocal
        for name in (each.argval if isinstance(each.argval, tuple) else (each.argval,))
    )


def _argument(code, instruction, local, names):
    if instruction.opcode in dis.hasconst:
        constant = code.co_consts[instruction.arg]  # before 3.13, dis does not know the names of keyword arguments
        return "code" if isinstance(constant, types.CodeType) else _told(constant, names)
    if instruction.opcode in dis.haslocal and not names:
        each = instruction.argval if isinstance(instruction.argval, tuple) else (instruction.argval,)
        return [local[name] for name in each]
    return repr(instruction.argval)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
