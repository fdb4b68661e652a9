"""What must and must not run again after an edit, each case across real process restarts.

The numbers are those of the project's table of incremental cases. Each case: a first run fills the store, a
fresh process with nothing changed must run nothing, and a fresh process with the edit must run exactly what the
table says.
"""

import textwrap
from dataclasses import dataclass, field, replace

import pytest

SCRIPT = """
import sys
from nbflow import Flow, task
{prelude}
@task
def a(x{default}):
    print("RAN a")
{a}

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
class Program:
    """A flow of two tasks; what a case does not care about stays as it is."""

    prelude: str = ""
    a: str = "return x + 1"
    x: str = "1"
    default: str = ""
    files: dict = field(default_factory=dict)
    env: dict = field(default_factory=dict)
    script: str = ""

    def text(self):
        body = textwrap.indent(textwrap.dedent(self.a), "    ")
        return self.script or SCRIPT.format(
            prelude=textwrap.dedent(self.prelude), a=body, x=self.x, default=self.default
        )


@dataclass(frozen=True)
class Case:
    name: str
    before: Program
    after: Program
    runs: tuple


def case(name, before, runs, **changes):
    return Case(name, before, replace(before, **changes), tuple(runs))


P = Program
HELPER = "def helper(v):\n    return v + 1\n"
DEEP = "def deep(v):\n    return v + 1\ndef helper(v):\n    return deep(v)\n"
LOCAL = {"locmod.py": "K = 1\ndef f(v):\n    return v + K\n"}
FAKE = {
    "site-packages/fakepkg/__init__.py": "def f(v):\n    return v\n",
    "site-packages/fakepkg-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: fakepkg\nVersion: 1.0\n",
    "site-packages/fakepkg-1.0.dist-info/RECORD": "fakepkg/__init__.py,,\n",
}
FAKE_2 = {
    **FAKE,
    "site-packages/fakepkg-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: fakepkg\nVersion: 2.0\n",
}
CLASS = "class Model:\n    rate = 2\n    def fit(self, v):\n        return v * self.rate\n"
DATACLASS = "from dataclasses import dataclass\n@dataclass\nclass Config:\n    n: int\n    how: str = 'mean'\n"
DEEP_OBJECT = "class Box:\n    def __init__(self, inner):\n        self.inner = inner\ndef wrap(v, n):\n    return v if n == 0 else wrap(Box(v), n - 1)\n"

CASES = [
    case("01 comment", P(), "", a="# a comment\nreturn x + 1  # and another"),
    case("02 docstring", P(a='"""Old."""\nreturn x + 1'), "", a='"""New words."""\nreturn x + 1'),
    case("02b docstring added", P(), "", a='"""Now there is one."""\nreturn x + 1'),
    case("03 line wrap", P(a="return max(x, x + 1)"), "", a="return max(\n    x,\n    x + 1,\n)"),
    case("04 local renamed", P(a="total = x + 1\nreturn total"), "", a="result = x + 1\nreturn result"),
    case("05 lines added above", P(), "", prelude="\n\n\nZZZ = 0\n\n"),
    case("06 unrelated global", P(prelude="OTHER = 1"), "", prelude="OTHER = 2"),
    case("07 body, output differs", P(), "ab", a="return x + 2"),
    case("08 body, output equal", P(), "a", a="return 1 + x"),
    case("09 helper", P(prelude=HELPER, a="return helper(x)"), "ab", prelude=HELPER.replace("+ 1", "+ 2")),
    case(
        "10 helper two levels deep",
        P(prelude=DEEP, a="return helper(x)"),
        "ab",
        prelude=DEEP.replace("+ 1", "+ 2"),
    ),
    case(
        "11 helper in a local module",
        P(prelude="import locmod", a="return locmod.f(x)", files=LOCAL),
        "ab",
        files={"locmod.py": LOCAL["locmod.py"].replace("v + K", "v - K")},
    ),
    case("12 comment in a helper", P(prelude=HELPER, a="return helper(x)"), "", prelude="# new\n" + HELPER),
    case("13 global constant", P(prelude="K = 1", a="return x + K"), "ab", prelude="K = 2"),
    case(
        "15 closure cell",
        P(
            prelude="def make(k):\n    def add(v):\n        return v + k\n    return add\nadd = make(1)",
            a="return add(x)",
        ),
        "ab",
        prelude="def make(k):\n    def add(v):\n        return v + k\n    return add\nadd = make(2)",
    ),
    case(
        "16 default argument value",
        P(prelude="N = 1", default=", n=N", a="return x + n"),
        "ab",
        prelude="N = 2",
    ),
    case(
        "17 class method",
        P(prelude=CLASS, a="return Model().fit(x)"),
        "ab",
        prelude=CLASS.replace("v * self", "v + self"),
    ),
    case(
        "17b class attribute",
        P(prelude=CLASS, a="return Model().fit(x)"),
        "ab",
        prelude=CLASS.replace("rate = 2", "rate = 3"),
    ),
    case(
        "19 global lambda",
        P(prelude="f = lambda v: v + 1", a="return f(x)"),
        "ab",
        prelude="f = lambda v: v + 2",
    ),
    case("22 parameter", P(), "ab", x="2"),
    case(
        "25 dict key order, output equal",
        P(x="{'p': 1, 'q': 2}", a="return sorted(x)"),
        "a",
        x="{'q': 2, 'p': 1}",
    ),
    case(
        "25b dict key order, output differs",
        P(x="{'p': 1, 'q': 2}", a="return list(x)"),
        "ab",
        x="{'q': 2, 'p': 1}",
    ),
    case("28 numbers become texts", P(x="[1, 2]", a="return x"), "ab", x="['1', '2']"),
    case("29 1 becomes True", P(x="1", a="return x"), "ab", x="True"),
    case(
        "30 numpy, new object",
        P(prelude="import numpy as np", x="np.arange(6)", a="return x.sum()"),
        "",
        x="np.array([0, 1, 2, 3, 4, 5])",
    ),
    case(
        "31 numpy shape",
        P(prelude="import numpy as np", x="np.zeros((2, 3))", a="return x.shape"),
        "ab",
        x="np.zeros((3, 2))",
    ),
    case(
        "32 numpy dtype",
        P(prelude="import numpy as np", x="np.zeros(3, dtype='int64')", a="return str(x.dtype)"),
        "ab",
        x="np.zeros(3, dtype='float64')",
    ),
    case(
        "33 pandas column renamed",
        P(prelude="import pandas as pd", x="pd.DataFrame({'p': [1]})", a="return list(x)"),
        "ab",
        x="pd.DataFrame({'q': [1]})",
    ),
    case("35 NaN", P(x="float('nan')", a="return 1"), "", x="-float('nan')"),
    case(
        "36 dataclass, class run again",
        P(prelude=DATACLASS, x="Config(1)", a="return x.n"),
        "",
        prelude="\n\n" + DATACLASS,
    ),
    case(
        "37 deep object",
        P(prelude=DEEP_OBJECT, x="wrap(1, 9)", a="return 1 if x.inner else 0"),
        "a",
        x="wrap(2, 9)",
    ),
    case(
        "40 installed package",
        P(prelude="sys.path.insert(0, 'site-packages')\nimport fakepkg", a="return fakepkg.f(x)", files=FAKE),
        "a",
        files=FAKE_2,
    ),
    case(
        "41 file content",
        P(x="'data.txt'", a="return open(x).read()", files={"data.txt": "one"}),
        "ab",
        files={"data.txt": "two!"},
    ),
    case(
        "41b file content, nothing in the arguments",
        P(a="return open('data.txt').read()", files={"data.txt": "one"}),
        "ab",
        files={"data.txt": "two"},
    ),
    case(
        "41c a file that was not there",
        P(
            prelude="import os",
            a="try:\n    return open('late.txt').read()\nexcept FileNotFoundError:\n    return None",
        ),
        "ab",
        files={"late.txt": "here"},
    ),
    case(
        "41d a new file in a globbed folder",
        P(prelude="from glob import glob", a="return sorted(glob('data/*.csv'))", files={"data/a.csv": "1"}),
        "ab",
        files={"data/a.csv": "1", "data/b.csv": "2"},
    ),
    case("42 upstream dict in another order", P(a="return {'p': 1, 'q': 2}"), "ab", a="return {'q': 2, 'p': 1}"),
    case(
        "43 nested function",
        P(a="def inner(v):\n    return v + 1\nreturn inner(x)"),
        "ab",
        a="def inner(v):\n    return v + 2\nreturn inner(x)",
    ),
    case(
        "45 constant of a local module",
        P(prelude="import locmod", a="return x + locmod.K", files=LOCAL),
        "ab",
        files={"locmod.py": LOCAL["locmod.py"].replace("K = 1", "K = 2")},
    ),
]

MAPPED = """
import sys
from nbflow import Flow, task

@task
def a(x):
    sys.stdout.write(f"RAN a {{x}}" + chr(10))
    return x * 10

@task
def b(xs):
    print("RAN b")
    return {reduce}

with Flow("case", store="store") as flow:
    b(a.map({xs}))
run = flow.run(check=True)
print("VALUE", run["b"])
"""


def mapped(name, before, after, runs, reduce="list(xs)"):
    return Case(
        name,
        P(script=MAPPED.format(xs=before, reduce=reduce)),
        P(script=MAPPED.format(xs=after, reduce=reduce)),
        tuple(runs),
    )


CASES += [
    mapped("49 map list grows by one", "[1, 2, 3]", "[1, 2, 3, 4]", ["a 4", "b"]),
    mapped("50 map list reordered", "[1, 2, 3]", "[3, 1, 2]", ["b"]),
    mapped("51 map list loses one", "[1, 2, 3]", "[1, 3]", ["b"]),
    mapped("52 duplicates run once", "[1, 2]", "[1, 5, 2, 5]", ["a 5", "b"]),
]


@pytest.mark.parametrize("each", CASES, ids=lambda each: each.name)
def test_exactly_what_the_table_says_runs_again(each, run, tmp_path):
    first = run(each.before, tmp_path)
    assert first.ran, "the first run must run something"
    again = run(each.before, tmp_path)
    assert again.ran == []
    assert again.value == first.value
    edited = run(each.after, tmp_path)
    assert sorted(edited.ran) == sorted(each.runs)
    assert edited.value == run(each.after, tmp_path / "elsewhere").value, "a warm run gives what a cold one gives"


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(P(x="{'p', 'q', 'r', 's'}", a="return len(x)"), id="26 set input"),
        pytest.param(P(a="return x in {'p', 'q', 'r', 's'}"), id="27 set literal"),
    ],
)
def test_another_hash_seed_runs_nothing(program, new_interpreter, tmp_path):
    first, other = (new_interpreter(tmp_path, program.text(), env={"PYTHONHASHSEED": seed}) for seed in "12")
    assert first.ran == ["a", "b"]
    assert other.ran == []


def test_case_71_a_restart_runs_nothing(new_interpreter, tmp_path):
    program = P(prelude=CLASS, a="return Model().fit(x)").text()
    assert new_interpreter(tmp_path, program).ran == ["a", "b"]
    again = new_interpreter(tmp_path, program)
    assert (again.ran, again.value) == ([], "2")


@pytest.mark.parametrize(
    ("name", "there"),
    [("23 parameter", {"x": "2"}), ("24 code", {"a": "return x + 5"})],
)
def test_there_and_back_again_runs_nothing(name, there, run, tmp_path):
    run(P(), tmp_path)
    assert run(replace(P(), **there), tmp_path).ran == ["a", "b"]
    assert run(P(), tmp_path).ran == []


def test_case_53_a_failed_element_alone_runs_again(run, tmp_path):
    failing = (
        MAPPED.format(xs="[1, 2, 3]", reduce="list(xs)")
        .replace(
            "    return x * 10",
            "    import os\n    if x == 2 and not os.environ.get('GOOD'):\n        raise ValueError(x)\n    return x * 10",
            1,
        )
        .replace("check=True", "")
        .replace("@task", "@task(ignore=['GOOD'])", 1)
    )
    failing = failing.replace('print("VALUE", run["b"])', 'print("VALUE", run.values(flow["a"], failed="none"))')
    program = P(script=failing)
    assert sorted(run(program, tmp_path).ran) == ["a 1", "a 2", "a 3"]
    assert run(program, tmp_path).ran == ["a 2"], "case 56: errors are not cached"
    healed = run(replace(program, env={"GOOD": "1"}), tmp_path)
    assert healed.ran == ["a 2", "b"]
    assert healed.value == "[10, 20, 30]"


STORED = """
import sys
import weakref
import numpy as np
from nbflow import Flow, task

@task
def a(x):
    print("RAN a")
    return {made}

@task
def b(y, k):
    print("RAN b")
    return repr(y)[:20] * k

with Flow("case", store="store") as flow:
    b(a(1), int(sys.argv[1]) if len(sys.argv) > 1 else 1)
run = flow.run(check=True)
print("VALUE", run["b"])
"""
BLOB = STORED.format(made="np.ones(100_000) * x")


def blobs(folder):
    found = [path for path in (folder / "store" / "blobs").rglob("*") if path.is_file()]
    for path in found:
        path.chmod(0o600)
    assert found
    return found


@pytest.mark.parametrize(
    ("case", "damage"),
    [
        ("58 corrupted blob", lambda path: path.write_bytes(path.read_bytes()[:-8] + b"damaged!")),
        ("59 truncated blob", lambda path: path.write_bytes(path.read_bytes()[:1000])),
        ("60 missing blob", lambda path: path.unlink()),
    ],
)
def test_a_damaged_result_is_told_and_computed_again(case, damage, run, tmp_path):
    run(P(script=BLOB), tmp_path)
    for path in blobs(tmp_path):
        damage(path)
    unused = run(P(script=BLOB), tmp_path)
    assert unused.ran == [], "nobody needs the value, so nobody misses it"
    needed = run(P(script=BLOB.replace("else 1)", "else 2)")), tmp_path)
    assert needed.ran == ["a", "b"]
    assert "it is computed again" in needed.errors
    assert run(P(script=BLOB.replace("else 1)", "else 2)")), tmp_path).ran == []


def test_case_61_what_cannot_be_stored_is_returned_and_told(run, tmp_path):
    lock = P(script=STORED.format(made="weakref.ref(Flow)"))
    first = run(lock, tmp_path)
    assert first.ran == ["a", "b"]
    assert first.errors.count("its result is not stored") == 1
    again = run(lock, tmp_path)
    assert again.ran == ["a", "b"], "nothing poisoned was stored"


@pytest.fixture
def run(restart):
    """Runs a Program in a process of its own."""
    return lambda program, folder: restart(folder, program.text(), program.files, env=program.env)
