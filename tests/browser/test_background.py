"""Runs in the background in a real JupyterLab: cells run meanwhile, and their Cancel buttons cancel."""

import re

import pytest

FLOW = """
import time
from nbflow import Flow, task

@task
def slow(n):
    time.sleep(0.2)
    with open("{log}", "a") as log:
        log.write(f"{{n}}\\n")
    return n

with Flow("behind") as flow:
    slow.map(range(300))
"""
CELLS = """%%task behind for n in range(300) --lazy
import time
time.sleep(0.2)
with open("button.txt", "a") as log:
    log.write(f"{n}\\n")
n"""
PROGRESS = "print(handle.progress.done, handle.done)"


@pytest.fixture
def started(notebook, lab, request):
    """A flow that runs behind the notebook, started in its second cell; the third asks how far it is."""
    name = re.sub(r"\W", "_", request.node.name)
    page = notebook([FLOW.format(log=f"{name}.txt"), "handle = flow.start()", PROGRESS])
    page.run(0)
    page.run(1)
    lab.wait_for_lines(f"{name}.txt", 10)
    return page


def test_cells_run_while_it_goes(started):
    done, ended = started.run(2).inner_text().split()
    assert 10 <= int(done) < 300
    assert ended == "False"
    started.edit(2, "handle.cancel(); handle.wait(); " + PROGRESS)
    assert started.run(2).inner_text().split()[-1] == "True"


def test_the_button_of_its_graph_cancels_it_and_what_is_finished_is_kept(started):
    started.output(1).locator(".nf-cancel").click()
    # The picture takes the graph's place when the run has ended.
    started.output(1).locator("svg.nf-svg .nf-cancelled").first.wait_for()
    started.edit(2, "again = flow.plan()['slow']\nprint(again.fresh, handle.done)")
    fresh, ended = started.run(2).inner_text().split()
    assert 10 <= int(fresh) < 300
    assert ended == "True"


def test_the_button_below_a_run_of_cells_cancels_it(notebook, lab):
    page = notebook(["%load_ext nbflow", CELLS, "%flow run --background", "%flow status"])
    page.run(0)
    page.run(1)
    page.run(2)
    lab.wait_for_lines("button.txt", 10)
    page.output(2).locator(".nf-cancel").click()
    page.output(2).locator("svg.nf-svg .nf-cancelled").first.wait_for()
    told = page.run(3).inner_text()
    assert 10 <= int(re.search(r"behind (\d+)/300", told)[1]) < 300


@pytest.mark.parametrize("seconds", [0.001, 0.6])
def test_a_saved_cell_holds_its_picture_quick_or_not_and_the_same_each_time(notebook, seconds):
    flow = (
        "import time\nfrom nbflow import Flow, task\n"
        "def nap(wait):\n    time.sleep(wait)\n    return 1\n"
        f"with Flow('behind-{seconds}') as flow:\n    task(nap)({seconds})"
    )
    page = notebook([flow, "flow.start()"])
    page.run(0)
    saved = []
    for _ in range(2):
        page.run(1)
        # The first time a still picture stands there before the live one.
        page.output(1).locator("svg.nf-svg .nf-box[data-state=fresh]").wait_for()
        page.page.locator(".nf-cancel").wait_for(state="detached")
        saved.append(page.save().cells[1].outputs)
    assert len(saved[0]) == 1
    assert "runs in the background" not in str(saved[0])
    assert saved[0] == saved[1]
