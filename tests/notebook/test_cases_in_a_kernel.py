"""The cases that are about cells, in real kernels: what runs after the kernel was restarted and cells were edited.

The numbers are those of the table of cases. All cases share two kernels: what one of them runs is noted under its name.
"""

import ast
import contextlib
import os
import re
import signal
import sqlite3
import time

import pytest
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

A = "%%task a --ignore LOG\nLOG.append('a')\n"
B = "%%task b --ignore LOG\nLOG.append('b')\n"
PLAIN = (A + "x = 1\nx + 1", B + "repr(a)")
HELPER = "def helper(v):\n    return v + 1"
DEEP = "def deep(v):\n    return v + 1", "def helper(v):\n    return deep(v)"
MODEL = "class Model:\n    rate = 2\n    def fit(self, v):\n        return v * self.rate"
CONFIG = "from dataclasses import dataclass\n@dataclass\nclass Config:\n    n: int"
OWN = f"{A}{CONFIG}\nConfig(1)"
COLOUR = "import enum\nclass Colour(enum.Enum):\n    RED = 1"
CLOSURE = "def make(k):\n    return lambda v: v + k\nadd = make(1)"
USES_HELPER = (A + "helper(1)", B + "repr(a)")
MAPPED = "%%task a for x in [1, 2] --ignore LOG\nLOG.append(f'a {x}')\nx * 10", B + "list(a)"

# What a cell holds before, and after; an empty tuple of runs: nothing runs.
CASES = {
    "01 comment": (PLAIN, (A + "# words\nx = 1  # and more\nx + 1", PLAIN[1]), ()),
    "03 line wrap": (PLAIN, (A + "x = 1\n(\n    x\n    + 1\n)", PLAIN[1]), ()),
    "04 local renamed": (PLAIN, (A + "y = 1\ny + 1", PLAIN[1]), ()),
    "05 lines added above": (PLAIN, ("unrelated = 1", A + "\n\nx = 1\nx + 1", PLAIN[1]), ()),
    "06 unrelated global": (("OTHER = 1", *PLAIN), ("OTHER = 2", *PLAIN), ()),
    "07 body, output differs": (PLAIN, (A + "x = 1\nx + 2", PLAIN[1]), ("a", "b")),
    "08 body, output equal": (PLAIN, (A + "x = 1\n1 + x", PLAIN[1]), ("a",)),
    "09 helper": ((HELPER, *USES_HELPER), (HELPER.replace("+ 1", "+ 2"), *USES_HELPER), ("a", "b")),
    "10 helper two levels deep": ((*DEEP, *USES_HELPER), (DEEP[0].replace("1", "2"), DEEP[1], *USES_HELPER), ("a", "b")),
    "02 docstring of a helper": ((HELPER, *USES_HELPER), (HELPER.replace(":\n", ":\n    '''Words.'''\n"), *USES_HELPER), ()),
    "12 comment in a helper": ((HELPER, *USES_HELPER), ("# words\n" + HELPER, *USES_HELPER), ()),
    "13 global constant": (("K = 1", A + "K + 1", PLAIN[1]), ("K = 2", A + "K + 1", PLAIN[1]), ("a", "b")),
    "15 closure": ((CLOSURE, A + "add(1)", PLAIN[1]), (CLOSURE.replace("(1)", "(2)"), A + "add(1)", PLAIN[1]), ("a", "b")),
    "17 method": ((MODEL, A + "Model().fit(3)", PLAIN[1]), (MODEL.replace("*", "+"), A + "Model().fit(3)", PLAIN[1]), ("a", "b")),
    "19 lambda": (("f = lambda v: v + 1", A + "f(1)", PLAIN[1]), ("f = lambda v: v + 2", A + "f(1)", PLAIN[1]), ("a", "b")),
    "36 class cell run again": ((CONFIG, "c = Config(1)", A + "c.n", PLAIN[1]), (CONFIG, CONFIG, "c = Config(1)", A + "c.n", PLAIN[1]), ()),
    "36b class in the task's own cell": ((OWN, PLAIN[1]), (OWN, PLAIN[1]), ()),
    "36c class in the task's own cell, edited": ((OWN, PLAIN[1]), (OWN.replace("n: int", "n: int\n    m: int = 0"), PLAIN[1]), ("a", "b")),
    "43 nested function": ((A + "def f(v):\n    return v + 1\nf(1)", PLAIN[1]), (A + "def f(v):\n    return v + 2\nf(1)", PLAIN[1]), ("a", "b")),
    "49 list grows": (MAPPED, (MAPPED[0].replace("[1, 2]", "[1, 2, 3]"), MAPPED[1]), ("a 3", "b")),
    "50 list reordered": (MAPPED, (MAPPED[0].replace("[1, 2]", "[2, 1]"), MAPPED[1]), ("b",)),
    "51 list loses one": (MAPPED, (MAPPED[0].replace("[1, 2]", "[2]"), MAPPED[1]), ("b",)),
    "52 duplicates": (MAPPED, (MAPPED[0].replace("[1, 2]", "[1, 5, 2, 5]"), MAPPED[1]), ("a 5", "b")),
    "68 last task renamed": (PLAIN, (PLAIN[0], B.replace("task b", "task another") + "repr(a)"), ()),
    "69 helper moved into the cell of another": ((HELPER, "K = 1", *USES_HELPER), ("K = 1\n\n" + HELPER, *USES_HELPER), ()),
    "69b cell of helpers split": (("\n".join(DEEP), *USES_HELPER), (*DEEP, *USES_HELPER), ()),
    "69c cells in another order": ((*DEEP, *USES_HELPER), (DEEP[1], DEEP[0], *USES_HELPER), ()),
    "71 nothing edited": ((HELPER, *USES_HELPER), (HELPER, *USES_HELPER), ()),
    "82 enum cell run again": ((COLOUR, A + "Colour.RED", PLAIN[1]), (COLOUR, COLOUR, A + "Colour.RED", PLAIN[1]), ()),
    "83 field added": ((CONFIG, "c = Config(1)", A + "c.n", PLAIN[1]), (CONFIG + "\n    m: int = 0", "c = Config(1)", A + "c.n", PLAIN[1]), ("a",)),
    "84 print in a helper": ((HELPER, *USES_HELPER), (HELPER.replace("return", "print('here')\n    return"), *USES_HELPER), ("a",)),
}  # fmt: skip
START = ("%reset -f", "%reload_ext nbflow", "LOG = []")
NAMES = tuple(CASES)


def executed(folder, *sources):
    document = new_notebook(cells=[new_code_cell(source) for source in sources])
    NotebookClient(document, timeout=120, resources={"metadata": {"path": str(folder)}}).execute()
    return document


def notebook_of(folder, after):
    """What ran in each case, all in one kernel; each has a store of its own."""
    sources = ["import os\n%load_ext nbflow"]
    for i, name in enumerate(NAMES):
        sources.append("%unload_ext nbflow\n%reset -f")
        sources.append(
            f"import os\nos.environ['NBFLOW_STORE'] = {str(folder / f'store{i}')!r}\n%load_ext nbflow\nLOG = []"
        )
        sources += CASES[name][after]
        sources.append(f"print('RAN', {i}, sorted(LOG))")
    document = executed(folder, *sources)
    text = "".join(o.text for cell in document.cells for o in cell.outputs if o.output_type == "stream")
    return {
        NAMES[int(i)]: tuple(re.findall(r"'([^']*)'", ran)) for i, ran in re.findall(r"^RAN (\d+) (.*)$", text, re.M)
    }


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    """What ran in a first kernel, and after its end in a second one, where the cells were edited."""
    folder = tmp_path_factory.mktemp("kernels")
    return notebook_of(folder, after=0), notebook_of(folder, after=1)


@pytest.mark.parametrize("name", NAMES)
def test_what_runs_after_a_restart_and_an_edit(name, kernels):
    first, second = kernels
    assert first[name]
    assert len(set(first[name])) == len(first[name]), "something ran twice"
    assert second[name] == CASES[name][2]


def test_case_73_a_second_notebook_on_the_same_store_hits(tmp_path, monkeypatch):
    monkeypatch.setenv("NBFLOW_STORE", str(tmp_path / "store"))
    cells = ("%load_ext nbflow", "LOG = []", HELPER, *USES_HELPER, "print('RAN', LOG)")
    ran = []
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        document = executed(tmp_path / place, *cells)
        ran.append("".join(output.text for output in document.cells[-1].outputs))
    assert ran == ["RAN ['a', 'b']\n", "RAN []\n"]


PREPARED = "import os, threading\nrelease = threading.Event()\n%load_ext nbflow\nLOG = []"
SLOW = """%%task a for x in range(30) --ignore LOG, release, SECOND
LOG.append(x)
if x == 25 and not os.environ.get("SECOND"):
    release.wait(60)
x * 10"""


@contextlib.contextmanager
def kernel(folder, **environment):
    """A kernel of its own, and a client that is connected to it."""
    manager, client = start_new_kernel(cwd=str(folder), env={**os.environ, **environment})
    try:
        yield manager, client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def wait_for_rows(store, count, deadline_s=60):
    """Until the store holds so many results: finished elements are written once a second."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        with (
            contextlib.suppress(sqlite3.OperationalError),
            contextlib.closing(sqlite3.connect(f"file:{store}/index.sqlite?mode=ro", uri=True)) as database,
        ):
            if database.execute("SELECT count(*) FROM entry").fetchone()[0] >= count:
                return
        time.sleep(0.05)
    raise AssertionError(f"the store did not hold {count} results after {deadline_s} s")


def value_of(client, expression):
    reply = client.execute_interactive(
        "", user_expressions={"value": expression}, timeout=60, output_hook=lambda message: None
    )
    return ast.literal_eval(reply["content"]["user_expressions"]["value"]["data"]["text/plain"])


@pytest.mark.parametrize("end", ["interrupt", "kill"], ids=["54 interrupt", "55 kill -9"])
def test_what_was_finished_before_the_end_of_a_kernel_is_kept(end, tmp_path, monkeypatch):
    monkeypatch.setenv("NBFLOW_STORE", str(tmp_path / "store"))
    with kernel(tmp_path) as (manager, client):
        client.execute_interactive(PREPARED, timeout=60, output_hook=lambda message: None)
        # False: what is asked behind it is answered though it ends with an error.
        client.execute(SLOW, stop_on_error=False)
        wait_for_rows(tmp_path / "store", 10)
        if end == "interrupt":
            manager.interrupt_kernel()
            # The cell ends, though one element still waits in its thread.
            assert client.get_shell_msg(timeout=30)["content"]["ename"] == "KeyboardInterrupt"
            assert 25 in value_of(client, "LOG")
        else:
            manager.signal_kernel(signal.SIGKILL)
    with kernel(tmp_path, SECOND="1") as (_, client):
        client.execute_interactive(PREPARED, timeout=60, output_hook=lambda message: None)
        client.execute_interactive(SLOW, timeout=60, output_hook=lambda message: None)
        ran = value_of(client, "LOG")
        # What ends after an interrupt may be kept, too; what a kill ended is not.
        assert end == "interrupt" or 25 in ran
        assert len(ran) <= 20, "ten results at least were kept"
        client.execute_interactive("made = list(a)", timeout=60, output_hook=lambda message: None)
        assert value_of(client, "made") == [x * 10 for x in range(30)]
