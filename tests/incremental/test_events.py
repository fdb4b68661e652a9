"""What may happen to a run, a store or a graph, each across restarts; the numbers are those of the table of cases."""

import os
import re
import textwrap

import pytest

HEAD = """
import os, sys, threading
import numpy as np
from nbflow import Flow, Parameter, loop, merge, signals, switch, task
"""
END = """
run = flow.run(check=True)
print("VALUE", run[{result!r}])
"""


def program(body, result="b"):
    return HEAD + body + END.format(result=result)


TWO = """
@task({options})
{kind} a(x):
    print("RAN a")
{body}
@task
def b(y):
    print("RAN b")
    return repr(y)
with Flow("case", store={store}) as flow:
    b(a({x}))
"""


def two(body, x="1", *, options="", kind="def", store="'store'", prelude=""):
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return program(prelude + TWO.format(body=lines, x=x, options=options, kind=kind, store=store))


SWITCH = """
@task
def which():
    print("RAN which")
    return {arm!r}
@task
def left():
    print("RAN left")
    return 1
@task
def right():
    print("RAN right")
    return 2
@task
def b(y):
    print("RAN b")
    return y * 10
with Flow("case", store="store") as flow:
    arm = which()
    with switch(arm):
        with arm.case("left"):
            one = left()
        with arm.case("right"):
            two = right()
    b(merge(one, two))
"""
LOOPED = """
@task(loop_times={times})
def a(x):
    print("RAN a", loop.count)
    return (loop.result or 0) + x
@task
def b(y):
    print("RAN b")
    return y
with Flow("case", store="store") as flow:
    b(a(2))
"""
DYNAMIC = """
@task
def child(x):
    print("RAN child", x)
    return x // 10
@task
def a(xs):
    print("RAN a")
    return [child(x) for x in xs]
@task
def b(ys):
    print("RAN b")
    return ys
with Flow("case", store="store") as flow:
    b(a({xs}))
"""
ENUM = """
import enum
class Colour(enum.Enum):
    RED = 1
    BLUE = 2
"""
DATACLASS = """
from dataclasses import dataclass
@dataclass
class Config:
    n: int
    how: str = "mean"
"""
MOVED = """
@task
def b(y):
    print("RAN b")
    return repr(y)
K = 1
@task
def a(x):
    print("RAN a")
    return x + 1
with Flow("case", store="store") as flow:
    b(a(1))
"""
RENAMED = """
@task
def anything_else(x):
    print("RAN a")
    return x + 1
@task
def b(y):
    print("RAN b")
    return repr(y)
with Flow("case", store="store") as flow:
    b(anything_else(1))
"""
LOGGED = """
def helper(v):
    print("{words}")
    return v + 1
"""

EVENTS = [
    ("68 task renamed", two("return x + 1"), program(RENAMED), []),
    ("69 task moved behind another", two("return x + 1"), program(MOVED), []),
    ("75 branch flips", program(SWITCH.format(arm="left")), program(SWITCH.format(arm="right")), ["which", "right", "b"]),
    ("76 loop_times 3 -> 5", program(LOOPED.format(times=3)), program(LOOPED.format(times=5)), ["a 4", "a 5", "b"]),
    ("76b loop_times 3 -> 2", program(LOOPED.format(times=3)), program(LOOPED.format(times=2)), ["b"]),
    ("77 dynamic task appears", program(DYNAMIC.format(xs=[10])), program(DYNAMIC.format(xs=[10, 20])), ["a", "child 20", "b"]),
    ("77b dynamic task disappears", program(DYNAMIC.format(xs=[10, 20])), program(DYNAMIC.format(xs=[10])), ["a", "b"]),
    ("77c dynamic task gives an equal result", program(DYNAMIC.format(xs=[10])), program(DYNAMIC.format(xs=[11])), ["a", "child 11"]),
    ("78 async body", two("return x + 1", kind="async def"), two("return x + 2", kind="async def"), ["a", "b"]),
    ("78b comment in an async body", two("return x + 1", kind="async def"), two("# words\nreturn x + 1", kind="async def"), []),
    ("78c a body becomes async", two("return x + 1"), two("return x + 1", kind="async def"), ["a"]),
    ("82 enum class run again", two("return x.value", "Colour.RED", prelude=ENUM), two("return x.value", "Colour.RED", prelude="\n\n# again\n" + ENUM), []),
    ("82b dataclass run again", two("return x.n", "Config(1)", prelude=DATACLASS), two("return x.n", "Config(1)", prelude="\n# again\n" + DATACLASS), []),
    ("83 field added to a dataclass", two("return x.n", "Config(1)", prelude=DATACLASS), two("return x.n", "Config(1)", prelude=DATACLASS + "    more: int = 0\n"), ["a"]),
    ("83b enum member added", two("return x.value", "Colour.RED", prelude=ENUM), two("return x.value", "Colour.RED", prelude=ENUM + "    GREEN = 3\n"), ["a"]),
    ("83c field added, no instance used", two("return x", prelude=DATACLASS), two("return x", prelude=DATACLASS + "    more: int = 0\n"), []),
    ("84 print in a helper", two("return helper(x)", prelude=LOGGED.format(words="one")), two("return helper(x)", prelude=LOGGED.format(words="two")), ["a"]),
    ("85 seed", two("return np.random.rand()", options="seed=1"), two("return np.random.rand()", options="seed=2"), ["a", "b"]),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "runs"), [e[1:] for e in EVENTS], ids=[e[0] for e in EVENTS])
def test_what_runs_after_an_event(before, after, runs, restart, tmp_path):
    first = restart(tmp_path, before)
    assert first.ran
    again = restart(tmp_path, before)
    assert (again.ran, again.value) == ([], first.value)
    later = restart(tmp_path, after)
    assert sorted(later.ran) == sorted(runs)
    assert later.value == restart(tmp_path / "cold", after).value


KILLED = """
import signal, sqlite3, time

def stored_rows():
    database = sqlite3.connect("store/index.sqlite")
    try:
        return database.execute("SELECT count(*) FROM entry").fetchone()[0]
    finally:
        database.close()

def end_once_results_are_kept():
    deadline = time.monotonic() + 30
    while stored_rows() < {rows} and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(os.getpid(), signal.{signal})
    time.sleep(30)


@task(ignore=["end_once_results_are_kept", "SECOND"])
def a(x):
    sys.stdout.write(f"RAN a {{x}}" + chr(10))
    sys.stdout.flush()
    if x == 39 and not os.environ.get("SECOND"):
        end_once_results_are_kept()
    return x * 10

@task
def b(xs):
    sys.stdout.write("RAN b" + chr(10))
    return sum(xs)

with Flow("case", store="store") as flow:
    b(a.map(list(range(40))))
"""


@pytest.mark.parametrize(("case", "signal"), [("54 Ctrl-C", "SIGINT"), ("55 kill -9", "SIGKILL")])
def test_what_was_finished_before_the_end_is_kept(case, signal, restart, tmp_path):
    text = program(KILLED.format(signal=signal, rows=10))
    ended = restart(tmp_path, text, check=False)
    assert ended.code != 0
    assert "RAN b" not in ended.ran
    rest = restart(tmp_path, text, env={"SECOND": "1"})
    assert "a 39" in rest.ran, "what was not finished runs again"
    assert len(rest.ran) <= 31, "ten results were kept"
    assert rest.value == str(sum(range(40)) * 10)
    assert restart(tmp_path, text, env={"SECOND": "1"}).ran == [], "no entry is torn"


def test_case_56_a_failing_task_runs_again(restart, tmp_path):
    text = two("if not os.environ.get('GOOD'):\n    raise ValueError(x)\nreturn x", options="ignore=['GOOD']")
    for _ in range(2):
        assert restart(tmp_path, text, check=False).ran == ["a"]
    assert restart(tmp_path, text, env={"GOOD": "1"}).ran == ["a", "b"]


def test_case_57_a_partial_file_of_a_task_that_failed_is_no_result(restart, tmp_path):
    text = two(
        """with open("made.txt", "w") as stream:
    stream.write("half")
    if not os.environ.get("GOOD"):
        raise ValueError("in the middle")
    stream.write(" and half")
return open("made.txt").read()""",
        options="ignore=['GOOD']",
    )
    assert restart(tmp_path, text, check=False).ran == ["a"]
    assert (tmp_path / "made.txt").read_text() == "half"
    good = restart(tmp_path, text, env={"GOOD": "1"})
    assert (good.ran, good.value) == (["a", "b"], repr("half and half"))
    assert restart(tmp_path, text).ran == []


def test_case_62_a_generator_is_no_result(restart, tmp_path):
    text = two("return (i for i in range(x))")
    for _ in range(2):
        refused = restart(tmp_path, text, check=False)
        assert refused.ran == ["a"]
        assert "a returned a generator" in refused.errors


MUTATING = """
@task
def give():
    print("RAN give")
    return {"n": [1]}
@task
def spoil(d):
    print("RAN spoil")
    d["n"].append(2)
    return len(d["n"])
@task
def look(d):
    print("RAN look")
    return list(d["n"])
@task
def b(*parts):
    print("RAN b")
    return list(parts)
with Flow("case", store="store") as flow:
    given = give()
    b(spoil(given), look(given))
"""


def test_case_63_a_task_that_changes_its_input_harms_nobody(restart, tmp_path):
    first = restart(tmp_path, program(MUTATING))
    assert first.value == "[2, [1]]"
    assert re.search(r"spoil\b.*'?d'?", first.errors), "the task and the argument are named"
    assert restart(tmp_path, program(MUTATING)).ran == []


def test_case_64_a_caller_that_changes_a_cached_result_harms_nobody(restart, tmp_path):
    text = (
        two("return {'n': [x]}") + 'run["a"]["n"].append(2)\nprint("AGAIN", flow.run()["a"])\nrun["a"]["n"].append(3)\n'
    )
    first = restart(tmp_path, text)
    assert first.value == "{'n': [1]}"
    changed = text.replace('print("VALUE", run["b"])', 'print("VALUE", run["a"])')
    again = restart(tmp_path, changed)
    assert (again.ran, again.value) == ([], "{'n': [1]}")
    assert "AGAIN {'n': [1]}" in (tmp_path / "out.txt").read_text()


EDITED = """
read, edited = threading.Event(), threading.Event()
def somebody_edits():
    read.wait(20)
    with open("data.txt", "w") as stream:
        stream.write("the new text")
    edited.set()
if not os.environ.get("LEFT_ALONE"):
    threading.Thread(target=somebody_edits).start()
@task(ignore=["read", "edited", "LEFT_ALONE"])
def a():
    print("RAN a")
    text = open("data.txt").read()
    if not os.environ.get("LEFT_ALONE"):
        read.set()
        edited.wait(20)
    return text
@task
def b(y):
    print("RAN b")
    return y
with Flow("case", store="store") as flow:
    b(a())
"""


def test_case_65_a_file_edited_while_the_task_runs_is_no_basis_for_reuse(restart, tmp_path):
    assert restart(tmp_path, program(EDITED), {"data.txt": "the old text"}).ran == ["a", "b"]
    assert (tmp_path / "data.txt").read_text() == "the new text"
    second = restart(tmp_path, program(EDITED), env={"LEFT_ALONE": "1"})
    assert second.ran == ["a", "b"]
    assert second.value == "the new text"
    assert restart(tmp_path, program(EDITED), env={"LEFT_ALONE": "1"}).ran == []


def test_case_66_a_touched_file_runs_nothing(restart, tmp_path):
    text = two("return open('data.txt').read()")
    assert restart(tmp_path, text, {"data.txt": "one"}).ran == ["a", "b"]
    os.utime(tmp_path / "data.txt", (1_000_000_000, 1_000_000_000))
    assert restart(tmp_path, text).ran == []


def test_case_72_another_python_runs_everything_and_says_so(restart, tmp_path):
    text = two("return x + 1")
    assert restart(tmp_path, text).ran == ["a", "b"]
    other = "from nbflow.identity import code, origin\ncode.PYTHON = origin.PYTHON = '3.99'\n" + text.replace(
        "run = flow.run", 'print("VALUE", flow.plan())\nrun = flow.run'
    )
    upgraded = restart(tmp_path, other)
    assert upgraded.ran == ["a", "b"]
    assert "→ 3.99: everything runs again" in (tmp_path / "out.txt").read_text()


def test_case_73_a_second_notebook_with_the_same_task_hits(restart, tmp_path):
    text = two("return x + 1", store="'../store'")
    assert restart(tmp_path / "one", text).ran == ["a", "b"]
    other = restart(tmp_path / "two", text.replace('Flow("case"', 'Flow("another"'))
    assert other.ran == []


BY_NAME = """
import importlib, locmod
def helper(v):
    return v + 1
"""
UNSEEN = {
    "79 getattr with a made-up name": "getattr(locmod, ''.join('plus'))(x)",
    "79b globals()": "globals()['helper'](x)",
    "79c import_module": "importlib.import_module('loc' + 'mod').plus(x)",
    "79d eval": "eval('helper(x)')",
}


@pytest.mark.parametrize("call", UNSEEN.values(), ids=UNSEEN)
def test_what_is_reached_by_a_string_counts_with_depends_on(call, restart, tmp_path):
    files = {"locmod.py": "from deeper import K\ndef plus(v):\n    return v + K\n", "deeper.py": "K = 1\n"}
    text = two(f"return {call}", options="depends_on=['locmod', helper]", prelude=BY_NAME)
    assert restart(tmp_path, text, files).ran == ["a", "b"]
    assert restart(tmp_path, text).ran == []
    if "helper" in call:
        edited = restart(tmp_path, text.replace("v + 1", "v + 2"))
    else:
        edited = restart(tmp_path, text, {"deeper.py": "K = 2\n"})
    assert edited.ran == ["a", "b"]
    assert edited.value == "3"


OUTSIDE = [
    ("85 env= declares it", "env=['MODE']", ["a", "b"]),
    ("85b neither declared nor shown, it is seen when it is read", "cache=True", ["a", "b"]),
    ("85c always", "always=True", ["a", "b"]),
]


@pytest.mark.parametrize(("options", "runs"), [each[1:] for each in OUTSIDE], ids=[each[0] for each in OUTSIDE])
def test_the_environment_counts_where_it_is_declared(options, runs, restart, tmp_path):
    # The code does not show which variable it reads.
    text = two("return os.environ['mode'.upper()]", options=options)
    assert restart(tmp_path, text, env={"MODE": "fast"}).ran == ["a", "b"]
    unchanged = restart(tmp_path, text, env={"MODE": "fast"}).ran
    assert unchanged == (["a"] if "always" in options else []), "equal output stops there"
    assert restart(tmp_path, text, env={"MODE": "slow"}).ran == runs


def test_case_85d_a_seed_makes_a_draw_repeatable(restart, tmp_path):
    text = two("return float(np.random.rand())", options="seed=1, cache=False")
    assert restart(tmp_path, text).value == restart(tmp_path, text).value


def test_case_86_a_huge_result_is_stored_once_and_mapped(restart, tmp_path):
    body = """
@task
def a():
    print("RAN a")
    return np.arange(8_000_000)
@task
def b(y, k):
    print("RAN b")
    return int(y[-1]) + k
with Flow("case", store="store") as flow:
    made = a()
    b(made, int(os.environ["K"]))
"""
    text = program(body) + 'print("MAPPED", isinstance(run["a"], np.memmap), run["a"].flags.owndata)\n'
    assert restart(tmp_path, text, env={"K": "1"}).ran == ["a", "b"]
    assert restart(tmp_path, text, env={"K": "2"}).ran == ["b"]
    assert restart(tmp_path, text, env={"K": "2"}).ran == []
    assert "False" in (tmp_path / "out.txt").read_text().rpartition("MAPPED")[2].split()[1]
    size_bytes = sum(path.stat().st_size for path in (tmp_path / "store").rglob("*") if path.is_file())
    assert size_bytes < 1.1 * 64_000_000


def test_case_87_a_full_disk_stores_nothing_and_says_so(restart, tmp_path):
    limited = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
if os.environ.get("FULL"):
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
"""
    text = two("return np.ones(1_000_000) * x", prelude=limited)
    full = restart(tmp_path, text, env={"FULL": "1"})
    assert full.ran == ["a", "b"]
    assert "a: its result could not be written" in full.errors
    after = restart(tmp_path, text)
    assert after.ran == ["a"], "what could be stored is kept: b's result is small"
    assert after.value == full.value
    assert restart(tmp_path, text).ran == []


@pytest.mark.parametrize("library", ["polars", "pyarrow.csv"])
def test_a_reader_that_was_taken_by_its_name_is_seen(restart, tmp_path, library):
    text = two("return str(read_csv('d.csv'))", prelude=f"from {library} import read_csv\n")
    assert restart(tmp_path, text, {"d.csv": "a\n1\n"}).ran == ["a", "b"]
    assert restart(tmp_path, text).ran == [], "it is the same reader when nbflow has wrapped it"
    assert restart(tmp_path, text, {"d.csv": "a\n22\n"}).ran == ["a", "b"]


def test_a_variable_that_a_helper_reads_by_a_computed_name_is_an_input(restart, tmp_path):
    prelude = "def get(name):\n    return os.environ.get(name)\n"
    text = two("return get('MY' + 'X')", prelude=prelude) + 'print(flow.why("a"), file=sys.stderr)\n'
    assert restart(tmp_path, text, env={"MYX": "one-value"}).ran == ["a", "b"]
    assert restart(tmp_path, text, env={"MYX": "one-value"}).ran == []
    changed = restart(tmp_path, text, env={"MYX": "another-value"})
    assert changed.ran == ["a", "b"]
    assert "environment variable MYX changed" in changed.errors
    assert restart(tmp_path, text, env={"MYX": "one-value"}).ran == [], "changed and changed back"


def test_a_variable_that_is_ignored_is_no_input(restart, tmp_path):
    text = two("return os.environ['MYX']", options="ignore=['MYX']")
    assert restart(tmp_path, text, env={"MYX": "1"}).ran == ["a", "b"]
    assert restart(tmp_path, text, env={"MYX": "2"}).ran == []


@pytest.mark.parametrize("options", ["", "cache=True"])
def test_what_another_process_made_is_good_for_its_session(restart, tmp_path, options):
    text = two("import subprocess\nreturn subprocess.check_output(['cat', 'd.txt'])", options=options)
    first = restart(tmp_path, text, {"d.txt": "1"})
    assert ("a started another process" in first.errors) == (not options)
    assert restart(tmp_path, text).ran == ([] if options else ["a"])


def test_an_edit_of_a_file_open_for_reading_and_writing_is_seen(restart, tmp_path):
    text = two("with open('d.txt', 'r+') as stream:\n    return stream.read()")
    assert restart(tmp_path, text, {"d.txt": "1"}).ran == ["a", "b"]
    assert restart(tmp_path, text).ran == []
    assert restart(tmp_path, text, {"d.txt": "22"}).ran == ["a", "b"]


def test_an_array_of_ones_own_kind_comes_back_with_its_attributes(restart, tmp_path):
    program = """
        import numpy as np
        from nbflow import Flow, task
        class Unit(np.ndarray):
            def __new__(cls, numbers, unit):
                made = np.asarray(numbers).view(cls)
                made.unit = unit
                return made
        @task
        def a():
            return [Unit([1, 2], "km")]
        @task
        def b(y):
            print("RAN b")
            return y[0].unit, y[0].sum(), {number}
        with Flow("kinds", store="store") as flow:
            b(a())
        print("VALUE", flow.run()["b"])
    """
    assert restart(tmp_path, program.replace("{number}", "1")).value == "('km', Unit(3), 1)"
    assert restart(tmp_path, program.replace("{number}", "2")).value == "('km', Unit(3), 2)"


def test_a_figure_is_a_result_like_any_other(restart, tmp_path):
    program = """
        import matplotlib
        matplotlib.use("agg")
        import matplotlib.pyplot as plt
        from nbflow import Flow, task
        @task
        def drawn():
            print("RAN drawn")
            figure, axes = plt.subplots()
            axes.plot([1, 2])
            return figure
        @task
        def lines(figure):
            print("RAN lines")
            return len(figure.axes[0].lines)
        with Flow("figures", store="store") as flow:
            lines(drawn())
        print("VALUE", flow.run()["lines"])
    """
    first, again = restart(tmp_path, program), restart(tmp_path, program)
    assert (first.ran, first.value) == (["drawn", "lines"], "1")
    assert (again.ran, again.value) == ([], "1")


def test_a_class_that_counts_its_instances_is_told_by_name(restart, tmp_path):
    told = restart(
        tmp_path,
        """
        from nbflow import Flow, task
        class A:
            count = 0
            def __init__(self):
                A.count += 1
        @task
        def a():
            A()
            return 1
        with Flow("counting", store="store") as flow:
            a()
        flow.run()
        """,
    ).errors
    assert "a: 'A.count' changed while it ran, so its results are returned and not stored" in told


def test_a_helper_that_keeps_its_results_itself_runs_once(restart, tmp_path):
    prelude = "from joblib import Memory\n@Memory('kept', verbose=0).cache\ndef f(v):\n    return v + 1\n"
    text = two("return f(x)", prelude=prelude)
    assert restart(tmp_path, text).ran == ["a", "b"]
    assert restart(tmp_path, text).ran == []


def test_a_picture_drawn_while_a_task_runs_is_no_process_of_the_task(restart, tmp_path):
    program = """
        import threading
        from nbflow import Flow, task
        drawn = threading.Event()
        @task(ignore=["drawn"])
        def a():
            assert drawn.wait(30)
            return 1
        with Flow("pictures", store="store") as flow:
            a()
        handle = flow.start()
        # As the live graph does, in a thread that no task started.
        thread = threading.Thread(target=lambda: (flow.visualize(handle.run).source, flow._repr_mimebundle_(), drawn.set()))
        thread.start()
        handle.wait()
    """
    assert "started another process" not in restart(tmp_path, program).errors


@pytest.mark.parametrize("read", ["open('d').read()", "os.listdir('.')", "pd.read_csv('d').columns[0]"])
def test_a_relative_path_means_another_file_in_another_folder(read, restart, tmp_path):
    program = f"""
        import os
        import pandas as pd
        from nbflow import Flow, task
        store = os.path.abspath("store")
        for folder in ("A", "B"):
            os.makedirs(folder, exist_ok=True)
            with open(os.path.join(folder, "d"), "w") as file:
                file.write(folder)
        with open("B/more", "w"):
            pass
        @task
        def a():
            print("RAN a")
            return {read}
        with Flow("folders", store=store) as flow:
            a()
        os.chdir("A")
        first = flow.run()["a"]
        os.chdir("../B")
        plan = flow.plan()["a"].reasons[0].text
        second = flow.run()["a"]
        os.chdir("../A")
        print("VALUE", first != second, plan.split(" than ")[0], flow.run()["a"] == first)
    """
    done = restart(tmp_path, program)
    assert done.value == "True the working directory is another one True"
    assert done.ran == ["a", "a"]


@pytest.mark.parametrize("where", ["outside", "inside"])
def test_a_task_that_runs_another_flow_runs_each_time_and_only_that_flow_is_reused(where, restart, tmp_path):
    made = """with Flow("inner", store="store") as inner:
            one(1)"""
    inside = textwrap.indent(textwrap.dedent(made.replace("            one", "    one")), " " * 12)
    program = f"""
        from nbflow import Flow, task
        @task
        def one(n):
            print("RAN one")
            return n + 1, open("d.txt").read()
        {made if where == "outside" else ""}
        @task
        def outer():
            print("RAN outer")
{inside if where == "inside" else ""}
            return inner.run()["one"]
        @task
        def after(value):
            print("RAN after")
            return value
        with Flow("outer", store="store") as flow:
            after(outer())
        print("VALUE", flow.run()["after"])
    """
    first = restart(tmp_path, program, {"d.txt": "a"})
    assert (first.ran, first.value) == (["outer", "one", "after"], "(2, 'a')")
    assert (
        "outer ran the flow 'inner', whose tasks look for themselves what has changed, so it runs each time"
        in first.errors
    )
    assert restart(tmp_path, program).ran == ["outer"], "what it gave is equal, so nothing behind it runs"
    other_file = restart(tmp_path, program, {"d.txt": "b"})
    assert (other_file.ran, other_file.value) == (["outer", "one", "after"], "(2, 'b')")
    other_code = restart(tmp_path, program.replace("n + 1", "n + 2"))
    assert (other_code.ran, other_code.value) == (["outer", "one", "after"], "(3, 'b')")
