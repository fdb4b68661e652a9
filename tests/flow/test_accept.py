"""Old results that stay after an edit known to change none of them."""

import re

import pytest

from nbflow.errors import NotAccepted, UnknownName

MAPPED = """
@task
def load(n):
    return list(range(n))
@task
def clean(x, k):
    return {body}
@task
def total(xs):
    return sum(xs)
---
total(clean.map(load({n}), k=unmapped({k})))
"""


def text(body="x + k", n=3, k=10):
    return MAPPED.format(body=body, n=n, k=k)


def test_results_are_adopted_and_what_follows_stays_fresh(script):
    script.flow(text()).run(check=True)
    flow = script.flow(text("k + x"))
    assert flow.plan().will_run == ["clean", "total"]
    accepted = flow.accept("clean")
    assert accepted == "clean: 3 results adopted from before the edit (code changed)"
    assert accepted.counts == {"clean": 3}
    assert flow.plan().will_run == []
    run = script.flow(text("k + x")).run()
    assert (run.counts(), run["total"]) == ((0, 4 + 1, 0), 33)
    assert run["clean"] == [10, 11, 12]


def test_it_is_told_by_why_and_history(script):
    script.flow(text()).run()
    flow = script.flow(text("k + x"))
    flow.accept("clean")
    assert re.search(r"\n  accepted on \d{4}-\d\d-\d\d \d\d:\d\d after an edit: code changed", flow.why("clean"))
    flow.run()
    assert "accepted on" in script.flow(text("k + x")).why("clean", 1)
    history = flow.history()
    assert list(history.state) == ["success", "accepted", "success"]
    assert history.reused.iloc[1] == 3
    assert flow.history("clean").why.iloc[1] == "accepted after an edit: code changed"
    # The code before the edit is still known, and still has its results.
    assert script.flow(text()).plan().will_run == []


def test_only_elements_with_the_same_inputs_are_adopted(script):
    script.flow(text(n=3)).run()
    flow = script.flow(text("k + x", n=5))
    flow.run(targets=["load"])
    assert flow.accept("clean") == (
        "clean: 3 results adopted from before the edit (code changed); 2 of its elements have none and will run"
    )
    run = flow.run()
    assert (run.state("clean").label, run.counts()[0]) == ("success", 3)
    assert run["total"] == 60


def test_an_edited_option_can_be_accepted(script):
    body = '@task(version="{}")\ndef f(x):\n    return x\n---\nf(1)\n'
    script.flow(body.format(1)).run()
    flow = script.flow(body.format(2))
    assert flow.accept("f").counts == {"f": 1}
    assert flow.plan().will_run == []


def test_several_are_accepted_from_above_to_below(script):
    body = "K = {k}\n@task\ndef a(x):\n    return x + 0 * K\n@task\ndef b(x):\n    return x - 0 * K\n---\nb(a(1))\n"
    script.flow(body.format(k=1)).run()
    flow = script.flow(body.format(k=2))
    with pytest.raises(NotAccepted, match=r"'b' needs `a`, which is stale.*flow.accept\('a', 'b'\)"):
        flow.accept("b")
    assert flow.accept("b", "a") == "\n".join(
        f"{each}: 1 result adopted from before the edit (global `K`: 1 → 2)" for each in "ab"
    )
    assert flow.plan().will_run == []


def test_what_only_waited_for_the_accepted_is_fresh_by_that(script):
    script.flow(text()).run()
    flow = script.flow(text("k + x"))
    assert (
        flow.accept("total", "clean")
        == "clean: 3 results adopted from before the edit (code changed)\ntotal: fresh by that"
    )


def test_a_loop_is_accepted_with_all_its_iterations(script):
    body = "@task(loop_times={n})\ndef f(x):\n    return {expression}\n---\nf(1)\n"
    script.flow(body.format(n=3, expression="(loop.result or x) + 1")).run()
    flow = script.flow(body.format(n=3, expression="1 + (loop.result or x)"))
    flow.accept("f")
    assert flow.plan().will_run == []
    assert flow.run()["f"] == 4


def test_a_result_with_a_large_array_and_a_file_is_adopted(script):
    (script.folder / "a.txt").write_text("7")
    body = "@task\ndef f(x):\n    return np.full(100_000, {expression})\n---\nf(1)\n"
    script.flow(body.format(expression='int(Path("a.txt").read_text())')).run()
    edited = body.format(expression='+int(Path("a.txt").read_text())')
    script.flow(edited).accept("f")
    assert script.flow(edited).run()["f"].sum() == 700_000
    assert script.flow(edited).plan().will_run == []
    (script.folder / "a.txt").write_text("88")
    assert script.flow(edited).plan().will_run == ["f"]


def test_a_task_that_makes_tasks_is_accepted(script):
    body = "@task\ndef child(x):\n    return x * 2\n@task\ndef f(x):\n    return {expression}\n---\nf(3)\n"
    first = script.flow(body.format(expression="[child(i) for i in range(x)]")).run(check=True)
    flow = script.flow(body.format(expression="[child(i) for i in range(0, x)]"))
    flow.accept("f")
    run = flow.run()
    assert run.counts()[0] == 0
    assert run["f"] == first["f"] == [0, 2, 4]


REFUSALS = {
    "nothing to do": (text(), ["clean"], "'clean' is fresh already; there is nothing to adopt"),
    "other inputs": (text("k + x", k=11), ["clean"], "the inputs of 'clean' are not what they were: argument `k`: 10 → 11"),
    "only other inputs": (text(k=11), ["clean"], "argument `k`: 10 → 11"),
    "what is above is stale": (text(n=4), ["clean"], "'clean' needs `load`, which is stale"),
    "no name": (text(), [], "name the tasks"),
    "no results kept": (text().replace("@task\ndef total", "@task(cache=False)\ndef total"), ["total"], "keeps no results"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refusal_says_why(script, case):
    edited, names, told = REFUSALS[case]
    script.flow(text()).run()
    flow = script.flow(edited)
    with pytest.raises(NotAccepted) as raised:
        flow.accept(*names)
    assert told in str(raised.value)


def test_without_an_earlier_run_nothing_is_adopted(script):
    flow = script.flow(text())
    flow.run(targets=["load"])
    with pytest.raises(NotAccepted, match="no earlier run of 'clean' is known in flow 'f'"):
        flow.accept("clean")
    with pytest.raises(UnknownName, match="did you mean 'clean'"):
        flow.accept("clen")


def test_what_failed_or_was_cleared_cannot_be_adopted(script):
    script.flow(text()).run()
    flow = script.flow(text("k + x"))
    flow.store.clear(["clean"])
    with pytest.raises(NotAccepted, match="the store has no result of 'clean' with these inputs from before the edit"):
        flow.accept("clean")
    body = "@task\ndef f(x):\n    raise ValueError\n---\nf(1)\n"
    script.flow(body).run()
    with pytest.raises(NotAccepted, match=r"does not run because of an edit \(it failed last time: ValueError\)"):
        script.flow(body).accept("f")
