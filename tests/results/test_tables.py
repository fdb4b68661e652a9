"""run.table and flow.history() as they are shown: a line above, symbols, units."""

import pytest

from nbflow import Flow, Parameter, task, unmapped


@pytest.fixture
def flow(store):
    with Flow("tables", store=store) as flow:
        task(lambda x: 1 / x, name="invert").map([0, 1])
    return flow


def test_the_table_of_a_run_has_a_line_above_and_symbols(flow):
    shown = repr(flow.run().table)
    assert shown.splitlines()[0].startswith("tables: 2 ran, 0 reused, 1 failed in ")
    assert "✗ failed" in shown
    assert ">✗</span> failed" in flow.run().table._repr_html_()


def test_the_table_stays_a_table_of_figures(flow):
    table = flow.run().table
    assert table.loc["invert", "state"] == "failed"
    assert table["seconds"].dtype == float
    assert table[table.failed > 0].index.tolist() == ["invert"]


def test_the_history_shows_times_to_the_second_and_no_empty_parameters(flow):
    flow.run()
    shown = repr(flow.history())
    assert shown.splitlines()[0] == "tables: 1 run is kept"
    assert "parameters" not in shown
    assert f"{flow.history().started.iloc[0]:%Y-%m-%d %H:%M:%S} " in shown
    flow.run()
    assert "tables: 2 runs of invert are kept" in repr(flow.history("invert"))


def test_parameters_are_shown_where_there_are_any(store):
    with Flow("given", store=store) as flow:
        task(lambda xs, n: n, name="each").map([1], n=unmapped(Parameter("n")))
    flow.run(n=7)
    assert "n=7" in repr(flow.history())
