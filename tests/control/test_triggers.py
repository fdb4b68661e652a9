"""Upstream states, triggers and the skip rule: one table says what becomes of a node, by rule and in real runs."""

import itertools

import pytest

from nbflow import Failed, Flow, Skipped, State, signals, task, triggers
from nbflow.errors import GraphError, NotSuccessful
from nbflow.model.triggers import decide

S, C, K, F, T = State.SUCCESS, State.CACHED, State.SKIPPED, State.FAILED, State.TRIGGER_FAILED
RUNS, NOT = State.PENDING, State.TRIGGER_FAILED

# How the upstreams ended, and what becomes of a node with each trigger. Two rows for each: with the rule that a
# skipped upstream skips the node, and without it.
COLUMNS = (
    "all_successful", "all_failed", "any_successful", "any_failed", "all_finished", "always_run", "not_all_skipped",
)  # fmt: skip
TABLE = [
    ((S,), True, (RUNS, NOT, RUNS, NOT, RUNS, RUNS, RUNS)),
    ((C,), True, (RUNS, NOT, RUNS, NOT, RUNS, RUNS, RUNS)),
    ((F,), True, (NOT, RUNS, NOT, RUNS, RUNS, RUNS, NOT)),
    ((T,), True, (NOT, RUNS, NOT, RUNS, RUNS, RUNS, NOT)),
    ((K,), True, (K, K, K, K, K, K, K)),
    ((K,), False, (RUNS, NOT, NOT, NOT, RUNS, RUNS, K)),
    ((S, S), True, (RUNS, NOT, RUNS, NOT, RUNS, RUNS, RUNS)),
    ((S, C, S), True, (RUNS, NOT, RUNS, NOT, RUNS, RUNS, RUNS)),
    ((S, F), True, (NOT, NOT, RUNS, RUNS, RUNS, RUNS, NOT)),
    ((F, F), True, (NOT, RUNS, NOT, RUNS, RUNS, RUNS, NOT)),
    ((F, T), True, (NOT, RUNS, NOT, RUNS, RUNS, RUNS, NOT)),
    ((S, K), True, (K, K, K, K, K, K, RUNS)),
    ((S, K), False, (RUNS, NOT, RUNS, NOT, RUNS, RUNS, RUNS)),
    # A failed upstream beats a skipped one.
    ((F, K), True, (NOT, RUNS, NOT, RUNS, RUNS, RUNS, NOT)),
    ((F, K), False, (NOT, RUNS, NOT, RUNS, RUNS, RUNS, NOT)),
    ((S, F, K), True, (NOT, NOT, RUNS, RUNS, RUNS, RUNS, NOT)),
    ((S, F, K), False, (NOT, NOT, RUNS, RUNS, RUNS, RUNS, NOT)),
    ((K, K), True, (K, K, K, K, K, K, K)),
    ((K, K), False, (RUNS, NOT, NOT, NOT, RUNS, RUNS, K)),
    ((), True, (RUNS,) * 7),
]
# These do what another does, as far as the states go.
LIKE = {"manual_only": "all_successful", "some_successful": "any_successful", "some_failed": "any_failed"}
CASES = [
    (name, states, skip, row[COLUMNS.index(LIKE.get(name, name))])
    for states, skip, row in TABLE
    for name in (*COLUMNS, *LIKE)
]  # fmt: skip


def trigger_of(name):
    """The trigger of a column; those that count are satisfied by one."""
    trigger = getattr(triggers, name)
    return trigger(at_least=1) if name.startswith("some_") else trigger


def ended(name, expected):
    """How a real node ends: one that waits for approval instead of running is paused."""
    if expected is RUNS:
        return State.PAUSED if name == "manual_only" else S
    return expected


def case_id(value):
    if isinstance(value, tuple):
        return "+".join(state.label for state in value) or "none"
    return value.label if isinstance(value, State) else str(value)


@pytest.mark.parametrize(("name", "states", "skip", "expected"), CASES, ids=case_id)
def test_what_becomes_of_a_node(name, states, skip, expected):
    assert decide(trigger_of(name), states, skip_on_upstream_skip=skip) is expected


SOME = [
    (triggers.some_successful(at_least=1), (S, F), True),
    (triggers.some_successful(at_least=2), (S, F), False),
    (triggers.some_successful(at_least=0.5), (S, F), True),
    (triggers.some_successful(at_least=0.51), (S, F), False),
    (triggers.some_successful(at_least=1.0), (S, S, C), True),
    (triggers.some_successful(at_most=1), (S, S), False),
    (triggers.some_successful(at_least=1, at_most=2), (S, S, F), True),
    (triggers.some_successful(at_least=1), (F,), False),
    (triggers.some_failed(at_least=1), (S, F), True),
    (triggers.some_failed(at_most=0), (S, F), False),
    (triggers.some_failed(at_most=0.5), (S, F), True),
    (triggers.some_failed(at_least=0.3, at_most=0.5), (S, F, F), False),
    (triggers.some_failed(at_least=2), (F, T, S), True),
]


@pytest.mark.parametrize(("trigger", "states", "runs"), SOME)
def test_counting_triggers(trigger, states, runs):
    assert (decide(trigger, states) is RUNS) == runs


@pytest.mark.parametrize("bounds", [{}, {"at_least": -1}, {"at_most": 1.5}])
def test_counts_that_cannot_be_are_errors(bounds):
    with pytest.raises(GraphError, match="some_failed"):
        triggers.some_failed(**bounds)


# The same in real runs, with plain upstreams and with one mapped upstream of as many elements.

MAKES = {S: "good", F: "bad", K: "skip"}
REAL = [(states, skip) for states, skip, _ in TABLE if states and set(states) <= set(MAKES)]


@task
def give(how):
    if how == "bad":
        raise ValueError("bad")
    if how == "skip":
        raise signals.SKIP("not today")
    return how


def expectation(name, states, skip):
    return next(e for n, s, k, e in CASES if (n, s, k) == (name, states, skip))


@pytest.mark.parametrize(("name", "case"), list(itertools.product((*COLUMNS, *LIKE), REAL)), ids=str)
def test_plain_upstreams_end_as_the_table_says(tmp_path, name, case):
    states, skip = case

    @task(trigger=trigger_of(name), skip_on_upstream_skip=skip)
    def last(values):
        return "ran"

    with Flow("plain", store=tmp_path / "store") as flow:
        last([give(MAKES[state]) for state in states])
    assert flow.run().state("last") is ended(name, expectation(name, states, skip))


@pytest.mark.parametrize(("name", "case"), list(itertools.product((*COLUMNS, *LIKE), REAL)), ids=str)
def test_mapped_elements_count_one_by_one(tmp_path, name, case):
    states, skip = case

    @task(trigger=trigger_of(name), skip_on_upstream_skip=skip)
    def last(values):
        return "ran"

    with Flow("mapped", store=tmp_path / "store") as flow:
        last(give.map([MAKES[state] for state in states]))
    # Of a list skipped elements are left out, so that they skip nobody unless all were.
    seen = states if set(states) == {K} else tuple(state for state in states if state is not K)
    expected = decide(trigger_of(name), seen, skip_on_upstream_skip=skip)
    assert flow.run().state("last") is ended(name, expected)


@pytest.mark.parametrize("name", [*COLUMNS, *LIKE])
@pytest.mark.parametrize("skip", [True, False])
def test_element_by_element_each_sees_its_own_upstream(tmp_path, name, skip):
    @task(trigger=trigger_of(name), skip_on_upstream_skip=skip)
    def each(value):
        return "ran"

    with Flow("elements", store=tmp_path / "store") as flow:
        each.map(give.map(["good", "bad", "skip"]))
    expected = [decide(trigger_of(name), (state,), skip_on_upstream_skip=skip) for state in (S, F, K)]
    assert flow.run().frame("each")["state"].tolist() == [ended(name, state).label for state in expected]


def test_what_did_not_succeed_stands_as_failed_or_skipped_and_such_a_call_is_not_kept(tmp_path):
    calls = []

    @task(trigger="always_run", skip_on_upstream_skip=False, ignore=["calls"])
    def report(good, bad, skipped, many):
        calls.append(1)
        return [good, type(bad.error).__name__, skipped is Skipped, [type(each).__name__ for each in many]]

    for _ in range(2):
        with Flow("report", store=tmp_path / "store") as flow:
            report(give("good"), give("bad"), give("skip"), give.map(["good", "bad", "skip"], name="many"))
        run = flow.run()
        assert run["report"] == ["good", "ValueError", True, ["str", "Failed"]]
    assert len(calls) == 2
    assert not Failed(None)


def test_a_trigger_that_only_lets_some_through_keeps_what_it_computed_from_values_alone(tmp_path):
    calls = []

    @task(trigger="always_run", ignore=["calls"])
    def double(x):
        calls.append(x)
        return x if isinstance(x, Failed) else 2 * x

    for _ in range(2):
        with Flow("some", store=tmp_path / "store") as flow:
            double.map(give.map(["good", "bad"]))
        flow.run()
    assert [call for call in calls if call == "good"] == ["good"]
    assert len(calls) == 3


def test_any_callable_is_a_trigger(tmp_path):
    @task(trigger=lambda states: len(states) == 2 and State.FAILED in states)
    def last(a, b):
        return "ran"

    with Flow("callable", store=tmp_path / "store") as flow:
        last(give("good"), give("bad"))
    assert flow.run()["last"] == "ran"


def test_a_trigger_that_raises_fails_its_node_and_says_which(tmp_path):
    def broken(states):
        raise KeyError("oops")

    @task(trigger=broken)
    def last(a):
        return a

    with Flow("broken", store=tmp_path / "store") as flow:
        last(give("good"))
        last.map(give.map(["good", "good"]), name="each")
    run = flow.run()
    with pytest.raises(NotSuccessful, match=r"trigger 'broken' \(test_triggers.py, line \d+\) raised KeyError"):
        run["last"]
    assert run.frame("each")["error"].str.contains("trigger 'broken'").all()


@pytest.mark.parametrize("trigger", [3, "all_succesful"])
def test_a_trigger_that_is_none_is_an_error_where_it_is_declared(trigger):
    with pytest.raises(GraphError, match="not callable") as caught:
        task(trigger=trigger)(lambda: 1)
    assert trigger == 3 or "did you mean 'all_successful'" in str(caught.value)


def test_a_node_for_approval_pauses_the_run_and_goes_on_when_approved(tmp_path):
    calls = []

    @task(trigger=triggers.manual_only, ignore=["calls"])
    def deploy(model):
        calls.append("deploy")
        return f"deployed {model}"

    @task(ignore=["calls"])
    def train():
        calls.append("train")
        return "model"

    @task
    def tell(what):
        return f"told: {what}"

    with Flow("approval", store=tmp_path / "store") as flow:
        tell(deploy(train()))
    run = flow.run()
    assert run.paused == ["deploy"]
    assert [run.state(name) for name in ("deploy", "tell")] == [State.PAUSED, State.PAUSED]
    assert run.ok
    assert run.overall is State.PAUSED
    run = flow.run(approve=["deploy"])
    assert run["tell"] == "told: deployed model"
    assert run.overall is State.SUCCESS
    assert calls == ["train", "deploy"]


def test_approval_does_not_help_where_something_failed_before(tmp_path):
    @task(trigger="manual_only")
    def deploy(model):
        return model

    with Flow("approval", store=tmp_path / "store") as flow:
        deploy(give("bad"))
        deploy(give("skip"), name="skipped")
    run = flow.run(approve="deploy")
    assert run.state("deploy") is State.TRIGGER_FAILED
    assert run.state("skipped") is State.SKIPPED
