"""A notebook as its user sees it: cells run one after the other in an IPython shell."""

import atexit
import contextlib
import re
import sys
import types

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

import nbflow
from nbflow.notebook.magics import load


def new_shell():
    """A shell that writes no history: the thread of each that does would have to end before the process can."""
    return InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))


class Notebook:
    """Runs cells; `ran` is what tasks noted in the global list `LOG`."""

    def __init__(self):
        self.shell = new_shell()
        self.shell.user_ns["LOG"] = []
        self.parent = {}
        self.shell.get_parent = lambda: self.parent
        self("%load_ext nbflow")

    @property
    def session(self):
        """What other parts of nbflow see of the notebook."""
        return load(self.shell)

    def __call__(self, text, cell_id=None, deleted=()):
        self.parent = {"metadata": {"cellId": cell_id, "deletedCells": list(deleted)}} if cell_id else {}
        self.shell.user_ns["LOG"].clear()
        with capture_output() as captured:
            done = self.shell.run_cell(text, store_history=True)
        return types.SimpleNamespace(
            value=done.result,
            # Tracebacks are coloured word by word.
            text=re.sub(r"\x1b\[[0-9;]*m", "", captured.stdout + captured.stderr),
            error=done.error_in_exec or done.error_before_exec,
            ran=list(self.shell.user_ns["LOG"]),
        )

    def __getitem__(self, name):
        return self.shell.user_ns[name]

    def __contains__(self, name):
        return name in self.shell.user_ns


@pytest.fixture
def notebook(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NBFLOW_STORE", str(tmp_path / "store"))
    made = Notebook()
    yield made
    nbflow.unload_ipython_extension(made.shell)
    # It would be kept until the process ends, and then collect all that there is, each of them.
    atexit.unregister(made.shell.atexit_operations)


def task(head, *lines):
    """A task cell that notes its name in LOG, which does not count."""
    name = head.split()[0].rstrip(",")
    return "\n".join([f"%%task {head} --ignore LOG", f"LOG.append({name!r})", *lines])


def test_a_task_cell_runs_shows_its_value_and_one_line(notebook):
    shown = notebook(task("xs", "[1, 2, 3]"))
    assert shown.value == [1, 2, 3]
    assert shown.ran == ["xs"]
    assert "✓ xs · fresh" in shown.text


def test_running_it_again_runs_nothing_and_shows_the_same(notebook):
    first = notebook(task("xs", "[1, 2, 3]"))
    again = notebook(task("xs", "[1, 2, 3]"))
    assert again.ran == []
    assert again.value == [1, 2, 3]
    assert again.text.splitlines()[0] == first.text.splitlines()[0]


def test_an_edit_runs_what_it_changed_and_nothing_else(notebook):
    notebook(task("a", "1"))
    notebook(task("b", "2"))
    notebook(task("total", "a + b"))
    notebook(task("a", "5"))
    assert notebook("total").ran == ["total"]
    assert notebook["total"] == 7


def test_an_edit_without_effect_stops_there(notebook):
    notebook(task("a", "1"))
    notebook(task("b", "a + 1"))
    assert notebook(task("a", "len([0])")).ran == ["a"]
    assert notebook("b").ran == []


def test_the_line_of_a_cell_that_reads_tasks_tells_whether_any_of_them_ran(notebook, monkeypatch):
    said = []
    # It has such a line where the run took so long that it was shown.
    line = types.SimpleNamespace(replace=said.append)
    monkeypatch.setattr("nbflow.notebook.session.one_line", lambda: contextlib.nullcontext(line))
    notebook(task("a --lazy", "1"))
    notebook.session.publish(["a"])
    notebook.session.publish(["a"])
    assert said == ["✓ a · brought up to date", "✓ a · fresh"]


def test_a_mapped_cell_runs_once_for_each_item(notebook):
    notebook(task("xs", "[1, 2, 3]"))
    assert notebook(task("ys for x in xs", "x * 10")).ran == ["ys"] * 3
    assert notebook("ys").value == [10, 20, 30]
    notebook(task("xs", "[1, 2, 3, 4]"))
    assert notebook("ys").ran == ["ys"]


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("r for x in [1, 2]", [1, 2]),
        ("r for x in range(2)", [0, 1]),
        ("r for a, x in zip('ab', [1, 2])", [1, 2]),
        ("r for a, x in enumerate([5, 6])", [5, 6]),
        ("r for x in xs if x > 1", [2, 3]),
        ("r for x in sorted(xs, reverse=True)", [3, 2, 1]),
        ("r for y in [1] for x in xs", [1, 2, 3]),
        ("r for y in xs for x in range(y)", [0, 0, 1, 0, 1, 2]),
        ("r for x in []", []),
    ],
)
def test_heads_are_comprehensions(notebook, head, expected):
    notebook(task("xs", "[1, 2, 3]"))
    assert notebook(task(head, "x")).error is None
    assert notebook("r").value == expected


def test_a_costly_source_is_an_error_that_offers_a_task(notebook):
    failed = notebook("import pandas as pd\n"), notebook("%%task r for x in pd.read_csv('x.csv')\nx")
    assert "Make it a task of its own" in failed[1].text


def test_a_named_iterator_as_a_source_is_an_error(notebook):
    notebook("numbers = iter([1, 2])")
    assert "make it a list" in notebook("%%task r for x in numbers\nx").text


def test_several_outputs(notebook):
    notebook(task("low, high", "low = 1", "high = 9"))
    assert notebook("low, high").value == (1, 9)
    assert notebook(task("mid", "(low + high) / 2")).value == 5


def test_outputs_without_names_are_what_the_body_assigns(notebook):
    notebook("%%task\nalpha = 1\n_private = 2\nimport math\nbeta = math.floor(2.5)")
    assert notebook("alpha + beta").value == 3
    assert "math" in notebook
    assert "_private" not in notebook


def test_a_cell_that_assigns_nothing_proposes_a_name(notebook):
    assert "%%task" in notebook("%%task\nprint('hi')").text
    assert notebook("%flow status").text.count("hi") == 0


def test_versions_of_a_name(notebook):
    notebook(task("df", "df = [3, None, 1]"))
    notebook(task("df", "df = [x for x in df if x]"))
    notebook(task("df", "df = sorted(df)"))
    assert notebook("df").value == [1, 3]
    assert notebook(task("df", "df = [3, None, 2]"), None).error is None


def test_a_cell_run_again_keeps_its_place_in_the_versions(notebook):
    notebook(task("df", "df = [3, 1]"), "c1")
    notebook(task("df", "df = sorted(df)"), "c2")
    notebook(task("df", "df = [*df, 'end']"), "c3")
    assert notebook("df").value == [1, 3, "end"]
    notebook(task("df", "df = sorted(df, reverse=True)"), "c2")
    assert notebook("df").value == [3, 1, "end"]


def test_a_plain_variable_cannot_be_the_first_version(notebook):
    notebook("df = [1]")
    assert "plain variable" in notebook("%%task df\ndf = df + [2]").text


def test_a_renamed_task_leaves_no_ghost(notebook):
    notebook(task("first", "1"), "c1")
    notebook(task("second", "1"), "c1")
    assert "first" not in notebook("%flow status").text
    assert "NameError" in notebook("first").text


def test_a_second_cell_takes_a_name_over_and_says_so(notebook):
    notebook(task("a", "1"), "c1")
    assert "was made by another cell before" in notebook(task("a", "2"), "c2").text
    assert notebook("a").value == 2


def test_a_cell_that_was_moved_or_never_made_anything_is_not_called_another_cell(notebook):
    notebook(task("a", "1"), "c1")
    assert "another cell" not in notebook(task("a", "1"), "c2").text
    notebook(task("b", "1 / 0"), "c3")
    assert "another cell" not in notebook(task("b", "1"), "c4").text


def test_a_plain_cell_never_sees_a_stale_value(notebook):
    notebook("K = 2")
    notebook(task("y", "K * 10"))
    assert notebook("y").value == 20
    notebook("K = 3")
    shown = notebook("y")
    assert (shown.value, shown.ran) == (30, ["y"])


def test_a_stale_value_is_not_left_for_dynamic_reads(notebook):
    notebook(task("y", "1"))
    notebook("y")
    assert "y" in notebook
    notebook("%%task x\n5")
    notebook(task("y", "x"), None)
    notebook("%%task x\nx = 6")
    assert "y" not in notebook


def test_large_maps_that_a_cell_does_not_read_are_taken_out_and_come_back(notebook):
    notebook("%%task many for x in range(3000)\nx")
    notebook(task("y", "4"))
    notebook("many, y")
    notebook("y")
    assert "many" not in notebook
    assert notebook("len(many)").value == 3000
    assert "y" in notebook


def test_functions_that_read_outputs_are_prepared_for(notebook):
    notebook(task("y", "4"))
    notebook("def twice():\n    return inner() * 2\ndef inner():\n    return y")
    assert notebook("twice()").value == 8


SEEN_THROUGH = {
    "method": ("class Rows:\n    def count(self):\n        return len(rows)", "Rows().count()"),
    "instance": ("class Rows:\n    def count(self):\n        return len(rows)\nmade = Rows()", "made.count()"),
    "base class": (
        "class Base:\n    @classmethod\n    def count(cls):\n        return len(rows)\nclass Rows(Base): pass",
        "Rows.count()",
    ),
    "property": ("class Rows:\n    @property\n    def count(self):\n        return len(rows)", "Rows().count"),
    "cached": (
        "import functools\n@functools.cache\ndef count():\n    return len(rows)",
        "count.cache_clear() or count()",
    ),
    "closure": (
        "def told(f):\n    def inner():\n        return f()\n    return inner\n@told\ndef count():\n    return len(rows)",
        "count()",
    ),
    "partial": ("import functools\ncount = functools.partial(lambda by: len(rows) * by, 1)", "count()"),
    "table": ("counts = {'all': lambda: len(rows)}", "counts['all']()"),
    "task": ("from nbflow import task\n@task\ndef count():\n    return len(rows)", "count.fn()"),
    "flow": (
        "import nbflow\n@nbflow.task\ndef count():\n    return len(rows)\nwith nbflow.Flow('f') as flow:\n    count()",
        "flow.run()['count']",
    ),
    "query": (
        "import pandas as pd\ncount = lambda: len(pd.DataFrame({'n': ['1', '2']}).query('n in @rows'))",
        "count()",
    ),
}


@pytest.mark.parametrize(("helper", "call"), SEEN_THROUGH.values(), ids=list(SEEN_THROUGH))
def test_what_a_helper_reads_through_anything_is_brought_up_to_date(notebook, tmp_path, helper, call):
    (tmp_path / "rows.txt").write_text("1")
    notebook(helper)
    notebook(task("rows", "from pathlib import Path", "Path('rows.txt').read_text().split()"))
    assert notebook(call).value == 1
    assert notebook(task("count_of_rows", call)).value == 1
    (tmp_path / "rows.txt").write_text("1\n2")
    notebook("%flow run")
    assert (notebook("count_of_rows").value, notebook(call).value) == (2, 2)


LOOKS = {
    "%flow plan": "(?m)count_of_rows +fresh",
    "%flow status": "✓ count_of_rows: fresh",
    "%flow why count_of_rows": "is fresh",
}


@pytest.mark.parametrize(("line", "fresh"), LOOKS.items())
@pytest.mark.parametrize("head", ["rows", "rows, more"])
def test_a_look_finds_what_a_helper_reads_as_a_run_does(notebook, tmp_path, line, fresh, head):
    (tmp_path / "rows.txt").write_text("1")
    notebook("def count():\n    return len(rows)")
    body = ["from pathlib import Path", "rows = Path('rows.txt').read_text().split()", "more = 2"]
    notebook(task(head, *body))
    notebook(task("by", "count()"))
    # Another one's helper reads what is made with a helper.
    notebook("def by_count():\n    return by")
    notebook(task("count_of_rows", "by_count()"))
    for name in ("rows", "more", "by"):
        notebook.shell.user_ns.pop(name, None)
    looked = notebook(line)
    assert re.search(fresh, looked.text + repr(looked.value))
    assert "rows" in notebook
    (tmp_path / "rows.txt").write_text("1 2")
    stale = notebook(line)
    assert not re.search(fresh, stale.text + repr(stale.value)), "the helper would read another value"
    assert notebook("%flow run").ran == [head.partition(",")[0], "by", "count_of_rows"]
    assert notebook("count_of_rows").value == 2


QUERIES = {
    "query": "len(pd.DataFrame({'n': ['1', '2']}).query('n in @rows'))",
    "in a comprehension": "[len(frame.query('n in @rows')) for frame in [pd.DataFrame({'n': ['1', '2']})]][0]",
    "in a function": "count = lambda: len(pd.DataFrame({'n': ['1', '2']}).query('n in @rows'))\ncount()",
    "sql": "warehouse.sql('select count(*) from rows')",
}


@pytest.mark.parametrize("query", QUERIES.values(), ids=list(QUERIES))
def test_what_a_query_names_in_its_text_is_brought_up_to_date(notebook, tmp_path, query):
    (tmp_path / "rows.txt").write_text("1")
    # As duckdb and polars do, it finds its tables among the variables of whoever calls.
    notebook("import sys, types, pandas as pd")
    notebook("def sql(text):\n    return len(sys._getframe(1).f_globals[text.split()[-1]])")
    notebook("warehouse = types.SimpleNamespace(sql=sql)")
    notebook(task("rows", "from pathlib import Path", "Path('rows.txt').read_text().split()"))
    assert notebook(query).value == 1
    assert notebook(task("count_of_rows", query)).value == 1
    (tmp_path / "rows.txt").write_text("1\n2")
    notebook("%flow run")
    assert (notebook("count_of_rows").value, notebook(query).value) == (2, 2)


BY_TEXT = {
    "eval": ("", "eval('rate * 2')"),
    "eval beside others": ("", "eval('rate * k', {'rate': rate, 'k': 2})"),
    "eval of the globals": ("", "eval('rate * 2', globals())"),
    "exec": ("", "made = {}\nexec('twice = rate * 2', globals(), made)\nmade['twice']"),
    "globals": ("", "globals()['rate'] * 2"),
    "get": ("", "globals().get('rate') * 2"),
    "in": ("", "4 if 'rate' in globals() and globals()['rate'] == 2 else 10"),
    "a list of names": ("", "sum(globals()[name] for name in ['rate', 'rate'])"),
    "format": ("", "2 * int('{rate}'.format(**globals()))"),
    "percent": ("", "2 * int('%(rate)s' % globals())"),
    "a text of another cell": ("text = '{rate} per day'", "2 * int(text.format(**globals()).split()[0])"),
    "a table of formulas": ("formulas = {'a': 'rate * 2'}", "sum(eval(each) for each in formulas.values())"),
    "a condition of another cell": (
        "import pandas as pd\ncondition = 'n < @rate'",
        "2 * len(pd.DataFrame({'n': range(9)}).query(condition))",
    ),
    "pandas": ("import pandas", "pandas.eval('rate * 2')"),
    "frame": ("import pandas as pd", "int(pd.DataFrame({'n': [2]}).eval('n * @rate')[0])"),
    "helper": ("def doubled():\n    return eval('rate * 2')", "doubled()"),
    "helper of globals": ("def doubled():\n    return globals()['rate'] * 2", "doubled()"),
}


@pytest.mark.parametrize(("helper", "call"), BY_TEXT.values(), ids=list(BY_TEXT))
@pytest.mark.parametrize("rate", ["rate = {}", "%%task rate\n{}"], ids=["variable", "task"])
def test_what_code_names_in_a_text_counts(notebook, helper, call, rate):
    notebook(helper or "pass")
    notebook(rate.format(2))
    assert notebook(task("twice", call)).value == 4
    notebook("other = 1")
    assert notebook("%flow run").ran == []
    notebook(rate.format(5))
    plan = notebook("%flow plan").text
    ran = notebook("%flow run")
    assert (ran.ran, "stale" in plan) == (["twice"], True)
    assert notebook("twice").value == 10
    assert ("made while it runs" in ran.text) == (" for " in call)


@pytest.mark.parametrize("call", ["locals()['rate'] * 2", "vars().get('rate') * 2"])
def test_a_task_that_asks_its_own_variables_for_another_ones_output_gets_it(notebook, call):
    notebook("%%task rate\n2")
    assert notebook(task("twice", call)).value == 4
    notebook("%%task rate\n5")
    assert notebook("twice").value == 10


def test_a_method_or_function_of_the_users_that_is_called_eval_reads_no_text(notebook):
    notebook("rate = 2\nclass Model:\n    def eval(self, text):\n        return len(text)")
    notebook("def exec(text):\n    return len(text)")
    notebook(task("size", "Model().eval('rate') + exec('rate')"))
    notebook("rate = 5")
    assert notebook("%flow run").ran == []


def test_a_text_that_happens_to_name_what_is_made_behind_the_task_makes_no_circle(notebook):
    notebook("rate, parts = 2, ['ra', 'te']")
    notebook(task("made", "made = {'report': globals()[''.join(parts)]}"))
    assert notebook(task("report", "made['report'] * 2")).ran == ["report"]
    assert notebook("%flow run").ran == []
    assert notebook("report").value == 4
    assert "stale" not in notebook("%flow status").text


UNSEEN = ["globals()[''.join(parts)]", "globals().get(''.join(parts))", "eval(''.join(parts))", "eval('ra' + parts[1])"]


@pytest.mark.parametrize("call", UNSEEN)
def test_a_text_that_is_made_as_the_task_runs_is_told(notebook, call):
    notebook("rate, parts = 2, ['ra', 'te']")
    told = notebook(task("twice", f"{call} * 2")).text
    assert f"twice gives {call.partition('(')[0]}() a text that is made while it runs" in told
    assert "depends_on=[...]" in told
    assert "made while" not in notebook(f"# task: depends_on=[rate]\nagain = {call} * 3").text


def test_a_table_of_the_name_of_what_is_made_of_it_is_no_circle(notebook):
    notebook("import sqlite3\ndb = sqlite3.connect(':memory:')\ndb.execute('create table totals (n)')")
    notebook("%%task found --ignore db,LOG\nLOG.append('found')\ndb.execute('select n from totals').fetchall()")
    assert notebook(task("totals", "len(found)")).value == 0
    assert notebook("%flow run").ran == []


def test_an_attribute_of_the_name_of_an_output_is_no_use_of_it(notebook):
    notebook("def shortened(text):\n    return text.title()")
    notebook(task("title --lazy", "4"))
    assert notebook("shortened('a')").ran == []
    assert notebook(task("short", "shortened('a')")).ran == ["short"]


@pytest.mark.parametrize("cell", ["%time z = y + 1", "%%time\nz = y + 1", "z = eval('y') + 1"])
def test_code_in_magics_and_texts_is_prepared_for(notebook, cell):
    notebook(task("y", "4"))
    notebook.shell.user_ns.pop("y", None)
    assert notebook(cell).error is None
    assert notebook["z"] == 5


@pytest.mark.parametrize("cell", ["y = 5", "for y in [1]: pass", "y += 1", "import os as y", "def y(): pass"])
def test_a_plain_cell_may_not_rebind_an_output(notebook, cell):
    notebook(task("y", "4"))
    stopped = notebook(cell)
    assert "Three ways out" in stopped.text
    assert notebook("y").value == 4


def test_after_a_cell_that_does_not_compile_plain_cells_are_still_looked_at(notebook):
    notebook(task("y", "4"))
    notebook("return 5")
    notebook("x = = 2")
    assert "Three ways out" in notebook("y = 5").text


def test_a_change_in_place_is_told_and_does_not_stay(notebook):
    notebook(task("xs", "[1, 2]"))
    notebook("xs.append(3)")
    shown = notebook("xs")
    assert shown.value == [1, 2]
    assert "`xs` was changed in place" in shown.text


class Model:
    def fit(self):
        self.fitted = True
        return self


@pytest.mark.parametrize(
    ("head", "body", "words"),
    [
        ("f for m in models for n in [1]", "m.fit()", "argument 'm' (Model) in place. Nobody else sees the change; the result has it (`m = copy.deepcopy(m)`"),
        ("f for n, xs in [(1, [2])]", "xs.append(n)", "argument 'xs' (list) in place. Nobody else sees the change; to have it, return the changed value (`xs = xs.copy()`"),
    ],
)  # fmt: skip
def test_a_task_that_changes_an_item_is_told_by_the_name_in_its_head(notebook, head, body, words):
    notebook.shell.user_ns["models"] = [Model()]
    assert words in notebook(task(head, body)).text


def test_imports_and_functions_of_a_task_cell_are_there_for_later_cells(notebook):
    notebook("%%task y\nimport math\ndef double(v):\n    return v * 2\ny = double(math.floor(1.5))")
    assert notebook("double(math.floor(4.5))").value == 8


def test_a_changed_function_runs_the_tasks_that_use_it(notebook):
    notebook("def f(v):\n    return v + 1")
    notebook(task("y", "f(1)"))
    notebook("def f(v):\n    # only a comment\n    return v + 1")
    assert notebook("y").ran == []
    notebook("def f(v):\n    return v + 2")
    assert notebook("y").ran == ["y"]


def test_a_failing_task_shows_a_short_block_and_keeps_the_rest(notebook):
    notebook(task("xs", "[1, 0, 2]"))
    failed = notebook(task("r for x in xs", "1 / x"))
    assert "task r failed on 1 of 3 elements; the first is r[1] with x=0" in failed.text
    assert "ZeroDivisionError: division by zero" in failed.text
    assert "→    3 1 / x" in failed.text
    assert len(failed.text.splitlines()) <= 25
    assert "site-packages" not in failed.text
    frame = notebook("%flow frame r").value
    assert list(frame["state"]) == ["success", "failed", "success"]


def test_a_name_that_nothing_defines_is_told_before_it_runs(notebook):
    notebook(task("weather", "1"))
    assert "reads `wether`, which nothing defines; did you mean `weather`" in notebook("%%task y\nwether + 1").text


def test_bodies_may_await_and_use_magics(notebook):
    assert notebook("%%task y\nimport asyncio\nawait asyncio.sleep(0)\ny = 3").error is None
    assert notebook("y").value == 3
    assert notebook("%%task z\nlines = !echo hello\nz = lines[0]").error is None
    assert notebook("z").value == "hello"


def test_a_body_with_a_syntax_error_registers_nothing(notebook):
    assert "SyntaxError" in notebook("%%task y\ny = = 3").text
    assert "y" not in notebook("%flow status").text.replace("kept in", "").split()


def test_parameters_and_nodes_made_in_plain_cells_are_inputs(notebook):
    notebook(
        "from nbflow import Parameter, task\nn = Parameter('n', default=5)\n@task\ndef make():\n    return 10\nmade = make()"
    )
    notebook("%%task y\ny = n + made")
    assert notebook("y").value == 15


def test_flow_draws_and_its_commands_work(notebook):
    notebook(task("xs", "[1, 2]"))
    notebook(task("ys for x in xs", "x"))
    assert "ys 2/2" in repr(notebook("%flow").value)
    assert "svg" in notebook("%flow").value._repr_mimebundle_()["text/html"]
    assert notebook("%flow plan").value.will_run == []
    assert "ys is fresh" in notebook("%flow why ys").text
    assert list(notebook("%flow frame ys").value["result"]) == [1, 2]
    assert "✓ ys 2/2: fresh" in notebook("%flow status").text
    assert notebook("%flow run --force").ran == ["xs", "ys", "ys"]
    assert "removed: ys" in notebook("%flow rm ys").text
    assert "ys" not in notebook("%flow status").text
    assert "%flow frame NAME" in notebook("%flow help").text
    assert "%flow plan" in notebook("%flow plan -h").text
    assert "%%task [NAME" in notebook("%%task -h\npass").text


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("%flow pln", "did you mean 'plan'"),
        ("%flow why", "takes one task, such as `%flow why xs`"),
        ("%flow frame xz", "no task is called 'xz'; there is only 'xs'"),
        ("%flow run --frce", "did you mean '--force'"),
        ("%flow status xs", "takes no names"),
        ("%flow cache xs", "takes no names"),
        ("%flow clear xz", "no task is called 'xz'; there is only 'xs'"),
        ("%flow rm", "takes the names of tasks"),
        ("%flow 'x", "close the quote"),
        ("%%task 1x\n2", "not a name"),
        ("%%task x --retris 2\n2", "did you mean"),
        ("%%task x --retries two\n2", "--retries"),
        ("%%task x for\n2", "cannot be read"),
        ("%%task x\n", "empty"),
    ],
)
def test_wrong_input_is_told_in_a_few_lines_with_the_next_step(notebook, line, message):
    notebook(task("xs", "[1]"))
    said = notebook(line).text
    assert message in said
    assert "Traceback" not in said
    assert len(said.splitlines()) <= 6


def test_the_cache_is_told_and_cleared_by_task(notebook):
    notebook(task("xs", "[1, 2]"))
    notebook(task("ys for x in xs", "x"))
    said = notebook("%flow cache").text
    assert "store: " in said
    assert " of at most " in said
    assert re.search(r"^  ys +2 results ", said, re.MULTILINE)
    assert "cleared: ys; " in notebook("%flow clear ys").text
    assert "ys" not in notebook("%flow cache").text
    assert notebook("%flow run").ran == ["ys", "ys"]
    notebook("%flow rm ys")
    assert "cleared: ys; " in notebook("%flow clear ys").text
    assert "cleared: xs; " in notebook("%flow clear").text
    assert notebook("%flow run").ran == ["xs"]


def test_removing_the_first_version_draws_what_is_missing(notebook):
    notebook(task("df", "df = [1]"))
    notebook(task("df", "df = df + [2]"))
    notebook("%flow rm df")
    assert notebook("%flow").error is None


def test_cells_that_need_each_other_are_told(notebook):
    notebook("a = 1\nb = 1")
    notebook(task("a", "b + 1"))
    said = notebook(task("b", "a + 1")).text
    assert "need each other" in said


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("r for x in sorted(glob('*.csv'))", "`glob`, which nothing defines"),
        ("r for x in 5", "is an int, which cannot be iterated over; range(5) gives so many numbers"),
        ("r for x in 'text'", "is a str"),
        ("r for x in {1, 2}", "is a set"),
    ],
)
def test_a_source_that_fails_is_told_and_the_rest_goes_on_working(notebook, head, message):
    notebook(task("y", "4"))
    said = notebook(task(head, "x")).text
    assert "r cannot run" in said
    assert message in said
    assert "Traceback" not in said
    assert notebook("%flow").error is None
    assert notebook("y").value == 4


def test_after_a_circle_the_rest_goes_on_working(notebook):
    notebook("b = 1")
    notebook(task("a", "b + 1"))
    notebook(task("b", "a + 1"))
    assert notebook("%flow").error is None
    assert notebook("a").value == 2


def test_what_users_should_know_is_one_line_without_code(notebook):
    said = notebook("%%task r\nimport random\nr = random.random()").text
    assert "nbflow: r used random numbers without a seed" in said
    assert "UserWarning" not in said


def test_loading_twice_changes_nothing(notebook):
    count = len(notebook.shell.ast_transformers)
    notebook("%load_ext nbflow")
    notebook("%reload_ext nbflow")
    assert len(notebook.shell.ast_transformers) == count


def test_unloading_leaves_plain_cells_alone(notebook):
    notebook(task("y", "4"))
    notebook("%unload_ext nbflow")
    assert notebook("y = 5").error is None
    assert notebook["y"] == 5


def test_the_traceback_of_a_task_ends_in_its_cell(notebook):
    failed = notebook("%%task y\n\nvalue = 1\nvalue / 0")
    assert "line 4" in failed.text
    assert "→    4 value / 0" in failed.text


def test_prints_of_a_task_appear_in_its_cell(notebook):
    assert "hello from y" in notebook("%%task y\nprint('hello from y')\ny = 1").text
    sys.stdout.flush()


def test_the_store_stays_where_the_kernel_started(notebook, tmp_path, monkeypatch):
    notebook(task("y", "4"))
    monkeypatch.delenv("NBFLOW_STORE")
    (tmp_path / "elsewhere" / ".git").mkdir(parents=True)
    notebook("import os\nos.chdir('elsewhere')")
    assert notebook(task("y", "4")).ran == []


def test_an_output_that_a_helper_reads_through_its_globals_is_an_input(notebook):
    notebook(task("base", "10"))
    notebook("def scaled(x):\n    return x * base")
    assert notebook(task("y", "scaled(2)")).value == 20
    notebook.shell.user_ns.pop("base", None)
    assert notebook("y").ran == []
    notebook(task("base", "100"))
    assert notebook("y").value == 200


# Classes of the task's own cell

OWN_CLASSES = {
    "plain": "class Row:\n    size = 1",
    "dataclass": "from dataclasses import dataclass\n@dataclass\nclass Row:\n    size: int = 1",
    "slots": "class Row:\n    __slots__ = ()\n    size = 1",
    "made in the body": "one = 1\nclass Row:\n    size = one",
    "protocol": "from typing import Protocol\nclass Sized(Protocol):\n    size: int\nclass Row(Sized):\n    size = 1",
}
TASK_CELLS = {
    "%%task": "%%task row --ignore LOG\nLOG.append('row')\n{}\nRow()",
    "# task": "# task: ignore=['LOG']\nLOG.append('row')\n{}\nrow = Row()",
}


@pytest.mark.parametrize("cell", TASK_CELLS.values(), ids=TASK_CELLS)
@pytest.mark.parametrize("written", OWN_CLASSES.values(), ids=OWN_CLASSES)
def test_an_instance_of_a_class_of_its_own_cell_is_fresh_and_runs_once(notebook, written, cell):
    assert notebook(cell.format(written)).ran == ["row"]
    assert "row is fresh" in notebook("%flow why row").text
    assert notebook("row.size").ran == []
    assert notebook(cell.format(written)).ran == []


@pytest.mark.parametrize("written", OWN_CLASSES.values(), ids=OWN_CLASSES)
def test_an_edit_of_a_class_of_the_cell_runs_it_and_what_reads_it(notebook, written):
    notebook(TASK_CELLS["%%task"].format(written))
    notebook(task("size", "row.size"))
    assert notebook("size").ran == []
    notebook(TASK_CELLS["%%task"].format(written.replace("1", "2")))
    again = notebook("size")
    assert (again.value, again.ran) == (2, ["size"])


def test_an_instance_of_a_class_of_a_plain_cell_is_fresh_and_runs_once(notebook):
    notebook("class Row:\n    size = 1")
    notebook(task("row", "Row()"))
    assert "row is fresh" in notebook("%flow why row").text
    assert notebook("row.size").ran == []


# Shell commands and magics in bodies


def test_what_a_shell_command_reads_is_an_input(notebook):
    notebook("%%task who\n'ann'")
    notebook(task("greeting", "out = !echo hi {who}", "greeting = out[0]"))
    assert notebook("greeting").value == "hi ann"
    notebook("%%task who\n'bob'")
    assert notebook("greeting").value == "hi bob"


@pytest.mark.parametrize("line", ["!echo $K", "!echo {K}", "!echo {K + 0}"])
def test_a_plain_variable_in_a_shell_command_counts_like_one_in_code(notebook, line):
    notebook("K = 4")
    notebook(task("k", f"out = {line}", "k = out[0]"))
    assert notebook("k").value == "4"
    notebook("K = 5\nunrelated = 1")
    assert notebook("k").value == "5"
    notebook("unrelated = 2")
    assert notebook("k").ran == []


def test_words_of_a_shell_command_are_no_inputs(notebook):
    notebook("echo = 1\nhi = 2")
    notebook(task("k", "out = !echo hi", "k = out[0]"))
    notebook("echo = 3\nhi = 4")
    assert notebook("k").ran == []


def test_loop_variables_and_own_names_stand_in_shell_commands(notebook):
    notebook("%%task r for a, b in [(1, 2)]\nown = a + b\nout = !echo {a} {own}\nr = out[0]")
    assert notebook("r").value == ["1 3"]


def test_magics_in_a_body_may_read_outputs_while_it_runs(notebook):
    notebook(task("y", "4"))
    said = notebook(task("z", "%timeit -n1 -r1 y + 1", "z = y + 1"))
    assert said.error is None
    assert "✓ z · fresh" in said.text
    notebook("%%task y\n6")
    assert notebook("z").value == 7


@pytest.mark.parametrize("body", ["%time t = 3", "%%time\nt = 3", "%%capture out\nt = 3", "%time q = 5\nt = q"])
def test_an_assignment_that_a_magic_would_keep_to_itself_is_told(notebook, body):
    said = notebook("%%task t\n" + body).text
    assert "keeps what it assigns to itself" in said
    assert "t: " not in notebook("%flow status").text


# Errors


def test_percent_tb_shows_the_whole_traceback_of_the_task(notebook):
    notebook("import json")
    failed = notebook("%%task c\nc = json.loads('{')")
    assert "%tb shows the whole traceback" in failed.text
    assert "raw_decode" in failed.text
    whole = notebook("%tb").text
    assert "task c failed" not in whole
    assert "json/decoder.py" in whole
    assert "c = json.loads('{')" in whole


UNREADABLE = {
    "y = = 3": ("line 2", "invalid syntax"),
    "\n\nreturn 3": ("line 4", "'return' outside function"),
    "  y = 3\n y = 4": ("line 2", "IndentationError"),
    "!echo (\ny = (": ("line 3", "never closed"),
}


@pytest.mark.parametrize(("body", "says"), UNREADABLE.items(), ids=list(UNREADABLE))
def test_a_body_that_is_no_python_is_one_short_error_at_its_line(notebook, body, says):
    notebook(task("y", "4"), "c1")
    said = notebook("%%task y\n" + body, "c1").text
    assert all(each in said for each in says)
    assert len(said.splitlines()) <= 5
    assert "nbflow" not in said
    # The cell goes on being what it was.
    assert notebook("y").value == 4


@pytest.mark.parametrize("name", ["In", "Out", "get_ipython", "__builtins__", "__name__"])
def test_names_that_the_notebook_needs_are_no_outputs(notebook, name):
    assert "the notebook itself needs" in notebook(f"%%task {name}\n3").text
    assert notebook("len(In)").error is None


def test_a_private_name_that_is_read_elsewhere_is_told_with_the_way_out(notebook):
    notebook("%%task r\ntmp = 3\nr = tmp")
    way_out = "name it there to use it: `%%task r, tmp`"
    assert way_out in notebook("%%task q\ntmp + 1").text
    assert way_out in notebook("tmp").text
    notebook("tmp = 5")
    assert way_out not in notebook("tmp").text
    assert notebook("%%task q\ntmp + 1").value == 6


def test_what_a_plain_run_of_the_cell_left_behind_is_removed(notebook):
    notebook("tmp = 3", "c1")
    notebook("other = 4", "c2")
    notebook("%%task r\ntmp = 3\nother = 3\nr = tmp", "c1")
    assert "tmp" not in notebook
    assert notebook["other"] == 4


# Versions and cells


def test_a_map_may_make_the_next_version_of_its_source(notebook):
    notebook(task("ys", "[1, 2]"), "c1")
    notebook(task("total", "sum(ys)"), "c2")
    notebook(task("ys for y in ys", "y * 10"), "c3")
    assert notebook("ys").value == [10, 20]
    assert notebook("total").value == 3
    notebook(task("ys", "[1, 2, 3]"), "c1")
    assert notebook("ys").ran == ["ys"]
    assert notebook("total").value == 6


def test_taking_over_one_of_two_outputs_tells_what_is_gone(notebook):
    notebook("%%task a, b\na = 1\nb = 2", "c1")
    said = notebook(task("a", "5"), "c2").text
    assert "`a` was made by another cell before" in said
    assert "gone: `b`" in said
    assert "NameError" in notebook("b").text


def test_nothing_behind_a_source_that_cannot_be_read_looks_fresh(notebook):
    notebook(task("xs", "[1]"))
    notebook(task("r for i, x in enumerate(xs)", "x"))
    notebook(task("total", "sum(r)"))
    notebook("%flow rm xs")
    assert "✓" not in notebook("%flow status").text


def test_names_with_commas_and_blanks_may_be_given_whole(notebook):
    notebook("%%task low, high\nlow = 1\nhigh = 9")
    notebook(task("r for a, b in zip([low], [high])", "a + b"))
    for name in ("low, high", "'low, high'", "low", "high"):
        assert notebook(f"%flow why {name}").text.startswith("low, high is fresh")
    assert "is fresh" in notebook("%flow why 'zip([low], [high])'").text
    assert "low, high (low)" in repr(notebook("%flow").value)


def test_a_task_cell_that_becomes_a_plain_cell_is_no_task_any_more(notebook):
    notebook(task("y", "4"), "c1")
    notebook(task("z", "y + 1"), "c2")
    said = notebook("y = 5", "c1")
    assert said.error is None
    assert "was the task of `y`, and is none any more" in said.text
    assert notebook("z", "c3").value == 6
    assert "y: " not in notebook("%flow status", "c4").text


@pytest.mark.parametrize("cell", ["n = 1\n%%task y\n4", "if True:\n    %%flow f\nn = 1"])
def test_a_magic_for_whole_cells_below_the_first_line_is_told_and_nothing_runs(notebook, cell):
    said = notebook(cell).text
    assert "takes a whole cell and stands in its first line" in said
    assert "put it and what is below it into a cell of its own" in said
    assert "n" not in notebook


def test_a_task_with_one_percent_sign_is_told(notebook):
    assert "the cell of a task begins with `%%task`" in notebook("n = 1\n%task y\n4").text
    assert "n" not in notebook


@pytest.mark.parametrize("magic", ["task", "flow"])
def test_a_cell_that_loads_nbflow_and_goes_on_with_a_task_is_told(notebook, magic):
    notebook("%unload_ext nbflow")
    said = notebook(f"%load_ext nbflow\n%%{magic} y\n4").text
    assert f"UsageError: `%%{magic}` takes a whole cell and stands in its first line" in said
    assert "so the cell was not run" not in said, "nbflow is loaded"
    assert notebook("%%task y\n4").value == 4


def test_a_name_that_a_cell_gave_before_is_told_with_what_it_gives_now(notebook):
    notebook(task("total", "4"), "c1")
    notebook(task("behind", "total + 1"), "c2")
    notebook(task("grand_sum", "4"), "c1")
    said = "the cell that made `total` makes `grand_sum` now"
    assert said in notebook("total", "c3").text
    assert said in notebook("behind", "c4").text
    notebook("%flow rm grand_sum")
    assert "the task that made `grand_sum` was taken out" in notebook("grand_sum").text
    notebook("grand_sum = 3")
    assert "taken out" not in notebook("grand_sum").text


@pytest.mark.parametrize("line", ["%flow why y", "%flow plan y", "%flow status"])
def test_asking_about_a_task_beside_other_lines_does_not_run_it(notebook, line):
    notebook("n = 1")
    notebook(task("y", "n + 1"))
    notebook("n = 2")
    assert notebook(f"print(1)\n{line}").ran == []
    assert notebook(f"{line}\n%flow why y").ran == []
    assert notebook(f"{line}\ny").ran == ["y"]


def test_a_task_cell_may_be_timed_and_stays_the_same_task(notebook):
    notebook(task("y", "4"), "c1")
    notebook(task("y", "y = y + 1"), "c2")
    assert "none any more" not in notebook("%%time\n" + task("y", "5"), "c1").text
    assert notebook("y", "c3").value == 6


@pytest.mark.parametrize("line", ["%flow status", "%flow run"])
def test_our_magics_inside_a_task_are_refused(notebook, line):
    assert "`%flow` cannot stand inside a task" in notebook(f"%%task y\n{line}\ny = 1").text
    assert "`%%task` cannot stand inside a task" in notebook("%%task y\n%%task x\n1").text
    notebook(f"def hidden():\n    get_ipython().run_line_magic('flow', '{line.split()[1]}')")
    said = notebook("%%task y\nhidden()\ny = 1")
    assert "CellError: a task is running" in said.text
    assert "✓ y" not in said.text
    assert notebook(task("x", "2")).value == 2


def test_a_deep_recursion_is_a_short_block_that_begins_in_the_cell(notebook):
    notebook("def down(n):\n    x = n\n\n    return down(n + 1)")
    said = notebook("%%task d\nimport json\nd = down(0)").text
    assert "→    3 d = down(0)" in said
    assert "more frames" in said
    assert len(said.splitlines()) <= 25


def test_an_output_that_was_not_assigned_on_the_way_is_told_as_that(notebook):
    notebook(task("n", "0"))
    said = notebook("%%task c\nif n:\n    c = 1").text
    assert "UnboundLocalError" in said
    assert "assign it on every path" in said


def test_a_long_message_is_cut(notebook):
    said = notebook("%%task c\nc = 1\nraise ValueError('x' * 5000 + '\\n' * 50)").text
    assert len(said) < 1500
    assert len(said.splitlines()) <= 12


@pytest.mark.parametrize("head", ["c", "c for x in range(3)"])
def test_an_interrupted_run_shows_no_frames_of_ours(notebook, head):
    stopped = notebook(f"%%task {head}\nc = 1\nraise KeyboardInterrupt")
    assert isinstance(stopped.error, KeyboardInterrupt)
    assert "interrupted" in stopped.text
    assert stopped.text.splitlines()[-1] == "stopped"
    assert "Traceback" not in stopped.text
    assert len(stopped.text.splitlines()) <= 3
    assert notebook(task("y", "4")).value == 4


def hooked(shell):
    """All in a shell that an extension may hook into."""
    return (
        [*shell.ast_transformers],
        [*shell.input_transformers_cleanup],
        {event: [*callbacks] for event, callbacks in shell.events.callbacks.items()},
        {kind: {*magics} for kind, magics in shell.magics_manager.magics.items()},
        [*shell.Completer.custom_matchers],
        {name for name in shell.user_ns if not name.startswith("_i")},
        {*shell.display_formatter.formatters["text/html"].type_printers},
    )


def test_unloading_takes_out_all_that_loading_put_in(tmp_path, monkeypatch):
    monkeypatch.setenv("NBFLOW_STORE", str(tmp_path / "store"))
    shell = new_shell()
    before = hooked(shell)
    load(shell)
    shell.run_cell("%%task y\ny = 4")
    shell.run_cell("z = y")
    loaded = hooked(shell)
    load(shell)
    assert hooked(shell) == loaded
    nbflow.unload_ipython_extension(shell)
    del shell.user_ns["z"]
    assert hooked(shell) == before
    nbflow.unload_ipython_extension(shell)


def test_a_reloaded_extension_begins_anew(notebook):
    notebook(task("y", "4"), "c1")
    notebook("y", "c2")
    notebook("%reload_ext nbflow", "c3")
    assert "NameError" in notebook("y", "c2").text
    assert notebook(task("y", "4"), "c1").ran == []
    assert notebook("y", "c2").value == 4


def test_combinations_are_indexed_by_their_variables(notebook):
    notebook("%%task out for letter in 'ab' for n in [1, 2]\nletter * n")
    frame = notebook("%flow frame out").value
    assert frame.index.names == ["letter", "n"]
    assert list(frame.columns[:2]) == ["result", "state"]
    assert frame.result["b", 2] == "bb"
    assert list(frame.reset_index().columns[:3]) == ["letter", "n", "result"]
    assert list(frame.groupby("letter").size()) == [2, 2]
    assert "new" not in notebook("%flow why out").text


def test_unpacked_items_are_columns_of_their_own(notebook):
    notebook("%%task out for letter, n in [('a', 1), ('b', 2)]\nletter * n")
    frame = notebook("%flow frame out").value
    assert (list(frame.letter), list(frame.n), list(frame.result)) == (["a", "b"], [1, 2], ["a", "bb"])
    assert list(frame.index) == [0, 1]


def test_items_that_are_unpacked_deeper_stand_whole(notebook):
    notebook("%%task out for i, (letter, n) in enumerate([('a', 1), ('b', 2)])\nletter * n + str(i)")
    frame = notebook("%flow frame out").value
    assert list(frame.i_letter_n) == [(0, ("a", 1)), (1, ("b", 2))]


def test_auto_shows_the_value_of_the_cell_whatever_runs_behind_it(notebook):
    notebook("%flow auto on")
    assert notebook("%%task up\n1", "c1").value == 1
    notebook("%%task down\nup + 1", "c2")
    assert notebook("%%task up\n2", "c1").value == 2
    assert notebook("down").value == 3
