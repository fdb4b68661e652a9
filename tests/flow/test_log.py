"""`run.log`: what tasks put out, kept with their results; and what a script shows of it."""

import sqlite3
import sys
import threading
import time
import warnings

import pytest

import nbflow.store
from nbflow import Flow, signals, task
from nbflow.errors import UnknownName
from nbflow.flow.workshop import _STORES


@pytest.fixture
def make(tmp_path):
    """Builds a flow over the same store; what tasks do is the same each time."""

    def flow_of(build, name="told", **options):
        with Flow(name, store=tmp_path / "store", **options) as flow:
            build()
        return flow

    return flow_of


@pytest.fixture
def reopened(tmp_path):
    """Closes the store, so that the next flow reads what was written."""

    def reopen():
        store = _STORES.pop(tmp_path / "store", None)
        if store is not None:
            store.close()

    return reopen


def chatty(x):
    print("element", x)
    print("aside", file=sys.stderr)
    return x


def chatty_map():
    task(chatty).map({"a": 1, "b": 2})


def test_a_reused_node_has_its_log_in_a_later_process(make, reopened):
    first = make(chatty_map).run()
    reopened()
    second = make(chatty_map).run()
    assert second.counts() == (0, 2, 0)
    text = "chatty[0] · a\nelement 1\naside\nchatty[1] · b\nelement 2\naside\n"
    assert first.log("chatty").text == second.log("chatty").text == text
    assert str(second.log("chatty", "b")) == str(second.log("chatty", element=1)) == "element 2\naside"


def test_what_puts_nothing_out_says_so(make):
    run = make(lambda: task(abs).map([1, -2])).run()
    assert str(run.log("abs")) == "abs put nothing out"
    assert str(run.log("abs", 1)) == "abs[1] · -2 put nothing out"
    assert len(run.log("abs")) == 0


def test_unknown_names_and_elements_are_told_with_the_nearest(make):
    run = make(chatty_map).run()
    with pytest.raises(UnknownName, match="chatty"):
        run.log("chaty")
    with pytest.raises(UnknownName, match="'c'"):
        run.log("chatty", "c")


def test_a_failed_element_has_its_log_in_the_run_and_none_is_stored(make):
    def fails():
        print("before it failed")
        raise ValueError("no")

    run = make(lambda: task(fails)()).run()
    assert str(run.log("fails")) == "before it failed"
    assert run.flow.store.query("SELECT count(*) FROM log", ()) == [(0,)]


def test_attempts_follow_each_other(make, reopened):
    attempts = []

    def shaky():
        attempts.append(1)
        print("attempt", len(attempts))
        if len(attempts) < 3:
            raise ValueError("again")

    def build():
        task(shaky, retries=2, ignore=["attempts"])()

    text = "attempt 1\nattempt 2\nattempt 3"
    assert str(make(build).run().log("shaky")) == text
    reopened()
    assert str(make(build).run().log("shaky")) == text


def test_a_forced_run_replaces_the_log(make, reopened):
    said = ["first"]

    def speak():
        if said[0]:
            print(said[0])

    def build():
        task(speak, ignore=["said"])()

    make(build).run()
    said[0] = "second"
    make(build).run(force="speak")
    reopened()
    assert str(make(build).run().log("speak")) == "second"
    said[0] = ""
    make(build).run(force="speak")
    reopened()
    assert str(make(build).run().log("speak")) == "speak put nothing out"


def test_equal_elements_share_the_log_of_the_one_that_was_called(make):
    run = make(lambda: task(chatty).map([5, 5])).run()
    assert str(run.log("chatty", 1)) == "element 5\naside"


def test_a_task_that_makes_tasks_has_its_own_log_and_they_have_theirs(make, reopened):
    child = task(lambda x: print("child", x), name="child")

    def parent():
        print("parent")
        return [child(1), child(2)]

    def build():
        task(parent)()

    for _ in range(2):
        run = make(build).run()
        assert str(run.log("parent")) == "parent"
        assert str(run.log("parent/child-2")) == "child 2"
        reopened()


def test_loops_log_all_their_iterations(make, reopened):
    def count():
        print("iteration", nbflow.loop.count)
        if nbflow.loop.count < 3:
            raise signals.LOOP(result=0)

    for _ in range(2):
        assert str(make(lambda: task(count)()).run().log("count")) == "iteration 1\niteration 2\niteration 3"
        reopened()


def test_results_adopted_after_an_edit_bring_their_log(make):
    def flow_of(version):
        return make(lambda: task(chatty, version=version)(3))

    flow_of("a").run()
    flow = flow_of("b")
    flow.accept("chatty")
    assert str(flow.run().log("chatty")) == "element 3\naside"


def test_secrets_are_dots_in_the_store_and_where_they_are_shown(make, reopened, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("MY_TOKEN", "hunter2hunter2")
    nbflow.secret("MY_TOKEN")

    def leak():
        print("the value is hunter2hunter2")
        print('password = "swordfish"', "and", "x" * 5000)

    run = make(lambda: task(leak)()).run()
    log = run.log("leak").text
    reopened()
    written = b"".join(path.read_bytes() for path in (tmp_path / "store").rglob("*") if path.is_file())
    for shown in (capsys.readouterr().out, log, _unpacked(tmp_path / "store")):
        assert "hunter2" not in shown
        assert "swordfish" not in shown
        assert "the value is" in shown
    assert b"hunter2" not in written


def _unpacked(store):
    import zlib

    with sqlite3.connect(store / "index.sqlite") as database:
        return "".join(zlib.decompress(text[16:]).decode() for (text,) in database.execute("SELECT text FROM log"))


@pytest.mark.parametrize("damage", ["substr(text, 1, 40)", "zeroblob(9)", "text || x'00'", "'a text'", "NULL"])
def test_a_damaged_log_is_dropped_and_the_result_is_reused(make, reopened, tmp_path, damage):
    make(chatty_map).run()
    reopened()
    with sqlite3.connect(tmp_path / "store" / "index.sqlite") as database:
        database.execute(f"UPDATE OR IGNORE log SET text = coalesce({damage}, x'')")
    run = make(chatty_map).run()
    assert run.counts() == (0, 2, 0)
    assert len(run.log("chatty")) == 0
    reopened()
    verified = nbflow.store.verify(tmp_path / "store")
    assert len(verified.damaged) == 2
    assert "its log does not match its digest" in verified.damaged[0]
    assert nbflow.store.verify(tmp_path / "store").ok


def test_logs_go_with_their_results(make, reopened, tmp_path):
    flow = make(chatty_map)
    flow.run()
    flow.store.clear(["chatty"])
    assert flow.store.query("SELECT count(*) FROM log", ()) == [(0,)]


def test_a_damaged_database_keeps_its_sound_logs(make, reopened, tmp_path):
    make(chatty_map).run()
    reopened()
    (tmp_path / "store" / "damaged").touch()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = make(chatty_map).run()
    assert run.counts() == (0, 2, 0)
    assert len(run.log("chatty")) == 2


def test_a_script_prints_what_its_tasks_print_and_nothing_else(make, capsys):
    def slow(x):
        for part in range(3):
            print(x, part)
            time.sleep(0.002)

    make(lambda: task(slow).map(range(20))).run()
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    # Each element's lines stand together.
    assert sorted(lines[at : at + 3] for at in range(0, 60, 3)) == sorted(
        [f"{x} {p}" for p in range(3)] for x in range(20)
    )
    assert captured.err == ""


def test_a_line_that_an_element_left_open_is_ended(make, capsys):
    make(lambda: task(lambda x: print(x, end="")).map([1, 2, 3])).run()
    assert sorted(capsys.readouterr().out.split("\n")) == ["", "1", "2", "3"]


def test_a_task_that_runs_alone_prints_at_once(make, monkeypatch):
    class Watched:
        lines = []

        def write(self, text):
            self.lines.append(text)

        def flush(self):
            """Nothing."""

    seen = []

    def train():
        print("epoch 1")
        seen.append(list(Watched.lines))

    monkeypatch.setattr(sys, "stdout", Watched())
    make(lambda: task(train, ignore=["seen", "Watched"])()).run()
    assert seen == [["epoch 1", "\n"]]


def test_a_run_in_a_task_prints_as_that_task(make, tmp_path, capsys):
    def inner():
        print("innermost")

    def outer(store):
        with Flow("inside", store=store) as flow:
            task(inner, cache=False)()
        flow.run()

    run = make(lambda: task(outer, cache=False)(str(tmp_path / "other"))).run()
    assert str(run.log("outer")) == "innermost"
    assert capsys.readouterr().out == "innermost\n"


def test_what_others_print_meanwhile_is_not_the_tasks(make, capsys):
    going, printed = threading.Event(), threading.Event()

    def waits():
        print("mine")
        going.set()
        printed.wait(10)

    def other():
        going.wait(10)
        print("not mine")
        printed.set()

    # Started before the run: nobody's.
    thread = threading.Thread(target=other)
    thread.start()
    run = make(lambda: task(waits, cache=False)()).run()
    thread.join()
    assert str(run.log("waits")) == "mine"
    assert sorted(capsys.readouterr().out.splitlines()) == ["mine", "not mine"]


def test_async_tasks_log_each_its_own(make):
    async def call(x):
        import asyncio

        print("before", x)
        await asyncio.sleep(0.01)
        print("after", x)

    run = make(lambda: task(call, cache=False).map([1, 2, 3])).run()
    assert [str(run.log("call", i)) for i in range(3)] == [f"before {x}\nafter {x}" for x in (1, 2, 3)]


def test_a_task_with_a_time_limit_logs_too(make):
    run = make(lambda: task(chatty, timeout_s=10, cache=False)(1)).run()
    assert str(run.log("chatty")) == "element 1\naside"


def test_an_interrupt_puts_the_streams_back_and_keeps_what_was_shown(make, capsys):
    before = sys.stdout

    def stops():
        print("so far")
        raise KeyboardInterrupt

    flow = make(lambda: task(stops, cache=False)())
    flow.tell = lambda message: None
    with pytest.raises(KeyboardInterrupt):
        flow.run()
    assert sys.stdout is before
    assert capsys.readouterr().out == "so far\n"
