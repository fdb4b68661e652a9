"""Cells as functions: built, and called."""

import ast
import asyncio
import traceback

import pytest

from nbflow.errors import CellError
from nbflow.notebook.build import build_task
from nbflow.notebook.header import parse_head


def build(head, body, *, outputs=(), namespace=None, first_line=2):
    namespace = {} if namespace is None else namespace
    built = build_task(
        parse_head(head),
        body,
        filename="<the cell>",
        first_line=first_line,
        known=lambda name: "output" if name in outputs else None,
        namespace=namespace,
    )
    if built.prelude is not None:
        exec(built.prelude, namespace)
    return built


def call(head, body, **inputs):
    built = build(head, body, outputs=tuple(inputs))
    return built.function(**inputs)


# Head, body, inputs, what the function returns.
VALUES = [
    ("x", "1 + 2", {}, 3),
    ("x", "x = 1", {}, 1),
    ("x", "x = 1\nx", {}, 1),
    ("", "a = 1\nb = a + 1", {}, (1, 2)),
    ("b, a", "a = 1\nb = 2", {}, (2, 1)),
    ("a, b", "a = 1\na + 1", {}, (1, 2)),
    ("a", "a = 1\na + 1", {}, (1, 2)),  # the last expression is shown, and returned last
    ("a", "a = 1\na + 1;  # not shown", {}, 1),
    ("a", "'a note'\na = 1", {}, 1),
    ("df", "df = df + [1]", {"df": [0]}, [0, 1]),
    ("df", "df += 1", {"df": 1}, 2),
    ("df", "df['k'] = 1", {"df": {}}, {"k": 1}),
    ("n", "if big:\n    n = 1\nelse:\n    n = 2", {"big": False}, 2),
    ("n", "import math\nn = math.floor(2.5)", {}, 2),
    ("n", "from math import *\nn = floor(2.5)", {}, 2),
    ("n", "n: int\nn = 1", {}, 1),
    ("n", "global n\nn = 1", {}, 1),
    ("n", "def f():\n    return k\nk = 2\nn = f()", {}, 2),
    ("n", "def f():\n    return up\nn = f()", {"up": 3}, 3),
    ("n", "class A:\n    v = up\nn = A.v", {"up": 3}, 3),
    ("f", "def f():\n    return 1\nf = f()", {}, 1),
    ("n", "try:\n    n = bad()\nexcept NameError as e:\n    n = 0", {}, 0),
    ("n", "n = any((hit := v) > 1 for v in vs) and hit", {"vs": [1, 2]}, 2),
    ("n", "match v:\n    case [_, n]:\n        pass", {"v": [1, 2]}, 2),
]


@pytest.mark.parametrize(("head", "body", "inputs", "value"), VALUES, ids=[f"{v[0]} | {v[1]}" for v in VALUES])
def test_value(head, body, inputs, value):
    assert call(head, body, **inputs) == value


def test_only_outputs_of_others_are_arguments():
    built = build("x", "helper(weather) + K", outputs={"weather"}, namespace={"helper": abs, "K": 1})
    assert built.inputs == ("weather",)
    assert built.free_names == ("helper", "K")
    assert built.function(-2) == 3


def test_globals_are_those_of_the_notebook_at_the_call():
    namespace = {"K": 1}
    built = build("x", "K", namespace=namespace)
    namespace["K"] = 2
    assert built.function() == 2


def test_nothing_of_the_body_leaves_the_function():
    namespace = {}
    built = build("x", "y = 1\nx = y", namespace=namespace)
    built.function()
    assert not {"x", "y"} & namespace.keys()
    assert built.hides == ("y",)


def test_an_async_body_is_awaited():
    built = build("x", "import asyncio\nawait asyncio.sleep(0)\nx = [i async for i in numbers()]", outputs={"numbers"})

    async def numbers():
        yield 1

    assert asyncio.run(built.function(numbers)) == [1]


SHOWN = [
    ("x", "1 + 2", ("x", False)),
    ("x", "x = 1", (None, False)),
    ("x, y", "x = y = 1\ny", ("y", False)),
    ("x", "x = 1\nx + 1", (None, True)),
    ("x", "x = 1\nx;", (None, False)),
    ("x for a in [1]", "x = 1\nprint(a)", (None, False)),
]


@pytest.mark.parametrize(("head", "body", "wanted"), SHOWN, ids=[f"{s[0]} | {s[1]}" for s in SHOWN])
def test_what_the_cell_shows(head, body, wanted):
    built = build(head, body)
    assert (built.shown, built.shows) == wanted


# Errors


REFUSED = [
    ("", "load_days()", "`%%task days`"),
    ("", "pd.read_csv('data/stations.csv')", "`%%task stations`"),
    ("", "1 + 2", "`%%task result`"),
    ("", "import os\ndef f(): pass", "take the `%%task` line away"),
    ("x", "", "the body is empty"),
    ("x", "# only this", "the body is empty"),
    ("x, y", "z = 1", "`x`, `y`"),
    ("daily", "dayly = 1", "did you mean 'dayly'"),
    ("df", "df = df.dropna()", "such as `df_2`"),
    ("df", "df['x'] = 1", "such as `df_2`"),
    ("x", "df += 1\nx = df", "such as `df_2`"),
    ("sum", "sum = sum([1])", "a builtin"),
    ("x", "x = x + 1", "nothing before this cell makes `x`"),
    ("x", "def f():\n    global n\n    n = 1\nn = 0\nx = f()", "let the function return the value"),
]


@pytest.mark.parametrize(("head", "body", "says"), REFUSED, ids=[f"{r[0]} | {r[1]}" for r in REFUSED])
def test_a_cell_that_cannot_be_a_task_is_refused_with_a_way_out(head, body, says):
    with pytest.raises(CellError) as caught:
        build(head, body, namespace={"df": object()})
    assert says in str(caught.value)


@pytest.mark.parametrize("body", ["x = 1\nreturn x", "x = 1\nyield x", "x ="])
def test_what_no_cell_can_hold_is_a_syntax_error_at_its_line(body):
    with pytest.raises(SyntaxError) as caught:
        build("x", body, first_line=4)
    assert caught.value.lineno == 3 + len(body.splitlines())


# Positions


def test_a_traceback_names_the_line_of_the_cell():
    built = build("x", "a = 1\n\nx = (a\n     / 0)", first_line=3)
    with pytest.raises(ZeroDivisionError) as caught:
        built.function()
    frame = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert (frame.filename, frame.lineno, frame.name) == ("<the cell>", 5, "x")


def test_a_hoisted_function_keeps_its_line():
    namespace = {}
    build("x", "def f():\n    return 1 / 0\nx = 1", namespace=namespace, first_line=3)
    with pytest.raises(ZeroDivisionError) as caught:
        namespace["f"]()
    assert traceback.extract_tb(caught.value.__traceback__)[-1].lineno == 4


def test_the_tree_compiles_to_the_code_of_the_function():
    built = build("x", "def f(): return 1\nx = [f() for _ in 'ab']")
    code = compile(built.tree, built.filename, "exec", dont_inherit=True)
    assert built.function.__code__ in code.co_consts
    assert ast.unparse(built.tree).startswith("def f():")


def test_future_annotations_hold_inside():
    built = build("f", "from __future__ import annotations\ndef f(x: Unknown): pass")
    assert built.function().__annotations__ == {"x": "Unknown"}


# What later cells see


SEEN = [
    ("x", "import math\nx = 1", "math"),
    ("x", "def f(): return g()\ndef g(): return K\nx = f()", "f g"),
    ("x", "class A: pass\nx = A()", "A"),
    ("x", "k = 1\ndef f(): return k\ndef g(): return f()\nx = g()", ""),  # they need the body's own
    ("x", "def f(): return weather\nx = f()", ""),  # and these another task's output
    ("x for a in [1]", "def f(): return a\nx = f()", ""),
    ("f", "def f(): return 1", ""),  # an output
    ("x", "if 1:\n    import math\nx = 1", ""),
    ("x", "import math\nmath = 1\nx = math", ""),
    ("x", "def f(): return 1\nf = f()\nx = f", ""),
    ("x", "def f(k=K): return k\nx = f()", ""),  # reads data as it is made
    ("x", "def g(): return K\nclass A: k = g()\nx = g() + A.k", "g"),
    ("x", "from dataclasses import dataclass\n@dataclass\nclass A:\n    k: int = 1\nx = A()", "A dataclass"),
]


@pytest.mark.parametrize(("head", "body", "seen"), SEEN, ids=[f"{s[0]} | {s[1]}" for s in SEEN])
def test_imports_and_independent_definitions_are_seen_by_later_cells(head, body, seen):
    namespace = {"K": 1}
    before = {"__builtins__", *namespace}
    built = build(head, body, outputs={"weather"}, namespace=namespace)
    assert namespace.keys() - before == set(seen.split())
    assert all(name in built.function.__code__.co_names for name in seen.split()[:1] if name != "math")


# The `for` part


def elements(head, body, namespace=None):
    built = build(head, body, namespace={} if namespace is None else namespace)
    return [built.function(**{built.loop.argument: item}) for item in built.loop.evaluate()]


LOOPS = [
    ("x for a in [1, 2]", "a * 10", [10, 20]),
    ("x for a, b in [(1, 2)]", "a + b", [3]),
    ("x for k, v in {'a': 1}.items()", "k, v", [("a", 1)]),
    ("x for (a, *b), c in [((1, 2, 3), 4)]", "a, b, c", [(1, [2, 3], 4)]),
    ("x for a in range(5) if a % 2 if a > 1", "a", [3]),
    ("x for a in [1, 2] for b in 'xy'", "f'{a}{b}'", ["1x", "1y", "2x", "2y"]),
    ("x for a in [[1], [2, 3]] for b in a", "b", [1, 2, 3]),
    ("x for i, a in enumerate(['p', 'q']) if i", "a", ["q"]),
    ("x for a in [1, 2]", "a = a + 1\nx = a", [2, 3]),
    ("a for a in [1, 2]", "a = a + 1", [2, 3]),
    ("x for a in [1, 2]", "x = a\nprint", [1, 2]),
]


@pytest.mark.parametrize(("head", "body", "wanted"), LOOPS, ids=[f"{loop[0]} | {loop[1]}" for loop in LOOPS])
def test_elements(head, body, wanted):
    assert elements(head, body) == wanted


def test_an_item_that_is_unpacked_has_a_name_for_people_that_the_body_does_not_use():
    assert build("x for a, b in [(1, 2)]", "a").loop.argument == "a_b"
    assert elements("x for a, b in [(1, 2)]", "a_b + a", {"a_b": 10}) == [11]


def test_the_name_of_an_output_as_source_is_told():
    loop = build("x for df in weather", "df", outputs={"weather"}).loop
    assert (loop.plain, loop.inputs) == ("weather", ("weather",))


def test_an_expression_over_outputs_is_a_function_of_them_whose_result_can_be_kept():
    loop = build("x for i, df in enumerate(weather)", "df", outputs={"weather"}).loop
    assert (loop.plain, loop.inputs) == (None, ("weather",))
    assert loop.function(weather=["a"]) == [(0, "a")]


def test_all_inputs_are_those_of_the_body_and_of_the_head():
    built = build("x for df in weather if df > low", "df * scale", outputs={"weather", "scale", "low"})
    assert (built.inputs, built.all_inputs) == (("scale",), ("scale", "weather", "low"))


@pytest.mark.parametrize("source", ["fetch(url)", "pd.read_csv('x').items()", "[load(p) for p in ps]"])
def test_a_costly_source_is_refused_with_the_rewrite(source):
    with pytest.raises(CellError) as caught:
        build(f"x for row in {source}", "row")
    assert f"`%%task rows` with `{source}`" in str(caught.value)
    assert "`for row in rows`" in str(caught.value)


@pytest.mark.parametrize(
    "source", ["sorted(glob('*.csv'))[:5]", "Path('d').rglob('*')", "d.keys()", "[p for p in ps if p.endswith('x')]"]
)
def test_a_cheap_source_is_taken(source):
    assert build(f"x for row in {source}", "row").loop.inputs == ()


def test_an_iterator_is_refused_since_it_is_used_up_after_one_run():
    with pytest.raises(CellError, match="used up after one run"):
        elements("x for a in numbers for b in 'xy'", "a", {"numbers": iter([1])})


def test_a_source_that_nothing_defines_is_refused_with_the_nearest_name():
    with pytest.raises(CellError, match=r"reads `pahts`.*did you mean `paths`"):
        elements("x for a in pahts", "a", {"paths": []})
