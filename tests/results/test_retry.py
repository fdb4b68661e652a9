"""run.failed and run.retry: what failed runs again, with what waited for it, and nothing else does."""

import pytest

from nbflow import Flow, Parameter, task
from nbflow.errors import GraphError, UnknownName


class Site:
    """A server that is down for some, and counts what it is asked."""

    def __init__(self):
        self.down = set()
        self.asked = []

    def __call__(self, x):
        self.asked.append(x)
        if x in self.down:
            raise ConnectionError(f"no answer for {x}")
        return x

    def __nbflow_id__(self):
        return "site"


@pytest.fixture
def site():
    return Site()


@pytest.fixture
def flow(store, site):
    with Flow("f", store=store) as flow:
        n = Parameter("n", default=3)
        names = task(lambda n: [f"page{i}" for i in range(n)], name="names")(n)
        fetch = task(lambda name: site(name), name="fetch").map(names)
        each = task(lambda text: site(text.upper()), name="parse").map(fetch)
        task(lambda texts: site(f"{len(texts)} pages"), name="report")(each)
    return flow


def asked(site):
    site.asked, before = [], site.asked
    return sorted(before)


def test_failed_gives_the_rows_that_failed_or_did_not_run(flow, site):
    site.down = {"page1"}
    run = flow.run()
    assert run.failed("fetch").index.tolist() == [1]
    assert run.failed("fetch")["name"].tolist() == ["page1"]
    assert "1 of 3 elements failed or did not run" in repr(run.failed("fetch"))
    assert run.failed("parse")["state"].tolist() == ["trigger_failed"]
    assert len(flow.run(n=1).failed("fetch")) == 0


def test_retry_runs_what_failed_and_what_waited_for_it(flow, site):
    site.down = {"page1"}
    first = flow.run()
    asked(site)
    site.down = set()
    again = first.retry()
    assert asked(site) == ["3 pages", "PAGE1", "page1"]
    assert again.ok
    assert again["report"] == "3 pages"
    assert not first.ok
    assert again.frame("fetch")["state"].tolist() == ["cached", "success", "cached"]


def test_retry_keeps_parameters_and_targets(flow, site):
    site.down = {"page4"}
    first = flow.run(n=5, targets=["parse"])
    asked(site)
    site.down = set()
    again = first.retry()
    assert asked(site) == ["PAGE4", "page4"]
    assert again.parameters == {"n": 5}
    assert not again.takes_part(flow["report"])


def test_retry_keeps_targets_that_a_generator_gave(flow):
    assert flow.run(targets=(name for name in ["names", "fetch"])).retry().takes_part(flow["fetch"])


def test_retry_of_one_node_leaves_what_follows_alone(flow, site):
    site.down = {"page1"}
    first = flow.run()
    asked(site)
    site.down = set()
    first.retry("fetch")
    assert asked(site) == ["page1"]


def test_elements_that_are_named_run_in_any_case(flow, site):
    first = flow.run()
    asked(site)
    again = first.retry("fetch", elements=[0, 2])
    assert asked(site) == ["page0", "page2"]
    assert again.frame("fetch")["state"].tolist() == ["success", "cached", "success"]
    asked(site)
    flow.run()
    assert asked(site) == []


def test_elements_are_found_by_their_labels(store, site):
    with Flow("f", store=store) as flow:
        task(lambda x: site(x), name="each").map({"oslo": 1, "rome": 2})
    run = flow.run()
    asked(site)
    run.retry("each", ["rome"])
    assert asked(site) == [2]
    with pytest.raises(UnknownName, match="did you mean 'rome'"):
        run.retry("each", ["roma"])


def test_elements_without_a_task_are_an_error_that_shows_how(flow):
    with pytest.raises(GraphError, match=r'run.retry\("daily", \[3, 5\]\)'):
        flow.run().retry(elements=[1])


def test_retry_of_an_unknown_name_proposes_one(flow):
    with pytest.raises(UnknownName, match="did you mean 'fetch'"):
        flow.run().retry("fetsh")


def test_the_reason_of_a_forced_element_says_so(flow):
    again = flow.run().retry("fetch", elements=[0])
    assert "forced" in str(again.why("fetch"))


def test_run_takes_elements_to_force(flow, site):
    flow.run()
    asked(site)
    flow.run(force={"fetch": [1]})
    assert asked(site) == ["page1"]


def test_an_approval_holds_for_the_retry(store, site):
    from nbflow import triggers

    with Flow("f", store=store) as flow:
        task(lambda: site("deployed"), name="deploy", trigger=triggers.manual_only)()
    site.down = {"deployed"}
    run = flow.run(approve=["deploy"])
    assert not run.ok
    site.down = set()
    assert run.retry()["deploy"] == "deployed"
