"""`--executor NAME` with a variable of the notebook that holds a cluster."""

import os
import subprocess
import sys

import pytest

from nbflow import DaskExecutor
from nbflow.executors.cluster import LOCAL
from tests.notebook.test_session import notebook, task

__all__ = ["notebook"]

FAR = "DaskExecutor('tcp://10.0.0.5:8786')"


@pytest.fixture
def book(notebook):
    """A notebook with a cluster that nobody can reach: whatever runs there would fail."""
    notebook(f"from nbflow import DaskExecutor\nxs = [1, 2]\naddress = 'tcp://10.0.0.5:8786'\ncluster = {FAR}")
    return notebook


def executor_of(book, name):
    return book.session.build().graph[name].task.options.executor


def test_the_elements_of_a_cell_are_called_on_the_cluster_that_it_names(notebook):
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0") as local:
        (worker,) = local.workers.values()
        notebook.shell.user_ns["cluster"] = DaskExecutor(local)
        cell = "%%task fit for x in [1, 2] --executor cluster\nimport os\nfit = (x, os.getpid())"
        assert notebook(cell).error is None
        assert notebook("fit").value == [(1, worker.pid), (2, worker.pid)]
        assert worker.pid != os.getpid()
        notebook["cluster"].close()


@pytest.mark.parametrize(
    "body", ["%%task fit for x in xs --executor cluster\nx + 1", "# task: executor=cluster\nfit = [x + 1 for x in xs]"]
)
def test_where_a_cell_runs_counts_in_no_key(book, body):
    book(body.replace("cluster", "threads"))
    shown = book(body)
    assert shown.error is None
    assert book("fit").value == [2, 3]
    assert executor_of(book, "fit") is book["cluster"]


def test_the_variable_is_no_input_of_the_task(book):
    book(task("fit for x in xs --executor threads", "x"))
    book(task("fit for x in xs --executor cluster", "x"))
    declared = next(iter(book.session.declarations))
    assert "cluster" not in book.session.maker.reads(declared)
    assert "cluster" not in book.session.build().graph["fit"].captured


def test_a_variable_that_was_assigned_anew_counts_from_the_next_run_on(book):
    book("%flow lazy on")
    book(task("fit --executor cluster", "1"))
    first = executor_of(book, "fit")
    book(f"cluster = {FAR}")
    assert executor_of(book, "fit") is book["cluster"]
    assert executor_of(book, "fit") is not first


def test_a_variable_that_holds_no_cluster_any_more_stops_the_task_and_no_other(book):
    book("%flow lazy on")
    book(task("fit --executor cluster", "1"))
    book(task("other", "2"))
    book("cluster = 5")
    refused = book("%flow run fit").text
    assert "fit cannot run: --executor cluster" in refused
    assert "a variable that holds a DaskExecutor, but of type int" in refused
    assert book("%flow run other").ran == ["other"]
    book("%flow lazy off\ncluster = 'threads'")
    book(f"cluster = {FAR}")
    assert executor_of(book, "fit") is book["cluster"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("clutser", "did you mean 'cluster'?"),
        ("thread", "did you mean 'threads'?"),
        ("xs", "of type list"),
        ("address", "of type str: give it as `address = DaskExecutor(address)`"),
        ("tcp://10.0.0.5:8786", "cluster = DaskExecutor('tcp://10.0.0.5:8786')"),
    ],
)
def test_what_is_neither_an_executor_nor_such_a_variable_is_told_what_may_stand_there(book, name, says):
    for cell in (f"%%task fit --retries 2 --executor {name}\n1", f"# task: executor={name!r}\nfit = 1"):
        shown = book(cell)
        assert "neither an executor nor a variable that holds a DaskExecutor" in shown.text
        assert says in shown.text
    assert list(book.session.declarations) == []


def test_a_name_of_nbflows_own_wins_over_a_variable(book):
    book(f"threads = {FAR}")
    assert book(task("fit --executor threads", "1")).ran == ["fit"]


def test_an_exported_module_names_no_cluster_and_says_so(book, tmp_path):
    book("%flow lazy on")
    book("%%task fit for x in xs --executor cluster --retries 2\nx + 1")
    book("%%task report --executor sync\nsum(fit)")
    assert book("%flow export far.py").error is None
    text = (tmp_path / "far.py").read_text()
    assert "its cluster `cluster`" in text
    assert "@task(name='fit', retries=2)".replace("'", '"') in text
    assert 'executor="sync"' in text
    done = subprocess.run(
        [sys.executable, "-c", "from far import flow; print(flow.run()['report'])"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["5"], done.stderr


def test_all_tasks_of_a_notebook_are_called_where_one_line_says(notebook):
    notebook("import os\nhere = os.getpid()")
    notebook(task("away for x in [1, 2]", "os.getpid()"))
    assert notebook("away").value == [os.getpid()] * 2
    assert notebook("%flow executor processes").text.startswith("tasks are called by processes")
    notebook(task("far for x in [3, 4]", "os.getpid()"))
    assert os.getpid() not in notebook("far").value
    notebook(task("near for x in [3, 4] --executor threads", "os.getpid()"))
    assert notebook("near").value == [os.getpid()] * 2
    # What was computed elsewhere is found, whoever calls now.
    far = notebook("far").value
    assert notebook("%flow executor threads").text.startswith("tasks are called by threads")
    assert notebook("far").value == far
    assert notebook("%flow executor").text.startswith("tasks are called by threads")


def test_all_tasks_of_a_notebook_may_go_to_a_cluster(book):
    shown = book("%flow executor cluster").text
    assert "tcp://10.0.0.5:8786" in shown
    assert book.session.flow.cluster is book["cluster"]
    assert book("%flow executor dask").text.startswith("tasks are called by dask;")
    assert book.session.flow.cluster is LOCAL


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("%flow executor proceses", "did you mean 'processes'?"),
        ("%flow executor xs", "of type list"),
        ("%flow executor address", "`address = DaskExecutor(address)`"),
        ("%flow executor threads dask", "takes one name"),
    ],
)
def test_what_is_no_executor_is_told(book, line, told):
    assert told in str(book(line).error)
    assert book.session.flow.executor == "threads"
