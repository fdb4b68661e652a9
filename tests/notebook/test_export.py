"""%flow export: the module gives the same values in a process of its own."""

import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.notebook.test_session import notebook

__all__ = ["notebook"]

# The cells, and the outputs whose values must be the same.
ROUND_TRIPS = {
    "map of a map": (["%%task xs for x in [1, 2, 3]\nx * 10", "%%task ys for x in xs\nx + 1", "%%task total\nsum(ys)"], ["xs", "ys", "total"]),
    "product": (["%%task xs\n[1, 2]", "%%task pairs for a in xs for b in range(a) if a + b > 1\n(a, b)"], ["pairs"]),
    "product of constants": (["%%task pairs for a in [1, 2] for b in 'xy'\nf'{a}{b}'"], ["pairs"]),
    "helper, constant, import": (
        ["import math\nfrom os import path as osp\nK = 3", "def helper(v):\n    return math.floor(v) * K", "%%task a\nosp.join('x', str(helper(2.5)))"],
        ["a"],
    ),
    "helper of a helper with a default": (
        ["BASE = [1, 2]", "def deep(v, base=BASE):\n    return [v, *base]\n\ndef helper(v):\n    return deep(v)", "%%task a\nhelper(0)"],
        ["a"],
    ),
    "class": (["from dataclasses import dataclass\n@dataclass\nclass Config:\n    n: int\n    def twice(self):\n        return self.n * 2", "config = Config(4)", "%%task a\nconfig.twice()"], ["a"]),
    "global changed by a later cell": (["config = {'a': 1}", "config['b'] = 2", "%%task a\nsorted(config.items())"], ["a"]),
    "global made in steps": (["n = 1\nn = n + 1\nfor i in range(3):\n    n += i", "%%task a\nn"], ["a"]),
    "unused cells stay out": (["raise_later = 1 // 1\nprint('side effect')", "%%task a\n5"], ["a"]),
    "version chain": (["%%task df\n[1, 2, None]", "%%task total\nlen(df)", "%%task df\n[x for x in df if x]", "%%task n\nlen(df)"], ["df", "total", "n"]),
    "several outputs": (["%%task low, high\nlow = 1\nhigh = 2", "%%task span\n(low, high)"], ["low", "high", "span"]),
    "several outputs of a map": (["%%task low, high for x in [1, 2]\nlow = x - 1\nhigh = x + 1", "%%task both for a, b in zip(low, high)\na * b"], ["low", "high", "both"]),
    "outputs by assignment": (["%%task\nfirst = 1\nsecond = first + 1", "%%task both\n[first, second]"], ["first", "second", "both"]),
    "last expression is one of two outputs": (["%%task a, b\na = 1\na + 1"], ["a", "b"]),
    "value that is only shown": (["%%task\nxs = [3, 1, 2]\nsorted(xs)", "%%task n\nlen(xs)"], ["xs", "n"]),
    "condition": (["%%task flag\nTrue", "%%task a if flag\n1", "%%task b if not flag\n2", "%%task c --merge a,b", "%%task d\nc + 1"], ["c", "d"]),
    "condition on a constant": (["MODE = 'fast'", "%%task a if MODE == 'fast'\n1", "%%task b if MODE == 'slow'\n2", "%%task c --merge b,a"], ["c"]),
    "condition on a map": (["%%task xs for x in [0, 1]\nx", "%%task a if xs\n'some'"], ["a"]),
    "loop": (["from nbflow import loop, signals", "%%task root\nbetter = (loop.result or 2) / 2\nif loop.count < 4:\n    raise signals.LOOP(result=better)\nroot = better"], ["root"]),
    "loop_times": (["from nbflow import loop", "%%task a --loop-times 3\n(loop.result or 1) * 2"], ["a"]),
    "options": (["%%task a --retries 2 --retry-delay 0 --version 'x y' --seed 3\nimport random\nrandom.random()"], ["a"]),
    "trigger": (["%%task a --no-cache\n1", "%%task b --trigger all_finished\na"], ["b"]),
    "name of its own": (["%%task a --name 'the first'\n1", "%%task b\na + 1"], ["a", "b"]),
    "Parameter": (["from nbflow import Parameter\nn = Parameter('n', default=4)", "%%task a\nn * 2", "%%task b for x in [1, 2]\nx * n"], ["a", "b"]),
    "literal parameters": (["n = 5\nhow: str = 'mean'", "%%task a\n(n, how)"], ["a"]),
    "comment form": (["# task: retries=1\nxs = [x * 2 for x in [1, 2, 3] if x > 1]", "# task\ntotal = sum(xs)"], ["xs", "total"]),
    "definitions in the cell of a task": (["%%task a\nimport math\n\ndef area(r):\n    return round(math.pi * r, 2)\n\narea(2)", "%%task b\narea(3)"], ["a", "b"]),
    "definition that needs the body": (["%%task a\nbase = 3\ndef plus(v):\n    return v + base\nplus(1)"], ["a"]),
    "texts of several lines": (['%%task a\ntext = """one\n  two\nthree"""\ntext.split("\\n")', "%%task b\n# a comment\nf'''{a[0]}\n x'''"], ["a", "b"]),
    "comments and blank lines": (["%%task a\n# first\n\nx = 1  # one\n\n# last\nx + 1"], ["a"]),
    "statements on one line": (["%%task a\nx = 1; y = 2; x + y"], ["a"]),
    "wrapped expression": (["%%task a\nsum(\n    [1,\n     2]\n)"], ["a"]),
    "source from an output": (["%%task xs\n[3, 1, 2]", "%%task ys for x in sorted(xs)[:2]\nx"], ["ys"]),
    "source from constants": (["names = ['b', 'a']\nlimit = 1", "%%task ys for x in sorted(names)[:limit]\nx"], ["ys"]),
    "unpacked items": (["%%task rows for name, (a, *rest) in [('x', (1, 2, 3))]\n[name, a, rest]"], ["rows"]),
    "dict as a source": (["sizes = {'a': 1, 'b': 2}", "%%task twice for size in sizes\nsize * 2"], ["twice"]),
    "await": (["import asyncio", "%%task a\nawait asyncio.sleep(0)\n7"], ["a"]),
    "names of tasks as in the module": (["task = 3\nmake_a = 4", "%%task a\n[task, make_a]"], ["a"]),
    "node of a task in Python": (["from nbflow import task\n@task\ndef made():\n    return 10\nten = made()", "%%task a\nten + 1"], ["a"]),
    "future import": (["%%task a\nfrom __future__ import annotations\ndef f(x: int | None) -> int:\n    return x\nf(2)"], ["a"]),
    "reader before its maker": (["%%task late\n1", "%%task b\nlate + 1"], ["b"]),
    "quotes in texts": (["%%task a for q in ['\"', \"it's\"]\nq"], ["a"]),
    "display": (["%%task a\ndisplay\n3"], ["a"]),
}  # fmt: skip
READER = """
import importlib, json, sys
found = {}
for name, outputs in json.loads(sys.argv[1]).items():
    try:
        module = importlib.import_module(name)
        run = module.flow.run(check=True)
        found[name] = {each: repr(run[getattr(module, each)]) for each in outputs}, run.counts()[0]
    except Exception as error:
        found[name] = repr(error), None
print("FOUND " + json.dumps(found))
"""


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The values in the notebook and those of the modules, by case: all modules are imported in one process."""
    from tests.notebook.test_session import Notebook

    folder = tmp_path_factory.mktemp("modules")
    here, texts = {}, {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("NBFLOW_STORE", str(folder / "store"))
        for i, (case, (cells, outputs)) in enumerate(ROUND_TRIPS.items()):
            book = Notebook()
            for number, cell in enumerate(cells):
                book(cell, str(number))
            here[case] = {each: repr(book(each).value) for each in outputs}
            texts[case] = book(f"%flow export case{i}.py").text
            if (folder / f"case{i}.py").exists():
                texts[case] = (folder / f"case{i}.py").read_text()
            book("%unload_ext nbflow")
    anew, again = (in_another_process(folder, folder / store) for store in ("another", "store"))
    return here, anew, again, texts


def in_another_process(folder, store):
    """The values that the modules give, and how many tasks ran for them."""
    wanted = {f"case{i}": outputs for i, (_, outputs) in enumerate(ROUND_TRIPS.values())}
    done = subprocess.run(
        [sys.executable, "-c", READER, json.dumps(wanted)],
        cwd=folder,
        env={"NBFLOW_STORE": str(store), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(re.search(r"^FOUND (.*)$", done.stdout, re.M)[1])
    return {case: found[f"case{i}"] for i, case in enumerate(ROUND_TRIPS)}


@pytest.mark.parametrize("case", ROUND_TRIPS)
def test_the_module_gives_the_same_values_in_another_process(both, case):
    here, anew, again, texts = both
    assert anew[case][0] == here[case], texts[case]
    assert again[case][0] == here[case]


def test_with_an_empty_store_the_modules_compute_for_themselves(both):
    # Cases that compute the same share a result.
    assert sum(ran for _, ran in both[1].values()) > len(ROUND_TRIPS)


# Classes and functions that call modules by other names, values only shown, and what is never stored.
RUN_AGAIN = {
    "helper, constant, import",
    "class",
    "value that is only shown",
    "loop",
    "trigger",
    "name of its own",
    "await",
}


@pytest.mark.parametrize("case", [case for case in ROUND_TRIPS if case not in RUN_AGAIN])
def test_the_module_finds_what_the_notebook_stored(both, case):
    assert both[2][case][1] == 0


def test_the_text_of_cells_is_kept(both):
    text = both[3]["comments and blank lines"]
    assert "    # first\n\n    x = 1  # one\n\n    # last\n    a = x + 1\n    return a\n" in text


def test_what_no_task_needs_stays_out(both):
    assert "side effect" not in both[3]["unused cells stay out"]
    assert "from os import path as osp" in both[3]["helper, constant, import"]


def test_options_stand_in_the_decorator(both):
    assert '@task(name="a", retries=2, retry_delay_s=0.0, version="x y", seed=3)\ndef make_a():' in both[3]["options"]


def test_the_module_is_formatted(both, tmp_path):
    file = tmp_path / "module.py"
    text = both[3]["helper of a helper with a default"]
    file.write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--line-length=120", "--diff", str(file)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


def test_it_says_where_it_comes_from(both):
    assert both[3]["loop"].startswith('"""The flow of a notebook, written by `%flow export`."""')


@pytest.fixture
def book(notebook):
    notebook("K = 2")
    notebook("%%task a\nK + 1", "c1")
    return notebook


def test_a_file_is_written_over_only_when_asked(book, tmp_path):
    (tmp_path / "out.py").write_text("mine")
    assert "is there already; `%flow export out.py --force`" in book("%flow export out.py").text
    assert (tmp_path / "out.py").read_text() == "mine"
    assert "1 task and the flow" in book("%flow export out.py --force").text
    assert "def make_a" in (tmp_path / "out.py").read_text()


def test_a_parameter_is_written_with_its_present_value(book, tmp_path):
    book("%flow export out.py")
    assert "K = 2\n" in (tmp_path / "out.py").read_text()
    book.shell.user_ns["K"] = 7
    book("%flow export out.py --force")
    assert "K = 7\n" in (tmp_path / "out.py").read_text()


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["%%task b\nx = 1\n!echo hi\nx"], "the cell of b, line 3: a shell command cannot stand in a module"),
        (["%%task b\n%time x = 1\n2"], "the cell of b, line 2: `%time` cannot stand in a module"),
        (["files = !echo hi", "%%task b\nlen(files)"], "the cell that begins `files = "),
        (["def reads():\n    return a", "%%task b\nreads()"], "`reads` reads `a`, which a task makes, through a global"),
        (["exec('hidden = object()')", "%%task b --ignore hidden\nstr(type(hidden))"], "task b reads `hidden`, and no cell shows"),
        (["%%task b --lazy\nnosuchname + 1"], "reads `nosuchname`, which nothing defines"),
    ],
)  # fmt: skip
def test_what_cannot_stand_in_a_module_is_told_with_its_place(book, tmp_path, cells, message):
    for number, cell in enumerate(cells):
        book(cell, f"x{number}")
    said = book("%flow export out.py").text
    assert message in said
    assert not (tmp_path / "out.py").exists()
    assert len(said.splitlines()) <= 4


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("%flow export", "takes one file, such as `%flow export weather.py`"),
        ("%flow export a.py b.py", "takes one file"),
        ("%flow export notes.txt", "a module that can be imported"),
        ("%flow export my-flow.py", "a module that can be imported"),
        ("%flow export class.py", "a module that can be imported"),
        ("%flow export nowhere/out.py", "the folder of nowhere/out.py is not there"),
    ],
)
def test_wrong_names_of_files_are_told(book, line, message):
    assert message in book(line).text


def test_a_notebook_without_tasks_is_a_module_too(notebook, tmp_path):
    assert "no tasks yet" in notebook("%flow export out.py").text
    compile((tmp_path / "out.py").read_text(), "out.py", "exec")


NOTEBOOKS = {"tour": ("days", "months", "climate"), "control-flow": ("many", "yearly", "chosen", "pairs", "root")}


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_modules_of_the_notebooks_give_their_values(name, tmp_path, monkeypatch):
    monkeypatch.setenv("NBFLOW_STORE", str(tmp_path / "store"))
    document = nbformat.read(Path(__file__).parents[2] / "notebooks" / f"{name}.ipynb", 4)
    values = [f"print({output!r}, nbflow_digest({output}))" for output in NOTEBOOKS[name]]
    cells = ["%flow export exported.py", DIGEST, *values]
    document.cells = [cell for cell in document.cells if cell.cell_type == "code"]
    document.cells += [nbformat.v4.new_code_cell(cell) for cell in cells]
    client = NotebookClient(document, timeout=120, allow_errors=True, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    # What the cells print; a cell may also have a line of its own, that it brought a task up to date.
    outputs = [output for cell in document.cells[-len(values) :] for output in cell.outputs]
    here = "".join(output.text for output in outputs if output.output_type == "stream")
    assert len(here.splitlines()) == len(values), here
    monkeypatch.setenv("NBFLOW_STORE", str(tmp_path / "another"))
    read = "\n".join(f"print({output!r}, nbflow_digest(run[exported.{output}]))" for output in NOTEBOOKS[name])
    done = subprocess.run(
        [sys.executable, "-c", f"{DIGEST}\nimport exported\nrun = exported.flow.run()\n{read}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout == here, done.stderr[-2000:]


DIGEST = "def nbflow_digest(value):\n    import hashlib\n    return hashlib.sha256(repr(value).encode()).hexdigest()"
