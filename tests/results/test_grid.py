"""The table to sort, filter and select from: what it holds, and what its button does. Its looks: tests/browser."""

import sys

import pytest

from nbflow import Flow, task
from nbflow.errors import MissingExtra
from nbflow.results import grid as grids


class Site:
    """A server that is down for some."""

    def __init__(self):
        self.down = {3, 5, 7}

    def __nbflow_id__(self):
        return "site"

    def ask(self, x):
        if x in self.down:
            raise ConnectionError(f"no answer for {x}")
        return {"answer": 2 * x}


@pytest.fixture
def site():
    return Site()


@pytest.fixture
def run(store, site):
    with Flow("f", store=store) as flow:
        task(lambda x: site.ask(x), name="each").map(range(10))
    return flow.run()


def parts(grid):
    line, bar, table = grid.children
    states, button, told = bar.children
    return line, states, button, told, table


def rows(table):
    import json

    return json.loads(table._dt_args["data_json"])


def test_it_holds_the_frame_and_counts_states(run):
    line, states, button, _, table = parts(run.grid("each"))
    assert line.value == "10 elements: 7 run, 3 failed"
    assert [label for label, _ in states.options] == ["all (10)", "✗ failed (3)", "✓ success (7)"]
    assert len(rows(table)) == 10
    assert button.disabled


def test_a_state_can_be_chosen(run):
    *_, table = grid = parts(run.grid("each"))
    grid[1].value = "failed"
    assert [row[0] for row in rows(table)] == [3, 5, 7]


def test_the_button_runs_what_is_selected_again(run, site):
    line, states, button, told, table = parts(run.grid("each"))
    states.value = "failed"
    table.selected_rows = [0, 2]
    assert button.description == "Retry 2 selected"
    site.down.clear()
    button.click()
    assert "3 ran, 7 reused" in told.value
    assert line.value == "10 elements: 7 reused, 3 run"
    assert table.selected_rows == []
    assert button.disabled


def test_of_too_many_elements_the_failed_ones_are_shown_first_and_that_is_said(run, monkeypatch):
    monkeypatch.setattr(grids, "MOST_ROWS", 5)
    line, states, _, _, table = parts(run.grid("each"))
    assert [row[0] for row in rows(table)] == [0, 1, 3, 5, 7]
    assert "the table holds 5 of 10, those that failed before all others" in line.value
    states.value = "failed"
    assert line.value == "10 elements: 7 run, 3 failed"
    table.selected_rows = [1]
    assert len(rows(table)) == 3


def test_without_the_extra_the_error_says_how_to_get_it(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "itables", None)
    monkeypatch.setitem(sys.modules, "itables.widget", None)
    with pytest.raises(MissingExtra, match=r"pip install 'nbflow\[grid\]'.*run.frame\('each'\)"):
        run.grid("each")


def test_a_product_and_objects_are_shown(store):
    with Flow("f", store=store) as flow:
        task(lambda a, b: [a, b], name="pair").product({"x": 1, "y": object}, ["<b>", None])
    *_, table = parts(flow.run().grid("pair"))
    assert [row[:2] for row in rows(table)] == [["x", 0], ["x", 1], ["y", 0], ["y", 1]]
    assert "<b>" not in str(table._dt_args["table_html"])
