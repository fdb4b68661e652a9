"""What the user changes while a run goes on: nothing is stored under the key of something else."""

from __future__ import annotations

import pytest

from nbflow import Flow, task, unmapped


class Box:
    """Holds what the test changes in the middle of a run, out of nbflow's sight."""


@pytest.fixture
def build(tmp_path):
    """A flow over lists of the user's; with spoil, the first call changes what later calls get."""

    def made(executor, *, spoil):
        box = Box()
        calls = []

        # One at a time: else all may have their arguments before the first of them changes any.
        @task(ignore=["box", "spoil", "calls"], concurrency=1 if executor == "threads" else None)
        def total(xs, first=False):
            calls.append(list(xs))
            if spoil and first:
                box.change()
            return sum(xs)

        with Flow("outside", store=tmp_path / "store", executor=executor) as flow:
            items = [[1], [3], [3]]
            shared = [5]
            box.change = lambda: (items[1].append(99), shared.append(7))
            total.map(items, [True, False, False], name="items")
            total.map(unmapped(shared), [True, False], name="shared")
            total(shared, name="alone")
        return flow, calls

    return made


@pytest.mark.parametrize("executor", ["sync", "threads"])
def test_changed_arguments_are_kept_under_what_they_were_when_called(build, executor):
    flow, _ = build(executor, spoil=True)
    with pytest.warns(UserWarning, match="was changed while the run went on"):
        spoiled = flow.run(check=True)
    assert spoiled["items"][0] == 1
    assert spoiled["items"][2] == 3
    flow, calls = build(executor, spoil=False)
    clean = flow.run(check=True)
    assert (clean["items"], clean["shared"], clean["alone"]) == ([1, 3, 3], [5, 5], 5)
    assert [1] not in calls


def test_an_element_that_waited_for_an_equal_one_runs_when_that_is_equal_no_more(build):
    flow, calls = build("sync", spoil=True)
    with pytest.warns(UserWarning, match="items: what it gets was changed"):
        run = flow.run(targets=["items"], check=True)
    assert run["items"] == [1, 102, 3]
    assert calls == [[1], [3, 99], [3]]
