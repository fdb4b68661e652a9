"""Edits of a function's syntax tree that change what it does, one small edit at a time.

Each kind of edit is a function that takes a node and yields edits: calls that change the tree in place.
"""

import ast
import builtins
import copy
import itertools
import pickle
import zlib

OTHER = "other_name"


def mutants(tree, seed):
    """For each kind of edit that a tree allows: its name, and copies of the tree with one such edit each.

    seed: decides which of the places for an edit comes first.
    """
    blob = pickle.dumps(tree)
    nodes = list(_counting(tree.body[0]))
    for kind in KINDS:
        count = sum(1 for node in nodes for _ in KINDS[kind](node))
        if count:
            first = zlib.crc32(f"{seed} {kind}".encode()) % count
            yield kind, (_edited(blob, kind, (first + i) % count) for i in range(count))


def _edited(blob, kind, number):
    tree = pickle.loads(blob)
    edits = (edit for node in _counting(tree.body[0]) for edit in KINDS[kind](node))
    next(itertools.islice(edits, number, None))()
    return ast.fix_missing_locations(tree)


def _counting(tree):
    """The nodes that count for what code does: no annotations and no docstrings."""
    todo = [tree]
    while todo:
        node = todo.pop()
        yield node
        for name, value in ast.iter_fields(node):
            if name in {"annotation", "returns", "type_params", "type_comment"}:
                continue
            children = value if isinstance(value, list) else [value]
            if name == "body" and isinstance(value, list):
                children = value[_docstrings(node) :]
            todo.extend(child for child in reversed(children) if isinstance(child, ast.AST))


def _docstrings(node):
    """How many statements at the head of a body are its docstring: 0 or 1."""
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return 0
    first = node.body[0]
    return int(
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )


def _blocks(node):
    """(statements, number of the first that counts) for every block of a node."""
    for name in ("body", "orelse", "finalbody"):
        block = getattr(node, name, None)
        if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
            yield block, _docstrings(node) if name == "body" else 0


def _statements(node, *kinds):
    for block, first in _blocks(node):
        for i in range(first, len(block)):
            if isinstance(block[i], kinds or ast.stmt):
                yield block, i


def _expressions(node, *kinds):
    """(expression, call that puts another in its place) for the expressions right under a node."""
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns"}:
            continue
        if isinstance(value, kinds):
            yield value, lambda new, name=name: setattr(node, name, new)
        elif isinstance(value, list):
            for i, each in enumerate(value):
                if isinstance(each, kinds):
                    yield each, lambda new, value=value, i=i: value.__setitem__(i, new)


def _swaps(values, differ=lambda one, other: ast.dump(one) != ast.dump(other)):
    for i in range(len(values) - 1):
        if differ(values[i], values[i + 1]):
            yield lambda i=i: values.__setitem__(slice(i, i + 2), [values[i + 1], values[i]])


def _set(node, **values):
    return lambda: [setattr(node, name, value) for name, value in values.items()]


def swap_arguments(node):
    if isinstance(node, ast.Call):
        yield from _swaps(node.args)


def drop_argument(node):
    if isinstance(node, ast.Call):
        for i in range(len(node.args)):
            yield lambda i=i: node.args.pop(i)


def unpack_argument(node):
    if isinstance(node, ast.Call):
        for i, each in enumerate(node.args):
            starred = isinstance(each, ast.Starred)
            new = each.value if starred else ast.Starred(each, ast.Load())
            yield lambda i=i, new=new: node.args.__setitem__(i, new)


def rename_keyword(node):
    if isinstance(node, ast.Call):
        for each in node.keywords:
            if each.arg is not None:
                yield _set(each, arg=OTHER)


def drop_keyword(node):
    if isinstance(node, ast.Call):
        for i in range(len(node.keywords)):
            yield lambda i=i: node.keywords.pop(i)


def line_into_a_try(node):
    for block, i in _statements(node):
        if i + 1 < len(block) and isinstance(block[i + 1], ast.Try):
            yield lambda block=block, i=i: block[i + 1].body.insert(0, block.pop(i))


def line_out_of_a_try(node):
    for block, i in _statements(node, ast.Try):
        if len(block[i].body) > 1:
            yield lambda block=block, i=i: block.insert(i, block[i].body.pop(0))


def wrap_in_try(node):
    for block, i in _statements(node):
        handler = ast.ExceptHandler(ast.Name("Exception", ast.Load()), None, [ast.Pass()])
        yield lambda block=block, i=i, handler=handler: block.__setitem__(i, ast.Try([block[i]], [handler], [], []))


def constant_type(node):
    if isinstance(node, (ast.JoinedStr, ast.FormattedValue)):
        return
    for each, put in _expressions(node, ast.Constant):
        new = _other_type(each.value)
        if new is not None:
            yield lambda put=put, new=new: put(ast.Constant(new))


def _other_type(value):
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return bool(value) if value in {0, 1} else complex(value) if abs(value) < 2**53 else None
    return str(value) if value is not ... else None


def constant_value(node):
    for each, put in _expressions(node, ast.Constant):
        new = _other_value(each.value)
        if new is not None:
            yield lambda put=put, new=new: put(ast.Constant(new))


def _other_value(value):
    if isinstance(value, (str, bytes)):
        return value + value[:1] if value else type(value)(b"x") if isinstance(value, bytes) else "x"
    if isinstance(value, bool) or value is None:
        return not value
    # Never a negative number: written out, it would bind otherwise than in the tree.
    return None if value is ... else value + 1 if value + 1 != value else 0


def default_value(node):
    if isinstance(node, ast.arguments):
        for each in (node.defaults, node.kw_defaults):
            for i, value in enumerate(each):
                if value is not None:
                    yield lambda each=each, i=i: each.__setitem__(i, ast.Constant("another default"))


def keyword_only(node):
    if isinstance(node, ast.arguments) and node.args:

        def last_becomes_keyword():
            node.kwonlyargs.insert(0, node.args.pop())
            node.kw_defaults.insert(0, node.defaults.pop() if node.defaults else None)

        yield last_becomes_keyword
    if isinstance(node, ast.arguments) and node.kwonlyargs and (node.kw_defaults[0] or not node.defaults):

        def first_becomes_positional():
            node.args.append(node.kwonlyargs.pop(0))
            default = node.kw_defaults.pop(0)
            node.defaults.extend([default] if default else [])

        yield first_becomes_positional


def positional_only(node):
    if isinstance(node, ast.arguments) and node.args:
        yield lambda: node.posonlyargs.append(node.args.pop(0))


def parameter_order(node):
    if isinstance(node, ast.arguments):
        yield from _swaps(node.args, lambda one, other: True)


def rename_parameter(node):
    if isinstance(node, ast.arguments):
        for each in [*node.args, *node.kwonlyargs]:
            yield _set(each, arg=OTHER)


_OTHER_OPERATOR = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.FloorDiv, ast.FloorDiv: ast.Mod,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitXor, ast.BitXor: ast.BitAnd,
    ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.MatMult: ast.Mult,
}  # fmt: skip


def operator(node):
    if isinstance(node, (ast.BinOp, ast.AugAssign)):
        yield _set(node, op=_OTHER_OPERATOR[type(node.op)]())


def in_place_operator(node):
    for block, i in _statements(node, ast.AugAssign):
        old = block[i]
        new = ast.Assign([old.target], old.value)
        yield lambda block=block, i=i, new=new: block.__setitem__(i, new)


def unary_operator(node):
    for each, put in _expressions(node, ast.UnaryOp):
        yield lambda put=put, each=each: put(each.operand)


def statement_order(node):
    for block, first in _blocks(node):
        counting = block[first:]
        for i, swap in enumerate(_swaps(counting, lambda one, other: True)):
            if ast.dump(counting[i]) != ast.dump(counting[i + 1]):
                yield lambda block=block, first=first, counting=counting, swap=swap: (
                    swap(),
                    block.__setitem__(slice(first, None), counting),
                )


def negate_condition(node):
    if isinstance(node, (ast.If, ast.While, ast.IfExp, ast.Assert)):
        yield _set(node, test=ast.UnaryOp(ast.Not(), node.test))
    if isinstance(node, ast.comprehension):
        for i, test in enumerate(node.ifs):
            yield lambda i=i, test=test: node.ifs.__setitem__(i, ast.UnaryOp(ast.Not(), test))


def and_or(node):
    if isinstance(node, ast.BoolOp):
        yield _set(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())


_OTHER_COMPARISON = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
_IDENTITY = {ast.Is: ast.Eq, ast.Eq: ast.Is, ast.IsNot: ast.NotEq, ast.NotEq: ast.IsNot}


def comparison(node, others=_OTHER_COMPARISON):
    if isinstance(node, ast.Compare):
        for i, op in enumerate(node.ops):
            if type(op) in others:
                yield lambda i=i, op=op: node.ops.__setitem__(i, others[type(op)]())


def is_or_equal(node):
    yield from comparison(node, _IDENTITY)


def rename_attribute(node):
    if isinstance(node, ast.Attribute):
        yield _set(node, attr=f"{node.attr}_{OTHER}")


def called_name(node):
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        yield _set(node.func, id=f"{node.func.id}_{OTHER}")


def another_variable(node):
    """Reads of one variable become reads of another of the same function."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        names = sorted({each.id for each in _counting(node) if isinstance(each, ast.Name)} - set(dir(builtins)))
        for each in _counting(node):
            if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load) and each.id in names[:-1]:
                yield _set(each, id=names[names.index(each.id) + 1])


def drop_statement(node):
    for block, i in _statements(node):
        if len(block) > 1:
            yield lambda block=block, i=i: block.pop(i)
        elif not isinstance(block[i], ast.Pass):
            yield lambda block=block, i=i: block.__setitem__(i, ast.Pass())


def repeat_statement(node):
    for block, i in _statements(node):
        yield lambda block=block, i=i: block.insert(i, copy.deepcopy(block[i]))


def dedent_last_line(node):
    for block, i in _statements(node, ast.If, ast.For, ast.While, ast.With, ast.AsyncFor, ast.AsyncWith):
        if len(block[i].body) > 1:
            yield lambda block=block, i=i: block.insert(i + 1, block[i].body.pop())


def else_moves_out(node):
    for block, i in _statements(node, ast.If, ast.For, ast.While, ast.Try):
        if block[i].orelse:

            def moved(block=block, i=i):
                block[i + 1 : i + 1] = block[i].orelse
                block[i].orelse = []

            yield moved


def finally_moves_out(node):
    for block, i in _statements(node, ast.Try):
        if block[i].finalbody and block[i].handlers:

            def moved(block=block, i=i):
                block[i + 1 : i + 1] = block[i].finalbody
                block[i].finalbody = []

            yield moved


def except_type(node):
    if isinstance(node, ast.ExceptHandler) and node.type is not None:
        yield _set(node, type=ast.Name("OtherError", ast.Load()))


def except_all(node):
    if isinstance(node, ast.Try) and node.handlers[-1:] and node.handlers[-1].type is not None:
        yield _set(node.handlers[-1], type=None, name=None)


def except_order(node):
    if isinstance(node, ast.Try):
        yield from _swaps(node.handlers)


def raise_other(node):
    if isinstance(node, ast.Raise) and node.exc is not None:
        yield _set(node, exc=None, cause=None)
        yield _set(node, cause=None if node.cause is not None else ast.Constant(None))


def break_or_continue(node):
    for block, i in _statements(node, ast.Break, ast.Continue):
        new = ast.Continue() if isinstance(block[i], ast.Break) else ast.Break()
        yield lambda block=block, i=i, new=new: block.__setitem__(i, new)


def await_or_not(node):
    for each, put in _expressions(node, ast.Await):
        yield lambda put=put, each=each: put(each.value)
    if isinstance(node, ast.AsyncFunctionDef):
        for inner in ast.walk(node):
            for each, put in _expressions(inner, ast.Call):
                yield lambda put=put, each=each: put(ast.Await(each))


_SYNC = {ast.AsyncFunctionDef: ast.FunctionDef, ast.AsyncFor: ast.For, ast.AsyncWith: ast.With}
_ASYNC = {sync: other for other, sync in _SYNC.items()}


def async_or_not(node):
    for block, i in _statements(node, *_SYNC, *_ASYNC):
        old = block[i]
        other = (_SYNC | _ASYNC)[type(old)]
        new = ast.copy_location(other(**dict(ast.iter_fields(old))), old)
        yield lambda block=block, i=i, new=new: block.__setitem__(i, new)


def yield_or_return(node):
    for block, i in _statements(node, ast.Return):
        new = ast.Expr(ast.Yield(block[i].value))
        yield lambda block=block, i=i, new=new: block.__setitem__(i, new)
    for block, i in _statements(node, ast.Expr):
        if isinstance(block[i].value, ast.Yield):
            new = ast.Return(block[i].value.value)
            yield lambda block=block, i=i, new=new: block.__setitem__(i, new)


def return_value(node):
    if isinstance(node, ast.Return):
        yield _set(node, value=ast.Constant("another value") if node.value is None else None)


def comprehension_kind(node):
    for each, put in _expressions(node, ast.ListComp, ast.SetComp, ast.GeneratorExp):
        other = {ast.ListComp: ast.SetComp, ast.SetComp: ast.GeneratorExp, ast.GeneratorExp: ast.ListComp}[type(each)]
        yield lambda put=put, each=each, other=other: put(ast.copy_location(other(each.elt, each.generators), each))


def comprehension_condition(node):
    if isinstance(node, ast.comprehension):
        for i in range(len(node.ifs)):
            yield lambda i=i: node.ifs.pop(i)


def slice_bounds(node):
    if isinstance(node, ast.Slice):
        if ast.dump(node.lower or ast.Pass()) != ast.dump(node.upper or ast.Pass()):
            yield _set(node, lower=node.upper, upper=node.lower)
        yield _set(node, step=None if node.step is not None else ast.Constant(2))


def item_order(node):
    if isinstance(node, (ast.Tuple, ast.List)):
        yield from _swaps(node.elts)


def dict_order(node):
    if isinstance(node, ast.Dict):
        pairs = list(zip(node.keys, node.values, strict=True))
        for i in range(len(pairs) - 1):
            if ast.dump(pairs[i][0] or ast.Pass()) != ast.dump(pairs[i + 1][0] or ast.Pass()):
                new = [*pairs[:i], pairs[i + 1], pairs[i], *pairs[i + 2 :]]
                yield _set(node, keys=[key for key, _ in new], values=[value for _, value in new])


def container_kind(node):
    for each, put in _expressions(node, ast.Tuple, ast.List):
        if isinstance(each.ctx, ast.Load):
            other = ast.List if isinstance(each, ast.Tuple) else ast.Tuple
            yield lambda put=put, each=each, other=other: put(other(each.elts, ast.Load()))


def decorator(node):
    for block, i in _statements(node, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef):
        decorators = block[i].decorator_list
        yield lambda decorators=decorators: decorators.insert(0, ast.Name("decorated", ast.Load()))
        for k in range(len(decorators)):
            yield lambda decorators=decorators, k=k: decorators.pop(k)


def scope(node):
    """A global or nonlocal declaration goes, or comes."""
    for block, i in _statements(node, ast.Global, ast.Nonlocal):
        yield lambda block=block, i=i: block.__setitem__(i, ast.Pass())
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        stored = {each.id for each in _counting(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}
        for name in sorted(stored):
            yield lambda name=name: node.body.insert(_docstrings(node), ast.Global([name]))


def without_with(node):
    for block, i in _statements(node, ast.With, ast.AsyncWith):
        yield lambda block=block, i=i: block.__setitem__(slice(i, i + 1), block[i].body)


def imported_name(node):
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        for each in node.names:
            if each.name != "*":
                yield _set(each, name=f"{each.name}_{OTHER}", asname=each.asname or each.name.partition(".")[0])


def import_level(node):
    if isinstance(node, ast.ImportFrom) and node.module:
        yield _set(node, level=node.level + 1)


def format_conversion(node):
    if isinstance(node, ast.FormattedValue):
        yield _set(node, conversion=ord("a") if node.conversion == ord("r") else ord("r"))
        yield _set(node, format_spec=None if node.format_spec else ast.JoinedStr([ast.Constant(">9")]))


def loop_kind(node):
    for block, i in _statements(node, ast.While):
        old = block[i]
        new = ast.If(old.test, old.body, old.orelse)
        yield lambda block=block, i=i, new=new: block.__setitem__(i, new)
    for block, i in _statements(node, ast.If):
        old = block[i]
        new = ast.While(old.test, old.body, old.orelse)
        yield lambda block=block, i=i, new=new: block.__setitem__(i, new)


def assigned_target(node):
    """Of two targets or values in one assignment, each takes the other's place."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Subscript):
                yield _set(target, slice=ast.Constant(OTHER))
            elif isinstance(target, ast.Attribute):
                yield _set(target, attr=OTHER)


def match_case(node):
    if isinstance(node, ast.Match):
        yield from _swaps(node.cases)
        for case in node.cases:
            if case.guard is not None:
                yield _set(case, guard=None)


KINDS = {
    each.__name__.replace("_", " "): each
    for each in (
        swap_arguments, drop_argument, unpack_argument, rename_keyword, drop_keyword, line_into_a_try,
        line_out_of_a_try, wrap_in_try, constant_type, constant_value, default_value, keyword_only, positional_only,
        parameter_order, rename_parameter, operator, in_place_operator, unary_operator, statement_order,
        negate_condition, and_or, comparison, is_or_equal, rename_attribute, called_name, another_variable,
        drop_statement, repeat_statement, dedent_last_line, else_moves_out, finally_moves_out, except_type, except_all,
        except_order, raise_other, break_or_continue, await_or_not, async_or_not, yield_or_return, return_value,
        comprehension_kind, comprehension_condition, slice_bounds, item_order, dict_order, container_kind, decorator,
        scope, without_with, imported_name, import_level, format_conversion, loop_kind, assigned_target, match_case,
    )
}  # fmt: skip
