"""A notebook's day in a real JupyterLab: declaring, drawing, interrupting, restarting, reopening."""

import re

import pytest

# Each element leaves a line, so that it is seen from outside how far they are, and which ran twice.
SLOW = """%%task slow for n in range(300)
import time
time.sleep(0.2)
with open({log!r}, "a") as log:
    log.write(f"{{n}}\\n")
n"""


@pytest.fixture
def session(notebook):
    page = notebook(["%load_ext nbflow", "%%task words\n['never', 'stale']", "%flow"])
    page.run_all()
    return page


def test_a_task_shows_its_value_and_the_flow_its_picture(session):
    assert session.output(1).inner_text().splitlines()[0] == "✓ words · fresh"
    assert "['never', 'stale']" in session.output(1).inner_text()
    picture = session.output(2)
    assert picture.locator("svg text", has_text="words").count() == 1
    assert picture.locator("svg .nf-fresh").count() == 1


def test_a_reopened_notebook_shows_its_picture_without_a_kernel_having_run(session):
    drawn = "(svg) => svg.outerHTML"
    before = session.output(2).locator("svg.nf-svg").evaluate(drawn)
    session.reopen()
    assert session.output(2).locator("svg.nf-svg").evaluate(drawn) == before
    assert session.prompt(2) == "[3]:", "as it was saved"


def test_the_picture_follows_the_dark_theme(notebook):
    page = notebook(["%load_ext nbflow", "%%task words\n['never', 'stale']", "%flow"], theme="dark")
    page.run_all()
    ink = page.output(2).locator("svg .nf-label").first.evaluate("(label) => getComputedStyle(label).fill")
    assert min(map(int, re.findall(r"\d+", ink))) > 180, f"letters of {ink} on a dark ground"


def test_an_interrupt_by_the_toolbar_keeps_what_is_finished(notebook, lab):
    page = notebook(["%load_ext nbflow", SLOW.format(log="interrupted.txt"), "%flow status"])
    page.run(0)
    page.start(1)
    lab.wait_for_lines("interrupted.txt", 20)
    page.interrupt()
    page.wait_idle()
    told = page.output(1).inner_text()
    kept = int(re.search(r"interrupted; (\d+) finished results are kept", told)[1])
    assert kept >= 20 - 8, "at most those that ran at that moment are not counted"
    fresh = int(re.search(r"slow (\d+)/300: stale", page.run(2).inner_text())[1])
    assert kept <= fresh < 300


def test_after_a_restart_nothing_runs_again(notebook):
    page = notebook(["%load_ext nbflow", "%%task ran\nprint('it ran')\n41", "ran + 1"])
    page.run_all()
    assert "42" in page.output(2).inner_text()
    page.confirm("notebook:restart-run-all")
    page.page.wait_for_function(
        "() => [...document.querySelectorAll('.jp-Notebook .jp-InputPrompt')].some(p => p.innerText.includes('[*]'))"
    )
    # The kernel is idle for a moment between the restart and the cells.
    page.wait_for_prompt(2, "[3]:")
    page.wait_idle()
    assert "42" in page.output(2).inner_text()


def test_a_kernel_restarted_in_the_middle_goes_on_from_what_was_kept(notebook, lab):
    log = lab.folder / "killed.txt"
    page = notebook(["%load_ext nbflow", SLOW.format(log="killed.txt")])
    page.run(0)
    page.start(1)
    lab.wait_for_lines("killed.txt", 100)
    page.confirm("notebook:restart-kernel")
    page.wait_for_prompt(1, "[ ]:")
    page.wait_connected()
    summary = page.output(1).locator(".nf-summary")
    assert re.fullmatch(r"0/1 tasks · .* s · kernel ended: run again to go on", summary.inner_text())
    assert summary.evaluate("(it) => it.scrollWidth <= it.clientWidth"), "it is cut off"
    assert page.output(1).locator("g[data-state=running]").count() == 0
    before = log.read_text().splitlines()
    page.run(0)
    assert "✓ slow · 300 elements · fresh" in page.run(1).inner_text()
    twice = set(log.read_text().splitlines()[len(before) :]) & set(before)
    # A kill may cost the last second: eight at a time, five times a second, and those that ran.
    assert len(twice) <= 8 * 5 + 8 + 8
