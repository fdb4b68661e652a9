"""Each cause for which a task runs, told in its own words, before the run and after it."""

import re
import time

import pytest

import nbflow.engine.resolve
import nbflow.flow.workshop
from nbflow import Flow, State, task
from nbflow.errors import UnknownName

# Above the line of dashes stands what a file defines, below it what its flow consists of.
ADD = """
@task{options}
def f(x, y=0):
    return x + y
---
f({x})
"""

BASE = """
K = 2
TABLE = pd.DataFrame({"a": [1]})
def helper(x):
    return x * K
class Model:
    rate = 1
    def fit(self, x):
        return x
def made(scale):
    @task
    def inner(x):
        return x * scale
    return inner
inner = made(3)
@task
def f(x, n=1):
    return helper(x) + Model().fit(x) + len(TABLE)
@task
def up(x):
    return [x] * 3
@task
def g(a, b):
    return [a, b]
@task
def each(x):
    return x
@task
def rest(**named):
    return named
p = 1
---
f(Parameter("n", default=5), p)
u, v = up(1), up(2)
g(u, v)
inner(4)
rest(a=u)
each.map([1, 2, 3], name="m")
"""

EDITS = {
    "its body": ("f", "return helper(x) +", "return helper(x) -", "code changed"),
    "a helper": ("f", "return x * K", "return x + K", "helper `helper` changed"),
    "a global": ("f", "K = 2", "K = 3", "global `K`: 2 → 3"),
    "a global table": ("f", '{"a": [1]}', '{"a": [7]}', "global `TABLE` changed (DataFrame 1 × 1)"),
    "a larger global table": ("f", '{"a": [1]}', '{"a": [1, 2]}', "global `TABLE`: DataFrame 1 × 1 → DataFrame 2 × 1"),
    "a method": ("f", "def fit(self, x):\n        return x", "def fit(self, x):\n        return -x", "helper `Model.fit` changed"),
    "a class attribute": ("f", "rate = 1", "rate = 2", "class `Model` changed"),
    "a closure": ("inner", "made(3)", "made(4)", "closure variable `scale`: 3 → 4"),
    "a default": ("f", "n=1", "n=2", "default `f(n)`: 1 → 2"),
    "a parameter": ("f", "default=5", "default=6", "parameter n: 5 → 6"),
    "an argument": ("f", "p = 1", "p = 7", "argument `n`: 1 → 7"),
    "what is above": ("g", "return [x] * 3", "return [x] * 4", "upstream `up` gave another value: list of 3 → list of 4"),
    "what is above, alike": ("g", "return [x] * 3", "return [-x] * 3", "upstream `up` gave another value (list of 3)"),
    "arguments swapped": ("g", "g(u, v)", "g(v, u)", "arguments changed: a=`up`, b=`up-2` → a=`up-2`, b=`up`"),
    "another source": ("g", "g(u, v)", "g(u, 7)", "argument `b` is used now"),
    "an argument's name": ("rest", "rest(a=u)", "rest(b=u)", "arguments changed: a=`up` → b=`up`"),
    "one more argument": ("rest", "rest(a=u)", "rest(a=u, b=1)", "argument `b` is used now"),
    "one argument less": ("rest", "rest(a=u)", "rest()", "upstream `up` is no longer used"),
    "one more element": ("m", "[1, 2, 3]", "[1, 2, 3, 4]", "1 of 4 elements are new"),
    "other elements": ("m", "[1, 2, 3]", "[1, 5, 6]", "2 of 3 elements are new"),
    "a version": ("m", "@task\ndef each", '@task(version="2")\ndef each', "option version= is given now: '2'"),
    "a seed": ("m", "@task\ndef each", "@task(seed=1)\ndef each", "option seed= is given now: 1"),
    "what is ignored": ("f", "@task\ndef f", '@task(ignore=["K"])\ndef f', "option ignore= is given now: ('K',)"),
    "what it depends on": ("f", "@task\ndef f", '@task(depends_on=["v2"])\ndef f', "option depends_on= is given now: 'v2'"),
    "an environment variable": ("f", "@task\ndef f", '@task(env=["NBFLOW_TEST"])\ndef f', "environment variable `NBFLOW_TEST` is used now"),
    "an attribute": ("inner", "---", "inner.fn.k = 1\n---", "something that its code reaches changed: an attribute, a decorator, or one of two of a name"),
}  # fmt: skip


def texts(reasons):
    return [reason.text for reason in reasons]


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_is_told_before_the_run_and_after_it(script, name):
    node, old, new, told = EDITS[name]
    assert old in BASE
    flow = script.flow(BASE)
    flow.run(check=True)
    assert script.flow(BASE).plan().will_run == []
    flow = script.flow(BASE.replace(old, new))
    planned = flow.plan()[node]
    if planned.freshness.label == "unknown":
        # It waits for what is above; then it tells what that gave.
        flow.run(targets=["up", "up-2"])
        planned = flow.plan()[node]
    assert texts(planned.reasons)[0] == told
    run = flow.run(check=True)
    assert texts(run.reasons[node])[0] == told
    assert texts(run.reasons[node]) == texts(planned.reasons)
    # What was told is over.
    assert f"{node} is fresh" in flow.why(node)


@pytest.mark.parametrize("name", [n for n, edit in EDITS.items() if edit[0] in {"f", "inner"}])
def test_an_edit_is_the_only_reason_for_what_it_touches(script, name):
    node, old, new, _ = EDITS[name]
    script.flow(BASE).run(check=True)
    plan = script.flow(BASE.replace(old, new)).plan()
    assert [row.name for row in plan.rows if row.freshness.label != "fresh"] == [node]
    # What is ignored is no longer used, besides.
    assert len(plan[node].reasons) == (2 if name == "what is ignored" else 1)


def test_several_causes_are_told_the_most_telling_first(script):
    script.flow(BASE).run()
    edited = (
        BASE.replace("return helper(x) +", "return helper(x) -")
        .replace("K = 2", "K = 3")
        .replace("return x * K", "return x + K")
        .replace("default=5", "default=6")
    )
    assert texts(script.flow(edited).plan()["f"].reasons) == [
        "code changed",
        "helper `helper` changed",
        "global `K`: 2 → 3",
        "parameter n: 5 → 6",
    ]


def test_a_change_of_an_option_is_told_with_both_values(script):
    text = '@task(version="{}", seed={})\ndef f(x):\n    return x\n---\nf(1)\n'
    script.flow(text.format(1, 5)).run()
    reasons = texts(script.flow(text.format(2, 6)).plan()["f"].reasons)
    assert reasons == ["option version=: '1' → '2'", "option seed=: 5 → 6"]


def test_a_renamed_upstream_is_no_cause(script):
    text = "@task\ndef {name}(x):\n    return x\n@task\ndef g(a):\n    return {body}\n---\ng({name}(1))\n"
    script.flow(text.format(name="load", body="a")).run()
    flow = script.flow(text.format(name="fetch", body="a"))
    assert flow.plan().will_run == []
    assert texts(script.flow(text.format(name="fetch", body="a + 0")).plan()["g"].reasons) == ["code changed"]


def test_an_environment_variable_is_told_with_both_values(script, monkeypatch):
    text = '@task(env=["MODE", "API_TOKEN"])\ndef f(x):\n    return x\n---\nf(1)\n'
    monkeypatch.setenv("MODE", "a")
    monkeypatch.setenv("API_TOKEN", "s3cr3t-1")
    script.flow(text).run()
    monkeypatch.setenv("MODE", "b")
    monkeypatch.setenv("API_TOKEN", "s3cr3t-2")
    why = script.flow(text).why("f")
    assert "environment variable MODE: 'a' → 'b'" in why
    assert "environment variable API_TOKEN changed (•••)" in why


FILES = "@task\ndef f(x):\n    return {body}\n---\nf(1)\n"


@pytest.mark.parametrize(
    ("body", "before", "after", "told"),
    [
        ('Path("a.csv").read_text()', {"a.csv": "x"}, {"a.csv": "xyz"}, r"file a.csv changed \(now 3 bytes, written \d{4}-\d\d-\d\d \d\d:\d\d\)"),
        ('os.path.isdir("d") and sorted(os.listdir("d"))', {"d/a": "1"}, {"d/b": "1"}, "folder d has other files in it now"),
        ('Path("a.csv").read_text() if Path("b.csv").read_text() else 0', {"a.csv": "1", "b.csv": "1"}, {"a.csv": None}, "file a.csv is gone"),
    ],
)  # fmt: skip
def test_a_changed_file_is_told(script, body, before, after, told):
    def write(files):
        for name, text in files.items():
            path = script.folder / name
            path.parent.mkdir(exist_ok=True)
            path.unlink() if text is None else path.write_text(text)

    write(before)
    text = FILES.format(body=body)
    script.flow(text).run(check=True)
    write(after)
    (reason,) = script.flow(text).plan()["f"].reasons
    assert re.fullmatch(told, reason.text)
    run = script.flow(text).run()
    assert re.fullmatch(told, run.reasons["f"][0].text)
    assert str(run.why("f")).splitlines()[1].strip() == run.reasons["f"][0].text


def test_many_changed_files_are_told_in_few_lines(script):
    for i in range(9):
        (script.folder / f"{i}.csv").write_text("1")
    text = '@task\ndef f(p):\n    return Path(p).read_text()\n---\nf.map([f"{i}.csv" for i in range(9)])\n'
    script.flow(text).run(check=True)
    for i in range(9):
        (script.folder / f"{i}.csv").write_text("22")
    reasons = texts(script.flow(text).plan()["f"].reasons)
    assert len(reasons) == 6
    assert reasons[-1] == "and 4 more like these"


def test_a_failure_is_told_with_its_error_and_by_element(script):
    text = "FAIL = {fail}\n@task(ignore=['FAIL'])\ndef f(x):\n    if x in FAIL:\n        raise ValueError('no ' + str(x))\n    return x\n---\nf(9, name='one')\nf.map([1, 2, 3], name='many')\n"
    run = script.flow(text.format(fail=[2, 9])).run()
    assert "it failed: ValueError: no 9" in run.why("one")
    flow = script.flow(text.format(fail=[]))
    plan = flow.plan()
    assert texts(plan["one"].reasons) == ["it failed last time: ValueError: no 9"]
    assert texts(plan["many"].reasons) == ["1 of 3 elements failed last time: ValueError: no 2"]
    assert "failed last time" in flow.why("many", element=1)
    assert flow.why("many", 0).startswith("many[0] is fresh: ")
    assert texts(flow.run().reasons["many"]) == ["1 of 3 elements failed last time: ValueError: no 2"]


def test_a_run_that_was_stopped_is_told(script):
    text = "STOP = {stop}\n@task(ignore=['STOP'])\ndef f(x):\n    if STOP and x == 2:\n        raise KeyboardInterrupt\n    return x\n---\nf.map([1, 2, 3])\n"
    with pytest.warns(match="interrupted"), pytest.raises(KeyboardInterrupt):
        script.flow(text.format(stop=True)).run()
    reasons = texts(script.flow(text.format(stop=False)).plan()["f"].reasons)
    assert len(reasons) == 1
    assert reasons[0].endswith("elements did not end last time: the run was stopped")


def test_what_was_cleared_and_what_is_gone_are_told_apart(script):
    text = ADD.format(options="", x=1)
    script.flow(text).run()
    flow = script.flow(text)
    flow.store.clear(["f"])
    assert texts(flow.plan()["f"].reasons) == ["it has no stored result any more, since it was cleared"]
    flow.run()
    book = flow.last_run._workshop.ledger.books[flow["f"]]
    flow.store.drop(flow.store.look_up([book.keys[0]])[book.keys[0]][0])
    assert texts(script.flow(text).plan()["f"].reasons) == [
        "it has no stored result any more: it made room for others, or was damaged or deleted"
    ]


def test_a_result_that_could_not_be_stored_is_told(script):
    text = "class Stubborn:\n    def __reduce__(self):\n        raise TypeError('no')\n@task\ndef f(x):\n    return Stubborn()\n---\nf(1)\n"
    with pytest.warns(match="its result is not stored"):
        script.flow(text).run(check=True)
    assert texts(script.flow(text).plan()["f"].reasons) == ["it could not be stored last time"]


def test_an_expired_result_is_told_with_its_age(script, monkeypatch):
    text = ADD.format(options='(max_age="10s")', x=1)
    script.flow(text).run()
    now = time.time_ns()
    monkeypatch.setattr(nbflow.flow.workshop.time, "time_ns", lambda: now + 11 * 10**9)
    (reason,) = script.flow(text).plan()["f"].reasons
    assert re.fullmatch(r"its max_age is over \(it was made \d{4}-\d\d-\d\d \d\d:\d\d\)", reason.text)


def test_a_result_of_an_earlier_session_is_told(script, monkeypatch):
    text = "import random\n@task\ndef f(x):\n    return random.random()\n---\nf(1)\n"
    with pytest.warns(match="random numbers"):
        script.flow(text).run()
    assert script.flow(text).plan().will_run == []
    monkeypatch.setattr(nbflow.flow.workshop, "session_id", lambda: "another")
    (reason,) = script.flow(text).plan()["f"].reasons
    assert "depends on the outside world and was made in an earlier session" in reason.text


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("(cache=False)", "its results are not stored (cache=False)"),
        ("(always=True)", "it runs every time (always=True)"),
    ],
)
def test_what_always_runs_says_so(script, options, told):
    script.flow(ADD.format(options=options, x=1)).run()
    flow = script.flow(ADD.format(options=options, x=1))
    assert texts(flow.plan()["f"].reasons) == [told]
    assert texts(flow.run().reasons["f"]) == [told]


def test_what_was_forced_says_so(script):
    text = ADD.format(options="", x=1)
    script.flow(text).run()
    run = script.flow(text).run(force=["f"])
    assert run.why("f") == "f ran:\n  it was forced to run (force=)"
    assert "f was reused" in script.flow(text).run().why("f")


def test_a_longer_loop_says_so(script):
    text = "@task(loop_times={n})\ndef f(x):\n    return (loop.result or x) + 1\n---\nf(1)\n"
    script.flow(text.format(n=2)).run(check=True)
    assert texts(script.flow(text.format(n=4)).plan()["f"].reasons) == ["option loop_times=: 2 → 4"]


def test_what_was_skipped_before_says_so(script):
    text = "@task\ndef kind(x):\n    return x\n@task\ndef f():\n    return 1\n---\nwith kind({x}):\n    f()\n"
    script.flow(text.format(x=0)).run(check=True)
    flow = script.flow(text.format(x=1))
    flow.run(targets=["kind"])
    assert texts(flow.plan()["f"].reasons) == ["it was skipped last time, and has not run yet"]


def test_a_call_with_a_failure_in_place_of_a_value_says_so(script):
    text = "@task\ndef bad():\n    raise ValueError('x')\n@task(trigger=triggers.all_finished)\ndef f(x):\n    return bool(x)\n---\nf(bad())\n"
    run = script.flow(text).run()
    assert run.state("f") is State.SUCCESS
    run = script.flow(text).run()
    assert texts(run.reasons["f"]) == [
        "what it needs failed or was skipped, and the result of such a call is never kept"
    ]


def test_new_values_from_a_map_above_are_told_as_such(script):
    text = "@task\ndef a(x):\n    return {body}\n@task\ndef b(y):\n    return y\n---\nb.map(a.map([1, 2, 3, 4]))\n"
    script.flow(text.format(body="x")).run()
    flow = script.flow(text.format(body="x if x < 3 else -x"))
    run = flow.run()
    assert texts(run.reasons["b"]) == ["upstream `a` gave new values for 2 of 4 elements"]
    assert "this element is new: upstream `a` gave it another value" in run.why("b", 3)
    assert "b[0] was reused" in run.why("b", 0)


def test_what_waits_tells_the_root_cause(script):
    text = "K = {k}\n@task\ndef a(x):\n    return x * K\n@task\ndef b(x):\n    return x\n@task\ndef c(x):\n    return x\n---\nc(b(a(1)))\n"
    script.flow(text.format(k=1)).run()
    why = script.flow(text.format(k=2)).why("c")
    assert why == (
        "c is unknown:\n  depends on what `b` will give\n  because `a` (through `b`) is stale: global `K`: 1 → 2"
    )


def test_a_reused_node_tells_when_how_long_and_by_which_code_it_was_made(script):
    text = "@task\ndef f(x):\n    return x  # {note}\n---\nf(1)\n"
    first = script.flow(text.format(note="one")).run()
    lines = script.flow(text.format(note="two")).why("f").splitlines()
    assert lines[0] == "f is fresh: code, inputs and files are the same as when it ran"
    assert re.fullmatch(rf"  made \d{{4}}-\d\d-\d\d \d\d:\d\d, in \d+ (µs|ms), in run {first.id} of flow 'f'", lines[1])
    assert lines[2] == "  its code read differently then, and means the same:"
    assert "      -    return x  # one" in lines
    assert "      +    return x  # two" in lines


def test_going_back_to_former_code_tells_of_its_run(script):
    text = "@task\ndef f(x):\n    return x + {k}\n---\nf(1)\n"
    first = script.flow(text.format(k=1)).run()
    flow = script.flow(text.format(k=2))
    flow.run()
    back = script.flow(text.format(k=1))
    back.last_run = flow.last_run
    assert f"in run {first.id} of flow 'f'" in back.why("f")
    # Why other code ran in the last run is no reason for what is there now.
    assert "it ran in the last run because" not in back.why("f")
    assert "it ran in the last run because:\n  code changed" in flow.why("f")


def test_a_long_diff_is_cut_and_can_be_had_in_full(script):
    text = "@task\ndef f(x):\n{lines}\n    return x\n---\nf(1)\n"
    script.flow(text.format(lines="\n".join(f"    x += {i}" for i in range(40)))).run()
    why = script.flow(text.format(lines="\n".join(f"    x -= {i}" for i in range(40)))).why("f")
    assert len(why.splitlines()) == 33
    assert "… 52 more lines; flow.why(…).full has all" in why
    assert "x -= 39" in why.full


def test_elements_are_named_by_label_or_number(script):
    text = "@task\ndef f(x):\n    return x\n---\nf.map({'oslo': 1, 'rome': 2, 7: 3})\n"
    flow = script.flow(text)
    flow.run()
    for element in ("rome", 7, 1, -1):
        assert f"f[{element!r}] is fresh" in flow.why("f", element)
    with pytest.raises(UnknownName, match="did you mean 'rome'"):
        flow.why("f", "rom")
    with pytest.raises(UnknownName, match="no element 9"):
        flow.why("f", 9)
    with pytest.raises(UnknownName, match="is not mapped"):
        script.flow(ADD.format(options="", x=1)).why("f", 0)


PATHS = "['shops/Oslo.csv', Path('shops/Rome.csv'), 'shops/old/Rome.csv', 'plain', 'plain']"


@pytest.mark.parametrize(
    ("element", "place"),
    [("shops/Oslo.csv", 0), ("Oslo.csv", 0), ("p=shops/Oslo.csv", 0), ("p='shops/Oslo.csv'", 0), ("shops/Rome.csv", 1)],
)
def test_elements_are_named_by_what_they_are_mapped_over(script, element, place):
    text = f"@task\ndef f(p):\n    return str(p)\n@task\ndef g(x):\n    return x\n---\ng.map(f.map({PATHS}))\n"
    flow = script.flow(text)
    run = flow.run()
    # An element of a map of a map is named by what the first was mapped over.
    for name in ("f", "g"):
        told = flow.why(name, element)
        assert told.replace(repr(element), str(place)) == flow.why(name, place)
        assert run.why(name, element).startswith(f"{name}[{element!r}] ran")
    assert flow.run().retry("f", [element]).frame("f").state.tolist().index("success") == place


def test_an_element_that_is_not_the_only_one_or_none_is_told(script):
    flow = script.flow(f"@task\ndef f(p):\n    return p\n---\nf.map({PATHS})\nf.map([2020, 2021], name='y')\n")
    flow.run()
    assert flow.why("y", 2021) == flow.why("y", 1).replace("[1]", "[2021]")
    with pytest.raises(UnknownName, match=r"2 elements of 'f' are 'Rome.csv': give one by its number: 1, 2"):
        flow.why("f", "Rome.csv")
    with pytest.raises(UnknownName, match="2 elements of 'f' are 'plain': give one by its number: 3, 4"):
        flow.why("f", "plain")
    with pytest.raises(UnknownName, match=r"no element 'shops/Osl.csv'.*; did you mean p='shops/Oslo.csv'"):
        flow.why("f", "shops/Osl.csv")
    with pytest.raises(UnknownName, match="did you mean p='shops/Oslo.csv'"):
        flow.why("f", "Osl.csv")


def test_a_new_element_tells_what_it_gets(script):
    text = "@task\ndef f(x):\n    return x\n---\nf.map({xs})\n"
    script.flow(text.format(xs="[1, 2]")).run()
    flow = script.flow(text.format(xs="[1, 2, 30]"))
    assert flow.why("f", 2) == "f[2] is stale:\n  this element is new: x=30"


def test_no_secret_is_in_any_reason(script):
    text = "@task\ndef f(api_token, x):\n    return {body}\n---\nf('{secret}', [{x}])\n"
    script.flow(text.format(body="x", secret="hunter-one", x=1)).run()
    flow = script.flow(text.format(body="x + []", secret="hunter-two", x=2))
    shown = str(flow.plan()) + flow.why("f").full + flow.run().why("f").full + flow.history("f").to_string()
    assert "argument `api_token` changed (•••)" in shown
    assert "hunter" not in shown
    flow.store.flush()
    for path in flow.store.root.glob("index.sqlite*"):
        assert b"hunter" not in path.read_bytes()


def test_every_row_that_is_not_fresh_has_a_reason(tmp_path):
    @task
    def broken(x):
        return x

    with open(__file__) as file:
        with Flow("f", store=tmp_path / "store") as flow:
            broken(broken(file))
        for row in flow.plan().rows:
            assert row.freshness.label != "fresh"
            assert all(reason.text.strip() for reason in row.reasons)
            assert row.reasons


def test_what_a_task_made_says_who_made_it(script):
    text = "@task\ndef child(x):\n    return x\n@task\ndef f(n):\n    return [child(i) for i in range(n)]\n---\nf(2)\n"
    run = script.flow(text).run()
    assert run.why("f/child") == "f/child ran:\n  `f` made it, and the store had no result of it to reuse"
    assert script.flow(text).run().why("f/child").startswith("f/child was reused: ")
    assert texts(script.flow(text.replace("return x", "return -x")).plan()["f"].reasons) == [
        "2 of the 2 nodes that it made run: `child`"
    ]


def test_a_map_over_nothing_says_so(script):
    run = script.flow("@task\ndef f(x):\n    return x\n---\nf.map([])\n").run()
    assert run.why("f") == "f had nothing to do: it is mapped over nothing"


def test_a_result_that_was_damaged_is_told_by_the_run_that_made_it_again(script):
    text = "@task\ndef a():\n    return np.arange(50_000)\n@task\ndef b(x):\n    return {body}\n---\nb(a())\n"
    script.flow(text.format(body="x")).run(check=True)
    for path in script.store.glob("blobs/*/*"):
        path.chmod(0o600)
        path.write_bytes(b"x" * path.stat().st_size)
    for store in nbflow.flow.workshop._STORES.values():
        if store.root == script.store:
            store.close()
    with pytest.warns(match="computed again"):
        run = script.flow(text.format(body="x + 0")).run(check=True)
    assert texts(run.reasons["b"]) == ["code changed"]
    assert texts(run.reasons["a"]) == [
        "it has no stored result any more: it made room for others, or was damaged or deleted"
    ]


def test_equal_elements_are_told_to_share_one_result(script):
    flow = script.flow(
        "@task\ndef f(x):\n    return -x\n@task\ndef up(x):\n    return x\n---\nf.map(up.map([5, 6, 5, 7]))\n"
    )
    assert (
        flow.run().why("f") == "f ran:\n  it has not run before\n  1 has the same input as another, and took its result"
    )
    run = flow.run(force=["f"])
    assert run.summary().startswith("f: 3 ran, 4 reused, 1 has the same input as another in ")
    assert run.frame("f").headline == "4 elements: 3 run, 1 has the same input as another"
    assert run.why("f", 2) == "f[2] has the same input as f[0], which ran and gave its result to both"
    assert run.why("f", 1).startswith("f[1] ran")
    again = flow.run()
    assert again.summary().startswith("f: 0 ran, 8 reused in ")
    assert again.frame("f").headline == "4 elements: 4 reused"
