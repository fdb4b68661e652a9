"""What the Tab key proposes in `%flow` lines and `%%task` heads, asked of IPython's own completer."""

import pytest
from IPython.core.completer import provisionalcompleter, rectify_completions

import nbflow
from nbflow.notebook.commands import COMMANDS
from nbflow.notebook.options import OPTIONS
from tests.notebook.test_session import notebook, task

__all__ = ["notebook"]


@pytest.fixture(params=["jedi", "no jedi"])
def completed(notebook, request):
    """What is proposed at the end of a text, each put in its place; where nbflow proposes nothing, [] for what others do."""
    notebook.shell.Completer.use_jedi = request.param == "jedi"
    notebook("number = 5\nfrom math import floor")
    notebook(task("weather", "[1, 2, 3]"))
    notebook(task("daily for x in weather", "x * number"))
    notebook("%%flow boxes\n1")

    def at_the_end_of(text):
        with provisionalcompleter():
            found = list(rectify_completions(text, notebook.shell.Completer.completions(text, len(text))))
        ours = [each for each in found if each._origin == "nbflow"]
        assert ours in ([], found), "where nbflow has something to propose, nothing else comes between"
        return [text[: each.start] + each.text for each in ours]

    at_the_end_of.notebook = notebook
    return at_the_end_of


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("%flow ", [f"%flow {name}" for name in COMMANDS]),
        ("%flow st", ["%flow status"]),
        ("x = 1\n%flow st", ["x = 1\n%flow status"]),
        ("%flow run ", ["%flow run weather", "%flow run daily", "%flow run number="]),
        ("%flow run we", ["%flow run weather"]),
        ("%flow plan weather ", ["%flow plan weather daily"]),
        ("%flow run weather,d", ["%flow run weather,daily"]),
        ("%flow run --f", ["%flow run --force"]),
        ("%flow run --force --f", []),
        ("%flow why da", ["%flow why daily"]),
        ("%flow why daily[", ["%flow why daily[0]", "%flow why daily[1]", "%flow why daily[2]"]),
        ("%flow why weather[", []),
        ("%flow why nosuch[", []),
        ("%flow lazy ", ["%flow lazy on", "%flow lazy off", "%flow lazy after"]),
        ("%flow auto o", ["%flow auto on", "%flow auto off"]),
        ("%flow status ", ["%flow status -h"]),
        ("%flow nosuch ", ["%flow nosuch -h"]),
        ("%flow compare ", ["%flow compare -h"]),
        ("%flow help la", ["%flow help lazy"]),
        ("%flow run n", ["%flow run number="]),
        ("%flow run number=", ["%flow run number=5"]),
        ("%flow run number=6 n", []),
        ("%flow params ", ["%flow params number="]),
        ("%%flow ", ["%%flow boxes"]),
        ("# words\n%%flow b", ["# words\n%%flow boxes"]),
    ],
)  # fmt: skip
def test_in_a_line(completed, text, wanted):
    assert completed(text) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("%%task report for d in da", ["%%task report for d in daily"]),
        ("%%task report for d in num", ["%%task report for d in number"]),
        ("%%task report for d in sort", ["%%task report for d in sorted"]),
        ("%%task report for d in sorted(we", ["%%task report for d in sorted(weather"]),
        ("%%task report for d in [\n  we", ["%%task report for d in [\n  weather"]),
        ("# words\n\n%%task report for d in da", ["# words\n\n%%task report for d in daily"]),
        ("%%task report f", ["%%task report for"]),
        ("%%task report for d i", ["%%task report for d in"]),
        ("%%task report for d in daily i", ["%%task report for d in daily if"]),
        ("%%task report if num", ["%%task report if number"]),
        ("%%task da", ["%%task daily"]),
        ("%%task report --retries 2 --ca", ["%%task report --retries 2 --cache"]),
        ("%%task report --retries 2 --retr", ["%%task report --retries 2 --retry-delay"]),
        ("%%task report --trigger any_f", ["%%task report --trigger any_failed"]),
        ("%%task report --executor=s", ["%%task report --executor=sync"]),
        ("%%task report --executor d", ["%%task report --executor dask"]),
        ("%%task report --merge weather,d", ["%%task report --merge weather,daily"]),
        ("%%task report --ignore nu", ["%%task report --ignore number"]),
        ("%%task report --", [f"%%task report --{name}" for name in OPTIONS]),
        ("# task: retri", ["# task: retries="]),
        ("# task: retries=2, cac", ["# task: retries=2, cache="]),
    ],
)  # fmt: skip
def test_in_a_head(completed, text, wanted):
    assert completed(text) == wanted


def test_variables_that_hold_a_cluster_are_proposed_beside_the_names(completed):
    completed.notebook("from nbflow import DaskExecutor\ncluster = DaskExecutor('tcp://10.0.0.5:8786')\ncount = 3")
    names = ["threads", "processes", "dask", "sync", "cluster"]
    assert completed("%%task report --executor ") == [f"%%task report --executor {name}" for name in names]
    assert completed("%%task report --executor=c") == ["%%task report --executor=cluster"]


def test_elements_are_proposed_after_a_restart_too(completed):
    book = completed.notebook
    book("%reload_ext nbflow\n%flow lazy on")
    book(task("weather", "[1, 2, 3]"))
    book(task("daily for x in weather", "x * number"))
    assert completed("%flow why daily[") == [f"%flow why daily[{i}]" for i in range(3)]
    assert completed("%flow why weather[") == []


def test_a_module_to_export_to_is_named_after_the_notebook_or_is_there(completed, tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("a.py", "b.csv", ".hidden.py", "sub/deep.py"):
        (tmp_path / name).touch()
    assert completed("%flow export ") == [f"%flow export {x}" for x in ("notebook.py", "a.py", "store/", "sub/")]
    assert completed("%flow export sub/d") == ["%flow export sub/deep.py"]
    assert completed("%flow export nosuch/d") == []


def test_below_a_head_nothing_is_taken_over(completed):
    assert completed("%%task report\nda") == []
    assert completed("%%task report for d in daily\n--retr") == []
    assert completed("da") == []
    assert completed("%%task report for d in weather.da") == []


def test_before_any_task_there_are_only_commands(notebook):
    with provisionalcompleter():
        found = [each.text for each in notebook.shell.Completer.completions("%flow r", 7)]
        names = [each._origin for each in notebook.shell.Completer.completions("%flow run ", 10)]
    assert found == ["run", "rm"]
    assert names == ["nbflow"], "what the command takes, and no names of Python"


def test_completing_runs_and_evaluates_nothing(completed):
    book = completed.notebook
    book("seen = []\ndef paths():\n    seen.append(1)\n    return [1, 2]")
    book("%%task lines for path in list(map(str, [1]))\npath")
    book(
        "class Noisy:\n    def __getattr__(self, name):\n        seen.append(name)\n        raise AttributeError(name)\nnoisy = Noisy()\nseen.clear()"
    )
    for text in ("%flow why lines[", "%flow run ", "%%task r for x in noi", "%%task r for x in ", "%flow "):
        completed(text)
    assert book["seen"] == []
    assert book["LOG"] == []


def test_completing_goes_on_while_the_namespace_is_odd(completed):
    book = completed.notebook
    book.shell.user_ns["odd name"] = book.shell.user_ns["__weird"] = object()
    book("%flow rm daily")
    assert completed("%flow run we") == ["%flow run weather"]


def test_it_is_gone_after_unloading(completed):
    book = completed.notebook
    nbflow.unload_ipython_extension(book.shell)
    assert completed("%flow st") == []
    assert book.shell.Completer.custom_matchers == []


def test_loading_twice_proposes_nothing_twice(completed):
    completed.notebook("%load_ext nbflow")
    completed.notebook("%reload_ext nbflow")
    assert completed("%flow st") == ["%flow status"]
