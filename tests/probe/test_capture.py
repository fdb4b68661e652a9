"""What one context puts out is captured, in order; everybody else's goes where it always went."""

import contextvars
import io
import logging
import pickle
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from nbflow.errors import NbflowWarning
from nbflow.probe.capture import Capture, joined
from nbflow.probe.pieces import Piece, overwritten
from nbflow.probe.routing import capturing, routed


def texts(log):
    return [(piece.kind, piece.text) for piece in log]


def test_kinds_come_in_their_order(capsys, recwarn):
    logger = logging.getLogger("nbflow.test.order")
    logger.addHandler(logging.StreamHandler(sys.stderr))
    with capturing() as capture:
        print("one")
        print("two", file=sys.stderr)
        logger.warning("three %s", 3)
        warnings.warn("four", stacklevel=1)
        print("five")
    log = capture.take()
    assert [piece.kind for piece in log] == ["stdout", "stderr", "log", "warning", "stdout"]
    assert (log[2].text, log[2].detail, log[2].where) == ("three 3\n", "WARNING", "stderr")
    assert (log[3].detail, log[3].where.rpartition(":")[0]) == ("UserWarning", __file__)
    assert "UserWarning: four" in log[3].text
    assert capsys.readouterr().out == ""


def test_a_log_is_plain_data():
    with capturing() as capture:
        print("hello")
    log = capture.take()
    assert pickle.loads(pickle.dumps(log)) == log


def test_records_below_a_handlers_level_and_those_of_file_handlers_are_not_shown(tmp_path):
    logger = logging.getLogger("nbflow.test.levels")
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    console, file = logging.StreamHandler(sys.stderr), logging.FileHandler(tmp_path / "log")
    console.setLevel(logging.WARNING)
    logger.addHandler(console)
    logger.addHandler(file)
    with capturing() as capture:
        logger.info("only in the file")
        logger.error("in both")
    file.close()
    assert texts(capture.take()) == [("log", "in both\n")]
    assert (tmp_path / "log").read_text() == "only in the file\nin both\n"


def test_other_contexts_print_where_they_always_did(capsys):
    other = contextvars.copy_context()
    with capturing() as capture:
        other.run(print, "from another cell")
        print("from the task")
    assert capsys.readouterr().out == "from another cell\n"
    assert texts(capture.take()) == [("stdout", "from the task\n")]


def test_tasks_in_threads_do_not_mix(capsys):
    both = threading.Barrier(2)

    def call(name):
        with capturing() as capture:
            for i in range(50):
                print(name, i)
                if i == 10:
                    both.wait(10)
        return capture.take()

    with ThreadPoolExecutor(2) as pool:
        logs = list(pool.map(call, ["a", "b"]))
    assert [piece.text for log in logs for piece in log] == ["".join(f"{n} {i}\n" for i in range(50)) for n in "ab"]
    assert capsys.readouterr().out == ""


def test_threads_and_pools_that_a_task_starts_are_its_own(capsys):
    with capturing() as capture:
        thread = threading.Thread(target=print, args=("thread",))
        thread.start()
        thread.join()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(print, "pool").result()
    assert texts(capture.take()) == [("stdout", "thread\npool\n")]
    assert capsys.readouterr().out == ""


def test_a_thread_that_outlives_its_task_prints_where_all_others_do(capsys):
    go = threading.Event()

    def late():
        go.wait(10)
        print("late")

    with capturing() as capture:
        thread = threading.Thread(target=late)
        thread.start()
    go.set()
    thread.join()
    assert not capture.touched
    assert capsys.readouterr().out == "late\n"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_all_is_put_back_also_after_an_interrupt(error):
    before = (sys.stdout, sys.stderr, warnings.showwarning, logging.StreamHandler.emit, threading.Thread.start)
    with pytest.raises(error), capturing():
        raise error
    after = (sys.stdout, sys.stderr, warnings.showwarning, logging.StreamHandler.emit, threading.Thread.start)
    assert after == before


def test_a_stream_that_somebody_replaced_meanwhile_stays(monkeypatch):
    theirs = io.StringIO()
    with capturing():
        monkeypatch.setattr(sys, "stdout", theirs)
    assert sys.stdout is theirs


def test_nbflows_own_warnings_are_not_the_tasks():
    with pytest.warns(NbflowWarning, match="told"), capturing() as capture:
        warnings.warn("told to the user", NbflowWarning, stacklevel=1)
    assert not capture.touched


def test_who_records_warnings_hears_of_those_of_tasks():
    with pytest.warns(UserWarning, match="heard"), capturing() as capture:
        warnings.warn("heard", stacklevel=1)
    assert [piece.kind for piece in capture.take()] == ["warning"]


def test_a_capture_in_a_capture_shows_in_the_outer_one():
    class Echo:
        def show(self, piece):
            sys.stdout.write(piece.text)

    with capturing() as outer, capturing(Echo()) as inner:
        print("hello")
    assert texts(inner.take()) == texts(outer.take()) == [("stdout", "hello\n")]


def test_a_progress_bar_leaves_its_last_state():
    with capturing() as capture:
        for i in range(100_000):
            sys.stderr.write(f"\r{i} %")
    assert texts(capture.take()) == [("stderr", "99999 %")]
    assert overwritten("a\nb\rc\r\nd") == "a\nc\nd"


def test_a_display_takes_the_place_of_the_one_that_it_updates():
    capture = Capture()
    capture.display({"text/plain": "1 of 2"}, {}, "bar")
    capture.write(Piece("stdout", "between\n"))
    assert not capture.update({"text/plain": "2 of 2"}, {}, "bar")
    assert capture.update({"text/plain": "another cell's"}, {}, "other")
    assert [piece.text for piece in capture.take()] == ["2 of 2", "between\n"]


def test_clearing_forgets_at_once_or_when_something_comes():
    capture = Capture()
    capture.write(Piece("stdout", "old"))
    capture.clear(wait=True)
    assert texts(capture.take()) == [("stdout", "old")]
    capture.write(Piece("stdout", "old"))
    capture.clear(wait=True)
    capture.write(Piece("stdout", "new"))
    assert texts(capture.take()) == [("stdout", "new")]
    capture.write(Piece("stdout", "old"))
    capture.clear(wait=False)
    assert not capture.touched


def test_logs_of_several_attempts_are_one():
    first, second = (Piece("stdout", "once\n"),), (Piece("stdout", "twice\n"), Piece("log", "hm\n", "INFO", "stderr"))
    assert texts(joined(first, second)) == [("stdout", "once\ntwice\n"), ("log", "hm\n")]


def test_streams_are_told_apart_only_while_somebody_captures():
    before = sys.stdout
    with routed():
        with routed():
            pass
        assert sys.stdout is not before
    assert sys.stdout is before
