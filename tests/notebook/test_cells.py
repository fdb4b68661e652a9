"""What a cell reads and assigns, as tables of cells."""

import ast
import sys

import pytest

from nbflow.notebook.cells import read_cell
from nbflow.notebook.text import ends_in_semicolon


def names(source):
    return read_cell(ast.parse(source))


READS = {
    "y = x": "x",
    "x = 1\ny = x": "",
    "df = df.dropna()": "df",
    "df += 1": "df",
    "df['a'] = b": "b df",
    "x = 1\ndel x\nx": "x",
    "del x": "x",
    "x, (y, *z) = f()\nx.a, z[i] = y": "f i",
    "x: kind = y": "kind y",
    "f'{a!r:>{w}}'": "a w",
    "print(x); x = 2": "print x",
    # Branches start from the same point, and what any of them assigns is assigned behind them.
    "if c:\n    df = 1\nelse:\n    use(df)": "c use df",
    "if c:\n    t = 1\nt": "c",
    "try:\n    a = f()\nexcept E as e:\n    print(e, a)\nfinally:\n    g(a)": "f E print g",
    "try:\n    1\nexcept E as e:\n    pass\ne": "E e",
    "for i in xs:\n    t = i\nelse:\n    t = n": "xs n",
    "while (n := step()) > lim:\n    n": "step lim",
    "with open(p) as f:\n    d = f.read()": "open p",
    "match v:\n    case {'k': k, **rest}:\n        r = k, rest\n    case [a, *b] if lim > a:\n        r = b": "v lim",
    "match v:\n    case Point(x=0) | colour.RED:\n        r = 1": "v Point colour",
    # Functions are looked into where they are used.
    "def f():\n    return x\ny = f()\nx = 1": "x",
    "def f():\n    return x\nx = 1\ny = f()": "",
    "def f():\n    return x\nx = 1\ny = f()\ndel x": "",
    "def f():\n    return g()\ndef g():\n    return x\nx = 1\nf()": "",
    "def f():\n    return x": "x",
    "def fact(n):\n    return n * fact(n - 1)": "",
    "fact = lambda n: n * fact(n - 1)": "",
    "def outer():\n    v = 1\n    def inner():\n        nonlocal v\n        v = u\n    return inner": "u",
    "@deco\ndef f(a: T = d) -> R:\n    return a": "deco d T R",
    "@g.register\ndef _(a): return h1\n@g.register\ndef _(b): return h2": "g h1 h2",
    "key = lambda k, d=z: k + d + m": "z m",
    "async def f(): await q\nr = await f()": "q",
    # Classes: their body runs at once, and their methods do not see its names.
    "class A:\n    x = 1\n    y = x\n    z = w\n    def m(self):\n        return x, q": "w x q",
    "class A:\n    x = x": "x",
    "class A(Base, meta=M): pass": "Base M",
    # Comprehensions keep their variables, all but those of a walrus.
    "[r for r in rows if r > lim]": "rows lim",
    "[a for a in a]": "a",
    "{k: v for k, v in d.items()}": "d",
    "[[a for a in b] for b in c]": "c",
    "a = [y := f(x), y + 1]\nb = y": "f x",
    "a = any((last := n) > 3 for n in xs)\nlast": "any xs",
    "import os.path as p, sys\np.x(sys)": "",
    "x[i] += y\nz.a += 1": "x i y z",
    "a = a.b = c": "c",
    "a: int = a": "int a",
    "x: 'T' = 1": "",
    "x = (y := 1) + y": "",
    "(y := y + 1)": "y",
    "{k: v for k, v in kv if (w := k)}\nw": "kv",
    "print((lambda: (z := 1))())\nz": "print z",
    "def f(x=x, *, a: A = b, **c: C) -> D: pass": "x A b C D",
    "x = [x for x in x]": "x",
    "x = lambda: x\nx()": "",
    "[(lambda: i)() for i in xs]": "xs",
    "def f(): return g\nh = [f() for _ in xs]\ng = 1": "g xs",
    "class A:\n    def f(self): return B\nclass B: pass\nA().f()": "",
    "@d(e)\nclass A:\n    c: T = v": "d e T v",
    "with a as (b, c), d(b) as e.f: c": "a d e",
    "try:\n    a = f()\nexcept* E as e:\n    g(e)": "f E g",
    "match x:\n    case int(y) | str(y): y\n    case [1, *_] | {'k': 1}: e": "x int str e",
    "async with a as b:\n    async for i in b: i": "a",
    "del a.b, c[d], e": "a c d e",
    "print(f'{x=} {y!s:{w}.{p}}')": "print x y w p",
    "global a\na = b": "b",
    "from m import *\nthing": "thing",
}


if sys.version_info >= (3, 12):
    READS |= {
        "type X = list[Y]\nX": "",
        "def f[T](a: T) -> T: return g": "g",
        "class A[T](B): x = T": "B",
    }


@pytest.mark.parametrize(("source", "reads"), READS.items(), ids=list(READS))
def test_reads(source, reads):
    assert set(names(source).reads) == set(reads.split())


def test_reads_are_in_the_order_of_first_use():
    assert names("z = b + a\ny = c(b)").reads == ("b", "a", "c")


OUTPUTS = {
    "a = b = 1": "a b",
    "a, (b, *c) = f()": "a b c",
    "a: int = 1\nb: int": "a",
    "total += 1": "total",
    "for i in xs:\n    last = i": "last",
    "i = 0\nfor i in xs:\n    pass": "i",
    "with open(p) as f:\n    d = f.read()": "f d",
    "match v:\n    case [x, *rest]:\n        pass": "x rest",
    "found = any((hit := n) for n in xs)": "found hit",
    "import os\nfrom a import b as c\ndef f(): pass\nclass K: pass": "",
    "a = 1\n_private = 2": "a",
    "a = b = 1\ndel a": "b",
    "if c:\n    a = 1\n    del a\nelse:\n    a = 2": "a",
    "try:\n    a = 1\nexcept E as e:\n    pass": "a",
    "df['x'] = 1\ndf.name = 'n'": "",
    "[y for y in ys]\nlambda q: (w := q)": "",
}


@pytest.mark.parametrize(("source", "outputs"), OUTPUTS.items(), ids=list(OUTPUTS))
def test_public_names_that_a_cell_gives(source, outputs):
    assert set(names(source).outputs) == set(outputs.split())


def test_everything_a_cell_rebinds_counts_as_assigned():
    source = "import a\ndef b():\n    global e\n    e = 1\nfor c in xs: d = c"
    assert set(names(source).assigned) == {"a", "b", "c", "d", "e"}
    assert names(source).outputs == ("d",)


def test_changes_in_place_are_told_only_for_names_of_others():
    assert names("df['x'] = 1\nown = {}\nown['k'] = 2\nfig.axes[0].title = 't'\ndel d[0]").mutated == ("df", "fig", "d")


def test_global_writes_of_functions_are_told():
    assert names("def f():\n    global n, m\n    n = m").global_writes == ("n",)


@pytest.mark.parametrize("source", ["eval('x')", "globals()['x']", "get_ipython().run_line_magic('time', 'x')"])
def test_dynamic_reads_are_told(source):
    assert names(source).uses_dynamic
    assert not names("x = 1\nprint(x)").uses_dynamic


AWAITS = {
    "await f()": True,
    "async with a: pass": True,
    "[x async for x in f()]": True,
    "async def f():\n    await g()": False,
    "f(lambda: g())": False,
}


@pytest.mark.parametrize(("source", "awaits"), AWAITS.items(), ids=list(AWAITS))
def test_awaiting_at_the_top(source, awaits):
    assert names(source).awaits is awaits


@pytest.mark.parametrize("source", ["return 5", "yield 5", "def f():\n    nonlocal q", "[(yield) for x in y]", ""])
def test_a_cell_that_does_not_compile_is_read_all_the_same(source):
    # IPython drops an AST transformer that raises, and plain cells would no longer be watched.
    read_cell(ast.parse(source))


def test_a_long_expression_is_read():
    assert names("+".join(["a"] * 900)).reads == ("a",)


SEMICOLONS = {
    "plot(x);": True,
    "plot(x);  # no repr\n\n": True,
    "plot(x)  # a;": False,
    "'a;'": False,
    "a; b": False,
    "for x in y:\n    f(x);": True,
    "f(": False,
}


@pytest.mark.parametrize(("text", "quiet"), SEMICOLONS.items(), ids=list(SEMICOLONS))
def test_a_semicolon_at_the_end(text, quiet):
    assert ends_in_semicolon(text) is quiet


def shell(command):
    return f"get_ipython().system({command!r})"


def magic(name, line):
    return f"get_ipython().run_line_magic({name!r}, {line!r})"


def cell_magic(name, line, cell):
    return f"get_ipython().run_cell_magic({name!r}, {line!r}, {cell!r})"


IN_MAGICS = {
    shell("ls {folder} $HOME '{a.b[0]}'"): "folder HOME a b",
    shell("ls folder"): "",
    shell("awk '{print $1}'"): "print",
    shell("echo {"): "",
    shell("echo {{x}}"): "",
    "folder = 'x'\n" + shell("ls {folder}"): "",
    "lines = get_ipython().getoutput('cat $path')": "path",
    "def f():\n    " + shell("ls {folder}"): "folder",
    magic("time", "y = f(x)"): "f x",
    magic("timeit", "-n1 -r 3 f(x)"): "f x",
    magic("cd", "data"): "data",
    cell_magic("timeit", "-n1", "f(x)"): "f x",
    cell_magic("bash", "{arg}", "echo word"): "arg",
    cell_magic("sql", "", "select column"): "select column",
    "other().system('ls {folder}')": "",
}


@pytest.mark.parametrize(("source", "wanted"), IN_MAGICS.items(), ids=list(IN_MAGICS))
def test_names_in_the_text_of_magics(source, wanted):
    assert set(names(source).in_magics) == set(wanted.split())


LOST_IN_MAGICS = {
    magic("time", "y = f(x)"): (("y", "%time"),),
    cell_magic("capture", "out", "a, b = 1, 2"): (("a", "%%capture"), ("b", "%%capture")),
    magic("time", "f(x)"): (),
    magic("cd", "y = 1"): (),
    shell("y=1"): (),
}


@pytest.mark.parametrize(("source", "wanted"), LOST_IN_MAGICS.items(), ids=list(LOST_IN_MAGICS))
def test_what_magics_assign_for_themselves_only(source, wanted):
    assert names(source).lost_in_magics == wanted
