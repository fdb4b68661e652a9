"""What tasks of many bodies give after each change around them: what plain Python gives."""

import pytest

from tests.notebook.test_session import notebook

__all__ = ["notebook"]

# Each reads `K`, and gives `r`.
BODIES = {
    "augmented": "t = 0\nfor x in [1, 2]:\n    t += x * K\nr = t",
    "walrus": "r = [y := x * K for x in [1, 2]] + [y]",
    "nested functions": "def f():\n    def g():\n        return K\n    return g()\nr = f()",
    "nonlocal": "def f():\n    n = 0\n    def g():\n        nonlocal n\n        n += K\n    g()\n    return n\nr = f()",
    "default of a lambda": "f = lambda x, k=K: x * k\nr = f(2)",
    "default": "def f(x, /, y=K, *args, z=K, **kw): return (x, y, args, z, kw)\nr = f(1)",
    "default through a function": "def g(): return K\ndef f(k=g()): return k\nr = f()",
    "class": "class C:\n    k = K\n    def m(self): return self.k\nr = C().m()",
    "class, comprehension": "class C:\n    ys = [K for x in [1, 2]]\nr = C.ys",
    "class, private": "class A:\n    __x = K\n    def m(self): return self.__x\nr = A().m()",
    "dataclass": "from dataclasses import dataclass\n@dataclass\nclass P:\n    k: int = K\nr = P().k",
    "super": "class A:\n    def m(self): return K\nclass B(A):\n    def m(self): return super().m() + 1\nr = B().m()",
    "decorator": (
        "def deco(n):\n    def w(f):\n        return lambda *x: f(*x) * n\n    return w\n"
        "@deco(K)\ndef f(x): return x\nr = f(2)"
    ),
    "match": "match [1, 2]:\n    case [first, *rest] if first < K:\n        r = (first, rest)\n    case _:\n        r = 'none'",
    "match, mapping": "match {'k': K, 'a': 1}:\n    case {'k': v, **more}:\n        r = (v, more)",
    "try": "try:\n    r = [1, 2][K]\nexcept IndexError as e:\n    r = str(e)\nfinally:\n    z = 1",
    "try, group": "try:\n    raise ExceptionGroup('g', [ValueError(K)])\nexcept* ValueError as eg:\n    r = [str(e) for e in eg.exceptions]",
    "text": "r = f'{1!r:>{K * 20}}'",
    "deleted": "b = [1, 2]\ndel b[0]\nr = b * K\ndel b",
    "imports": "import math as M\nfrom math import *\nr = floor(M.sqrt(K * 4))",
    "generator": "r = sum(x * K for x in [1, 2] if x in [y for y in [1, 2]])",
    "hints": "x: int = K\nr: tuple = (x, 1)",
    "with": "import contextlib\nwith contextlib.nullcontext(K) as k:\n    r = k",
    "while": "n = 0\nwhile n < K:\n    n += 1\nelse:\n    n += 1\nr = n",
    "starred": "first, *rest = [1, K]\nr = [*rest, K, first]",
    "recursion": "def fac(n): return 1 if n < 2 else n * fac(n - 1)\nr = fac(K + 2)",
    "mutual": "def ev(n): return n == 0 or od(n - 1)\ndef od(n): return n != 0 and ev(n - 1)\nr = ev(K)",
    "closures": "fs = [lambda i=i: i * K for i in [1, 2]]\nr = [f() for f in fs]",
    "conditional": "r = (lambda: K)() if 1 else None",
    "slice": "r = [1, 2, 3][K : K + 1]",
    "comprehensions": "r = [[K * x for x in range(x)] for x in [1, 2]]",
    "hints as texts": "def f(x: 'Unknown' = None) -> 'Other':\n    return K\nr = f()",
    "assert": "assert K < 100\nr = K",
    "shell": "out = !echo {K}\nr = out[0]",
    "attribute": "class N: pass\no = N()\no.v = K\no.v += 1\nr = o.v",
    "item": "d = {}\nd[K] = 1\nr = d",
    "semicolons": "x = K; r = (x, 1);",
    "unicode": "größe = K\nr = größe",
    "caught name": "e = 5\ntry:\n    1 / 0\nexcept ZeroDivisionError as e:\n    pass\nr = K",
    "postponed hints": "from __future__ import annotations\ndef f(x: Nope): return K\nr = f(1)",
    "query": "import pandas as pd\nr = len(pd.DataFrame({'x': [1, 2, 3]}).query('x > @K'))",
    "docstring": '"""doc"""\nr = K',
}


def plain(shell, body, number):
    namespace = {"K": number, "__name__": "__main__", "get_ipython": lambda: shell}
    exec(shell.transform_cell(body), namespace)
    return namespace["r"]


@pytest.mark.parametrize("form", ["%%task r", "# task"])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_task_gives_what_plain_python_gives(notebook, body, form):
    notebook("K = 1", "K")
    notebook(f"{form}\n{body}", "r")
    for number in [1, 2, 3, 1]:
        notebook(f"K = {number}", "K")
        assert notebook("r", "read").value == plain(notebook.shell, body, number)
