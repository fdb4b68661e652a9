"""Edits that only a look deep into values, classes and modules can judge: each across a restart, exactly."""

import textwrap
from dataclasses import dataclass, field

import pytest

SCRIPT = """
import sys
from nbflow import Flow, task

{prelude}

@task
def a(x):
    print("RAN a")
{body}

@task
def b(y):
    print("RAN b")
    return repr(y)

with Flow("case", store="store") as flow:
    b(a({x}))
run = flow.run(check=True)
print("VALUE", run["b"])
"""


@dataclass(frozen=True)
class Edit:
    """text: what stands above the tasks, or a file by name; old, new: what is edited in it. runs: what may run."""

    name: str
    text: str
    old: str
    new: str
    runs: str
    body: str = "return f(x)"
    x: str = "1"
    files: dict = field(default_factory=dict)
    where: str = ""

    def program(self, *, edited):
        text = self.text.replace(self.old, self.new) if edited and not self.where else self.text
        return SCRIPT.format(prelude=textwrap.dedent(text), body=textwrap.indent(self.body, "    "), x=self.x)

    def edited_files(self):
        assert self.old in (self.files[self.where] if self.where else self.text)
        return {self.where: self.files[self.where].replace(self.old, self.new)} if self.where else {}


E = Edit
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

EDITS = [
    E("cached_property: its body", CACHED_PROPERTY, "return helper()", "return helper() + 1", "ab"),
    E("cached_property: a helper below it", CACHED_PROPERTY, "return 1", "return 2", "ab"),
    E("cached_property: comment", CACHED_PROPERTY, "    @cached_property", "    # words\n    @cached_property", ""),
    E("cached_property: blank lines", CACHED_PROPERTY, "class A:", "\n\nclass A:", ""),
    E("validator of a nested pydantic model", NESTED_MODELS, "v + 1", "v + 2", "ab"),
    E("nested pydantic models run again", NESTED_MODELS, "class Inner", "\n# again\nclass Inner", ""),
    E("validator in Annotated", ANNOTATED, "v + 1", "v + 2", "ab"),
    E("default_factory of a pydantic field", ANNOTATED, "[1])", "[2])", "ab"),
    E("pydantic functions run again", ANNOTATED, "def plus", "\n# again\ndef plus", ""),
    E("converter of attrs", CONVERTER, "v + 1", "v + 2", "ab"),
    E("factory of attrs", CONVERTER, "[1])", "[2])", "ab"),
    E("attrs functions run again", CONVERTER, "def plus", "\n# again\ndef plus", ""),
    E("validate_call: body", VALIDATED, "v + 1", "v + 2", "ab"),
    E("validate_call: annotation", VALIDATED, "v: int", "v: str", "ab", body="try:\n    return f(x)\nexcept Exception:\n    return None"),
    E("validate_call: run again", VALIDATED, "@pydantic", "\n\n@pydantic", ""),
    E("singledispatchmethod", METHOD_DISPATCH, "v + 1", "v + 2", "ab"),
    E("singledispatchmethod run again", METHOD_DISPATCH, "class A", "\n# again\nclass A", ""),
    E("partialmethod", PARTIAL_METHOD, "(g, 1)", "(g, 2)", "ab"),
    E("function below a partialmethod", PARTIAL_METHOD, "v + k", "v - k", "ab"),
    E("class in a registry", REGISTRY, "v + 1", "v + 2", "ab"),
    E("class in a registry run again", REGISTRY, "@register", "\n@register", ""),
    E("subclass known by __init_subclass__", SUBCLASS_HOOK, "v + 1", "v + 2", "ab"),
    E("own descriptor: method", DESCRIPTOR, "* self.k", "+ self.k", "ab"),
    E("own descriptor: argument", DESCRIPTOR, "Scaled(2)", "Scaled(3)", "ab"),
    E("own descriptor run again", DESCRIPTOR, "class Scaled", "\nclass Scaled", ""),
    E("own class decorator", CLASS_DECORATOR, "v + 1", "v + 2", "ab"),
    E("lru_cached function in a dict", DICT_OF_CACHED, "v + 1", "v + 2", "ab"),
    E("lru_cached function in a dict run again", DICT_OF_CACHED, "@functools", "\n@functools", ""),
    E("lru_cached static method", STATIC_CACHED, "v + 1", "v + 2", "ab"),
    E("cached method", CACHED_METHOD, "v + 1", "v + 2", "ab"),
    E("cached method run again", CACHED_METHOD, "class A", "\n\nclass A", ""),
    E("environ imported by name", ENVIRON, "def f", "environ['SOMETHING'] = 'else'\ndef f", ""),
    E("module passed on: function of a module it imports", WHOLE, "v + 1", "v + 2", "ab", files=WHOLE_FILES, where="inner.py"),
    E("module passed on: constant", WHOLE, "K = 1", "K = 2", "ab", files=WHOLE_FILES, where="outer.py"),
    E("module passed on: comment", WHOLE, "# words", "# other words", "", files=WHOLE_FILES, where="outer.py"),
    E("module passed on: blank lines", WHOLE, "def h", "\n\ndef h", "", files=WHOLE_FILES, where="inner.py"),
    E("singledispatch in a local module", "from kinds import f\n", "v + 1", "v + 2", "ab", files=LOCAL_DISPATCH, where="kinds.py"),
    E("singledispatch in a local module run again", "from kinds import f\n", "def f", "\ndef f", "", files=LOCAL_DISPATCH, where="kinds.py"),
    E("contextmanager in a local module", "from ctx import f\n", "v + 1", "v + 2", "ab", files=LOCAL_CONTEXT, where="ctx.py"),
    E("code made by exec: method", EXECUTED, "v + 1", "v + 2", "ab"),
    E("enum method", ENUM_METHOD, "self + 1", "self + 2", "ab"),
    E("enum _missing_", ENUM_METHOD, "cls.ONE", "cls.TWO", "ab"),
    E("enum with auto run again", ENUM_METHOD, "class Kind", "\nclass Kind", ""),
    E("flag combined", FLAG, " | Mode.WRITE", "", "ab"),
    E("flag run again", FLAG, "class Mode", "\nclass Mode", ""),
    E("__post_init__ of a base with slots", POST_INIT, "+= 1", "+= 2", "ab"),
    E("metadata of a field", POST_INIT, '"m"', '"km"', "a"),
    E("dataclasses with slots run again", POST_INIT, "class C", "# again\nclass C", ""),
    E("method of a generic class", GENERIC, "self.v + 1", "self.v + 2", "ab"),
    E("generic class run again", GENERIC, "class Box", "\nclass Box", ""),
    E("attribute of a base exception", ERRORS, "code = 1", "code = 2", "ab"),
    E("method of a dict subclass", SUBCLASS, "sum(", "max(", "a"),
    E("content of a dict subclass", SUBCLASS, "a=1", "a=2", "ab"),
    E("factory of a defaultdict", DEFAULTDICT, "lambda: 1", "lambda: 2", "ab"),
    E("function inside a FunctionTransformer", TRANSFORMER, "v + 1", "v + 2", "a", x="FunctionTransformer(plus)"),
    E("FunctionTransformer run again", TRANSFORMER, "def plus", "\ndef plus", "", x="FunctionTransformer(plus)"),
    E("method of an own estimator", ESTIMATOR, "v + self.k", "v - self.k", "ab", x="Plus(2)"),
    E("own estimator run again", ESTIMATOR, "class Plus", "\nclass Plus", "", x="Plus(2)"),
    E("logger, stream and path as globals", LOGGER, "import logging", "import  logging", ""),
    E("path as a global", LOGGER, '"data"', '"date"', "ab"),
    E("sparse matrix: value", SCIPY + "M = sparse.csr_matrix(np.eye(3))\n", "eye(3)", "eye(4)", "ab", x="M"),
    E("sparse matrix: run again", SCIPY + "M = sparse.csr_matrix(np.eye(3))\n", "M = ", "\nM = ", "", x="M"),
    E("array in Fortran order", PANDAS + "M = np.ones((2, 3))\n", "(2, 3)", "(2, 3), order='F'", "", body="return x.tolist()", x="M"),
    E("array view", PANDAS + "M = np.arange(3)\n", "np.arange(3)", "np.arange(6)[:3]", "", x="M"),
    E("structured dtype: name", PANDAS + "M = np.zeros(2, dtype=[('p', 'i4')])\n", "'p'", "'q'", "ab", x="M"),
    E("datetime unit", PANDAS + "M = np.zeros(2, dtype='M8[s]')\n", "[s]", "[ms]", "ab", x="M"),
    E("matrix subclass", PANDAS + "M = np.asarray([[1]])\n", "asarray", "asmatrix", "ab", x="M"),
    E("series name", PANDAS + "M = pd.Series([1], name='p')\n", "'p'", "'q'", "ab", x="M"),
    E("index name", PANDAS + "M = pd.Series([1], index=pd.Index([1], name='p'))\n", "'p'", "'q'", "ab", x="M"),
    E("multiindex level", PANDAS + "M = pd.Series([1], index=pd.MultiIndex.from_tuples([(1, 2)]))\n", "(1, 2)", "(1, 3)", "ab", x="M"),
    E("nullable dtype", PANDAS + "M = pd.Series([1, 2])\n", "[1, 2]", "[1, 2], dtype='Int64'", "ab", x="M"),
    E("time zone of a column", PANDAS + "M = pd.Series(pd.to_datetime(['2026-01-01']).tz_localize('UTC'))\n", "'UTC'", "'Europe/Rome'", "ab", x="M"),
    E("frame attrs", PANDAS + "M = pd.DataFrame({'n': [1]}); M.attrs['unit'] = 'm'\n", "'m'", "'km'", "a", x="M"),
    E("filtered frame is an equal frame", PANDAS + "M = pd.DataFrame({'n': [1, 2]})\n", "[1, 2]})", "[1, 2, 3]}).iloc[:2]", "", x="M"),
    E("object column", PANDAS + "M = pd.DataFrame({'n': [{'k': 1}]})\n", "'k': 1", "'k': 2", "ab", x="M"),
    E("sparse column", PANDAS + "M = pd.Series(pd.arrays.SparseArray([0, 1]))\n", "[0, 1]", "[0, 2]", "ab", x="M"),
    E("frequency of an index", PANDAS + "M = pd.Series([1, 2, 3], index=pd.date_range('2026', periods=3))\n", "periods=3)", "periods=3)._with_freq(None)", "ab", x="M"),
    E("tree with parents", SELF_TYPED, "Tree(2", "Tree(3", "ab"),
    E("tree with parents run again", SELF_TYPED, "class Tree", "\nclass Tree", ""),
    E("async generator", ASYNC_GENERATOR, "i + 1", "i + 2", "ab"),
    E("async context manager", ASYNC_GENERATOR, "return 1", "return 2", "ab"),
    E("super() in the middle", COOPERATIVE, "* 2", "* 3", "ab"),
    E("super() classes run again", COOPERATIVE, "class Both", "\nclass Both", ""),
    E("total_ordering", ORDERED, "self.v < o.v", "self.v > o.v", "ab"),
    E("np.vectorize", VECTORIZED, "v + 1", "v + 2", "ab"),
    E("np.vectorize run again", VECTORIZED, "def plus", "\ndef plus", ""),
    E("import inside the body of a helper", INSIDE_IMPORT, "v + 1", "v + 2", "ab", files=INSIDE_FILES, where="tools/maths.py"),
    E("sibling of an import inside the body", INSIDE_IMPORT, "return 1", "return 2", "", files=INSIDE_FILES, where="tools/maths.py"),
]  # fmt: skip


@pytest.mark.parametrize("each", EDITS, ids=lambda each: each.name)
def test_an_edit_runs_exactly_what_it_must(each, restart, tmp_path):
    first = restart(tmp_path, each.program(edited=False), each.files)
    assert first.ran == ["a", "b"]
    assert restart(tmp_path, each.program(edited=False)).ran == [], "nothing was edited"
    after = restart(tmp_path, each.program(edited=True), each.edited_files())
    assert after.ran == list(each.runs)
    cold = restart(tmp_path / "cold", each.program(edited=True), {**each.files, **each.edited_files()})
    assert after.value == cold.value
