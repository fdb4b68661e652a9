"""The front door: what flows give back, keep and say."""

import gc
import os
import random
import signal
import subprocess
import sys
import threading
import time
import warnings
import weakref

import numpy as np
import pandas as pd
import pytest

import nbflow
from nbflow import Flow, Parameter, State, task, unmapped
from nbflow.errors import GraphError, NotSuccessful, ParameterError, RunFailed, UnidentifiableError, UnknownName
from nbflow.identity.value import Identifier


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


def counted(function=None, **options):
    """A task that notes in `.calls` what it was called with."""

    def decorate(fn):
        calls = []

        def wrapped(*args, **kwargs):
            calls.append(args)
            return fn(*args, **kwargs)

        wrapped.__name__ = fn.__name__
        made = task(ignore=["calls"], **options)(wrapped)
        made.calls = calls
        return made

    return decorate(function) if function is not None else decorate


def test_a_flow_computes_once_and_reuses_after_that(store):
    @counted
    def double(x):
        return 2 * x

    for _ in range(2):
        with Flow("f", store=store) as flow:
            double(double(3))
        run = flow.run()
        assert run["double-2"] == 12
    assert double.calls == [(3,), (6,)]
    assert run.state("double") is State.CACHED
    assert run.ok


def test_nodes_inside_containers_get_their_values(store):
    @task
    def one():
        return 1

    @task
    def show(x):
        return repr(x)

    with Flow("f", store=store) as flow:
        a = one()
        show([a, (a, {"k": a}), {"set"}])
    assert flow.run()["show"] == "[1, (1, {'k': 1}), {'set'}]"


def test_parts_of_a_result_are_nodes(store):
    @counted
    def pair():
        return [10, {"k": 20}]

    @task
    def plus(x, y):
        return x + y

    with Flow("f", store=store) as flow:
        both = pair()
        plus(both[0], both[1]["k"])
    assert flow.run()["plus"] == 30
    assert flow.run()["plus"] == 30
    assert len(pair.calls) == 1


def test_a_part_that_stays_equal_stops_there(store):
    later = []

    def flow_of(second):
        @task
        def pair():
            return (1, second)

        @task(ignore=["later"])
        def use(x):
            later.append(x)
            return x

        with Flow("f", store=store) as flow:
            use(pair()[0])
        return flow

    flow_of(2).run()
    flow_of(3).run()
    assert later == [1]


def test_order_only_edges_are_kept(store):
    seen = []

    @task(cache=False)
    def first():
        seen.append("first")

    @task(cache=False)
    def second():
        seen.append("second")

    with Flow("f", store=store) as flow:
        second(upstream=first())
    flow.run()
    assert seen == ["first", "second"]


def test_parameters_have_defaults_and_are_checked(store):
    @task
    def show(n, how):
        return f"{n} {how}"

    with Flow("f", store=store) as flow:
        show(Parameter("n"), Parameter("how", default="mean"))
    assert flow.run(n=3)["show"] == "3 mean"
    assert flow.run(n=3, how="max")["show"] == "3 max"
    with pytest.raises(ParameterError, match="'n' has no default"):
        flow.run()
    with pytest.raises(ParameterError, match="no parameter 'hwo'; did you mean 'how'"):
        flow.run(n=1, hwo="max")


@pytest.mark.parametrize(
    ("source", "expected", "index"),
    [
        ([1, 2], [2, 4], [0, 1]),
        ((1, 2), [2, 4], [0, 1]),
        (range(2), [0, 2], [0, 1]),
        ((x for x in (1, 2)), [2, 4], [0, 1]),
        ({"a": 1, "b": 2}, [2, 4], ["a", "b"]),
        (pd.Series([1, 2], index=["p", "q"]), [2, 4], ["p", "q"]),
        (np.array([1, 2]), [2, 4], [0, 1]),
    ],
    ids=["list", "tuple", "range", "generator", "dict", "Series", "array"],
)
def test_every_kind_of_source_maps(source, expected, index, store):
    @task
    def double(x):
        return 2 * x

    with Flow("f", store=store) as flow:
        double.map(source)
    run = flow.run()
    assert run["double"] == expected
    assert list(run.frame("double").index) == index


def test_a_dataframe_maps_over_its_rows(store):
    @task
    def total(row, plus):
        return row["a"] + row["b"] + plus

    with Flow("f", store=store) as flow:
        total.map(pd.DataFrame({"a": [1, 2], "b": [10, 20]}, index=["x", "y"]), plus=unmapped(100))
    run = flow.run()
    assert run["total"] == [111, 122]
    assert list(run.frame("total").index) == ["x", "y"]


@pytest.mark.parametrize("made", [[1, 2, 3], {"a": 1, "b": 2}, pd.Series([1.0, 2.0]), np.arange(3), ()])
def test_a_map_over_a_node_takes_its_value_apart(made, store):
    @task
    def make():
        return made

    @task
    def same(x):
        return x

    with Flow("f", store=store) as flow:
        same.map(make())
    expected = list(made.values()) if isinstance(made, dict) else list(made)
    assert flow.run()["same"] == expected
    assert flow.run()["same"] == expected


def test_a_map_over_a_list_of_nodes(store):
    @task
    def number(n):
        return n

    @task
    def double(x):
        return 2 * x

    with Flow("f", store=store) as flow:
        double.map([number(1), number(2)])
    assert flow.run()["double"] == [2, 4]


def test_an_empty_map_gives_an_empty_frame_and_an_empty_list(store):
    @task
    def double(x):
        return 2 * x

    @task
    def count(xs):
        return len(xs)

    with Flow("f", store=store) as flow:
        count(double.map([]))
    run = flow.run()
    assert run["count"] == 0
    assert len(run.frame("double")) == 0
    assert {"x", "result", "state", "seconds"} <= set(run.frame("double").columns)
    assert run["double"] == []


def test_unequal_lengths_that_show_only_in_the_run_fail_the_node(store):
    @task
    def three():
        return [1, 2, 3]

    @task
    def add(x, y):
        return x + y

    with Flow("f", store=store) as flow:
        add.map(three(), [1, 2])
    run = flow.run()
    assert not run.ok
    with pytest.raises(NotSuccessful, match="'x' has 3 elements, 'y' has 2"):
        run["add"]


def test_what_cannot_be_mapped_over_in_the_run_is_named(store):
    @task
    def number():
        return 3

    @task
    def same(x):
        return x

    with Flow("f", store=store) as flow:
        same.map(number())
    with pytest.raises(RunFailed, match="'x' is an int"):
        flow.run(check=True)


def test_a_failed_element_leaves_the_others_alone(store):
    @task
    def invert(x):
        return 1 / x

    @task
    def show(x):
        return x

    with Flow("f", store=store) as flow:
        show.map(invert.map([1, 0, 2]))
    run = flow.run()
    assert not run.ok
    assert run.values("show", failed="drop") == [1.0, 0.5]
    assert run.values("show", failed="none") == [1.0, None, 0.5]
    with pytest.raises(NotSuccessful, match="failed on 1 of 3 elements"):
        run["invert"]
    failed = run.failed("invert")
    assert list(failed["error"]) == ["ZeroDivisionError: division by zero"]
    assert list(failed["x"]) == [0]
    assert list(run.frame("show")["state"]) == ["success", "trigger_failed", "success"]
    with pytest.raises(RunFailed, match=r"invert\[1\](?s:.*)ZeroDivisionError"):
        run.check()


def test_a_failure_is_said_of_what_needs_it(store):
    @task
    def bad():
        raise ValueError("no")

    @task
    def use(x):
        return x

    with Flow("f", store=store) as flow:
        use(bad())
    run = flow.run()
    with pytest.raises(NotSuccessful, match="use did not run, because `bad` failed"):
        run["use"]
    with pytest.raises(NotSuccessful, match="ValueError: no") as caught:
        run["bad"]
    assert isinstance(caught.value.error, ValueError)


@pytest.mark.parametrize("delay", [0.0, [0.0, 0.001], lambda attempt: 0.001 * attempt])
def test_retries_until_it_works(delay, store):
    calls = []

    @task(retries=3, retry_delay_s=delay, ignore=["calls"])
    def flaky():
        calls.append(1)
        if len(calls) < 3:
            raise OSError("again")
        return "done"

    with Flow("f", store=store) as flow:
        flaky()
    run = flow.run()
    assert run["flaky"] == "done"
    assert len(calls) == 3
    assert list(run.frame("flaky")["attempts"]) == [3]


def test_the_frame_has_arguments_result_and_what_happened(store):
    @task
    def load(path):
        return path.upper()

    @task
    def measure(text, scale):
        return {"length": len(text) * scale, "state": "mine"}

    with Flow("f", store=store) as flow:
        measure.map(load.map(["a", "bb"]), scale=unmapped(10))
    frame = flow.run().frame("measure")
    assert list(frame.columns) == [
        "path", "text", "length", "result.state", "state", "error", "seconds", "cached", "attempts",
    ]  # fmt: skip
    assert list(frame["length"]) == [10, 20]
    assert list(frame["state"]) == ["success", "success"]
    assert list(frame["result.state"]) == ["mine", "mine"]
    assert list(flow.run().frame("measure")["cached"]) == [True, True]


def test_the_table_has_one_row_a_node(store):
    @task
    def double(x):
        return 2 * x

    with Flow("f", store=store) as flow:
        double.map([1, 2, 2])
    table = flow.run().table
    assert table.loc["double", ["elements", "ran", "reused", "failed"]].tolist() == [3, 2, 1, 0]


def test_targets_run_only_what_they_need(store):
    @counted
    def wanted():
        return 1

    @counted
    def other():
        return 2

    with Flow("f", store=store) as flow:
        wanted()
        other()
    run = flow.run(targets=["wanted"])
    assert (len(wanted.calls), len(other.calls)) == (1, 0)
    with pytest.raises(UnknownName, match="did not take part"):
        run["other"]
    with pytest.raises(UnknownName, match="did you mean 'wanted'"):
        flow.run(targets="wnated")


def test_force_runs_again(store):
    @counted
    def one():
        return 1

    with Flow("f", store=store) as flow:
        one()
    flow.run()
    flow.run(force="one")
    assert len(one.calls) == 2


def test_dry_runs_nothing(store):
    @counted
    def one():
        return 1

    with Flow("f", store=store) as flow:
        one()
    run = flow.run(dry=True)
    assert one.calls == []
    assert [row.freshness.label for row in run.plan] == ["new"]


def test_a_node_outside_a_flow_runs_with_all_that_it_needs(tmp_path, monkeypatch):
    monkeypatch.setenv("NBFLOW_STORE", str(tmp_path / "store"))

    @task
    def one():
        return 1

    @task
    def plus(x):
        return x + 1

    node = plus(plus(one()))
    run = node.run()
    assert run[node] == 3
    assert "svg" in node._repr_mimebundle_()["text/html"]


def test_always_runs_every_time_and_an_equal_result_stops_there(store):
    @counted(always=True)
    def now():
        return 1

    @counted
    def use(x):
        return x

    with Flow("f", store=store) as flow:
        use(now())
    flow.run()
    flow.run()
    assert (len(now.calls), len(use.calls)) == (2, 1)


def test_version_and_max_age(store):
    def run(**options):
        @counted(**options)
        def one():
            return 1

        with Flow("f", store=store) as flow:
            one()
        flow.run()
        return len(one.calls)

    assert [run(version="1"), run(version="1"), run(version="2")] == [1, 0, 1]
    assert [run(max_age="1h"), run(max_age="1h")] == [1, 0]
    assert run(max_age="0s", version="short") == 1
    assert run(max_age="0s", version="short") == 1


def test_a_seed_makes_random_numbers_repeatable_and_leaves_the_users_alone(store):
    @task(seed=1, cache=False)
    def draw():
        return random.random(), float(np.random.rand())

    with Flow("f", store=store) as flow:
        draw()
    random.seed(5)
    expected = random.random()
    random.seed(5)
    first = flow.run()["draw"]
    assert random.random() == expected
    assert flow.run()["draw"] == first


@pytest.mark.parametrize("cache", [None, False])
def test_by_position_equal_elements_are_different_draws(store, cache):
    @task(seed=1, by_position=True, cache=cache)
    def draw(_):
        return random.random()

    def run(count):
        with Flow("f", store=store) as flow:
            draw.map([0] * count)
        return flow.run()

    three = run(3)["draw"]
    assert len(set(three)) == 3
    longer = run(4)
    assert longer["draw"][:3] == three
    assert longer.counts() == ((1, 3, 0) if cache is None else (4, 0, 0))


def test_a_seed_counts_for_numpy_also_where_the_task_is_the_first_to_import_it(tmp_path):
    script = """
import sys
from nbflow import Flow, task
@task(seed=1, cache=False)
def draw():
    import numpy as np
    return float(np.random.rand())
assert "numpy" not in sys.modules
with Flow("f", store=sys.argv[1]) as flow:
    draw()
print(flow.run()["draw"])
"""
    (tmp_path / "script.py").write_text(script)
    command = [sys.executable, str(tmp_path / "script.py")]
    drawn = {subprocess.check_output([*command, str(tmp_path / name)], text=True) for name in ("one", "two")}
    assert len(drawn) == 1


def test_by_position_needs_a_seed():
    with pytest.raises(GraphError, match="give seed=1 with it"):
        task(by_position=True)(len)


def test_random_numbers_without_a_seed_are_for_this_session_only_and_this_is_said(store):
    @task
    def draw():
        return random.random()

    with Flow("f", store=store) as flow:
        draw()
    with pytest.warns(UserWarning, match="draw used random numbers without a seed.*seed=1"):
        first = flow.run()["draw"]
    assert flow.run()["draw"] == first
    rows = flow.store._database.read("SELECT session FROM entry")
    assert rows[0][0] is not None


def test_what_connects_to_the_network_is_for_this_session_only(store):
    import socket

    @task
    def fetch():
        try:
            socket.create_connection(("127.0.0.1", 9), timeout=0.1)
        except OSError:
            return "tried"

    with Flow("f", store=store) as flow:
        fetch()
    with pytest.warns(UserWarning, match="fetch connected to 127.0.0.1.*max_age"):
        flow.run()


def test_an_argument_without_identity_is_named(store):
    @task
    def use(config):
        return 1

    with Flow("f", store=store) as flow:
        use({"lock": weakref.ref(Exception)})
    run = flow.run()
    assert isinstance(run.error("use"), UnidentifiableError)
    assert 'config["lock"]' in str(run.error("use"))


def test_each_task_that_reaches_what_has_no_identity_is_told_the_same(store):
    lost = weakref.ref(Exception)

    def helper():
        return lost

    @task
    def use(n):
        return helper(), n

    with Flow("f", store=store) as flow:
        use(1)
        use(2)
    run = flow.run()
    assert ["`lost` is a" in str(run.error(name)) for name in ("use", "use-2")] == [True, True]


def test_a_task_that_changes_its_argument_is_named_and_harms_nobody(store):
    @task
    def make():
        return [3, 1, 2]

    @task
    def sort(xs):
        xs.sort()
        return xs[0]

    @task
    def first(xs):
        return xs[0]

    with Flow("f", store=store) as flow:
        numbers = make()
        sort(numbers)
        first(numbers)
    with pytest.warns(UserWarning, match="task 'sort' changed its argument 'xs' \\(list\\) in place"):
        run = flow.run()
    assert run["first"] == 3
    assert run["make"] == [3, 1, 2]


def test_elements_that_share_an_argument_one_of_them_changes_all_see_it_unchanged(store):
    @task
    def use(i, shared):
        shared.append(i)
        return len(shared)

    with Flow("f", store=store) as flow:
        use.map(range(20), shared=unmapped([]))
    with pytest.warns(UserWarning, match="'use' changed its argument 'shared'"):
        run = flow.run()
    assert run["use"] == [1] * 20


def test_the_users_own_object_is_not_changed(store):
    mine = {"n": 1}

    @task
    def spoil(config):
        config["n"] = 2

    with Flow("f", store=store) as flow:
        spoil(mine)
    with pytest.warns(UserWarning, match="'config'"):
        flow.run()
    assert mine == {"n": 1}


def test_what_the_caller_changes_in_a_result_is_clean_in_the_next_run(store):
    @task
    def make():
        return {"n": [1]}

    with Flow("f", store=store) as flow:
        make()
    flow.run()["make"]["n"].append(2)
    assert flow.run()["make"] == {"n": [1]}


def test_a_generator_as_a_result_is_an_error_that_says_what_to_do(store):
    @task
    def numbers():
        yield 1

    with Flow("f", store=store) as flow:
        numbers()
    with pytest.raises(RunFailed, match=r"numbers returned a generator.*return list"):
        flow.run(check=True)


def test_a_result_that_cannot_be_stored_is_returned_and_told_once(store):
    @task
    def reference():
        return weakref.ref(Exception)

    @task
    def use(x):
        return type(x).__name__

    with Flow("f", store=store) as flow:
        use(reference())
    with pytest.warns(UserWarning, match="reference: its result is not stored"):
        run = flow.run()
    assert run["use"] == "ReferenceType"


def test_a_missing_blob_is_computed_again(store):
    @counted
    def big():
        return np.ones(100_000)

    @task
    def total(xs, k):
        return float(xs.sum()) * k

    def run(k):
        with Flow("f", store=store) as flow:
            total(big(), k)
        return flow.run()

    run(1)
    for path in (store / "blobs").rglob("*"):
        if path.is_file():
            path.unlink()
    with pytest.warns(UserWarning, match="big: is missing from the store; it is computed again"):
        assert run(2)["total"] == 200_000.0
    assert len(big.calls) == 2


def test_a_damaged_result_is_computed_again_when_it_is_asked_for(store):
    @counted
    def big():
        return np.ones(100_000)

    with Flow("f", store=store) as flow:
        big()
    flow.run()
    (path,) = (p for p in (store / "blobs").rglob("*") if p.is_file())
    path.chmod(0o600)
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)
    flow.store._blobs._verified.clear()
    assert flow.run()["big"].sum() == 100_000
    assert len(big.calls) == 2


def test_a_task_that_runs_alone_runs_on_the_main_thread(store):
    @task(cache=False)
    def where():
        return threading.current_thread() is threading.main_thread()

    with Flow("f", store=store) as flow:
        where()
    assert flow.run()["where"] is True


def test_many_elements_share_threads(store):
    barrier = threading.Barrier(3, timeout=10)

    @task(cache=False)
    def meet(x):
        barrier.wait()
        return x

    with Flow("f", store=store) as flow:
        meet.map([1, 2, 3])
    assert flow.run()["meet"] == [1, 2, 3]


def test_maps_of_maps_go_depth_first(store):
    reached = threading.Event()

    @task(cache=False)
    def first(x):
        if x == 1:
            # Ends only when the other element has gone through the second task.
            assert reached.wait(10)
        return x

    @task(cache=False)
    def second(x):
        if x == 0:
            reached.set()
        return x

    with Flow("f", store=store) as flow:
        second.map(first.map([0, 1]))
    assert flow.run()["second"] == [0, 1]


def test_an_async_task_runs_also_inside_a_running_loop(store):
    import asyncio

    @task
    async def slow(x):
        await asyncio.sleep(0)
        return x + 1

    with Flow("f", store=store) as flow:
        slow(1)

    async def main():
        return flow.run()["slow"]

    assert asyncio.run(main()) == 2


def test_the_plan_runs_nothing_and_tells_why(store):
    def flow_of(k, body):
        namespace = {"task": task, "K": k}
        exec(f"@task\ndef scale(x):\n    return {body}\n@task\ndef use(x):\n    return x", namespace)
        with Flow("f", store=store) as flow:
            namespace["use"](namespace["scale"](Parameter("n", default=1)))
        return flow

    assert [r.freshness.label for r in flow_of(1, "x * K").plan().rows] == ["new", "new"]
    flow_of(1, "x * K").run()
    assert flow_of(1, "x * K").plan().will_run == []
    stale = flow_of(2, "x * K").plan()
    assert [(r.name, r.freshness.label) for r in stale.rows] == [("scale", "stale"), ("use", "unknown")]
    assert stale["scale"].reasons[0].text == "global `K`: 1 → 2"
    assert stale["use"].reasons[0].text == "depends on what `scale` will give"
    assert "parameter n: 1 → 5" in flow_of(1, "x * K").why("scale", n=5)
    assert flow_of(1, "x + K").plan()["scale"].reasons[0].text == "code changed"
    with pytest.raises(UnknownName, match="did you mean 'scale'"):
        stale["scael"]


def test_a_plan_counts_the_new_elements(store):
    @task
    def double(x):
        return 2 * x

    def flow_of(xs):
        with Flow("f", store=store) as flow:
            double.map(xs)
        return flow

    flow_of([1, 2, 3]).run()
    row = flow_of([1, 2, 3, 4, 5]).plan()["double"]
    assert (row.elements, row.reasons[0].text) == ("3/5", "2 of 5 elements are new")


SECRETS = """
import os, sys
import nbflow
from nbflow import Flow, Parameter, task

api_token = "hunter2-global"

@task
def fetch(url, password, key):
    local_secret = "hunter2-literal"
    return len(url) + len(api_token)

with Flow("f", store=sys.argv[1]) as flow:
    fetch("http://x", Parameter("password", default="hunter2-parameter"), nbflow.secret("MY_KEY"))
run = flow.run(check=True)
print(run.frame("fetch"), run.table, flow.plan(), flow.why("fetch"), flow._repr_mimebundle_())
"""


def test_secrets_are_nowhere_in_the_store_nor_in_what_is_shown(tmp_path):
    (tmp_path / "flow.py").write_text(SECRETS)
    command = [sys.executable, "flow.py", "store"]
    environment = {**os.environ, "MY_KEY": "hunter2-environment"}
    shown = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert "hunter2" not in shown.stdout + shown.stderr
    files = [path for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert files
    guessed = Identifier(lambda function: bytes(16))("hunter2-global").hex()
    for path in files:
        content = path.read_bytes()
        assert b"hunter2" not in content, path.name
        assert guessed.encode() not in content, "nor an id that could be guessed"


INTERRUPTED = """
import os, sys, time
from nbflow import Flow, task

@task(ignore=["FAST"])
def slow(x):
    if x >= 20 and not os.environ.get("FAST"):
        time.sleep(30)
    os.write(1, b"RAN %d\\n" % x)
    return x

with Flow("f", store="store", executor=sys.argv[1]) as flow:
    slow.map(range(40))
try:
    flow.run()
except KeyboardInterrupt:
    print("INTERRUPTED", flush=True)
    os._exit(0)
"""


@pytest.mark.parametrize("executor", ["threads", "sync"])
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL])
def test_what_finished_before_an_interrupt_or_kill_is_kept(executor, sign, tmp_path):
    (tmp_path / "flow.py").write_text(INTERRUPTED)
    command = [sys.executable, "flow.py", executor]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    seen = 0
    while seen < 20:
        line = process.stdout.readline()
        assert line, "the flow ended early"
        seen += "RAN" in line
    # A kill may cost the last second.
    time.sleep(1.5 if sign is signal.SIGKILL else 0.2)
    process.send_signal(sign)
    rest = process.communicate(timeout=20)[0]
    assert (sign is signal.SIGKILL) or "INTERRUPTED" in rest
    again = subprocess.run(command, cwd=tmp_path, env={**os.environ, "FAST": "1"}, capture_output=True, text=True)
    ran = {int(line.split()[1]) for line in again.stdout.splitlines()}
    assert ran == set(range(20, 40))


def test_a_global_changed_while_it_runs_is_not_stored(store):
    namespace = {"task": task, "K": 1}
    exec("@task\ndef use(x):\n    global K\n    K = 5\n    return x + K", namespace)
    with Flow("f", store=store) as flow:
        namespace["use"](1)
    with pytest.warns(UserWarning, match="use: 'K' changed while it ran.*not stored"):
        assert flow.run()["use"] == 6


def test_equal_elements_are_computed_once(store):
    @counted
    def double(x):
        return 2 * x

    with Flow("f", store=store) as flow:
        double.map([1, 2, 1, 1])
    run = flow.run()
    assert run["double"] == [2, 4, 2, 2]
    assert sorted(double.calls) == [(1,), (2,)]


def test_of_equal_elements_that_fail_all_are_failed(store):
    @task
    def bad(x):
        raise ValueError(x)

    with Flow("f", store=store) as flow:
        bad.map([1, 1])
    assert list(flow.run().frame("bad")["state"]) == ["failed", "failed"]


def test_a_failing_on_purpose_reference_decides_ok(store):
    @task
    def bad():
        raise ValueError

    @task
    def good():
        return 1

    with Flow("f", store=store) as flow:
        bad()
        node = good()
    assert not flow.run().ok
    flow.reference = [node]
    assert flow.run().ok


def test_opaque_things_count_by_the_id_they_are_given(store):
    lock = nbflow.opaque(threading.Lock(), id="lock 1")
    calls = []

    @task(ignore=["calls"])
    def use(x):
        calls.append(1)
        return 1

    for _ in range(2):
        with Flow("f", store=store) as flow:
            use(lock)
        flow.run()
    assert calls == [1]


def test_no_warnings_when_nothing_is_wrong(store):
    @task
    def double(x):
        return 2 * x

    with Flow("f", store=store) as flow:
        double.map([1, 2])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        flow.run()
        flow.run()


WHY = """
import sys
from nbflow import Flow, task

def clean(x):
    return x + {plus}

@task
def load():
    return clean({start})

@task
def use(x):
    return x

with Flow("f", store="store") as flow:
    use(load())
print(flow.why("load"))
print(flow.why("use"))
flow.run(check=True)
"""


def test_why_shows_the_helpers_diff_across_a_restart(tmp_path):
    def why(**values):
        (tmp_path / "flow.py").write_text(WHY.format(**values))
        return subprocess.run(
            [sys.executable, "flow.py"], cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout

    assert why(plus=1, start=1).splitlines()[:2] == ["load is new:", "  it has not run before"]
    changed = why(plus=2, start=1)
    assert "helper `clean` changed" in changed
    assert "-    return x + 1" in changed
    assert "+    return x + 2" in changed
    assert "use is unknown:\n  depends on what `load` will give" in changed
    assert "code changed" in why(plus=2, start=5)
    assert "load is fresh" in why(plus=2, start=5)


@pytest.mark.parametrize("how", ["map", "product"])
def test_items_of_a_tasks_list_are_told_as_changed_only_by_who_changes_them(store, how):
    @task
    def frames():
        return [pd.DataFrame({"a": [i]}) for i in range(3)]

    @task
    def reads(frame):
        return len(frame)

    @task
    def writes(frame):
        frame["b"] = 1
        return len(frame)

    with Flow("f", store=store) as flow:
        made = frames()
        getattr(reads, how)(made)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert flow.run()["reads"] == [1, 1, 1]
    with Flow("f", store=store) as flow:
        getattr(writes, how)(frames())
    with pytest.warns(match="'writes' changed its argument 'frame'"):
        flow.run()
    assert list(flow.run()["frames"][0].columns) == ["a"]


@pytest.mark.parametrize("executor", ["threads", "sync"])
@pytest.mark.parametrize("enabled", [True, False])
def test_the_garbage_collector_is_as_the_user_left_it(store, executor, enabled):
    @task(cache=False)
    def seen(x):
        if x == 3:
            raise ValueError("no")
        return gc.isenabled()

    @nbflow.resource
    def thing():
        yield gc.isenabled()

    with Flow("gc", store=store, executor=executor) as flow:
        alone = seen(0)
        seen(3, name="fails", upstream=[alone])
        with thing() as made:
            task(cache=False)(lambda x: x)(made, name="held")
    before = gc.isenabled()
    try:
        gc.enable() if enabled else gc.disable()
        run = flow.run()
        assert gc.isenabled() == enabled
        assert run["held"] == enabled
        assert run[alone] == enabled or executor == "threads"
        flow.plan()
        assert gc.isenabled() == enabled
    finally:
        gc.enable() if before else gc.disable()


def test_the_picture_of_a_run_tells_the_parameters_that_it_was_given(tmp_path):
    with Flow("f", store=tmp_path / "store") as flow:
        task(lambda n: n, name="same")(Parameter("n", default=1))
    run = flow.run(n=5)
    for each in (run, flow):
        assert "n = 5" in each._repr_mimebundle_()["text/plain"]
    flow.run()
    assert "n = 1" in flow._repr_mimebundle_()["text/plain"]
