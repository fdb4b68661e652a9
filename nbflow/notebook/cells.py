"""What a cell reads and what it gives: its names, found without running it."""

from __future__ import annotations

import ast
import builtins
from typing import TYPE_CHECKING

from nbflow.lean import dataclass
from nbflow.notebook.magic_text import read_magic
from nbflow.notebook.scopes import Scope, awaits, names_inside, postpones, walrus_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

# What IPython puts into every namespace.
SHELL_NAMES = frozenset({"In", "Out", "exit", "quit", "get_ipython", "open"})
BUILTINS = frozenset(dir(builtins))
# Names through which code reaches variables that it does not show; line magics become calls of get_ipython.
_DYNAMIC = frozenset({"eval", "exec", "globals", "locals", "vars", "get_ipython"})
_Pattern = ast.MatchAs | ast.MatchStar | ast.MatchMapping


@dataclass(frozen=True, slots=True)
class CellNames:
    """The names of a cell at its top level; tuples are in the order of first use.

    reads: read before the cell assigns them, also by the functions and classes in it; builtins are among them.
    assigned: have another value after the cell; imported, defined and looped: those among them that only imports,
    functions and classes, and `for` statements bind. caught: those that an `except … as` may delete. local: all
    that the cell binds or deletes at any point. mutated: changed by `x[...] = …` or `x.attr = …`, and never bound here.
    global_writes: those assigned by functions in the cell, which declare them `global`. star_imports: modules.
    in_magics: names in the text of shell commands and magics that the cell does not bind before; lost_in_magics:
    (name, magic) for what magics assign, for themselves.
    """

    reads: tuple[str, ...]
    assigned: tuple[str, ...]
    imported: frozenset[str]
    defined: frozenset[str]
    looped: frozenset[str]
    caught: frozenset[str]
    local: frozenset[str]
    mutated: tuple[str, ...]
    global_writes: tuple[str, ...]
    star_imports: tuple[str, ...]
    in_magics: tuple[str, ...]
    lost_in_magics: tuple[tuple[str, str], ...]
    uses_dynamic: bool
    awaits: bool

    @property
    def outputs(self) -> tuple[str, ...]:
        """The public names that are results: no imports, functions, loop variables."""
        others = self.imported | self.defined | self.looped
        own = [name for name in self.assigned if name in self.local and name not in others | self.caught]
        return tuple(name for name in own if not name.startswith("_"))


def read_cell(tree: ast.Module) -> CellNames:
    """The names of a cell. Raises nothing, also for a tree that does not compile.

    A name that one of several branches assigns counts as assigned behind them. What a function reads is looked up
    where the cell first uses the function, as Python does.

    >>> names = read_cell(ast.parse("total = price * count"))
    >>> names.reads, names.assigned
    (('price', 'count'), ('total',))
    """
    walk = _Walk(postponed=postpones(tree.body))
    walk.visit_all(tree.body)
    walk.finish()
    return CellNames(
        reads=tuple(walk.reads),
        assigned=tuple(dict.fromkeys([*(name for name in walk.kinds if name in walk.now), *walk.global_writes])),
        imported=walk.only("imported"),
        defined=walk.only("defined"),
        looped=walk.only("looped"),
        caught=frozenset(walk.caught),
        local=frozenset(walk.kinds),
        mutated=tuple(name for name in walk.mutated if name not in walk.kinds),
        global_writes=tuple(walk.global_writes),
        star_imports=tuple(walk.star_imports),
        in_magics=tuple(walk.in_magics),
        lost_in_magics=tuple(walk.lost_in_magics.items()),
        uses_dynamic=not _DYNAMIC.isdisjoint(walk.reads),
        awaits=any(awaits(statement) for statement in tree.body),
    )


class _Walk(ast.NodeVisitor):
    """Goes through the statements of a cell in the order in which they run."""

    def __init__(self, *, postponed: bool) -> None:
        self._postponed = postponed  # annotations are never evaluated
        self.now: set[str] = set()  # names that the cell has given a value, up to here
        self.kinds: dict[str, set[str]] = {}  # how each name of the cell is bound
        self.caught: set[str] = set()  # names that an exception may have taken, up to here
        self.reads: dict[str, None] = {}
        self.mutated: dict[str, None] = {}
        self.global_writes: dict[str, None] = {}
        self.star_imports: dict[str, None] = {}
        self.in_magics: dict[str, None] = {}
        self.lost_in_magics: dict[str, str] = {}
        self._later: dict[str, tuple[str, ...]] = {}  # a definition -> what its body reads once it is used
        self._unused: dict[str, None] = {}  # what the bodies of definitions read that the cell did not use
        self._used: set[str] = set()

    def visit(self, node: ast.AST) -> None:
        # A stack, not recursion: a sum of a thousand terms is a tree of a thousand levels.
        todo = [node]
        while todo:
            each = todo.pop()
            if isinstance(each, ast.Call):
                self._note_magic(each)
            if isinstance(each, ast.Call | ast.Subscript):
                self._load_all(_named_by_text(each))
            handle = getattr(self, f"visit_{type(each).__name__}", None)
            if handle is not None:
                handle(each)
            else:
                todo.extend(reversed(list(ast.iter_child_nodes(each))))

    def visit_all(self, nodes: Iterable[ast.AST]) -> None:
        for node in nodes:
            self.visit(node)

    def finish(self) -> None:
        """Definitions that the cell does not use will be used later."""
        for name in list(self._later):
            self._forget(name)
        self._load_all(self._unused)

    def only(self, kind: str) -> frozenset[str]:
        return frozenset(name for name, kinds in self.kinds.items() if name in self.now and kinds == {kind})

    # Names

    def _load(self, name: str) -> None:
        todo, seen = [name], set[str]()
        while todo:
            each = todo.pop()
            if each in self.now and each not in seen:
                self._used.add(each)
                todo.extend(reversed(self._later.get(each, ())))
            elif each not in self.now:
                self.reads.setdefault(each)
            seen.add(each)

    def _load_all(self, names: Iterable[str]) -> None:
        for name in names:
            self._load(name)

    def _bind(self, name: str, kind: str) -> None:
        self._forget(name)
        self.now.add(name)
        self.caught.discard(name)
        self.kinds.setdefault(name, set()).add(kind)

    def _unbind(self, name: str) -> None:
        self._forget(name)
        self.now.discard(name)
        self.kinds.setdefault(name, set())

    def _forget(self, name: str) -> None:
        """A definition's name ends here; the function may live on, such as one that a decorator registered."""
        body = self._later.pop(name, ())
        if name not in self._used:
            self._unused.update(dict.fromkeys(body))
        self._used.discard(name)

    def _store(self, target: ast.AST, kind: str = "assigned") -> None:
        match target:
            case ast.Name(id=name):
                self._bind(name, kind)
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                for part in parts:
                    self._store(part, kind)
            case ast.Starred(value=part):
                self._store(part, kind)
            case _:
                self._change_part(target)

    def _note_magic(self, call: ast.Call) -> None:
        text = read_magic(call)
        if text is not None:
            self._load_all(name for name in text.reads if name in self.now)
            self.in_magics.update(dict.fromkeys(name for name in text.reads if name not in self.now))
            self.lost_in_magics.update(dict.fromkeys(text.assigned, text.magic))

    def _change_part(self, target: ast.AST) -> None:
        """`x[...] = …` and `x.attr = …` read x."""
        root = target
        while isinstance(root, ast.Attribute | ast.Subscript):
            root = root.value
        if isinstance(root, ast.Name):
            self.mutated.setdefault(root.id)
        self.visit_all(ast.iter_child_nodes(target))

    def visit_Name(self, node: ast.Name) -> None:
        self._load(node.id)

    # Statements

    def visit_Assign(self, node: ast.Assign) -> None:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Lambda() as value):
                self._define(name, value, "assigned")
            case _:
                self.visit(node.value)
                for target in node.targets:
                    self._store(target)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self._load(node.target.id)
        self.visit(node.value)
        self._store(node.target)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if not self._postponed:
            self.visit(node.annotation)
        if node.value is not None:
            self.visit(node.value)
            self._store(node.target)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        self._store(node.target)

    def visit_TypeAlias(self, node: ast.AST) -> None:
        """`type X = …`, of Python 3.12; what stands on its right side is evaluated when it is asked for."""
        self._store(node.name)  # type: ignore[attr-defined]  # the type checker reads this as Python 3.11

    def visit_Delete(self, node: ast.Delete) -> None:
        for target in node.targets:
            if isinstance(target, ast.Name):
                self._load(target.id)
                self._unbind(target.id)
            else:
                self._change_part(target)

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self.visit(node.iter)
        self._store(node.target, "looped")
        self.visit_all([*node.body, *node.orelse])

    def visit_withitem(self, node: ast.withitem) -> None:
        self.visit(node.context_expr)
        if node.optional_vars is not None:
            self._store(node.optional_vars)

    def visit_If(self, node: ast.If) -> None:
        self.visit(node.test)
        self._branches(node.body, node.orelse)

    def visit_Try(self, node: ast.Try | ast.TryStar) -> None:
        self.visit_all(node.body)
        self._branches(node.orelse, *([handler] for handler in node.handlers))
        self.visit_all(node.finalbody)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.type is not None:
            self.visit(node.type)
        if node.name:
            self._bind(node.name, "caught")
        self.visit_all(node.body)
        if node.name:
            self._unbind(node.name)
            self.caught.add(node.name)

    def visit_Match(self, node: ast.Match) -> None:
        self.visit(node.subject)
        self._branches([], *([case] for case in node.cases))

    def visit_MatchAs(self, node: _Pattern) -> None:
        self.visit_all(ast.iter_child_nodes(node))
        name = node.rest if isinstance(node, ast.MatchMapping) else node.name
        if name is not None:
            self._bind(name, "assigned")

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            if alias.name != "*":
                self._bind(alias.asname or alias.name.split(".")[0], "imported")
            elif isinstance(node, ast.ImportFrom):
                self.star_imports.setdefault("." * node.level + (node.module or ""))

    def _branches(self, *blocks: Sequence[ast.AST]) -> None:
        """Blocks of which one runs: each starts from here, and what any of them assigns is assigned."""
        before, after = self.now, set[str]()
        for block in blocks:
            self.now = set(before)
            self.visit_all(block)
            after |= self.now
        self.now = after

    # Scopes inside

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        self._define(node.name, node, "defined")

    def visit_Lambda(self, node: Scope) -> None:
        inner = names_inside(node, postponed=self._postponed)
        self._load_all({**inner.at_once, **inner.later})
        self.global_writes.update(inner.global_writes)
        for name in walrus_names(node):
            self._bind(name, "assigned")

    def _define(self, name: str, scope: Scope, kind: str) -> None:
        inner = names_inside(scope, postponed=self._postponed)
        for each in ast.walk(scope):
            if isinstance(each, ast.Call) and (text := read_magic(each)) is not None:
                self.in_magics.update(dict.fromkeys(text.reads))
        self._load_all(inner.at_once)
        self.global_writes.update(inner.global_writes)
        self._bind(name, kind)
        self._later[name] = tuple(inner.later)

    visit_AsyncFor = visit_For  # noqa: N815 (named after the class of the node, as ast wants it; also below)
    visit_TryStar = visit_Try  # noqa: N815
    visit_MatchStar = visit_MatchMapping = visit_MatchAs  # noqa: N815
    visit_ImportFrom = visit_Import  # noqa: N815
    visit_AsyncFunctionDef = visit_ClassDef = visit_FunctionDef  # noqa: N815
    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = visit_Lambda  # noqa: N815


def _named_by_text(node: ast.Call | ast.Subscript) -> Iterator[str]:
    """The names that code asks for by a text and that may be those of its own variables: `eval("K")`, `vars()["K"]`."""
    match node:
        case ast.Call(func=ast.Name(id="eval" | "exec"), args=[ast.Constant(value=str(text))], keywords=[]):
            try:
                yield from read_cell(ast.parse(text.strip())).reads
            except (SyntaxError, ValueError):
                return
        case (
            ast.Subscript(value=ast.Call(func=ast.Name(id="locals" | "vars"), args=[]), slice=ast.Constant(str(name)))
            | ast.Call(
                func=ast.Attribute(value=ast.Call(func=ast.Name(id="locals" | "vars"), args=[]), attr="get"),
                args=[ast.Constant(str(name)), *_],
            )
        ):
            yield name
