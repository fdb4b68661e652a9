"""Edits that only a look deep into values, classes and modules can judge: each across a restart, exactly."""

import pytest
from edits import edit

CACHED_PROPERTY = """
from functools import cached_property
def helper():
    return 1
class A:
    @cached_property
    def n(self):
        return helper()
def f(v):
    return A().n + v
"""
NESTED_MODELS = """
import pydantic
class Inner(pydantic.BaseModel):
    n: int
    @pydantic.field_validator("n")
    @classmethod
    def check(cls, v):
        return v + 1
class Outer(pydantic.BaseModel):
    inner: Inner
def f(v):
    return Outer(inner={"n": v}).inner.n
"""
ANNOTATED = """
import pydantic
from typing import Annotated
def plus(v):
    return v + 1
class Config(pydantic.BaseModel):
    n: Annotated[int, pydantic.AfterValidator(plus)]
    made: list = pydantic.Field(default_factory=lambda: [1])
def f(v):
    c = Config(n=v)
    return c.n + c.made[0]
"""
CONVERTER = """
import attrs
def plus(v):
    return v + 1
@attrs.define
class Config:
    n: int = attrs.field(converter=plus)
    made: list = attrs.field(factory=lambda: [1])
def f(v):
    c = Config(v)
    return c.n + c.made[0]
"""
METHOD_DISPATCH = """
from functools import singledispatchmethod
class A:
    @singledispatchmethod
    def g(self, v):
        return "other"
    @g.register
    def _(self, v: int):
        return v + 1
def f(v):
    return A().g(v)
"""
PARTIAL_METHOD = """
from functools import partialmethod
class A:
    def g(self, k, v):
        return v + k
    plus = partialmethod(g, 1)
def f(v):
    return A().plus(v)
"""
REGISTRY = """
REGISTRY = {}
def register(cls):
    REGISTRY[cls.__name__] = cls
    return cls
@register
class A:
    def g(self, v):
        return v + 1
def f(v):
    return REGISTRY["A"]().g(v)
"""
SUBCLASS_HOOK = """
class Base:
    kinds = {}
    def __init_subclass__(cls, **kw):
        Base.kinds[cls.__name__] = cls
class A(Base):
    def g(self, v):
        return v + 1
def f(v):
    return Base.kinds["A"]().g(v)
"""
DESCRIPTOR = """
class Scaled:
    def __init__(self, k):
        self.k = k
    def __set_name__(self, owner, name):
        self.name = "_" + name
    def __get__(self, it, owner):
        return it.__dict__[self.name] * self.k
    def __set__(self, it, v):
        it.__dict__[self.name] = v
class A:
    n = Scaled(2)
def f(v):
    a = A()
    a.n = v
    return a.n
"""
CLASS_DECORATOR = """
def extended(cls):
    cls.g = lambda self, v: v + 1
    return cls
@extended
class A:
    pass
def f(v):
    return A().g(v)
"""
DICT_OF_CACHED = """
import functools
@functools.lru_cache
def g(v):
    return v + 1
table = {"g": g}
def f(v):
    return table["g"](v)
"""
STATIC_CACHED = """
import functools
class A:
    @staticmethod
    @functools.lru_cache
    def g(v):
        return v + 1
def f(v):
    return A.g(v)
"""
CACHED_METHOD = """
import functools
class A:
    @functools.cache
    def g(self, v):
        return v + 1
def f(v):
    return A().g(v)
"""
ENVIRON = """
from os import environ
def f(v):
    return len(environ.get("NOBODY_SETS_THIS", "")) + v
"""
WHOLE = "import outer\ndef call(m, v):\n    return m.g(v)\ndef f(v):\n    return call(outer, v)\n"
WHOLE_FILES = {
    "outer.py": "import inner\n# words\nK = 1\ndef g(v):\n    return inner.h(v) + K\n",
    "inner.py": "def h(v):\n    return v + 1\n",
}
LOCAL_DISPATCH = {
    "kinds.py": """
import functools
@functools.singledispatch
def f(v):
    return "other"
@f.register
def _(v: int):
    return v + 1
"""
}
LOCAL_CONTEXT = {
    "ctx.py": """
from contextlib import contextmanager
@contextmanager
def opened(v):
    yield v + 1
def f(v):
    with opened(v) as w:
        return w
"""
}
EXECUTED = '''
space = {}
exec("""
class A:
    def g(self, v):
        return v + 1
def f(v):
    return A().g(v)
""", space)
f = space["f"]
'''
ENUM_METHOD = """
import enum
class Kind(enum.IntEnum):
    ONE = enum.auto()
    TWO = enum.auto()
    def shifted(self):
        return self + 1
    @classmethod
    def _missing_(cls, v):
        return cls.ONE
def f(v):
    return Kind(v).shifted() + Kind(99)
"""
FLAG = """
import enum
class Mode(enum.Flag):
    READ = 1
    WRITE = 2
BOTH = Mode.READ | Mode.WRITE
def f(v):
    return BOTH.value + v
"""
POST_INIT = """
from dataclasses import dataclass, field, KW_ONLY
@dataclass(slots=True)
class Base:
    n: int
    def __post_init__(self):
        self.n += 1
@dataclass(slots=True)
class C(Base):
    k: int = field(default=0, metadata={"unit": "m"})
    def total(self):
        return self.n + self.k
def f(v):
    return C(v).total()
"""
GENERIC = """
from typing import Generic, TypeVar, Protocol, TypedDict, NewType, Literal
T = TypeVar("T")
class Box(Generic[T]):
    def __init__(self, v: T):
        self.v = v
    def get(self) -> T:
        return self.v + 1
class Row(TypedDict):
    n: int
Meters = NewType("Meters", int)
def f(v):
    return Box[int](Meters(v)).get() + len(Row(n=1))
"""
ERRORS = """
class Base(Exception):
    code = 1
class Bad(Base):
    pass
def f(v):
    try:
        raise Bad(v)
    except Base as error:
        return error.code
"""
SUBCLASS = """
class Table(dict):
    def total(self):
        return sum(self.values())
TABLE = Table(a=1)
def f(v):
    return TABLE.total() + v
"""
DEFAULTDICT = """
from collections import defaultdict
D = defaultdict(lambda: 1)
def f(v):
    return dict(D).get("x", D.default_factory()) + v
"""
TRANSFORMER = """
from sklearn.preprocessing import FunctionTransformer
def plus(v):
    return v + 1
def f(v):
    return type(v).__name__
"""
ESTIMATOR = """
from sklearn.base import BaseEstimator, TransformerMixin
class Plus(BaseEstimator, TransformerMixin):
    def __init__(self, k=1):
        self.k = k
    def transform(self, v):
        return v + self.k
def f(v):
    return v.transform(1)
"""
LOGGER = """
import logging, sys, threading, re, pathlib, warnings
from sys import stderr
log = logging.getLogger("mine")
HERE = pathlib.Path("data")
def f(v):
    log.info("working")
    print("words", file=stderr)
    return str(HERE / str(v))
"""
SCIPY = "import numpy as np\nfrom scipy import sparse\ndef f(v):\n    return float(v.sum())\n"
PANDAS = "import pandas as pd, numpy as np\ndef f(v):\n    return repr(v)\n"
VALIDATED = """
import pydantic
@pydantic.validate_call
def f(v: int):
    return v + 1
"""
SELF_TYPED = """
class Tree:
    def __init__(self, v, parent=None):
        self.v, self.parent, self.kids = v, parent, []
        if parent is not None:
            parent.kids.append(self)
root = Tree(1)
Tree(2, root)
def f(v):
    return root.kids[0].v + v
"""
ASYNC_GENERATOR = """
import asyncio
class Opened:
    async def __aenter__(self):
        return 1
    async def __aexit__(self, *_):
        pass
async def numbers(v):
    for i in range(v):
        yield i + 1
async def main(v):
    async with Opened() as k:
        return [i + k async for i in numbers(v)]
def f(v):
    return asyncio.run(main(v))
"""
COOPERATIVE = """
class Root:
    def g(self, v):
        return v
class Left(Root):
    def g(self, v):
        return super().g(v) + 1
class Right(Root):
    def g(self, v):
        return super().g(v) * 2
class Both(Left, Right):
    pass
def f(v):
    return Both().g(v)
"""
TASK_OF_METHOD = """
class Model:
    def __init__(self, k):
        self.k = k
    def fit(self, v):
        return v + self.k
model = Model(1)
"""
ORDERED = """
import functools
@functools.total_ordering
class A:
    def __init__(self, v):
        self.v = v
    def __eq__(self, o):
        return self.v == o.v
    def __lt__(self, o):
        return self.v < o.v
def f(v):
    return A(v) >= A(2)
"""
VECTORIZED = """
import numpy as np
def plus(v):
    return v + 1
g = np.vectorize(plus)
def f(v):
    return g([v]).tolist()
"""
FROMPYFUNC = """
import numpy as np
def plus(v):
    return v + 1
f = np.frompyfunc(plus, 1, 1)
"""
INSIDE_IMPORT = "def f(v):\n    from tools.maths import plus as p\n    return p(v)\n"
INSIDE_FILES = {
    "tools/__init__.py": "",
    "tools/maths.py": "def plus(v):\n    return v + 1\ndef other():\n    return 1\n",
}

QUERY = """
import pandas as pd
LIMIT = 1
def f(v):
    return pd.DataFrame({'a': [1, 2, 3]}).query('a > @LIMIT').a.tolist()
"""
QUERY_OF_LOCALS = """
import pandas as pd
def f(v):
    lo, hi = 1, 2
    return pd.DataFrame({'a': [1, 2, 3]}).query('a > @lo').a.tolist() + [hi][:0]
"""
QUERY_WITHOUT = """
import pandas as pd
def f(v):
    rows = pd.DataFrame({'a': [1, 2, 3]})
    return rows.query('a > 1').a.tolist()
"""
BRANCHES = {"fast.py": "def g(v):\n    return v\n", "slow.py": "def g(v):\n    return -v\n"}
ENUM_NEW = """
from enum import Enum
class P(Enum):
    A = (1, 2)
    def __new__(cls, v, m):
        made = object.__new__(cls)
        made._value_ = v
        made.m = m * 2
        return made
def f(v):
    return P.A.m
"""
OWN_ARRAY = """
import numpy as np
class Unit(np.ndarray):
    def __new__(cls, numbers, unit):
        made = np.asarray(numbers).view(cls)
        made.unit = unit
        return made
M = Unit([1, 2], 'm')
def f(v):
    return M.unit
"""
SPAWNED = """
from numpy.random import default_rng
R = default_rng(1)
R.spawn(1)
def f(v):
    return R.bit_generator.seed_seq.n_children_spawned
"""
PATCHED = """
import pandas as pd
pd.DataFrame.twice = lambda self: self.n * 2
pd.Series.more = property(lambda self: self + 1)
def f(v):
    return int(pd.DataFrame({'n': [v]}).twice()[0])
"""
ACCESSOR = """
import pandas as pd
@pd.api.extensions.register_dataframe_accessor('zz')
class Z:
    def __init__(self, frame):
        self.frame = frame
    def g(self):
        return len(self.frame) * 2
def f(v):
    return pd.DataFrame({'a': [1]}).zz.g()
"""
SUBCLASSES = """
class Base:
    pass
class One(Base):
    def g(self):
        return 1
def f(v):
    return [cls().g() for cls in Base.__subclasses__()]
"""
FRAME_KIND = """
import pandas as pd
class D(pd.DataFrame):
    @property
    def _constructor(self):
        return D
    def g(self):
        return len(self) * 2
M = D({'a': [1.0]})
def f(v):
    return M.g()
"""
COMPUTED_ONCE = """
from functools import cached_property
class C:
    @cached_property
    def sq(self):
        return 9
"""
EDITS = [
    edit("global named in a query", QUERY, "LIMIT = 1", "LIMIT = 2", "ab"),
    edit("locals swapped that a query names", QUERY_OF_LOCALS, "lo, hi = 1, 2", "hi, lo = 1, 2", "ab"),
    edit("local renamed beside a query without names", QUERY_WITHOUT, "rows", "lines", ""),
    edit("module imported by the first of two branches", "def f(x):\n    try:\n        from fast import g\n    except ImportError:\n        from slow import g\n    return g(x)\n", "return v\n", "return v + 1\n", "ab", files=BRANCHES, where="fast.py"),
    edit("module imported by the other branch", "def f(x):\n    if x:\n        import fast as m\n    else:\n        import slow as m\n    return m.g(x)\n", "return v\n", "return v + 1\n", "ab", files=BRANCHES, where="fast.py"),
    edit("value of an enum with __new__", ENUM_NEW, "(1, 2)", "(1, 3)", "ab"),
    edit("body of an enum's __new__", ENUM_NEW, "m * 2", "m * 3", "ab"),
    edit("enum with __new__ run again", ENUM_NEW, "class P", "\n\nclass P", ""),
    edit("attribute of an array of one's own kind", OWN_ARRAY, "M = Unit([1, 2], 'm')", "M = Unit([1, 2], 'km')", "ab"),
    edit("how often a generator was spawned", SPAWNED, "spawn(1)", "spawn(2)", "ab"),
    edit("flags of a frame", "import pandas as pd\nM = pd.DataFrame({'a': [1]}).set_flags(allows_duplicate_labels=True)\ndef f(v):\n    return M.flags.allows_duplicate_labels\n", "labels=True", "labels=False", "ab"),
    edit("what lies below a mask", "import numpy as np\nM = np.ma.array([1, 2], mask=[0, 1])\ndef f(v):\n    return M.data.tolist()\n", "[1, 2]", "[1, 3]", "ab"),
    edit("function put into an installed module", "import statistics\ndef p(v):\n    return v + 1\nstatistics.mean = p\ndef f(v):\n    return statistics.mean(v)\n", "v + 1", "v + 2", "ab"),
    edit("accessor of a frame", ACCESSOR, "* 2", "* 3", "ab"),
    edit("method put into a frame", PATCHED, "* 2", "* 3", "ab"),
    edit("property put into a series", PATCHED, "+ 1", "+ 2", "ab", body="return int(pd.Series([x]).more[0])"),
    edit("method put into a frame, not used", PATCHED, "* 2", "* 3", "", body="return x"),
    edit("accessor that is not used", ACCESSOR, "* 2", "* 3", "", body="return x"),
    edit("subclass found by __subclasses__", SUBCLASSES, "return 1", "return 2", "ab"),
    edit("subclass of a frame", FRAME_KIND, "* 2", "* 3", "ab"),
    edit("compiled function of a library", "from pyarrow.csv import read_csv\ndef f(v):\n    return read_csv.__name__, v + 1\n", "v + 1", "v + 2", "ab"),
    edit("function under an lru_cache in an attribute that is computed once", COMPUTED_ONCE, "return 9", "return 8", "ab", body="return (x.sq, 1)[1] if x.sq < 9 else x.sq", x="C()"),
    edit("cached_property: its body", CACHED_PROPERTY, "return helper()", "return helper() + 1", "ab"),
    edit("cached_property: a helper below it", CACHED_PROPERTY, "return 1", "return 2", "ab"),
    edit("cached_property: comment", CACHED_PROPERTY, "    @cached_property", "    # words\n    @cached_property", ""),
    edit("cached_property: blank lines", CACHED_PROPERTY, "class A:", "\n\nclass A:", ""),
    edit("validator of a nested pydantic model", NESTED_MODELS, "v + 1", "v + 2", "ab"),
    edit("nested pydantic models run again", NESTED_MODELS, "class Inner", "\n# again\nclass Inner", ""),
    edit("validator in Annotated", ANNOTATED, "v + 1", "v + 2", "ab"),
    edit("default_factory of a pydantic field", ANNOTATED, "[1])", "[2])", "ab"),
    edit("pydantic functions run again", ANNOTATED, "def plus", "\n# again\ndef plus", ""),
    edit("converter of attrs", CONVERTER, "v + 1", "v + 2", "ab"),
    edit("factory of attrs", CONVERTER, "[1])", "[2])", "ab"),
    edit("attrs functions run again", CONVERTER, "def plus", "\n# again\ndef plus", ""),
    edit("validate_call: body", VALIDATED, "v + 1", "v + 2", "ab"),
    edit("validate_call: annotation", VALIDATED, "v: int", "v: str", "ab", body="try:\n    return f(x)\nexcept Exception:\n    return None"),
    edit("validate_call: run again", VALIDATED, "@pydantic", "\n\n@pydantic", ""),
    edit("singledispatchmethod", METHOD_DISPATCH, "v + 1", "v + 2", "ab"),
    edit("singledispatchmethod run again", METHOD_DISPATCH, "class A", "\n# again\nclass A", ""),
    edit("partialmethod", PARTIAL_METHOD, "(g, 1)", "(g, 2)", "ab"),
    edit("function below a partialmethod", PARTIAL_METHOD, "v + k", "v - k", "ab"),
    edit("class in a registry", REGISTRY, "v + 1", "v + 2", "ab"),
    edit("class in a registry run again", REGISTRY, "@register", "\n@register", ""),
    edit("subclass known by __init_subclass__", SUBCLASS_HOOK, "v + 1", "v + 2", "ab"),
    edit("own descriptor: method", DESCRIPTOR, "* self.k", "+ self.k", "ab"),
    edit("own descriptor: argument", DESCRIPTOR, "Scaled(2)", "Scaled(3)", "ab"),
    edit("own descriptor run again", DESCRIPTOR, "class Scaled", "\nclass Scaled", ""),
    edit("own class decorator", CLASS_DECORATOR, "v + 1", "v + 2", "ab"),
    edit("lru_cached function in a dict", DICT_OF_CACHED, "v + 1", "v + 2", "ab"),
    edit("lru_cached function in a dict run again", DICT_OF_CACHED, "@functools", "\n@functools", ""),
    edit("lru_cached static method", STATIC_CACHED, "v + 1", "v + 2", "ab"),
    edit("cached method", CACHED_METHOD, "v + 1", "v + 2", "ab"),
    edit("cached method run again", CACHED_METHOD, "class A", "\n\nclass A", ""),
    edit("environ imported by name", ENVIRON, "def f", "environ['SOMETHING'] = 'else'\ndef f", ""),
    edit("module passed on: function of a module it imports", WHOLE, "v + 1", "v + 2", "ab", files=WHOLE_FILES, where="inner.py"),
    edit("module passed on: constant", WHOLE, "K = 1", "K = 2", "ab", files=WHOLE_FILES, where="outer.py"),
    edit("module passed on: comment", WHOLE, "# words", "# other words", "", files=WHOLE_FILES, where="outer.py"),
    edit("module passed on: blank lines", WHOLE, "def h", "\n\ndef h", "", files=WHOLE_FILES, where="inner.py"),
    edit("singledispatch in a local module", "from kinds import f\n", "v + 1", "v + 2", "ab", files=LOCAL_DISPATCH, where="kinds.py"),
    edit("singledispatch in a local module run again", "from kinds import f\n", "def f", "\ndef f", "", files=LOCAL_DISPATCH, where="kinds.py"),
    edit("contextmanager in a local module", "from ctx import f\n", "v + 1", "v + 2", "ab", files=LOCAL_CONTEXT, where="ctx.py"),
    edit("code made by exec: method", EXECUTED, "v + 1", "v + 2", "ab"),
    edit("enum method", ENUM_METHOD, "self + 1", "self + 2", "ab"),
    edit("enum _missing_", ENUM_METHOD, "cls.ONE", "cls.TWO", "ab"),
    edit("enum with auto run again", ENUM_METHOD, "class Kind", "\nclass Kind", ""),
    edit("flag combined", FLAG, " | Mode.WRITE", "", "ab"),
    edit("flag run again", FLAG, "class Mode", "\nclass Mode", ""),
    edit("__post_init__ of a base with slots", POST_INIT, "+= 1", "+= 2", "ab"),
    edit("metadata of a field", POST_INIT, '"m"', '"km"', "a"),
    edit("dataclasses with slots run again", POST_INIT, "class C", "# again\nclass C", ""),
    edit("method of a generic class", GENERIC, "self.v + 1", "self.v + 2", "ab"),
    edit("generic class run again", GENERIC, "class Box", "\nclass Box", ""),
    edit("attribute of a base exception", ERRORS, "code = 1", "code = 2", "ab"),
    edit("method of a dict subclass", SUBCLASS, "sum(", "max(", "a"),
    edit("content of a dict subclass", SUBCLASS, "a=1", "a=2", "ab"),
    edit("factory of a defaultdict", DEFAULTDICT, "lambda: 1", "lambda: 2", "ab"),
    edit("function inside a FunctionTransformer", TRANSFORMER, "v + 1", "v + 2", "a", x="FunctionTransformer(plus)"),
    edit("FunctionTransformer run again", TRANSFORMER, "def plus", "\ndef plus", "", x="FunctionTransformer(plus)"),
    edit("method of an own estimator", ESTIMATOR, "v + self.k", "v - self.k", "ab", x="Plus(2)"),
    edit("own estimator run again", ESTIMATOR, "class Plus", "\nclass Plus", "", x="Plus(2)"),
    edit("logger, stream and path as globals", LOGGER, "import logging", "import  logging", ""),
    edit("path as a global", LOGGER, '"data"', '"date"', "ab"),
    edit("sparse matrix: value", SCIPY + "M = sparse.csr_matrix(np.eye(3))\n", "eye(3)", "eye(4)", "ab", x="M"),
    edit("sparse matrix: run again", SCIPY + "M = sparse.csr_matrix(np.eye(3))\n", "M = ", "\nM = ", "", x="M"),
    edit("array in Fortran order", PANDAS + "M = np.ones((2, 3))\n", "(2, 3)", "(2, 3), order='F'", "", body="return x.tolist()", x="M"),
    edit("array view", PANDAS + "M = np.arange(3)\n", "np.arange(3)", "np.arange(6)[:3]", "", x="M"),
    edit("structured dtype: name", PANDAS + "M = np.zeros(2, dtype=[('p', 'i4')])\n", "'p'", "'q'", "ab", x="M"),
    edit("datetime unit", PANDAS + "M = np.zeros(2, dtype='M8[s]')\n", "[s]", "[ms]", "ab", x="M"),
    edit("matrix subclass", PANDAS + "M = np.asarray([[1]])\n", "asarray", "asmatrix", "ab", x="M"),
    edit("series name", PANDAS + "M = pd.Series([1], name='p')\n", "'p'", "'q'", "ab", x="M"),
    edit("index name", PANDAS + "M = pd.Series([1], index=pd.Index([1], name='p'))\n", "'p'", "'q'", "ab", x="M"),
    edit("multiindex level", PANDAS + "M = pd.Series([1], index=pd.MultiIndex.from_tuples([(1, 2)]))\n", "(1, 2)", "(1, 3)", "ab", x="M"),
    edit("nullable dtype", PANDAS + "M = pd.Series([1, 2])\n", "[1, 2]", "[1, 2], dtype='Int64'", "ab", x="M"),
    edit("time zone of a column", PANDAS + "M = pd.Series(pd.to_datetime(['2026-01-01']).tz_localize('UTC'))\n", "'UTC'", "'Europe/Rome'", "ab", x="M"),
    edit("frame attrs", PANDAS + "M = pd.DataFrame({'n': [1]}); M.attrs['unit'] = 'm'\n", "'m'", "'km'", "a", x="M"),
    edit("filtered frame is an equal frame", PANDAS + "M = pd.DataFrame({'n': [1, 2]})\n", "[1, 2]})", "[1, 2, 3]}).iloc[:2]", "", x="M"),
    edit("object column", PANDAS + "M = pd.DataFrame({'n': [{'k': 1}]})\n", "'k': 1", "'k': 2", "ab", x="M"),
    edit("sparse column", PANDAS + "M = pd.Series(pd.arrays.SparseArray([0, 1]))\n", "[0, 1]", "[0, 2]", "ab", x="M"),
    edit("frequency of an index", PANDAS + "M = pd.Series([1, 2, 3], index=pd.date_range('2026', periods=3))\n", "periods=3)", "periods=3)._with_freq(None)", "ab", x="M"),
    edit("tree with parents", SELF_TYPED, "Tree(2", "Tree(3", "ab"),
    edit("tree with parents run again", SELF_TYPED, "class Tree", "\nclass Tree", ""),
    edit("async generator", ASYNC_GENERATOR, "i + 1", "i + 2", "ab"),
    edit("async context manager", ASYNC_GENERATOR, "return 1", "return 2", "ab"),
    edit("super() in the middle", COOPERATIVE, "* 2", "* 3", "ab"),
    edit("super() classes run again", COOPERATIVE, "class Both", "\nclass Both", ""),
    edit("total_ordering", ORDERED, "self.v < o.v", "self.v > o.v", "ab"),
    edit("np.vectorize", VECTORIZED, "v + 1", "v + 2", "ab"),
    edit("np.vectorize run again", VECTORIZED, "def plus", "\ndef plus", ""),
    edit("import inside the body of a helper", INSIDE_IMPORT, "v + 1", "v + 2", "ab", files=INSIDE_FILES, where="tools/maths.py"),
    edit("sibling of an import inside the body", INSIDE_IMPORT, "return 1", "return 2", "", files=INSIDE_FILES, where="tools/maths.py"),
]  # fmt: skip

PYD_MODE = """
import pydantic
class Config(pydantic.BaseModel):
    n: int
    @pydantic.field_validator("n", mode="before")
    @classmethod
    def check(cls, v):
        return v
    @pydantic.computed_field
    @property
    def twice(self) -> int:
        return self.n * 2
    @pydantic.model_validator(mode="after")
    def whole(self):
        return self
def f(v):
    return Config(n=v).twice
"""
PYD_GENERIC = """
import pydantic
from typing import Generic, TypeVar
T = TypeVar("T")
class Box(pydantic.BaseModel, Generic[T]):
    v: T
class Settings(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True)
    _hidden: int = pydantic.PrivateAttr(default=1)
    def get(self):
        return self._hidden
def f(v):
    return Box[int](v=v).v + Settings().get()
"""
HASHED = """
class Key:
    def __init__(self, v):
        self.v = v
    def __eq__(self, o):
        return True
    def __hash__(self):
        return 1
def f(v):
    return len({Key(v), Key(v + 1)})
"""
AST_LIKE = """
class Node:
    _fields = ("a", "b")
    def _replace(self):
        return 1
def f(v):
    return list(Node._fields), Node()._replace()
"""
MATCHED = """
class P:
    __match_args__ = ("x", "y")
    def __init__(self):
        self.x, self.y = 1, 2
def f(v):
    match P():
        case P(a):
            return a
"""
BINARY = "import io\nDATA = io.BytesIO(b'abc')\ndef f(v):\n    return DATA.getvalue()\n"
ALIAS = "Alias = list[int]\ndef f(v):\n    return str(Alias)\n"
NESTED_TYPES = """
from dataclasses import dataclass, fields
@dataclass
class Inner:
    n: int = 1
@dataclass
class Outer:
    inner: Inner
def build(kind):
    return kind(**{each.name: build(each.type) for each in fields(kind) if isinstance(each.type, type) and each.type is not int})
def f(v):
    return build(Outer).inner.n + v
"""
LOCKED = """
import threading
class Safe:
    lock = threading.Lock()
    def g(self, v):
        with self.lock:
            return helper(v)
def helper(v):
    return v + 1
def f(v):
    return Safe().g(v)
"""
LIBRARY_PROPERTY = """
import threading
class lazy:
    def __init__(self, func):
        self.func, self.lock = func, threading.Lock()
    def __get__(self, it, owner):
        return self.func(it)
def helper():
    return 1
class A:
    @lazy
    def n(self):
        return helper()
def f(v):
    return A().n + v
"""
METHOD_TASK = """
class Model:
    def __init__(self, k):
        self.k = k
    def __call__(self, v):
        return self.fit(v)
    def fit(self, v):
        return v + self.k
f = Model(1).fit
"""
STAR_HELPERS = """
def outer(fn, *args, **kw):
    return fn(*args, **kw)
def inner(v, k=1):
    return v + k
def f(v):
    return outer(inner, v)
"""
CLASS_CELLS = """
def make(k):
    class A:
        def g(self, v):
            return v + k
    return A
A = make(1)
def f(v):
    return A().g(v)
"""
TWO_LAMBDAS = "fs = (lambda v: v + 1), (lambda v: v + 2)\ndef f(v):\n    return fs[1](v)\n"
CONDITIONAL = """
FAST = True
if FAST:
    def g(v):
        return v + 1
else:
    def g(v):
        return v + 2
def f(v):
    return g(v)
"""
WITH_STACK = """
from contextlib import ExitStack, closing, suppress
class R:
    def close(self):
        pass
    def get(self):
        return 1
def f(v):
    with ExitStack() as s:
        r = s.enter_context(closing(R()))
        with suppress(KeyError):
            return r.get() + v
"""
GETATTR_CLASS = """
class Row:
    def __init__(self, d):
        self.__dict__["d"] = d
    def __getattr__(self, name):
        return self.d[name] + 1
ROW = Row({"n": 1})
def f(v):
    return ROW.n + v
"""
SHADOW = "def helper(v):\n    return v + 1\ndef f(v):\n    helper = lambda w: w\n    return helper(v)\n"
DEL = "def f(v):\n    w = v\n    del w\n    return v\n"
DEFAULT_FN = "def g(v):\n    return v + 1\ndef f(v, how=g):\n    return how(v)\n"
SORT_KEY = "def key(p):\n    return p[1]\nDATA = [(1, 2), (2, 1)]\ndef f(v):\n    return sorted(DATA, key=key)[0][0]\n"
OPER = "import operator\nget = operator.itemgetter(0)\ncall = operator.methodcaller('upper')\ndef f(v):\n    return call(get(['a', 'b']))\n"
REDUCE = (
    "from functools import reduce\ndef plus(a, b):\n    return a + b\ndef f(v):\n    return reduce(plus, [v, 2, 3])\n"
)
APPLY = "import pandas as pd\ndef scaled(v):\n    return v * 2\ndef f(v):\n    return pd.Series([v]).apply(scaled).tolist()\n"
GROUP = "import pandas as pd\nAGG = {'n': ['sum', lambda s: s.max()]}\ndef f(v):\n    return pd.DataFrame({'n': [v, 2]}).agg(AGG['n'][1]).tolist()\n"
PLEXPR = "import polars as pl\nEXPR = pl.col('n') * 2\ndef f(v):\n    return pl.DataFrame({'n': [v]}).select(EXPR)['n'].to_list()\n"
PLDTYPE = "import polars as pl\nKIND = pl.Int64\ndef f(v):\n    return str(pl.Series([v], dtype=KIND).dtype)\n"
PLCAT = "import polars as pl\nM = pl.Series(['a'], dtype=pl.Enum(['a', 'b']))\ndef f(v):\n    return str(v.dtype)\n"
RNG = "import numpy as np\nRNG = np.random.default_rng(1)\ndef f(v):\n    return type(RNG).__name__\n"
FOREST = "from sklearn.ensemble import RandomForestClassifier\nimport numpy as np\nM = RandomForestClassifier(3, random_state=1).fit(np.eye(4), [0, 1, 0, 1])\ndef f(v):\n    return v.n_estimators\n"
KMEANS = "from sklearn.feature_extraction.text import CountVectorizer\nM = CountVectorizer().fit(['a word', 'two words'])\ndef f(v):\n    return sorted(v.vocabulary_)\n"
COLUMNS = "from sklearn.compose import ColumnTransformer\nfrom sklearn.preprocessing import StandardScaler, FunctionTransformer\nM = ColumnTransformer([('a', StandardScaler(), ['n']), ('b', FunctionTransformer(lambda v: v * 2), ['m'])])\ndef f(v):\n    return len(v.transformers)\n"
DATES = (
    "import datetime as dt, decimal, fractions, uuid\nD = dt.date(2026, 1, 1)\ndef f(v):\n    return D.isoformat()\n"
)
PLUGIN = {
    "plug/__init__.py": "from . import one\nfrom .one import *\n__all__ = ['run']\ndef run(v):\n    return one.go(v)\n",
    "plug/one.py": "from .two import base\ndef go(v):\n    return base(v) + 1\n",
    "plug/two.py": "def base(v):\n    return v\n",
}
MOD_TRY = {
    "opt.py": "try:\n    import not_there as impl\nexcept ImportError:\n    impl = None\ndef f(v):\n    return v if impl is None else impl.g(v)\n"
}
MOD_STATE = {"conf.py": "SETTINGS = {'k': 1}\ndef get(name):\n    return SETTINGS[name]\n"}
MOD_CLASSES = {
    "base.py": "class Base:\n    def g(self, v):\n        return self.h(v)\n    def h(self, v):\n        return v\n",
    "real.py": "from base import Base\nclass Real(Base):\n    def h(self, v):\n        return super().h(v) + 1\n",
}

EDITS += [
    edit("mode of a pydantic validator", PYD_MODE, 'mode="before"', 'mode="after"', "a"),
    edit("pydantic computed field", PYD_MODE, "self.n * 2", "self.n * 3", "ab"),
    edit("pydantic model validator", PYD_MODE, "return self\n", "self.n += 1\n        return self\n", "ab"),
    edit("pydantic decorators run again", PYD_MODE, "class Config", "\nclass Config", ""),
    edit("private attribute of a pydantic model", PYD_GENERIC, "default=1", "default=2", "ab"),
    edit("config of a pydantic model", PYD_GENERIC, "frozen=True", "frozen=False", "a"),
    edit("generic pydantic model run again", PYD_GENERIC, "class Box", "\nclass Box", ""),
    edit("own __hash__", HASHED, "return 1", "return self.v", "ab"),
    edit("own _fields", AST_LIKE, '("a", "b")', '("a", "c")', "ab"),
    edit("own _replace", AST_LIKE, "return 1", "return 2", "ab"),
    edit("own __match_args__", MATCHED, '("x", "y")', '("y", "x")', "ab"),
    edit("bytes in memory", BINARY, "abc", "abd", "ab"),
    edit("bytes in memory run again", BINARY, "DATA = ", "DATA  = ", ""),
    edit("argument of a generic alias", ALIAS, "list[int]", "list[str]", "ab"),
    edit("class that a field's type names", NESTED_TYPES, "n: int = 1", "n: int = 2", "ab"),
    edit("lock in a class: helper", LOCKED, "v + 1", "v + 2", "ab"),
    edit("lock in a class: comment", LOCKED, "    lock", "    # words\n    lock", ""),
    edit("own lazy property: helper below it", LIBRARY_PROPERTY, "return 1", "return 2", "ab"),
    edit("own lazy property: comment", LIBRARY_PROPERTY, "    @lazy", "    # words\n    @lazy", ""),
    edit("bound method as a global", METHOD_TASK, "v + self.k", "v - self.k", "ab"),
    edit("state behind a bound method", METHOD_TASK, "Model(1)", "Model(2)", "ab"),
    edit("function passed on", STAR_HELPERS, "v + k", "v - k", "ab"),
    edit("closure of a class made in a function", CLASS_CELLS, "make(1)", "make(2)", "ab"),
    edit("second of two lambdas on a line", TWO_LAMBDAS, "v + 2", "v + 3", "ab"),
    edit("condition around a definition", CONDITIONAL, "FAST = True", "FAST = False", "ab"),
    edit("condition without effect", CONDITIONAL, "v + 2", "v + 3", ""),
    edit("method below closing()", WITH_STACK, "return 1", "return 2", "ab"),
    edit("__getattr__ of a class", GETATTR_CLASS, "+ 1", "+ 2", "ab"),
    edit("a helper that a local hides", SHADOW, "v + 1", "v + 2", ""),
    edit("function as a default", DEFAULT_FN, "v + 1", "v + 2", "ab"),
    edit("key function", SORT_KEY, "p[1]", "p[0]", "ab"),
    edit("methodcaller", OPER, "'upper'", "'title'", "a"),
    edit("itemgetter", OPER, "itemgetter(0)", "itemgetter(1)", "ab"),
    edit("function given to reduce", REDUCE, "a + b", "a * b", "a"),
    edit("function given to apply", APPLY, "v * 2", "v * 3", "ab"),
    edit("lambda inside a table of aggregations", GROUP, "s.max()", "s.min()", "ab"),
    edit("polars expression", PLEXPR, "* 2", "* 3", "ab"),
    edit("polars expression run again", PLEXPR, "EXPR = ", "EXPR  = ", ""),
    edit("polars type as a global", PLDTYPE, "pl.Int64", "pl.Int32", "ab"),
    edit("categories of a polars enum", PLCAT, "['a', 'b']", "['a', 'c']", "ab", x="M"),
    edit("seed of a generator", RNG, "(1)", "(2)", "a"),
    edit("generator run again", RNG, "RNG = ", "RNG  = ", ""),
    edit("fitted forest: seed", FOREST, "random_state=1", "random_state=2", "a", x="M"),
    edit("fitted forest run again", FOREST, "M = ", "M  = ", "", x="M"),
    edit("fitted vectorizer: vocabulary", KMEANS, "two words", "three words", "ab", x="M"),
    edit("fitted vectorizer run again", KMEANS, "M = ", "M  = ", "", x="M"),
    edit("lambda in a column transformer", COLUMNS, "v * 2", "v * 3", "a", x="M"),
    edit("column transformer run again", COLUMNS, "M = ", "M  = ", "", x="M"),
    edit("date as a global", DATES, "1, 1)", "1, 2)", "ab"),
    edit("function two modules deep in a package", "import plug\ndef f(v):\n    return plug.run(v)\n", "return v\n", "return v + 5\n", "ab", files=PLUGIN, where="plug/two.py"),
    edit("submodule imported with a name", "import plug.one as p\ndef f(v):\n    return p.go(v)\n", "+ 1", "+ 2", "ab", files=PLUGIN, where="plug/one.py"),
    edit("submodule by its full path", "import plug.one\ndef f(v):\n    return plug.one.go(v)\n", "+ 1", "+ 2", "ab", files=PLUGIN, where="plug/one.py"),
    edit("sibling in the package, by its full path", "import plug.two\ndef f(v):\n    return plug.two.base(v)\n", "+ 1", "+ 2", "", files=PLUGIN, where="plug/one.py"),
    edit("optional import in a module", "from opt import f\n", "import not_there", "import math", "ab", files={"opt.py": MOD_TRY["opt.py"].replace("impl.g(v)", "impl.floor(v + 3)")}, where="opt.py"),
    edit("settings of a module behind a function", "import conf\ndef f(v):\n    return v + conf.get('k')\n", "'k': 1", "'k': 2", "ab", files=MOD_STATE, where="conf.py"),
    edit("base class in another module", "from real import Real\ndef f(v):\n    return Real().g(v)\n", "return v\n", "return v + 1\n", "ab", files=MOD_CLASSES, where="base.py"),
    edit("keyword of a partial", "from functools import partial\ndef g(k, v):\n    return v + k\nf = partial(g, k=1)\n", "k=1", "k=2", "ab", body="return f(v=x)"),
]  # fmt: skip


@pytest.mark.parametrize("each", EDITS, ids=lambda each: each.name)
def test_an_edit_runs_exactly_what_it_must(each, restart, tmp_path):
    each.hold(restart, tmp_path)
