"""The Tab key and the form of parameters in a real JupyterLab."""

import pytest


@pytest.fixture
def session(notebook):
    page = notebook(["%load_ext nbflow\nn = 4", "%%task doubled\n2 * n", "%flow params", ""])
    for number in range(3):
        page.run(number)
    return page


def proposals(page, number, text):
    """What pops up behind a text."""
    page.cell(number).locator(".cm-content").click()
    page.page.keyboard.press("Control+a")
    page.page.keyboard.press("Delete")
    page.page.keyboard.type(text)
    page.page.keyboard.press("Tab")
    popup = page.page.locator(".jp-Completer:visible")
    popup.locator(".jp-Completer-item").first.wait_for()
    found = [each.strip() for each in popup.locator(".jp-Completer-match").all_inner_texts()]
    page.page.keyboard.press("Escape")
    return found


def test_completion_pops_up_behind_flow(session):
    found = proposals(session, 3, "%flow ")
    assert {"run", "plan", "why", "export", "debug"} <= set(found)
    # JupyterLab adds words of the cell behind them.
    assert proposals(session, 3, "%flow run ")[:2] == ["doubled", "n="]
    assert proposals(session, 3, "%flow params n=")[:1] == ["n=4"]
    assert proposals(session, 3, "%flow export ")[0].endswith(".py")
    session.edit(3, "%%task parts for x in [5, 6]\nx")
    session.run(3)
    assert proposals(session, 3, "%flow why parts[")[:2] == ["parts[0]", "parts[1]"]


def test_a_chosen_completion_is_put_in_its_place(session):
    session.cell(3).locator(".cm-content").click()
    session.page.keyboard.type("%flow sta")
    session.page.keyboard.press("Tab")
    session.page.locator(".jp-Completer:visible .jp-Completer-item").first.wait_for()
    session.page.keyboard.press("Enter")
    session.page.wait_for_function(
        "() => document.querySelectorAll('.jp-Notebook .jp-Cell')[3].querySelector('.cm-content').innerText.trim()"
        " === '%flow status'"
    )


def test_the_form_runs_the_flow(session):
    form = session.output(2)
    form.locator(".widget-slider").wait_for()
    # Beyond the slider's end, too.
    form.locator("input[type=number]").fill("70")
    session.page.keyboard.press("Enter")
    form.locator("button", has_text="Run").click()
    form.locator("text=1 ran").wait_for()
    form.locator("svg text", has_text="doubled").wait_for()
    session.edit(3, "print(n, doubled)")
    assert "70 140" in session.run(3).inner_text()


def test_a_saved_form_is_a_table_which_is_the_same_each_time(session):
    form = session.output(2)
    form.locator(".nbflow-params").wait_for(state="attached")
    form.locator(".widget-slider").wait_for()
    assert not form.locator("table").is_visible()
    (saved,) = session.save().cells[2].outputs
    assert saved["data"].keys() == {"text/html", "text/plain"}
    assert saved["data"]["text/plain"].splitlines()[1:] == ["  name  value  takes", "  n     4      int"]
    session.run(2)
    form.locator(".nbflow-params").wait_for(state="attached")
    form.locator(".widget-slider").wait_for()
    assert session.save().cells[2].outputs == [saved]
    session.reopen()
    assert session.output(2).locator("td").all_inner_texts() == ["n", "4", "int", ""]
    assert "model not found" not in session.output(2).inner_text()


def test_a_form_whose_kernel_is_gone_is_the_table_again(session):
    session.output(2).locator(".nbflow-params").wait_for(state="attached")
    session.confirm("notebook:restart-kernel")
    session.output(2).locator("td", has_text="int").wait_for()
    session.wait_connected()
