"""Runs that are kept: what the history says of them, and how two of them differ."""

import datetime as dt
import re

import numpy as np
import pandas as pd
import pytest

from nbflow import Flow, Parameter, task
from nbflow.errors import UnknownName
from nbflow.results.differences import difference
from nbflow.store import Store
from nbflow.store.runs import History, NodeRecord

TEXT = """
@task
def load(n):
    return pd.DataFrame({{"a": range(n), "b": {b}}})
@task
def part(x):
    if x == {bad}:
        raise ValueError("no")
    return x * {factor}
---
load(Parameter("n", default=3))
part.map({xs})
"""


def text(b="1", bad=-1, factor=1, xs="[1, 2, 3]"):
    return TEXT.format(b=b, bad=bad, factor=factor, xs=xs)


def test_the_history_has_a_row_a_run(script):
    for _ in range(2):
        script.flow(text()).run()
    script.flow(text(bad=2)).run(n=4)
    history = script.flow(text()).history(all=True)
    assert list(history.columns) == ["started", "ran", "reused", "failed", "state", "seconds", "parameters", "ok"]
    assert list(history.state) == ["success", "success", "failed"]
    assert list(history.ok) == [True, True, False]
    assert history[["ran", "reused", "failed"]].to_numpy().tolist() == [[4, 0, 0], [0, 4, 0], [4, 0, 1]]
    assert list(history.parameters) == ["n=3", "n=3", "n=4"]
    assert (history.seconds > 0).all()
    assert history.started.is_monotonic_increasing
    assert abs(history.started.iloc[-1] - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=5)
    assert history.index.name == "run"


def test_the_history_of_a_node_tells_when_it_changed_and_why(script):
    script.flow(text()).run()
    script.flow(text()).run()
    script.flow(text(b="2")).run()
    script.flow(text(b="2", bad=2)).run()
    flow = script.flow(text(b="2", bad=2))
    history = flow.history("load", all=True)
    assert list(history.state) == ["success", "cached", "success", "cached"]
    assert list(history.changed) == [False, False, True, False]
    assert list(history.why) == ["it has not run before", "", "code changed", ""]
    part = flow.history(flow["part"], all=True)
    assert list(part.failed) == [0, 0, 0, 1]
    assert part.error.iloc[-1] == "ValueError: no"
    with pytest.raises(UnknownName, match="did you mean 'part'"):
        flow.history("prt")


def test_the_history_leaves_out_runs_in_which_nothing_happened_and_says_so(script):
    flow = script.flow(text())
    for _ in range(3):
        flow.run()
    script.flow(text(bad=2)).run()
    for _ in range(2):
        flow.run()
    history = flow.history()
    assert history.index.tolist() == [1, 4, 6]
    head = "f: 6 runs are kept; in 3 of them nothing ran, failed or was accepted: flow.history(all=True) or "
    head += "%flow history --all shows all"
    assert repr(history).splitlines()[0] == head
    assert f"<p>{head}</p>" in history._repr_html_()
    every = flow.history(all=True)
    assert (len(every), repr(every).splitlines()[0]) == (6, "f: 6 runs are kept")
    of_part = flow.history("part")
    assert of_part.index.tolist() == [1, 4, 6]
    assert "flow.history('part', all=True) or %flow history part --all shows all" in repr(of_part)


def test_the_history_is_shown_for_people_and_keeps_its_values(script):
    flow = script.flow("@task\ndef f():\n    raise ValueError('very ' * 50)\n---\nf()\n")
    flow.run()
    history = flow.history("f")
    # One line a row, whatever is in it.
    head, columns, _, row = repr(history).splitlines()
    assert columns.split()[:3] == ["started", "state", "why"]
    assert re.search(r" \d{4}-\d\d-\d\d \d\d:\d\d:\d\d +✗ failed +it has not run before .* \d+ (µs|ms) ", row)
    assert row.endswith(" very ve…")
    assert len(history.error.iloc[0]) > 200
    assert history.seconds.dtype == float
    assert history.started.dt.tz is not None
    html = history._repr_html_()
    assert '<td style="white-space:nowrap">it has not run before</td>' in html


def test_a_run_knows_its_number(script):
    run = script.flow(text()).run()
    assert run.id == script.flow(text()).history().index[-1]


def test_secret_parameters_are_dots(tmp_path):
    @task
    def use(x):
        return len(x)

    with Flow("f", store=tmp_path / "store") as flow:
        use(Parameter("api_key"))
    flow.run(api_key="hunter")
    assert flow.history().parameters.tolist() == ["api_key=•••"]


def test_old_runs_go_and_their_lists_with_them(tmp_path):
    store = Store.open(tmp_path / "store")

    def add(number):
        keys, outs = number.to_bytes(16) * 2, bytes(range(32))
        record = NodeRecord("n", "n", True, "success", 2, 2, 0, 0, 0.0, b"c", keys, outs, b"\3\3", "", "")
        store.add_run(flow="f", started_ns=number, seconds=0.0, ran=0, reused=0, failed=0)
        store.history.add("f", number, [record], state="success", parameters={}, whole=True, members=[])

    for number in range(1, 31):
        add(number)
    store.history.trim("f", most=5, slack=10)
    assert [run.started_ns for run in store.history.runs("f")] == [26, 27, 28, 29, 30]
    # A list of nodes and one of keys each; how the elements ended is the same for all of them.
    assert store.query("SELECT count(*) FROM chunk", ()) == [(5 * 2 + 1,)]
    assert History(store.query, store.queue).nodes(store.history.runs("f")[0])["n"].keys == (26).to_bytes(16) * 2
    store.close()


def test_equal_runs_keep_their_lists_once(script):
    for _ in range(4):
        script.flow(text()).run()
    store = script.flow(text()).store
    # The first run's nodes and those of the three that reused all; the keys, the names of elements and those of the
    # flow's nodes, and how elements ended, twice.
    assert store.query("SELECT count(*) FROM chunk", ()) == [(6,)]


def test_compare_tells_rows_columns_and_cells(script):
    script.flow(text()).run()
    script.flow(text(b="[1, 5, 1, 1]")).run(n=4)
    flow = script.flow(text())
    found = flow.compare()
    assert found.changed == ["load"]
    frame = found["load"].difference
    assert (frame.added_rows, frame.removed_rows, frame.changed) == ([3], [], {"b": 1})
    assert frame.examples.to_dict("records") == [{"row": 1, "column": "b", "before": 1, "after": 5}]
    head, *rest = repr(found).splitlines()
    assert re.fullmatch(r"run 1 \(\d\d:\d\d:\d\d\) → run 2 \(\d\d:\d\d:\d\d, now\): 1 of 2 outputs changed", head)
    assert rest == ["load: changed", "  1 row added: 3", "  column 'b': 1 of 3 cells changed: [1] 1 → 5"]
    assert list(found.table.output) == ["changed", "same"]
    back = flow.compare(2, 1)["load"].difference
    assert back.removed_rows == [3]


def test_compare_takes_runs_and_numbers_also_of_one_flow_object(script):
    flow = script.flow(text())
    first, second = flow.run(), flow.run(n=2)
    assert flow.compare(first, second)["load"].lines == ("1 row removed: 2",)
    assert flow.compare(first.id, second.id)["load"].lines == ("1 row removed: 2",)
    assert flow.compare(first).run_b == second.id
    with pytest.raises(UnknownName, match="has no run 99"):
        flow.compare(1, 99)


def test_compare_tells_elements(script):
    script.flow(text()).run()
    script.flow(text(factor="(x if x == 2 else 1)")).run()
    script.flow(text(xs="[3, 2, 1]", factor="(x if x == 2 else 1)")).run()
    script.flow(text(xs="[3, 2]", factor="(x if x == 2 else 1)")).run()
    script.flow(text(xs="[3, 2]", bad=3, factor="(x if x == 2 else 1)")).run()
    flow = script.flow(text())
    lines = [flow.compare(i, i + 1)["part"].lines for i in range(1, 5)]
    assert lines == [
        ("1 of 3 elements changed: x=2", "x=2: 2 → 4"),
        ("the same elements in another order",),
        ("3 → 2 elements", "1 element went away: x=1"),
        ("1 of 2 elements have a result in only one of the runs: x=3",),
    ]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (
            "['Oslo.csv', 'Bergen.csv', 'Riga.csv', 'Rome.csv']",
            "['Oslo.csv', 'Bergen.csv', 'Rome.csv']",
            ("4 → 3 elements", "1 element went away: x='Riga.csv'"),
        ),
        ("[Path('a'), Path('b')]", "[Path('c'), Path('a')]", ("1 element went away: x='b'", "1 element came: x='c'")),
        ("{'a': 1, 'b': 2}", "{'b': 3}", ("2 → 1 elements", "1 element went away: 'a'", "1 of 1 element changed: 'b'", "'b': 2 → 3")),
        ("pd.Series([1, 2], ['p', 'q'])", "pd.Series([5, 1], ['r', 'p'])", ("1 element went away: 'q'", "1 element came: 'r'")),
        ("[1, 1, 2]", "[1, 2]", ("3 → 2 elements", "1 element went away: x=1")),
        ("[[1], [2], [3]]", "[[1], [3]]", ("3 → 2 elements", "1 element went away: [1]")),
        ("[[1], [2]]", "[[1], [3]]", ("1 of 2 elements changed: [1]", "[1] 1 of 1 items changed", "[1] [0]: 2 → 3")),
    ],
)  # fmt: skip
def test_elements_are_paired_by_what_they_are_made_of(script, before, after, told):
    body = "@task\ndef load(x):\n    return x\n@task\ndef again(y):\n    return y\n---\nagain.map(load.map({}))\n"
    script.flow(body.format(before)).run()
    flow = script.flow(body.format(after))
    flow.run()
    found = flow.compare()
    assert found["load"].lines == told
    # A map of a map has the names of the first.
    assert found["again"].lines == told


def test_compare_tells_nodes_that_came_and_went_and_states(script):
    body = "@task\ndef a():\n    return 0\n@task\ndef b():\n    {b}\n---\na()\nb(name='{name}')\n"
    script.flow(body.format(b="return 1", name="x")).run()
    script.flow(body.format(b="raise ValueError('no')", name="x")).run()
    script.flow(body.format(b="return 1", name="y")).run()
    flow = script.flow(body.format(b="return 1", name="y"))
    failed = flow.compare(1, 2)["x"]
    assert (failed.before, failed.after, failed.output, failed.lines) == (
        "success",
        "failed",
        "unknown",
        ("ValueError: no",),
    )
    assert "x: unknown (success → failed)\n  ValueError: no" in repr(flow.compare(1, 2))
    assert {name: node.output for name, node in flow.compare(2, 3).nodes.items()} == {
        "a": "same",
        "y": "added",
        "x": "removed",
    }


def test_what_failed_in_both_runs_is_told_so(script):
    flow = script.flow("@task\ndef f():\n    raise ValueError('no')\n---\nf()\n")
    flow.run()
    flow.run()
    assert repr(flow.compare()).splitlines()[1:] == ["f: failed in both runs", "  ValueError: no"]


def test_a_run_of_chosen_nodes_leaves_the_others_as_they_were(script):
    script.flow(text()).run()
    script.flow(text(factor=2)).run(targets=["part"])
    found = script.flow(text()).compare()
    assert {name: node.output for name, node in found.nodes.items()} == {"part": "changed", "load": "same"}


def test_going_back_is_compared_with_what_was_there_just_before(script):
    body = "TAX = {}\n@task\ndef net():\n    return 100\n@task\ndef gross(n):\n    return n * TAX\n---\ngross(net())\n"
    for tax in (3, 2, 3):
        flow = script.flow(body.format(tax))
        flow.run()
        flow.run()
    assert flow.history(all=True).ran.tolist() == [2, 0, 1, 0, 0, 0]
    found = flow.compare()
    assert (found.run_a, found.run_b) == (4, 6)
    assert found["gross"].lines == ("200 → 300",)


def test_the_middle_of_an_update_is_not_compared_with(script):
    body = "K = {}\n@task\ndef a():\n    return K\n@task\ndef b(x):\n    return x + 1\n---\nb(a())\n"
    script.flow(body.format(1)).run()
    flow = script.flow(body.format(2))
    for name in ("a", "b"):
        flow.run(targets=[name])
    found = flow.compare()
    assert (found.run_a, found.run_b, found.changed) == (1, 3, ["a", "b"])


def test_where_nothing_differs_that_is_said(script):
    flow = script.flow(text())
    for _ in range(3):
        flow.run()
    head, *rest = repr(flow.compare()).splitlines()
    assert re.fullmatch(r"run 2 .* → run 3 .*, now\): no output changed, nor in any run before that is kept", head)
    assert rest == []


def test_a_run_of_another_day_is_told_with_its_date(script):
    flow = script.flow(text())
    flow.run()
    flow.store.queue("UPDATE run SET started = 86400000000000 * 400", ())
    flow.store.queue("UPDATE run_more SET started = 86400000000000 * 400", ())
    script.flow(text(b="2")).run()
    assert re.match(r"run 1 \(1971-02-0\d \d\d:\d\d\) → run 2 \(\d\d:\d\d, now\)", repr(flow.compare()))


def test_a_task_that_was_not_looked_at_did_not_come_or_go(script):
    flow = script.flow("@task\ndef a():\n    return 1\n@task\ndef b():\n    return 2\n---\na()\nb()\n")
    flow.run(targets=["a"])
    flow.run(targets=["b"])
    found = flow.compare(1, 2)
    assert {name: node.output for name, node in found.nodes.items()} == {"a": "same", "b": "unknown"}
    assert found.changed == []


def test_a_removed_task_leaves_the_comparison_with_present_state(script):
    body = "@task\ndef a():\n    return {}\n@task\ndef b():\n    return 1\n@task\ndef c():\n    1 / 0\n---\na()\n"
    script.flow(body.format(1) + "b()\nc()\n").run()
    script.flow(body.format(2)).run(targets=["a"])
    flow = script.flow(body.format(3))
    # What never gave anything is not missed.
    assert {name: node.output for name, node in flow.compare(1).nodes.items()} == {"a": "changed", "b": "removed"}
    flow.run(targets=["a"])
    assert list(flow.compare().nodes) == ["a"]


def test_values_that_are_gone_are_said_to_be(script):
    script.flow(text()).run()
    script.flow(text(b="2")).run()
    flow = script.flow(text())
    flow.store.clear(["load"])
    assert flow.compare(1, 2)["load"].lines == ("the value of both runs is no longer kept",)


def test_one_run_cannot_be_compared(script):
    flow = script.flow(text())
    with pytest.raises(UnknownName, match="has 0 runs; two are needed"):
        flow.compare()
    flow.run()
    with pytest.raises(UnknownName, match="has 1 run; two are needed"):
        flow.compare()


def test_the_display_escapes_what_users_wrote(script):
    body = "@task\ndef f():\n    return '{}'\n---\nf(name='<b>x')\n"
    for value in ("<i>1", "<i>2"):
        script.flow(body.format(value)).run()
    html = script.flow(body.format("")).compare()._repr_html_()
    assert "&lt;i&gt;1" in html
    assert "&lt;b&gt;x" in html
    assert "<i>" not in html
    assert "<b>x" not in html


FRAME = pd.DataFrame({"a": [1.0, np.nan, 3.0], "s": ["x", None, "z"]}, index=["p", "q", "r"])

DIFFERENCES = {
    "a cell": (FRAME, FRAME.assign(a=[1.0, np.nan, 4.0]), ["column 'a': 1 of 3 cells changed: ['r'] 3.0 → 4.0"]),
    "a missing cell": (FRAME, FRAME.assign(s=["x", "y", "z"]), ["column 's': 1 of 3 cells changed: ['q'] nan → 'y'"]),
    "rows": (FRAME, FRAME.drop("p"), ["1 row removed: 'p'"]),
    "columns": (FRAME, FRAME.rename(columns={"a": "b"}), ["1 column added: 'b'", "1 column removed: 'a'"]),
    "a dtype": (FRAME[["a"]].dropna(), FRAME[["a"]].dropna().astype(int), ["column 'a': float64 → int64"]),
    "order of rows": (FRAME, FRAME.iloc[::-1], ["its rows stand in another order"]),
    "order of columns": (FRAME, FRAME[["s", "a"]], ["its columns stand in another order"]),
    "a series": (FRAME.a, FRAME.a * 2, ["column 'a': 2 of 3 cells changed: ['p'] 1.0 → 2.0, ['r'] 3.0 → 6.0"]),
    "rows of one label": (FRAME.set_index([[1, 1, 2]]), FRAME.iloc[:2].set_index([[1, 1]]), ["3 → 2 rows; rows of one label cannot be told apart", "1 row removed: 2"]),
    "cells that hold lists": (pd.DataFrame({"a": [[1], [2]]}), pd.DataFrame({"a": [[1], [3]]}), ["column 'a': 1 of 2 cells changed: [1] [2] → [3]"]),
    "an array": (np.arange(4), np.array([0, 1, 5, 3]), ["1 of 4 elements differ, by at most 3"]),
    "an array with nan": (np.array([1.0, np.nan]), np.array([2.5, np.nan]), ["1 of 2 elements differ, by at most 1.5"]),
    "a shape": (np.zeros(3), np.zeros((3, 1)), ["shape (3,) → (3, 1)"]),
    "an array's dtype": (np.zeros(3), np.zeros(3, int), ["dtype float64 → int64"]),
    "an array of text": (np.array(["a", "b"]), np.array(["a", "c"]), ["1 of 2 elements differ"]),
    "numbers": (1, 2.5, ["1 → 2.5"]),
    "numbers with many digits": (1409.3999999999999, 1291.95, ["1409.4 → 1291.95"]),
    "numbers that differ in the last digit": (0.30000000000000004, 0.3, ["0.30000000000000004 → 0.3"]),
    "a NumPy number": (np.float64(1) / 3, np.float64(2) / 3, ["0.333333 → 0.666667"]),
    "a cell with many digits": (FRAME[["a"]], FRAME[["a"]] / 3, ["column 'a': 2 of 3 cells changed: ['p'] 1.0 → 0.333333, ['r'] 3.0 → 1.0"]),
    "numbers in dicts": ({"a": 0.1 + 0.2}, {"a": 1 / 3}, ["key 'a': 0.3 → 0.333333"]),
    "a secret number": ({"token": 1.5}, {"token": 2.5}, ["key 'token': ••• → •••"]),
    "a type": ([1], {"a": 1}, ["[1] → {'a': 1}"]),
    "keys": ({"a": 1, "b": 2}, {"a": 3, "c": 2}, ["key 'b' is gone", "key 'c' is new", "key 'a': 1 → 3"]),
    "key order": ({"a": 1, "b": 2}, {"b": 2, "a": 1}, ["its keys stand in another order, or its type changed"]),
    "a secret": ({"token": "one"}, {"token": "two"}, ["key 'token': ••• → •••"]),
    "a list": ([1, 2, 3], [1, 5], ["length 3 → 2", "1 of 2 items changed", "[1]: 2 → 5"]),
    "a nested frame": ({"x": FRAME}, {"x": FRAME.drop("p")}, ["key 'x': 1 row removed: 'p'"]),
    "short texts": ("ab", "ac", ["'ab' → 'ac'"]),
    "long texts": ("a\nb\nc", "a\nd\nc", ["text of 5 → 5 characters", " a", "-b", "+d", " c"]),
}  # fmt: skip


@pytest.mark.parametrize("name", DIFFERENCES)
def test_a_difference_is_told_in_words(name):
    before, after, told = DIFFERENCES[name]
    assert difference(before, after).lines == told


def test_a_damaged_history_is_left_out_and_breaks_nothing(script):
    for factor in (1, 2):
        script.flow(text(factor=factor)).run()
    flow = script.flow(text(factor=2))
    for damage in (
        "UPDATE chunk SET body = zeroblob(9)",
        "UPDATE run_more SET parameters = '{'",
        "UPDATE run SET seconds = x'00' WHERE id = 1",
        "UPDATE run_more SET state = x'ff'",
    ):
        flow.store.queue(damage, ())
        flow.store.history._parsed.clear()
        assert flow.plan().will_run == []
        assert flow.why("part").startswith("part is fresh")
        assert flow.run().ok
        assert flow.history().reused.iloc[-1] == 4
        assert flow.history("part").reused.iloc[-1] == 3
        script.flow(text(factor=3)).plan()


def test_secrets_are_no_names_of_elements(script):
    body = "@task\ndef f(url):\n    return 1\n---\nf.map({})\n"
    script.flow(body.format("['https://me:hunter2@host/a', 'https://me:hunter2@host/b']")).run()
    flow = script.flow(body.format("['https://me:hunter2@host/a']"))
    flow.run()
    assert flow.compare()["f"].lines == ("2 → 1 elements", "1 element went away: url='https://me:•••@host/b'")
    assert all(b"hunter2" not in body for (body,) in flow.store.query("SELECT body FROM chunk", ()))
