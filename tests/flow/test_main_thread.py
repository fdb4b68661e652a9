"""What runs on the main thread, one at a time, and what goes on beside it."""

import sqlite3
import threading

import pytest

from nbflow import Flow, resource, task, unmapped
from nbflow.errors import NbflowWarning
from nbflow.flow.workshop import PACKAGES, SOURCES
from nbflow.identity.bound import MAKERS
from nbflow.identity.code import CodeIds


def is_main():
    return threading.current_thread() is threading.main_thread()


@pytest.fixture
def flow(tmp_path):
    return Flow("main", store=tmp_path)


def test_a_task_that_runs_alone_runs_on_the_main_thread(flow):
    with flow:
        task(is_main)()
    assert flow.run()["is_main"] is True


def test_what_shares_the_run_with_others_runs_in_threads(flow):
    with flow:
        task(lambda x: is_main(), name="where").map(range(3))
    assert flow.run()["where"] == [False] * 3


def test_a_connection_made_elsewhere_is_used_by_the_elements_of_a_map(flow):
    connection = sqlite3.connect(":memory:")
    connection.execute("create table t as select 1 as x union select 2")

    def query(n):
        return is_main(), connection.execute("select sum(x) from t where x <= ?", (n,)).fetchone()[0]

    with flow:
        task(query).map([1, 2])
        task(lambda x: is_main(), name="beside").map(range(3))
    run = flow.run()
    assert run["query"] == [(True, 1), (True, 3)]
    assert run["beside"] == [False] * 3


REACHED = {
    "a global": "def query(n):\n    return is_main(), db.execute('select ?', (n,)).fetchone()[0]",
    "in a container": "box = {'db': [db]}\ndef query(n):\n    return is_main(), box['db'][0].execute('select ?', (n,)).fetchone()[0]",
    "through a helper": "def ask(n):\n    return db.execute('select ?', (n,)).fetchone()[0]\ndef query(n):\n    return is_main(), ask(n)",
    "a default": "def query(n, db=db):\n    return is_main(), db.execute('select ?', (n,)).fetchone()[0]",
    "held by an instance": (
        "class Source:\n    def __init__(self, db):\n        self.db = db\n"
        "    def ask(self, n):\n        return self.db.execute('select ?', (n,)).fetchone()[0]\n"
        "source = Source(db)\ndef query(n):\n    return is_main(), source.ask(n)"
    ),
}


@pytest.mark.parametrize(
    "options", ["", "ignore=['db', 'box', 'source']", "cache=False"], ids=["", "ignored", "uncached"]
)
@pytest.mark.parametrize("code", REACHED.values(), ids=REACHED)
def test_however_a_connection_is_reached(script, code, options):
    text = f"""
import sqlite3, threading
db = sqlite3.connect(":memory:")
def is_main():
    return threading.current_thread() is threading.main_thread()
{code}
with Flow("f", store=STORE) as flow:
    task({options})(query).map([1, 2, 3])
"""
    assert script(text).flow.run()["query"] == [(True, 1), (True, 2), (True, 3)]


def test_a_connection_that_is_an_argument_or_another_tasks_result_is_used_where_it_was_made(flow):
    connection = sqlite3.connect(":memory:")

    def connect():
        return sqlite3.connect(":memory:")

    def query(db, n):
        return is_main(), db.execute("select ?", (n,)).fetchone()[0]

    with flow:
        made = task(connect)()
        task(lambda x: x, name="beside").map(range(3))
        task(name="result", cache=False)(query).map(unmapped(made), [1, 2])
        task(name="argument")(query).map(unmapped(connection), [1, 2])
    with pytest.warns(NbflowWarning, match="it lives in this session") as warned:
        run = flow.run()
    assert warned[0].filename == __file__
    assert run["result"] == run["argument"] == [(True, 1), (True, 2)]


def test_a_connection_that_is_a_resource_is_used_where_it_was_set_up(flow):
    @resource
    def database():
        connection = sqlite3.connect(":memory:")
        yield connection
        connection.close()

    def query(db, n):
        return is_main(), db.execute("select ?", (n,)).fetchone()[0]

    with flow:
        task(lambda x: x, name="beside").map(range(3))
        with database() as db:
            task(cache=False)(query).map(unmapped(db), [1, 2])
    assert flow.run()["query"] == [(True, 1), (True, 2)]


def test_threads_go_on_while_the_main_thread_is_busy(flow):
    # The main thread is let go only when more elements have ended in threads than were handed to them at first.
    count, done, enough = 200, [], threading.Event()

    def beside(x):
        done.append(x)
        if len(done) == count:
            enough.set()
        return x

    def blocking():
        assert is_main()
        return enough.wait(30)

    with flow:
        for i in range(count):
            task(ignore=("done", "enough"), cache=False)(beside)(i)
        task(executor="sync", cache=False)(blocking)(name="blocking")
    assert flow.run()["blocking"] is True


def test_main_thread_tasks_run_one_at_a_time(flow):
    inside = []

    def alone(x):
        inside.append(x)
        assert inside == [x]
        assert is_main()
        inside.remove(x)

    with flow:
        for i in range(5):
            task(executor="sync", ignore="inside")(alone)(i)
        task(lambda x: x, name="beside").map(range(20))
    assert flow.run().ok


def test_an_error_of_a_main_thread_task_fails_it_alone(flow):
    with flow:
        task(executor="sync")(lambda: 1 / 0)(name="bad")
        task(lambda x: x, name="beside").map(range(20))
    run = flow.run()
    assert isinstance(run.error("bad"), ZeroDivisionError)
    assert run["beside"] == list(range(20))


def test_an_interrupt_of_a_main_thread_task_beside_others_ends_the_run(flow):
    held, begun = threading.Event(), threading.Event()

    def waits(x):
        begun.set()
        held.wait(30)

    def interrupted():
        assert begun.wait(30)
        raise KeyboardInterrupt

    with flow:
        task(cache=False)(waits).map(range(2))
        task(executor="sync", cache=False)(interrupted)()
    told = []
    flow.tell = told.append
    with pytest.raises(KeyboardInterrupt):
        flow.run()
    assert not held.is_set()
    held.set()
    assert told == ["main: interrupted; 0 finished results are kept, the next run goes on from there"]


@pytest.mark.parametrize(
    ("code", "bound"),
    [
        ("import matplotlib.pyplot as plt\ndef f(x):\n    return plt.figure", True),
        ("def f(x):\n    import matplotlib.pyplot as plt\n    return plt.figure", True),
        ("def f(x):\n    from matplotlib import pyplot\n    return pyplot.figure", True),
        ("from IPython.display import display\ndef f(x):\n    display", True),
        ("def helper():\n    import matplotlib.pyplot as p\n    p.plot\ndef f(x):\n    helper()", True),
        ("def f(x):\n    return x.plot()", True),
        ("def helper():\n    return input()\ndef f(x):\n    return helper()", True),
        ("import json\ndef f(x):\n    return json.dumps(x)", False),
        ("def f(x):\n    return pd.DataFrame({'x': [x]}).groupby('x').mean()", False),
        ("import threading\nlock = threading.Lock()\ndef f(x):\n    with lock:\n        return x", False),
        ("import sqlite3\ndef f(x):\n    with sqlite3.connect(':memory:') as db:\n        return 1", False),
    ],
)
def test_what_code_reaches_decides(script, code, bound):
    found = CodeIds(SOURCES, PACKAGES).bound(script(code).f)
    assert (found is not None and found not in MAKERS) is bound
