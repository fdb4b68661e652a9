"""The grid in a real JupyterLab: an offline table that sorts, filters, selects and runs again."""

FAILING = """
from nbflow import Flow, task
DOWN = {3, 5}
@task(ignore=["DOWN"])
def fetch(x):
    if x in DOWN:
        raise ConnectionError(f"<script>window.hacked = 1</script> {x}")
    return {"answer": 2 * x, "text": "<b id=bold>b</b>"}
with Flow("f") as flow:
    fetch.map(range(2_000))
run = flow.run()
"""


def test_the_grid_filters_selects_and_runs_again(notebook):
    page = notebook(["%load_ext nbflow", FAILING, "run.grid('fetch')", "DOWN.clear()", "run.frame('fetch')"])
    for number in (0, 1):
        page.run(number)
    grid = page.run(2)
    grid.locator("table.dataTable tbody tr").first.wait_for()
    assert "2,000 elements: 1,998 run, 2 failed" in grid.inner_text()
    chosen = "document.querySelector('.jp-OutputArea select').selectedOptions[0]?.label === 'all\\u00a0(2,000)'"
    page.page.wait_for_function(chosen)
    page.run(3)
    grid.locator("select").first.select_option(label="✗ failed (2)")
    page.page.wait_for_function("document.querySelectorAll('table.dataTable tbody tr').length === 2")
    assert "ConnectionError" in grid.inner_text()
    grid.locator("table.dataTable tbody tr").nth(1).locator("td").first.click()
    button = grid.locator("button", has_text="Retry 1 selected")
    button.wait_for()
    page.screenshot("grid")
    button.click()
    grid.locator("text=2,000 elements: 1,998 reused, 2 run").wait_for()
    page.page.wait_for_function(chosen)
    assert page.page.evaluate("[window.hacked, document.querySelector('#bold')]") == [None, None]
    frame = page.run(4)
    assert frame.locator("table tr").count() < 20
    assert "✗" in frame.inner_text()
    assert page.page.evaluate("[window.hacked, document.querySelector('#bold')]") == [None, None]
