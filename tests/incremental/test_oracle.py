"""The oracle: after any edits, a warm run gives what a cold one gives, and runs nothing a perfect judge would not."""

import json
from dataclasses import asdict, dataclass, field, replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbflow import Flow, Parameter, task

SOURCE = """
{comment}
G = {g}
def helper(q):
    {comment}
    return q + {h}

@task(ignore=["LOG"])
def first(x):
    LOG.append(("first", x))
    {v} = helper(x)
    return {v} {op} G

@task(ignore=["LOG"])
def second(y):
    '''{comment}'''
    LOG.append(("second", y))
    return (y -
        {k})

@task(ignore=["LOG"])
def reduce(ys):
    LOG.append(("reduce", tuple(ys)))
    return {reducer}

@task(ignore=["LOG"])
def last(total, n):
    LOG.append(("last", total, n))
    return total * n

with Flow("oracle", store=STORE) as flow:
    last(reduce(second.map(first.map({xs}))), Parameter("n", default={n}))
"""


@dataclass(frozen=True)
class Program:
    """A flow of four tasks. comment and v change the text only; all else changes what is computed."""

    xs: tuple = (1, 2)
    g: int = 3
    h: int = 1
    k: int = 0
    n: int = 2
    op: str = "+"
    reducer: str = "sum(ys)"
    comment: str = "# one"
    v: str = "v"

    def text(self):
        return SOURCE.format(**{**asdict(self), "xs": list(self.xs)})

    def computations(self):
        """What a perfect judge sees: each computation by its meaning and arguments, in order, and the result."""
        done = {}
        first = {x: (x + self.h) + self.g if self.op == "+" else (x + self.h) * self.g for x in self.xs}
        for x in self.xs:
            done["first", self.op, self.h, self.g, x] = ("first", x)
        for x in self.xs:
            done["second", self.k, first[x]] = ("second", first[x])
        ys = tuple(first[x] - self.k for x in self.xs)
        done["reduce", self.reducer, ys] = ("reduce", ys)
        total = sum(ys) if self.reducer == "sum(ys)" else max(ys, default=0)
        done["last", total, self.n] = ("last", total, self.n)
        return done, total * self.n


SMALL = st.integers(0, 3)
EDITS = st.one_of(
    st.fixed_dictionaries({"xs": st.lists(SMALL, max_size=5).map(tuple)}),
    st.fixed_dictionaries({"g": SMALL}),
    st.fixed_dictionaries({"h": SMALL}),
    st.fixed_dictionaries({"k": SMALL}),
    st.fixed_dictionaries({"n": SMALL}),
    st.fixed_dictionaries({"op": st.sampled_from("+*")}),
    st.fixed_dictionaries({"reducer": st.sampled_from(["sum(ys)", "max(ys, default=0)"])}),
    st.fixed_dictionaries({"comment": st.sampled_from(["# one", "# two", "# a longer one"])}),
    st.fixed_dictionaries({"v": st.sampled_from(["v", "value", "a"])}),
)


@dataclass
class Judge:
    """Remembers every computation that was ever done."""

    seen: set = field(default_factory=set)

    def expected(self, program):
        done, result = program.computations()
        new = sorted(what for key, what in done.items() if key not in self.seen)
        self.seen |= set(done)
        return new, result


def run_here(program, store):
    log = []
    namespace = {"task": task, "Flow": Flow, "Parameter": Parameter, "LOG": log, "STORE": store}
    exec(program.text(), namespace)
    run = namespace["flow"].run(check=True)
    return sorted(log), run["last"]


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
from nbflow import Flow, Parameter, task
LOG, STORE = [], "store"
{text}
run = flow.run(check=True)
print("VALUE", json.dumps([sorted(LOG), run["last"]]))
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
