"""What cannot travel to where it is needed, or back, or hardly: it fails alone, and says what it is."""

import os
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest

from nbflow import Flow, task, unmapped
from nbflow.errors import RunFailed


@pytest.fixture(params=["processes", "dask"])
def executor(request):
    return request.param


@pytest.fixture
def flow(tmp_path, executor):
    return Flow("faults", store=tmp_path / "store", executor=executor)


class Unpicklable:
    def __nbflow_id__(self):
        return "one"

    def __reduce__(self):
        raise RuntimeError("not me")


class FailsToOpen:
    def __init__(self, x):
        self.x = x

    def __reduce__(self):
        return _fail, ()

    def __nbflow_id__(self):
        return self.x


def _fail():
    raise RuntimeError("no")


def test_an_argument_that_cannot_be_pickled_fails_alone_and_is_named(flow):
    lock = threading.Lock()
    with flow:
        task(lambda thing: 1, name="use", cache=False).map([1, lock, 3])
    run = flow.run()
    assert run.values("use", failed="drop") == [1, 1]
    (error,) = run.failed("use").error
    assert "'thing'" in error
    assert "cannot be sent to a worker" in error
    assert 'executor="threads"' in error


def test_a_shared_argument_that_cannot_be_pickled_is_named(flow):
    with flow:
        task(lambda x, thing: 1, name="use", cache=False).map([1, 2], unmapped(Unpicklable()))
    with pytest.raises(RunFailed, match="its argument 'thing' cannot be sent"):
        flow.run(check=True)


def test_an_argument_that_cannot_be_opened_fails_alone(flow):
    with flow:
        task(lambda thing: 1, name="use").map([1, FailsToOpen(2), 3])
    run = flow.run()
    assert run.values("use", failed="drop") == [1, 1]
    error = run.failed("use").error.iloc[0]
    assert "its argument 'thing' cannot be opened in the worker: RuntimeError" in error
    assert 'executor="threads"' in error


class ReadsWhenOpened:
    def __init__(self, path):
        self.path = path

    def __setstate__(self, state):
        self.path = state["path"]
        with open(self.path) as stream:
            stream.read()


def test_a_shared_argument_whose_file_is_gone_is_told(flow):
    with flow:
        task(lambda x, thing: 1, name="use", cache=False).map([1, 2], unmapped(ReadsWhenOpened("/nowhere/it.csv")))
    with pytest.raises(RunFailed, match=r"(?s)cannot be opened.*FileNotFoundError.*/nowhere/it.csv"):
        flow.run(check=True)


def test_a_shared_argument_that_cannot_be_opened_is_told(flow):
    with flow:
        task(lambda x, thing: 1, name="use").map([1, 2], unmapped(FailsToOpen(2)))
    with pytest.raises(RunFailed, match="cannot be opened (in a worker process|on a worker of the cluster)"):
        flow.run(check=True)


def test_a_class_whose_methods_reach_what_cannot_be_pickled_is_named(place, executor):
    script = f"""
        import threading
        from nbflow import Flow, task, unmapped
        LOCK = threading.Lock()
        class Guarded:
            def value(self):
                with LOCK:
                    return 1
        if __name__ == "__main__":
            with Flow("f", store="store", executor="{executor}") as flow:
                task(lambda each: each.value(), name="one", cache=False).map([Guarded()])
                task(lambda x, each: each.value(), name="two", cache=False).map([1], unmapped(Guarded()))
            run = flow.run()
            print(run.error("one", 0), run.error("two", 0), sep="\\n")
    """
    with open(os.path.join(place, "script.py"), "w") as stream:
        stream.write(textwrap.dedent(script))
    command = [sys.executable, "script.py"]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    one, two = done.stdout.splitlines()
    for line in (one, two):
        assert "'Guarded', which an argument is of, cannot be sent to a worker process" in line
        assert "cannot pickle '_thread.lock' object" in line


def test_a_function_that_reaches_what_cannot_be_pickled_names_it(flow):
    lock = threading.Lock()

    def use(x):
        with lock:
            return x

    with flow:
        task(use, cache=False, ignore=["lock"]).map([1])
    with pytest.raises(RunFailed, match="it uses 'lock'"):
        flow.run(check=True)


def test_a_result_that_cannot_be_pickled_fails_alone(flow):
    with flow:
        task(lambda x: threading.Lock() if x == 1 else x, name="make").map(range(3))
    run = flow.run()
    assert run.values("make", failed="drop") == [0, 2]
    assert "cannot leave the worker" in run.failed("make").error.iloc[0]


class NeedsTwo(Exception):
    def __init__(self, a, b):
        super().__init__(f"{a} and {b}")


class RaisesWhenPickled(ValueError):
    def __reduce__(self):
        raise RuntimeError("no")

    def __str__(self):
        return "what it says"


def test_exceptions_that_cannot_be_pickled_are_told_by_name_and_text(flow):
    def broken(x):
        raise [NeedsTwo("one", "two"), RaisesWhenPickled(), ValueError(threading.Lock())][x]

    with flow:
        task(broken).map(range(3))
    run = flow.run()
    errors = list(run.failed("broken").error)
    assert "NeedsTwo: one and two" in errors[0]
    assert "RaisesWhenPickled: what it says" in errors[1]
    assert "ValueError: <unlocked" in errors[2]
    assert isinstance(run.error("broken", 1), ValueError)


def test_retries_know_exceptions_that_cannot_be_pickled_by_their_base(flow, tmp_path):
    marker = str(tmp_path / "tried")

    def flaky():
        if not os.path.exists(marker):
            os.close(os.open(marker, os.O_CREAT))
            raise RaisesWhenPickled
        return "ok"

    with flow:
        task(flaky, retries=1, retry_on=ValueError, cache=False)()
    assert flow.run()["flaky"] == "ok"


class OpensWhereItWasMade:
    def __init__(self, pid):
        self.pid = pid

    def __reduce__(self):
        return _opened_in, (os.getpid(),)


def _opened_in(pid):
    if pid != os.getpid():
        raise RuntimeError("not here")
    return OpensWhereItWasMade(pid)


@pytest.mark.parametrize("cache", [None, False])
def test_a_result_that_the_kernel_cannot_open_fails_alone(flow, cache):
    with flow:
        task(lambda x: OpensWhereItWasMade(0) if x == 1 else x, name="make", cache=cache).map(range(6))
    run = flow.run()
    assert run.values("make", failed="drop") == [0, 2, 3, 4, 5]
    error = run.failed("make").error.iloc[0]
    assert "RuntimeError: not here" in error
    assert "cannot be opened here" in error


def test_a_result_of_a_gigabyte_comes_back_and_is_kept(flow, tmp_path):
    with flow:
        task(lambda: np.ones(2**27), name="huge")()
    assert flow.run()["huge"].nbytes == 2**30
    again = flow.run()
    assert again["huge"][-1] == 1.0
    assert again.table.reused.iloc[0] == 1


def test_the_end_of_a_forked_child_is_told_by_the_users_frames(tmp_path):
    program = textwrap.dedent("""
        import os
        from nbflow import Flow, task

        def fork():
            pid = os.fork()
            if not pid:
                raise KeyError("of the child")
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

        with Flow("f", executor="processes", store="store") as flow:
            task(fork, cache=False)()
        print(flow.run()["fork"])
    """)
    (tmp_path / "program.py").write_text(program)
    ended = subprocess.run([sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["1"]
    assert "KeyError: 'of the child'" in ended.stderr
    assert 'raise KeyError("of the child")' in ended.stderr
    assert "forks.py" not in ended.stderr
