"""The oracle over control flow: branches that flip, loops that grow, children that come and go."""

import json
from dataclasses import asdict, dataclass, field, replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import nbflow
from nbflow import Flow, merge, task, triggers

SOURCE = """
{comment}
@task(ignore=["LOG"])
def mode(m):
    LOG.append(("mode", m))
    return ["left", "right", "neither"][m]

@task(ignore=["LOG"])
def left(x):
    LOG.append(("left", x))
    return x + {left}

@task(ignore=["LOG"])
def dear():
    LOG.append(("dear",))
    return {dear}

@task(ignore=["LOG"])
def right(x):
    LOG.append(("right", x))
    return x * 2

@task(ignore=["LOG"], loop_times={times})
def grow(start):
    '''{comment}'''
    LOG.append(("grow", start, loop.count))
    return (start if loop.result is None else loop.result) + {step}

@task(ignore=["LOG"])
def child(x):
    LOG.append(("child", x))
    return x * {factor}

@task(ignore=["LOG"])
def parent(n):
    LOG.append(("parent", n))
    return [child(i + {offset}) for i in range(n)]

@task(ignore=["LOG"])
def total(xs):
    LOG.append(("total", tuple(xs)))
    return sum(xs)

@task(ignore=["LOG"])
def parity(x):
    LOG.append(("parity", x))
    return x % 2

@task(ignore=["LOG"])
def even(x):
    LOG.append(("even", x))
    return x + {even}

with Flow("oracle", store=STORE) as flow:
    kind, costly = mode({mode}), dear()
    with kind.case("left"):
        a = left(7)
    with kind.case("right"):
        b = right(costly)
    grow(merge(a, b))
    total(parent({n}))
    parities = parity.map({xs})
    with parities.case(0):
        evens = even.map({xs})
    total(evens, name="evens")
"""


@dataclass(frozen=True)
class Program:
    """A flow of all constructs. comment changes the text only; all else changes what is computed."""

    mode: int = 0
    left: int = 1
    dear: int = 5
    times: int = 2
    step: int = 3
    n: int = 2
    factor: int = 10
    offset: int = 0
    xs: tuple = (1, 2)
    even: int = 0
    comment: str = "# one"

    def text(self):
        return SOURCE.format(**{**asdict(self), "xs": list(self.xs)})

    def computations(self):
        """What a perfect judge sees: each computation by its meaning and arguments, and the results."""
        done = {("mode", self.mode): ("mode", self.mode)}
        merged = None
        if self.mode == 0:
            done["left", self.left] = ("left", 7)
            merged = 7 + self.left
        if self.mode == 1:
            done["dear", self.dear] = ("dear",)
            done["right", self.dear] = ("right", self.dear)
            merged = 2 * self.dear
        for count in range(1, self.times + 1) if merged is not None else ():
            done["grow", self.step, merged, count] = ("grow", merged, count)
        done["parent", self.offset, self.n] = ("parent", self.n)
        inputs = [i + self.offset for i in range(self.n)]
        for x in inputs:
            done["child", self.factor, x] = ("child", x)
        children = tuple(x * self.factor for x in inputs)
        done["total", children] = ("total", children)
        evens = tuple(x + self.even for x in self.xs if x % 2 == 0)
        for x in self.xs:
            done["parity", x] = ("parity", x)
            if x % 2 == 0:
                done["even", self.even, x] = ("even", x)
        if evens or not self.xs:
            done["total", evens] = ("total", evens)
        grown = None if merged is None else merged + self.times * self.step
        return done, [grown, sum(children), sum(evens) if evens or not self.xs else None]


SMALL = st.integers(0, 3)
EDITS = st.one_of(
    st.fixed_dictionaries({"mode": st.integers(0, 2)}),
    st.fixed_dictionaries({"left": SMALL}),
    st.fixed_dictionaries({"dear": SMALL}),
    st.fixed_dictionaries({"times": st.integers(1, 5)}),
    st.fixed_dictionaries({"step": SMALL}),
    st.fixed_dictionaries({"n": SMALL}),
    st.fixed_dictionaries({"factor": SMALL}),
    st.fixed_dictionaries({"offset": SMALL}),
    st.fixed_dictionaries({"xs": st.lists(SMALL, max_size=4).map(tuple)}),
    st.fixed_dictionaries({"even": SMALL}),
    st.fixed_dictionaries({"comment": st.sampled_from(["# one", "# two", "# a longer one"])}),
)


@dataclass
class Judge:
    """Remembers every computation that was ever done."""

    seen: set = field(default_factory=set)

    def expected(self, program):
        done, results = program.computations()
        new = sorted(what for key, what in done.items() if key not in self.seen)
        self.seen |= set(done)
        return new, results


def results_of(run):
    names = ("grow", "total", "evens")
    return [run[name] if run.state(name).successful else None for name in names]


def run_here(program, store):
    log = []
    namespace = {"task": task, "Flow": Flow, "merge": merge, "loop": nbflow.loop, "LOG": log, "STORE": store}
    exec(program.text(), namespace)
    planned = {row.name for row in namespace["flow"].plan().rows if row.freshness.label != "fresh"}
    run = namespace["flow"].run()
    assert run.ok
    # Plan and run cannot disagree: what the plan calls fresh does not run.
    ran = run.table.query("ran > 0").index
    assert {name.partition("/")[0] for name in ran} <= planned
    return sorted(log), results_of(run)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(EDITS, max_size=8))
def test_any_edits_in_one_process(tmp_path_factory, edits):
    store = tmp_path_factory.mktemp("oracle") / "store"
    program, judge = Program(), Judge()
    for edit in [{}, *edits]:
        program = replace(program, **edit)
        assert run_here(program, store) == judge.expected(program)


RESTARTED = """
import json
from nbflow import Flow, loop, merge, task
LOG, STORE = [], "store"
{text}
run = flow.run(check=True)
results = [run[n] if run.state(n).successful else None for n in ("grow", "total", "evens")]
print("VALUE", json.dumps([sorted(LOG), results]))
"""


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(EDITS, min_size=2, max_size=4))
def test_any_edits_across_restarts(restart, tmp_path_factory, edits):
    folder = tmp_path_factory.mktemp("restarted")
    program, judge = Program(), Judge()
    for edit in [{}, *edits]:
        program = replace(program, **edit)
        done = restart(folder, RESTARTED.format(text=program.text()))
        assert json.loads(done.value) == json.loads(json.dumps(judge.expected(program)))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.sampled_from(["good", "bad"]), min_size=1, max_size=4), min_size=1, max_size=5))
def test_what_failed_runs_again_and_nothing_else(tmp_path_factory, rounds):
    store = tmp_path_factory.mktemp("failures") / "store"
    kept: set = set()
    for states in rounds:
        log = []

        with Flow("failures", store=store) as flow:
            task(trigger=triggers.all_finished, cache=False)(len)(_tasks(log, states).map(range(len(states))))
        flow.run()
        assert sorted(log) == [i for i in range(len(states)) if i not in kept]
        kept |= {i for i in range(len(states)) if states[i] == "good"}


def _tasks(log, states):
    @task(ignore=["log", "states"])
    def give(i):
        if log is not None:
            log.append(i)
        if states[i] == "bad":
            raise ValueError("bad")
        return i

    return give
