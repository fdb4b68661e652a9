"""Code ids: which edits are the same code, and which are not."""

import ast
import copy
import functools
import importlib
import inspect
import json
import sys
import textwrap

import pytest

from nbflow.errors import UnidentifiableError
from nbflow.identity.bytecode import meaning_of
from nbflow.identity.code import CodeIds
from nbflow.identity.nested import nested_code
from nbflow.probe.packages import Packages
from nbflow.probe.sources import Sources

COUNTER = iter(range(10_000))


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Writes a module, imports it, and gives its namespace."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def loaded(text, name=None):
        name = name or f"module_{next(COUNTER)}"
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
        importlib.invalidate_caches()
        sys.modules.pop(name, None)
        return importlib.import_module(name)

    return loaded


def code_id(fn, **options):
    return CodeIds(Sources(), Packages()).identify(fn, **options).id


SAME = {
    "comment": ("def f(x):\n    return x", "def f(x):\n    # words\n    return x  # more"),
    "docstring": ("def f(x):\n    'old'\n    return x", "def f(x):\n    'new'\n    return x"),
    "docstring of a nested function": (
        "def f(x):\n    def g():\n        'old'\n        return x\n    return g()",
        "def f(x):\n    def g():\n        return x\n    return g()",
    ),
    "wrapped lines": (
        "def f(x):\n    return max(x, x + 1)",
        "def f(x):\n    return max(\n        x,\n        x + 1,\n    )",
    ),
    "wrapped condition": (
        "def f(x):\n    if x > 1 and x < 5:\n        return 1\n    return 2",
        "def f(x):\n    if (\n        x > 1\n        and x < 5\n    ):\n        return 1\n    return 2",
    ),
    "moved down": ("def f(x):\n    return x", "A = 1\n\n\nB = 2\n\ndef f(x):\n    return x"),
    "local renamed": ("def f(x):\n    total = x + 1\n    return total", "def f(x):\n    t = x + 1\n    return t"),
    "locals renamed across the alphabet": (
        "def f(x):\n    a = x\n    b = a\n    return lambda: (a, b)",
        "def f(x):\n    z = x\n    c = z\n    return lambda: (z, c)",
    ),
    "loop variable renamed": ("def f(x):\n    return [i for i in x]", "def f(x):\n    return [item for item in x]"),
    "variable of an except renamed": (
        "def f(x):\n    try:\n        return x\n    except ValueError as e:\n        raise e",
        "def f(x):\n    try:\n        return x\n    except ValueError as error:\n        raise error",
    ),
    "annotation of a local": ("def f(x):\n    y = x\n    return y", "def f(x):\n    y: int = x\n    return y"),
    "annotation of a parameter": ("def f(x):\n    return x", "def f(x: int) -> int:\n    return x"),
    "quotes": ("def f(x):\n    return 'a'", 'def f(x):\n    return "a"'),
    "constant folded": ("def f(x):\n    return 60 * 60", "def f(x):\n    return 3600"),
    "unrelated global": ("K = 1\ndef f(x):\n    return x", "K = 2\ndef f(x):\n    return x"),
    "comment in a helper": (
        "def g(x):\n    return x\ndef f(x):\n    return g(x)",
        "def g(x):\n    # words\n    return x\ndef f(x):\n    return g(x)",
    ),
    "helper defined behind": (
        "def g(x):\n    return x\ndef f(x):\n    return g(x)",
        "def f(x):\n    return g(x)\ndef g(x):\n    return x",
    ),
    "docstring of a class": (
        "class C:\n    def m(self):\n        return 1\ndef f(x):\n    return C().m()",
        "class C:\n    'words'\n    def m(self):\n        'words'\n        return 1\ndef f(x):\n    return C().m()",
    ),
    "equal lambdas on one line": (
        "def f(x):\n    return (lambda: (x, 1)), (lambda: (x, 1))",
        "def f(x):\n    return (\n        (lambda: (x,\n        1)),\n        (lambda: (x, 1)),\n    )",
    ),
    "set literal": ("def f(x):\n    return x in {1, 2, 3}", "def f(x):\n    return x in {3, 2, 1}"),
}

DIFFERENT = {
    "operator": ("def f(x):\n    return x + 1", "def f(x):\n    return x - 1"),
    "constant": ("def f(x):\n    return 1", "def f(x):\n    return 2"),
    "constant's type": ("def f(x):\n    return 1", "def f(x):\n    return True"),
    "constant's other type": ("def f(x):\n    return 1", "def f(x):\n    return 1.0"),
    "sign of zero": ("def f(x):\n    return 0.0", "def f(x):\n    return -0.0"),
    "default": ("def f(x, n=1):\n    return n", "def f(x, n=2):\n    return n"),
    "default's type": ("def f(x, n=1):\n    return n", "def f(x, n=True):\n    return n"),
    "keyword default": ("def f(x, *, n=1):\n    return n", "def f(x, *, n=2):\n    return n"),
    "keyword only": ("def f(x, n=1):\n    return n", "def f(x, *, n=1):\n    return n"),
    "parameter renamed": ("def f(x):\n    return x", "def f(y):\n    return y"),
    "arguments swapped": ("def f(x, y=1):\n    return x - y", "def f(x, y=1):\n    return y - x"),
    "name of a keyword argument": ("def f(x):\n    return x(a=1)", "def f(x):\n    return x(b=1)"),
    "order of keyword arguments": ("def f(x):\n    return x(a=1, b=1)", "def f(x):\n    return x(b=1, a=1)"),
    "order of statements": ("def f(x):\n    x.a()\n    x.b()", "def f(x):\n    x.b()\n    x.a()"),
    "attribute": ("def f(x):\n    return x.a", "def f(x):\n    return x.b"),
    "into a try": (
        "def f(x):\n    y = x.a()\n    try:\n        return y\n    except ValueError:\n        return 1",
        "def f(x):\n    try:\n        y = x.a()\n        return y\n    except ValueError:\n        return 1",
    ),
    "exception's type": (
        "def f(x):\n    try:\n        return x()\n    except ValueError:\n        return 1",
        "def f(x):\n    try:\n        return x()\n    except KeyError:\n        return 1",
    ),
    "which of two closure variables": (
        "def f(x):\n    a, b = x\n    return (lambda: a)()",
        "def f(x):\n    a, b = x\n    return (lambda: b)()",
    ),
    "which variable from further out": (
        "def f(x):\n    a, b = x\n    def g():\n        return (lambda: a)()\n    return g()",
        "def f(x):\n    a, b = x\n    def g():\n        return (lambda: b)()\n    return g()",
    ),
    "local that is looked at by name": (
        "def f(x):\n    a = 1\n    return locals()",
        "def f(x):\n    b = 1\n    return locals()",
    ),
    "nested function": (
        "def f(x):\n    def g():\n        return 1\n    return g()",
        "def f(x):\n    def g():\n        return 2\n    return g()",
    ),
    "comprehension": ("def f(x):\n    return [i for i in x]", "def f(x):\n    return {i for i in x}"),
    "f-string": ("def f(x):\n    return f'{x:.1f}'", "def f(x):\n    return f'{x:.2f}'"),
    "walrus": ("def f(x):\n    return (y := x) + y", "def f(x):\n    return (y := x) - y"),
    "match": (
        "def f(x):\n    match x:\n        case 1:\n            return 2",
        "def f(x):\n    match x:\n        case 2:\n            return 2",
    ),
    "async": ("def f(x):\n    return x", "async def f(x):\n    return x"),
    "generator": ("def f(x):\n    return x", "def f(x):\n    yield x"),
    "helper": (
        "def g():\n    return 1\ndef f(x):\n    return g()",
        "def g():\n    return 2\ndef f(x):\n    return g()",
    ),
    "helper two deep": (
        "def h():\n    return 1\ndef g():\n    return h()\ndef f(x):\n    return g()",
        "def h():\n    return 2\ndef g():\n    return h()\ndef f(x):\n    return g()",
    ),
    "helper in a list": (
        "def g():\n    return 1\nALL = [g]\ndef f(x):\n    return ALL[0]()",
        "def g():\n    return 2\nALL = [g]\ndef f(x):\n    return ALL[0]()",
    ),
    "lambda in a dict": (
        "D = {'a': lambda v: v + 1}\ndef f(x):\n    return D['a'](x)",
        "D = {'a': lambda v: v + 2}\ndef f(x):\n    return D['a'](x)",
    ),
    "second lambda on a line": (
        "a, b = (lambda v: 1), (lambda v: 2)\ndef f(x):\n    return b(x)",
        "a, b = (lambda v: 1), (lambda v: 3)\ndef f(x):\n    return b(x)",
    ),
    "global": ("K = 1\ndef f(x):\n    return K", "K = 2\ndef f(x):\n    return K"),
    "global in a helper's default": (
        "K = 1\ndef g(k=K):\n    return k\ndef f(x):\n    return g()",
        "K = 2\ndef g(k=K):\n    return k\ndef f(x):\n    return g()",
    ),
    "mutable default": ("def f(x, seen=[]):\n    return seen", "def f(x, seen=[1]):\n    return seen"),
    "closure": (
        "def make(k):\n    def f(x):\n        return k\n    return f\nf = make(1)",
        "def make(k):\n    def f(x):\n        return k\n    return f\nf = make(2)",
    ),
    "decorator of a helper": (
        "def deco(n):\n    def wrap(g):\n        return lambda: g() * n\n    return wrap\n@deco(1)\ndef g():\n    return 1\ndef f(x):\n    return g()",
        "def deco(n):\n    def wrap(g):\n        return lambda: g() * n\n    return wrap\n@deco(2)\ndef g():\n    return 1\ndef f(x):\n    return g()",
    ),
    "cached helper": (
        "import functools\n@functools.lru_cache\ndef g():\n    return 1\ndef f(x):\n    return g()",
        "import functools\n@functools.lru_cache\ndef g():\n    return 2\ndef f(x):\n    return g()",
    ),
    "wrapped helper": (
        "import functools\ndef deco(g):\n    @functools.wraps(g)\n    def w():\n        return g()\n    return w\n@deco\ndef g():\n    return 1\ndef f(x):\n    return g()",
        "import functools\ndef deco(g):\n    @functools.wraps(g)\n    def w():\n        return g()\n    return w\n@deco\ndef g():\n    return 2\ndef f(x):\n    return g()",
    ),
    "partial": (
        "import functools\ndef g(k):\n    return k\nh = functools.partial(g, 1)\ndef f(x):\n    return h()",
        "import functools\ndef g(k):\n    return k\nh = functools.partial(g, 2)\ndef f(x):\n    return h()",
    ),
    "singledispatch case": (
        "import functools\n@functools.singledispatch\ndef g(v):\n    return 0\n@g.register\ndef _(v: int):\n    return 1\ndef f(x):\n    return g(x)",
        "import functools\n@functools.singledispatch\ndef g(v):\n    return 0\n@g.register\ndef _(v: int):\n    return 2\ndef f(x):\n    return g(x)",
    ),
    "method": (
        "class C:\n    def m(self):\n        return 1\ndef f(x):\n    return C().m()",
        "class C:\n    def m(self):\n        return 2\ndef f(x):\n    return C().m()",
    ),
    "method of a base": (
        "class B:\n    def m(self):\n        return 1\nclass C(B):\n    pass\ndef f(x):\n    return C().m()",
        "class B:\n    def m(self):\n        return 2\nclass C(B):\n    pass\ndef f(x):\n    return C().m()",
    ),
    "class attribute": (
        "class C:\n    k = 1\ndef f(x):\n    return C.k",
        "class C:\n    k = 2\ndef f(x):\n    return C.k",
    ),
    "property": (
        "class C:\n    @property\n    def p(self):\n        return 1\ndef f(x):\n    return C().p",
        "class C:\n    @property\n    def p(self):\n        return 2\ndef f(x):\n    return C().p",
    ),
    "static method": (
        "class C:\n    @staticmethod\n    def p():\n        return 1\ndef f(x):\n    return C.p()",
        "class C:\n    @staticmethod\n    def p():\n        return 2\ndef f(x):\n    return C.p()",
    ),
    "callable object": (
        "class C:\n    def __init__(self, k):\n        self.k = k\n    def __call__(self):\n        return self.k\nc = C(1)\ndef f(x):\n    return c()",
        "class C:\n    def __init__(self, k):\n        self.k = k\n    def __call__(self):\n        return self.k\nc = C(2)\ndef f(x):\n    return c()",
    ),
    "enum member": (
        "import enum\nclass E(enum.Enum):\n    A = 1\ndef f(x):\n    return E.A.value",
        "import enum\nclass E(enum.Enum):\n    A = 2\ndef f(x):\n    return E.A.value",
    ),
    "dataclass field": (
        "import dataclasses\n@dataclasses.dataclass\nclass D:\n    n: int = 1\ndef f(x):\n    return D()",
        "import dataclasses\n@dataclasses.dataclass\nclass D:\n    n: int = 2\ndef f(x):\n    return D()",
    ),
    "dataclass field added": (
        "import dataclasses\n@dataclasses.dataclass\nclass D:\n    n: int = 1\ndef f(x):\n    return D()",
        "import dataclasses\n@dataclasses.dataclass\nclass D:\n    n: int = 1\n    m: int = 1\ndef f(x):\n    return D()",
    ),
    "function it calls itself with": (
        "def f(x):\n    return 1 if not x else f(x - 1)",
        "def f(x):\n    return 1 if not x else f(x - 2)",
    ),
    "another function of a package": (
        "import json\ndef f(x):\n    return json.dumps(x)",
        "import json\ndef f(x):\n    return json.loads(x)",
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_the_same_code_has_the_same_id(name, load):
    one, other = (load(text).f for text in SAME[name])
    assert code_id(one) == code_id(other)


@pytest.mark.parametrize("name", DIFFERENT)
def test_other_code_has_another_id(name, load):
    one, other = (load(text).f for text in DIFFERENT[name])
    assert code_id(one) != code_id(other)
    again = load(DIFFERENT[name][0]).f
    assert code_id(one) == code_id(again), "and the same text run again has the same"


IMPORTS = {
    "module.function": "import {m}\ndef f(x):\n    return {m}.g(x)",
    "module.constant": "import {m}\ndef f(x):\n    return {m}.K",
    "from module import function": "from {m} import g\ndef f(x):\n    return g(x)",
    "from module import function as other": "from {m} import g as h\ndef f(x):\n    return h(x)",
    "star": "from {m} import *\ndef f(x):\n    return g(x)",
    "inside the body": "def f(x):\n    import {m}\n    return {m}.g(x)",
    "inside the body, from": "def f(x):\n    from {m} import g as h\n    return h(x)",
    "inside the body, as": "def f(x):\n    import {m} as mm\n    return mm.g(x)",
    "inside the body, in a nested function": "def f(x):\n    import {m}\n    def inner():\n        return {m}.g(x)\n    return inner()",
    "the module as a value": "import {m}\ndef f(x):\n    return getattr({m}, 'g')(x)",
    "package submodule": "import {m}_pkg.sub\ndef f(x):\n    return {m}_pkg.sub.g(x)",
    "relative import in a package": "from {m}_pkg import user\ndef f(x):\n    return user.use(x)",
}


@pytest.mark.parametrize("how", IMPORTS)
@pytest.mark.parametrize("edit", ["function", "comment"])
def test_local_modules_count_by_content_however_they_are_imported(how, edit, load, tmp_path):
    texts = {
        "before": "K = 1\ndef g(x):\n    return x + K\n",
        "function": "K = 2\ndef g(x):\n    return x - K\n",
        "comment": "K = 1\ndef g(x):\n    # words\n    return x + K\n",
    }
    name = f"local_{next(COUNTER)}"
    ids = []
    for version in ("before", edit):
        for each in [each for each in sys.modules if each.startswith(name)]:
            del sys.modules[each]
        package = tmp_path / f"{name}_pkg"
        package.mkdir(exist_ok=True)
        (package / "__init__.py").write_text("")
        (package / "sub.py").write_text(texts[version])
        (package / "user.py").write_text(
            "from . import sub\nfrom .sub import g\ndef use(x):\n    return g(x) + sub.K\n"
        )
        load(texts[version], name)
        ids.append(code_id(load(IMPORTS[how].format(m=name)).f))
    assert (ids[0] == ids[1]) == (edit == "comment")


def test_mutual_recursion_has_one_id_wherever_it_is_entered(load):
    module = load(
        "def a(n):\n    return n and b(n - 1)\ndef b(n):\n    return n and a(n - 2)\ndef f(x):\n    return a(x), b(x)\ndef g(x):\n    return b(x), a(x)"
    )
    first = CodeIds(Sources(), Packages())
    second = CodeIds(Sources(), Packages())
    assert (first.resolve(module.a), first.resolve(module.b)) == tuple(
        reversed([second.resolve(module.b), second.resolve(module.a)])
    )
    assert first.resolve(module.a) != first.resolve(module.b)


def test_a_change_in_a_circle_changes_all_of_it(load):
    text = "def a(n):\n    return n and b(n - 1)\ndef b(n):\n    return n and a(n - {k})\ndef f(x):\n    return a(x)"
    assert code_id(load(text.format(k=2)).f) != code_id(load(text.format(k=3)).f)


def test_code_without_source_counts_by_what_is_in_memory():
    def made(text):
        namespace = {}
        exec(text, namespace)
        return namespace["f"]

    assert code_id(made("def f(x):\n    return x")) == code_id(made("def f(x):\n    # words\n    return x"))
    assert code_id(made("def f(x):\n    return x")) != code_id(made("def f(x):\n    return -x"))


def test_a_file_that_changed_after_it_was_loaded_does_not_count(load, tmp_path):
    fn = load("def f(x):\n    return x", "changed_later").f
    before = code_id(fn)
    (tmp_path / "changed_later.py").write_text("def f(x):\n    return -x")
    assert code_id(fn) == before


def test_ignore_and_depends_on():
    namespace = {"K": 1}
    exec("def f(x):\n    return K", namespace)
    fn = namespace["f"]
    one, extra = code_id(fn, ignore=["K"]), code_id(fn, depends_on=[len])
    namespace["K"] = 2
    assert code_id(fn, ignore=["K"]) == one
    assert extra != code_id(fn, ignore=["K"])


def test_what_has_no_identity_is_named():
    import weakref

    namespace = {"config": {"db": weakref.ref(Exception)}}
    exec("def f(x):\n    return config['db']", namespace)
    with pytest.raises(UnidentifiableError, match=r'`config\["db"\]` is a ReferenceType'):
        code_id(namespace["f"])


def test_drift_of_what_is_reached_is_noticed():
    namespace = {"K": [1], "N": 1}
    exec("def g():\n    return N\ndef f(x):\n    return K, g()", namespace)
    identity = CodeIds(Sources(), Packages()).identify(namespace["f"])
    assert identity.drifted() is None
    namespace["K"].append(2)
    assert identity.drifted() == "K"
    namespace["K"].pop()
    namespace["N"] = 2
    assert identity.drifted() == "N"


def test_components_tell_what_it_was_made_of(load):
    module = load("import json\nK = 5\ndef helper(x):\n    return x + K\ndef f(x):\n    return helper(json.loads(x))")
    components = CodeIds(Sources(), Packages()).identify(module.f).components
    assert [(c.kind, c.name) for c in components] == [
        ("code", "f"), ("helper", "helper"), ("package", "python"), ("global", "K"), ("python", "Python"),
    ]  # fmt: skip
    assert components[1].text == "def helper(x):\n    return x + K"


@pytest.mark.parametrize("module", [json, functools, textwrap, inspect, ast])
def test_reformatting_the_standard_library_changes_nothing(module):
    text = inspect.getsource(module)
    plain = list(nested_code(compile(text, "x", "exec")))
    from nbflow.identity.normal import _compiled

    one, other = (_compiled(ast.parse(each), "x", 0) for each in (text, ast.unparse(ast.parse(text))))
    assert len(one.normal) > len(plain) / 2
    assert one.normal.keys() == other.normal.keys()
    different = [n for n in one.normal if meaning_of(one.normal[n]).digest != meaning_of(other.normal[n]).digest]
    assert different == []


def test_a_file_edited_on_disk_leaves_the_code_in_memory_its_id(load, tmp_path):
    text = "def f(x):\n    return max(\n        x,\n        1,\n    )\n"
    module = load(text)
    before = code_id(module.f)
    (tmp_path / f"{module.__name__}.py").write_text("# one line more\n\n" + text)
    assert code_id(module.f) == before
    assert code_id(load("# one line more\n\n" + text).f) == before


@pytest.mark.parametrize("name", ["stdin", "stdout", "stderr"])
def test_standard_streams_count_by_their_name(name, load):
    one, other = (load(f"from sys import {each} as s\ndef f(x):\n    return s\n") for each in (name, "__stdout__"))
    assert (code_id(one.f) == code_id(other.f)) == (name == "stdout")


def test_an_open_file_has_no_identity(load, tmp_path):
    (tmp_path / "data.txt").write_text("x")
    module = load(f"s = open({str(tmp_path / 'data.txt')!r})\ndef f(x):\n    return s\n")
    with module.s, pytest.raises(UnidentifiableError, match="`s` is a TextIOWrapper"):
        code_id(module.f)


def test_np_frompyfunc_hides_its_function_and_is_refused(load):
    module = load("import numpy as np\ng = np.frompyfunc(lambda v: v, 1, 1)\ndef f(x):\n    return g(x)\n")
    with pytest.raises(UnidentifiableError, match=r"np\.vectorize does not"):
        code_id(module.f)


def test_code_made_without_a_module_around_it_counts_by_content():
    ids = []
    for text in ("return v + 1", "return v + 2"):
        space = {}
        exec(f"class A:\n    def g(self, v):\n        {text}\ndef f(v):\n    return A().g(v)\n", space)
        ids.append(code_id(space["f"]))
    assert ids[0] != ids[1]


def test_modules_that_import_each_other_count_whole(load, tmp_path):
    (tmp_path / "circle_b.py").write_text("import circle_a\n")
    user = "import circle_a\ndef f(x):\n    return vars(circle_a)\n"
    ids = []
    for k in (1, 1, 2):
        sys.modules.pop("circle_b", None)
        load(f"import circle_b\nK = {k}\n", "circle_a")
        ids.append(code_id(load(user).f))
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize(
    "written",
    [
        "class C:\n    pass",
        "class C:\n    __slots__ = ('n',)",
        "import dataclasses\n@dataclasses.dataclass\nclass C:\n    n: int = 1",
        "import typing\nclass P(typing.Protocol):\n    n: int\nclass C(P):\n    pass",
    ],
    ids=["plain", "slots", "dataclass", "protocol"],
)
def test_a_class_is_the_same_after_its_instances_were_made_and_copied(load, written):
    module = load(f"{written}\ndef f(x):\n    return C()")
    before = code_id(module.f)
    copy.copy(module.f(0))
    assert code_id(module.f) == before


def test_an_init_that_a_class_takes_from_another_counts(load):
    # Beside protocols, too: of two classes above, it says whose is called.
    text = """
        import typing
        class P(typing.Protocol):
            n: int
        class A(P):
            def __init__(self):
                self.n = 1
        class B(P):
            def __init__(self):
                self.n = 2
        class C(A, B):
            WORD
        def f(x):
            return C().n
        """
    texts = [text.replace("WORD", word) for word in ("pass", "__init__ = B.__init__")]
    modules = [load(each) for each in texts]
    assert [module.f(0) for module in modules] == [1, 2]
    assert code_id(modules[0].f) != code_id(modules[1].f)


def test_no_code_of_a_users_object_runs_when_it_is_identified(load):
    module = load(
        """
        class Row:
            def __init__(self):
                self.n = 1
            def __getattr__(self, name):
                if not name.startswith("__reduce") and name not in {"__getstate__", "shape"}:
                    raise RuntimeError(name)
                raise AttributeError(name)
        row = Row()
        def f(x):
            return row.n
        """
    )
    assert code_id(module.f)
