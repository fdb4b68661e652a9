"""What data scientists edit besides: each edit across a restart, and exactly what it must run again."""

import pytest
from edits import edit

BASES = """
class Base:
    def scale(self, v):
        return v * 2
class Mixin:
    def shift(self, v):
        return v + 1
class Model(Mixin, Base):
    unused = 1
    def fit(self, v):
        return self.shift(super().scale(v))
def f(v):
    return Model().fit(v)
"""
ABSTRACT = """
import abc
class Base(abc.ABC):
    @abc.abstractmethod
    def one(self, v): ...
    def both(self, v):
        return self.one(v) + 1
class Real(Base):
    def one(self, v):
        return v
def f(v):
    return Real().both(v)
"""
DECORATED = """
import functools
def twice(factor=2):
    def wrap(fn):
        @functools.wraps(fn)
        def inner(*args):
            return factor * fn(*args)
        return inner
    return wrap
@twice(factor=2)
def f(v):
    return v + 1
"""
STACKED = """
def plus(fn):
    return lambda v: fn(v) + 1
def times(fn):
    return lambda v: fn(v) * 2
@plus
@times
def f(v):
    return v
"""
CACHED = """
import functools
@functools.lru_cache(maxsize=8)
def f(v):
    return v + 1
"""
DISPATCH = """
import functools
@functools.singledispatch
def f(v):
    return "other"
@f.register
def _(v: int):
    return v + 1
"""
GENERATOR = """
def numbers(v):
    for i in range(v):
        yield i + 1
def f(v):
    return list(numbers(v))
"""
ASYNC = """
import asyncio
async def get(v):
    await asyncio.sleep(0)
    return v + 1
def f(v):
    return asyncio.run(get(v))
"""
PROPERTY = """
class Box:
    def __init__(self, v):
        self._v = v
    @property
    def value(self):
        return self._v + 1
def f(v):
    return Box(v).value
"""
CALLABLE = """
class Adder:
    def __init__(self, k):
        self.k = k
    def __call__(self, v):
        return v + self.k
f = Adder(1)
"""
ENUM = """
import enum
class Colour(enum.Enum):
    RED = 1
    BLUE = 2
def f(v):
    return Colour.RED.value + v
"""
PYDANTIC = """
import pydantic
class Config(pydantic.BaseModel):
    n: int
    @pydantic.field_validator("n")
    @classmethod
    def check(cls, v):
        return v + 1
def f(v):
    return Config(n=v).n
"""
ATTRS = """
import attrs
@attrs.define
class Config:
    n: int
    how: str = "mean"
def f(v):
    return Config(v).n
"""
NAMED = """
from typing import NamedTuple
class Point(NamedTuple):
    x: int
    y: int = 0
def f(v):
    return Point(v).y
"""
METACLASS = """
class Meta(type):
    def __call__(cls, *args):
        made = super().__call__(*args)
        made.extra = 1
        return made
class Thing(metaclass=Meta):
    pass
def f(v):
    return Thing().extra + v
"""
SLOTS = """
class Pair:
    __slots__ = ("a", "b")
    def __init__(self, a, b=1):
        self.a, self.b = a, b
def f(v):
    pair = Pair(v)
    return pair.a + pair.b
"""
CONTEXT = """
from contextlib import contextmanager
@contextmanager
def opened(v):
    yield v + 1
def f(v):
    with opened(v) as w:
        return w
"""
LOOPED = """
fs = [lambda v, k=k: v + k for k in (1, 2)]
def f(v):
    return [g(v) for g in fs]
"""
LATE = """
def make():
    fs = []
    for k in (1, 2):
        def g(v):
            return v + k
        fs.append(g)
    return fs
fs = make()
def f(v):
    return fs[0](v)
"""
NESTED_CLASS = """
class Outer:
    class Inner:
        k = 1
    def get(self):
        return self.Inner.k
def f(v):
    return Outer().get() + v
"""
GLOBAL_STATEMENT = """
counter = 0
def f(v):
    global counter
    return v + step
step = 1
"""
PACKAGE = {
    "pack/__init__.py": "from .inner import g\n",
    "pack/inner.py": "from .deep import K\ndef g(v):\n    return v + K\n",
    "pack/deep.py": "K = 1\nUNUSED = 1\n",
    "pack/other.py": "def h(v):\n    return v\n",
}
RELATIVE = {
    "pack/__init__.py": "",
    "pack/sub/__init__.py": "",
    "pack/sub/leaf.py": "from ..root import base\nfrom . import near\ndef g(v):\n    return base(v) + near.K\n",
    "pack/sub/near.py": "K = 1\n",
    "pack/root.py": "def base(v):\n    return v + 1\n",
}
LAZY = {
    "lazy.py": "def __getattr__(name):\n    if name == 'K':\n        return 1\n    raise AttributeError(name)\n",
}
FALLBACK = """
try:
    from fast import g
except ImportError:
    def g(v):
        return v + 1
def f(v):
    return g(v)
"""
POLARS = "import polars as pl\ndef f(v):\n    return v.shape\n"
SKLEARN = """
import numpy as np
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
def f(v):
    return len(v.steps) if hasattr(v, "steps") else v.alpha
"""
TORCH_LIKE = """
import numpy as np
class Tensor:
    def __init__(self, data):
        self._data = np.asarray(data, dtype="float32")
    def __reduce__(self):
        return (Tensor, (self._data.tolist(),))
class Linear:
    def __init__(self, n):
        self.weight = Tensor(np.ones(n))
        self.training = True
    def forward(self, v):
        return v
def f(v):
    return v.training
"""
SELF = """
def ring(n):
    items = [n]
    items.append(items)
    return items
tree = {"children": []}
tree["children"].append({"parent": tree, "n": 1})
def f(v):
    return len(v)
"""


def file(name, files, changed, runs, *, before):
    return edit(name, before, "", "", runs, files=files, after_files=changed)


def argument(name, above, runs, x, after_x):
    return edit(name, above, "", "", runs, x=x, after_x=after_x)


EDITS = [
    edit("method of a base class", BASES, "v * 2", "v * 3", "ab"),
    edit("method of a mixin", BASES, "v + 1", "v + 2", "ab"),
    edit("comment in a base class", BASES, "    def shift", "    # moves\n    def shift", ""),
    edit("bases in another order", BASES, "Mixin, Base", "Base, Mixin", "a"),
    edit("concrete method behind an abstract one", ABSTRACT, "return v\n", "return v + 1\n", "ab"),
    edit("template method of an abstract base", ABSTRACT, "+ 1", "+ 2", "ab"),
    edit("body of an own decorator", DECORATED, "factor * fn", "factor + fn", "a"),
    edit("argument of an own decorator", DECORATED, "@twice(factor=2)", "@twice(factor=3)", "ab"),
    edit("function below functools.wraps", DECORATED, "v + 1", "v + 2", "ab"),
    edit("decorators in another order", STACKED, "@plus\n@times", "@times\n@plus", "ab"),
    edit("local renamed in a decorator", DECORATED, "inner", "inside", ""),
    edit("lru_cached helper", CACHED, "v + 1", "v + 2", "ab"),
    edit("size of an lru_cache", CACHED, "maxsize=8", "maxsize=9", "a"),
    edit("singledispatch: a registered function", DISPATCH, "v + 1", "v + 2", "ab"),
    edit("singledispatch: a registration more", DISPATCH, "@f.register\n", "@f.register\ndef _(v: bool):\n    return 0\n@f.register\n", "a"),
    edit("generator helper", GENERATOR, "i + 1", "i + 2", "ab"),
    edit("range of a generator", GENERATOR, "range(v)", "range(v + 1)", "ab"),
    edit("async helper", ASYNC, "v + 1", "v + 2", "ab"),
    edit("property", PROPERTY, "_v + 1", "_v + 2", "ab"),
    edit("__init__", PROPERTY, "self._v = v", "self._v = v + 1", "ab"),
    edit("__call__ of an object", CALLABLE, "v + self.k", "v - self.k", "ab"),
    edit("state of a callable object", CALLABLE, "Adder(1)", "Adder(2)", "ab"),
    edit("enum member used", ENUM, "RED = 1", "RED = 3", "ab"),
    edit("enum class run again", ENUM, "class Colour", "\n\nclass Colour", ""),
    edit("pydantic validator", PYDANTIC, "v + 1", "v + 2", "ab"),
    edit("pydantic field added", PYDANTIC, "    n: int\n", "    n: int\n    m: int = 0\n", "a"),
    edit("pydantic class run again", PYDANTIC, "import pydantic\n", "import pydantic\n\n\n", ""),
    edit("attrs default", ATTRS, "'mean'" if "'mean'" in ATTRS else '"mean"', '"median"', "a"),
    edit("attrs class run again", ATTRS, "@attrs.define", "\n# again\n@attrs.define", ""),
    edit("default of a NamedTuple", NAMED, "y: int = 0", "y: int = 1", "ab"),
    edit("metaclass", METACLASS, "extra = 1", "extra = 2", "ab"),
    edit("default in a class with slots", SLOTS, "b=1", "b=2", "ab"),
    edit("context manager", CONTEXT, "v + 1", "v + 2", "ab"),
    edit("lambdas made in a comprehension", LOOPED, "(1, 2)", "(1, 3)", "ab"),
    edit("closure over a loop variable", LATE, "(1, 2)", "(1, 3)", "ab"),
    edit("attribute of a nested class", NESTED_CLASS, "k = 1", "k = 2", "ab"),
    edit("constant beside a global statement", GLOBAL_STATEMENT, "step = 1", "step = 2", "ab"),
    edit("lambda in a dict", "fs = {'a': lambda v: v + 1, 'b': lambda v: v}\ndef f(v):\n    return fs['a'](v)\n", "v + 1", "v + 2", "ab"),
    edit("data in a dict of functions", "table = {'a': (len, 1)}\ndef f(v):\n    return table['a'][1]\n", "(len, 1)", "(len, 2)", "ab"),
    edit("mutable default argument", "def f(v, seen=[1]):\n    return v + seen[0]\n", "[1]", "[2]", "ab"),
    edit("keyword default", "def f(v, *, k=1):\n    return v + k\n", "k=1", "k=2", "ab"),
    edit("partial", "from functools import partial\ndef g(k, v):\n    return v + k\nf = partial(g, 1)\n", "g, 1", "g, 2", "ab"),
    edit("function in a partial", "from functools import partial\ndef g(k, v):\n    return v + k\nf = partial(g, 1)\n", "v + k", "v - k", "ab"),
    edit("attrgetter", "import operator\nget = operator.attrgetter('real')\ndef f(v):\n    return get(v)\n", "'real'", "'imag'", "ab"),
    edit("match pattern", "def f(v):\n    match v:\n        case 1: return 'one'\n        case _: return 'many'\n", "case 1", "case 2", "ab"),
    edit("match guard", "def f(v):\n    match v:\n        case int() if v > 5: return 'big'\n        case _: return 'small'\n", "v > 5", "v > 0", "ab"),
    edit("walrus", "def f(v):\n    if (w := v + 1) > 1:\n        return w\n    return 0\n", "v + 1", "v + 2", "ab"),
    edit("walrus renamed", "def f(v):\n    if (w := v + 1) > 1:\n        return w\n    return 0\n", "w", "width", ""),
    edit("nonlocal", "def f(v):\n    total = 0\n    def add(k):\n        nonlocal total\n        total += k\n    add(v)\n    return total\n", "total += k", "total += 2 * k", "ab"),
    edit("filter in a comprehension", "def f(v):\n    return [i for i in range(4) if i != v]\n", "i != v", "i >= v", "ab"),
    edit("variable of a comprehension renamed", "def f(v):\n    return [i for i in range(4) if i != v]\n", "i ", "k ", "", body="return f(x)"),
    edit("f-string", "def f(v):\n    return f'{v:>3}'\n", ":>3", ":>4", "ab"),
    edit("text in an f-string", "K = 1\ndef f(v):\n    return f'a{K}{v!r}'\n", "a{K}", "b{K}", "ab"),
    edit("quotes of a string", "def f(v):\n    return 'a' + str(v)\n", "'a'", '"a"', ""),
    edit("number written in another way", "def f(v):\n    return v * 1000\n", "1000", "1_000", ""),
    edit("number becomes a float", "def f(v):\n    return v * 1000\n", "1000", "1000.0", "ab"),
    edit("condition turned round", "def f(v):\n    return 'a' if v else 'b'\n", "if v", "if not v", "ab"),
    edit("line moved into try", "def f(v):\n    w = int(v)\n    try:\n        return w\n    except ValueError:\n        return 0\n", "    w = int(v)\n    try:\n", "    try:\n        w = int(v)\n", "a"),
    edit("type hints", "def f(v):\n    return v + 1\n", "def f(v):", "def f(v: int) -> int:", ""),
    edit("annotated local", "def f(v):\n    w = v + 1\n    return w\n", "w = v", "w: int = v", ""),
    edit("helper renamed", "def g(v):\n    return v + 1\ndef f(v):\n    return g(v)\n", "g(v)", "plus_one(v)", "a"),
    edit("helpers in another order", "def g(v):\n    return v + 1\ndef h(v):\n    return v\ndef f(v):\n    return g(v)\n", "def g(v):\n    return v + 1\ndef h(v):\n    return v\n", "def h(v):\n    return v\ndef g(v):\n    return v + 1\n", ""),
    edit("recursive helper", "def f(v):\n    return 1 if v < 1 else f(v - 1) + 1\n", "+ 1", "+ 2", "ab"),
    edit("one of two that call each other", "def g(v):\n    return f(v - 1)\ndef f(v):\n    return 0 if v < 1 else g(v)\n", "return 0", "return 5", "ab"),
    edit("print in a helper", "def f(v):\n    print('working')\n    return v\n", "working", "at work", "a"),
    edit("a plain function in place of an import", "from math import floor\ndef f(v):\n    return floor(v)\n", "from math import floor\n", "def floor(v):\n    return v + 1\n", "ab"),
    edit("import under another name", "import math as m\ndef f(v):\n    return m.floor(v)\n", "math as m", "math as m  # again", ""),
    edit("from x import y as z", "from os.path import basename as g\ndef f(v):\n    return g(str(v) + '/x')\n", "basename", "dirname", "ab"),
    edit("another function of the same module", "import numpy as np\ndef f(v):\n    return float(np.max([v, 2]))\n", "np.max", "np.min", "ab"),
    edit("import in the body", "def f(v):\n    import math\n    return math.floor(v)\n", "math.floor", "math.ceil", "a"),
    edit("compiled pattern", "import re\nP = re.compile('a+')\ndef f(v):\n    return P.findall('aab')\n", "'a+'", "'b+'", "ab"),
    edit("flags of a pattern", "import re\nP = re.compile('A+')\ndef f(v):\n    return P.findall('aab')\n", "'A+'", "'A+', re.I", "ab"),
    edit("global set in another order", "S = {'x', 'y', 'z'}\ndef f(v):\n    return len(S)\n", "'x', 'y', 'z'", "'z', 'y', 'x'", ""),
    edit("global tuple", "T = (1, 2)\ndef f(v):\n    return T[0]\n", "(1, 2)", "(2, 2)", "ab"),
    edit("global array", "import numpy as np\nW = np.arange(4)\ndef f(v):\n    return int(W.sum())\n", "arange(4)", "arange(5)", "ab"),
    edit("global frame", "import pandas as pd\nW = pd.DataFrame({'n': [1, 2]})\ndef f(v):\n    return int(W.n.sum())\n", "[1, 2]", "[1, 3]", "ab"),
    edit("type alias", "Number = int | float\ndef f(v):\n    return isinstance(v, Number)\n", "int | float", "str | float", "ab"),
    edit("static method", "class A:\n    @staticmethod\n    def g(v):\n        return v + 1\ndef f(v):\n    return A.g(v)\n", "v + 1", "v + 2", "ab"),
    edit("class method", "class A:\n    k = 1\n    @classmethod\n    def g(cls, v):\n        return v + cls.k\ndef f(v):\n    return A.g(v)\n", "k = 1", "k = 2", "ab"),
    edit("cached property", "from functools import cached_property\nclass A:\n    @cached_property\n    def n(self):\n        return 1\ndef f(v):\n    return A().n\n", "return 1", "return 2", "ab"),
    edit("operator method", "class A:\n    def __add__(self, o):\n        return 1\ndef f(v):\n    return A() + v\n", "return 1", "return 2", "ab"),
    edit("dataclass default", "from dataclasses import dataclass\n@dataclass\nclass C:\n    n: int = 1\ndef f(v):\n    return C().n\n", "= 1", "= 2", "ab"),
    edit("dataclass default factory", "from dataclasses import dataclass, field\n@dataclass\nclass C:\n    n: list = field(default_factory=lambda: [1])\ndef f(v):\n    return C().n\n", "[1]", "[2]", "ab"),
    edit("dataclass frozen", "from dataclasses import dataclass\n@dataclass(order=False)\nclass C:\n    n: int = 1\ndef f(v):\n    return C().n\n", "order=False", "order=True", "a"),
    edit("except clause", "def f(v):\n    try:\n        return {}[v]\n    except KeyError:\n        return 1\n", "KeyError", "LookupError", "a"),
    edit("finally", "def f(v):\n    out = []\n    try:\n        out.append(1)\n    finally:\n        out.append(2)\n    return out\n", "append(2)", "append(3)", "ab"),
    edit("assert", "def f(v):\n    assert v > 0\n    return v\n", "v > 0", "v >= 0", "a"),
    edit("star arguments", "def g(*xs, **kw):\n    return len(xs)\ndef f(v):\n    return g(v, v)\n", "g(v, v)", "g(*[v, v, v])", "ab"),
    edit("slice", "def f(v):\n    return [1, 2, 3][1:]\n", "[1:]", "[:1]", "ab"),
    edit("augmented assignment", "def f(v):\n    v += 1\n    return v\n", "+= 1", "-= 1", "ab"),
    edit("chained comparison", "def f(v):\n    return 0 < v < 2\n", "< 2", "<= 2", "a"),
    edit("conditional import", FALLBACK, "v + 1", "v + 2", "ab"),
    edit("polars values", POLARS, "import polars", "import  polars", "", x="pl.DataFrame({'n': [1, 2]})"),
    edit("scikit-learn import", SKLEARN, "import numpy", "import  numpy", "", x="make_pipeline(StandardScaler(), Ridge(alpha=2.0))"),
    edit("method of a model class", TORCH_LIKE, "return v\n", "return -v\n", "a", x="Linear(3)"),
    edit("model class run again", TORCH_LIKE, "class Linear", "\n\nclass Linear", "", x="Linear(3)"),
    edit("self-referential global", SELF, '"n": 1', '"n": 2', "a", body="return f(tree)"),
    argument("self-referential argument", SELF, "a", "ring(1)", "ring(2)"),
    argument("equal self-referential argument", SELF, "", "ring(1)", "[*ring(1)[:1], ring(1)][:0] or ring(1)"),
    argument("polars value changed", POLARS, "a", "pl.DataFrame({'n': [1, 2]})", "pl.DataFrame({'n': [1, 3]})"),
    argument("polars dtype changed", POLARS, "a", "pl.DataFrame({'n': [1, 2]})", "pl.DataFrame({'n': [1, 2]}, schema={'n': pl.Int32})"),
    argument("polars built in two parts", POLARS, "", "pl.DataFrame({'n': [1, 2]})", "pl.concat([pl.DataFrame({'n': [1]}), pl.DataFrame({'n': [2]})], rechunk=False)"),
    argument("hyperparameter of an estimator", SKLEARN, "ab", "Ridge(alpha=1.0)", "Ridge(alpha=2.0)"),
    argument("estimator made again", SKLEARN, "", "Ridge(alpha=1.0)", "Ridge().set_params(alpha=1.0)"),
    argument("fitted on other data", SKLEARN, "a", "Ridge(alpha=1.0).fit(np.eye(3), [1, 2, 3])", "Ridge(alpha=1.0).fit(np.eye(3), [1, 2, 4])"),
    argument("fitted again on the same data", SKLEARN, "", "Ridge(alpha=1.0).fit(np.eye(3), [1, 2, 3])", "Ridge(alpha=1.0).fit(np.eye(3), [1, 2, 3])"),
    argument("weights of a model", TORCH_LIKE, "a", "Linear(3)", "Linear(4)"),
    argument("arrow table in other chunks", "import pyarrow as pa\ndef f(v):\n    return v.num_rows\n", "", "pa.table({'n': [1, 2]})", "pa.concat_tables([pa.table({'n': [1]}), pa.table({'n': [2]})])"),
    argument("arrow column renamed", "import pyarrow as pa\ndef f(v):\n    return v.num_rows\n", "a", "pa.table({'n': [1, 2]})", "pa.table({'m': [1, 2]})"),
    argument("frame index", "import pandas as pd\ndef f(v):\n    return len(v)\n", "a", "pd.DataFrame({'n': [1, 2]})", "pd.DataFrame({'n': [1, 2]}, index=[1, 2])"),
    argument("frame of other blocks", "import pandas as pd\ndef f(v):\n    return len(v)\n", "", "pd.DataFrame({'n': [1, 2], 'm': [3, 4]})", "pd.DataFrame({'n': [1, 2]}).assign(m=[3, 4])"),
    argument("categories in another order", "import pandas as pd\ndef f(v):\n    return list(v.cat.categories)\n", "ab", "pd.Series(pd.Categorical(['a'], ['a', 'b']))", "pd.Series(pd.Categorical(['a'], ['b', 'a']))"),
    argument("a zero with a sign", "def f(v):\n    return str(v)\n", "ab", "0.0", "-0.0"),
    argument("list becomes a tuple", "def f(v):\n    return len(v)\n", "a", "[1]", "(1,)"),
    argument("text becomes bytes", "def f(v):\n    return len(v)\n", "a", "'a'", "b'a'"),
    argument("time zone", "import datetime as dt, zoneinfo\ndef f(v):\n    return v.year\n", "a", "dt.datetime(2026, 1, 1, tzinfo=zoneinfo.ZoneInfo('Europe/Paris'))", "dt.datetime(2026, 1, 1, tzinfo=zoneinfo.ZoneInfo('Europe/Rome'))"),
    file("constant in a package's submodule", PACKAGE, {"pack/deep.py": "K = 2\nUNUSED = 1\n"}, "ab", before="from pack import g as f\n"),
    file("unused constant in a package's submodule", PACKAGE, {"pack/deep.py": "K = 1\nUNUSED = 2\n"}, "", before="from pack import g as f\n"),
    file("another module of the package", PACKAGE, {"pack/other.py": "def h(v):\n    return 2 * v\n"}, "", before="import pack\ndef f(v):\n    return pack.g(v)\n"),
    file("star import", {"names.py": "def f(v):\n    return v + 1\n"}, {"names.py": "def f(v):\n    return v + 2\n"}, "ab", before="from names import *\n"),
    file("relative import two levels up", RELATIVE, {"pack/root.py": "def base(v):\n    return v + 2\n"}, "ab", before="from pack.sub.leaf import g as f\n"),
    file("relative import beside", RELATIVE, {"pack/sub/near.py": "K = 2\n"}, "ab", before="from pack.sub import leaf\ndef f(v):\n    return leaf.g(v)\n"),
    file("relative import inside the body", {"pack/__init__.py": "def f(v):\n    from .deep import K\n    return v + K\n", "pack/deep.py": "K = 1\n"}, {"pack/deep.py": "K = 2\n"}, "ab", before="from pack import f\n"),
    file("helper moved to another module", {"one.py": "def g(v):\n    return v + 1\n", "two.py": "", "both.py": "from one import g\n"}, {"one.py": "", "two.py": "def g(v):\n    return v + 1\n", "both.py": "from two import g\n"}, "", before="import both\ndef f(v):\n    return both.g(v)\n"),
    file("constant by from-import", {"conf.py": "K = 1\n"}, {"conf.py": "K = 2\n"}, "ab", before="from conf import K\ndef f(v):\n    return v + K\n"),
    file("module with __getattr__", LAZY, {"lazy.py": LAZY["lazy.py"].replace("return 1", "return 2")}, "ab", before="import lazy\ndef f(v):\n    return v + lazy.K\n"),
    file("import that begins to work", {}, {"fast.py": "def g(v):\n    return v + 5\n"}, "ab", before=FALLBACK),
    file("class of a local module", {"mod.py": "class A:\n    def g(self, v):\n        return v + 1\n"}, {"mod.py": "class A:\n    def g(self, v):\n        return v + 2\n"}, "ab", before="from mod import A\ndef f(v):\n    return A().g(v)\n"),
    file("base class in a local module", {"mod.py": "class Base:\n    k = 1\n"}, {"mod.py": "class Base:\n    k = 2\n"}, "ab", before="import mod\nclass A(mod.Base):\n    pass\ndef f(v):\n    return A().k + v\n"),
    file("comment in a local module", {"mod.py": "def f(v):\n    return v + 1\n"}, {"mod.py": "# words\n\ndef f(v):\n    return v + 1\n"}, "", before="from mod import f\n"),
    file("sibling function in a local module", {"mod.py": "def f(v):\n    return v + 1\ndef g():\n    return 1\n"}, {"mod.py": "def f(v):\n    return v + 1\ndef g():\n    return 2\n"}, "", before="import mod\ndef f(v):\n    return mod.f(v)\n"),
    file("module used as a whole", {"mod.py": "K = 1\n"}, {"mod.py": "K = 2\n"}, "ab", before="import mod\ndef f(v):\n    return v + vars(mod)['K']\n"),
    file("json read by a helper", {"conf.json": '{"k": 1}'}, {"conf.json": '{"k": 2}'}, "ab", before="import json\ndef f(v):\n    with open('conf.json') as s:\n        return v + json.load(s)['k']\n"),
]  # fmt: skip


@pytest.mark.parametrize("each", EDITS, ids=lambda each: each.name)
def test_an_edit_runs_exactly_what_it_must(each, restart, tmp_path):
    each.hold(restart, tmp_path)
