"""The live graph in a real JupyterLab: what is seen while a run goes, and what is left when it has ended."""

import re

import pytest

FLOW = """
import time
from pathlib import Path
from nbflow import Flow, Parameter, task, unmapped

def wait_for(name):
    end = time.monotonic() + 60
    while not Path(name).exists():
        assert time.monotonic() < end
        time.sleep(0.02)

@task
def stations(count):
    "Reads the list."
    return [f"station {i}" for i in range(count)]

@task
def weather(station, gate):
    if station.endswith("3"):
        raise ValueError(f"no answer from {station}")
    return len(station)

@task
def report(gate):
    wait_for(gate)
    return {"rows": 5}

with Flow("climate", store="__GATE__.store") as flow:
    names = stations(Parameter("count", default=6))
    with Flow("quality"):
        report(Parameter("gate", default="__GATE__"))
    weather.map(names, unmapped(1))
"""
HOSTILE = [
    "<script>window.hacked = 1</script>",
    "<img src=x onerror=window.hacked=1>",
    "javascript:window.hacked=1",
    "quote \" and ' and \\ back",
    "emoji 🎉 中文",
    "x" * 10_000,
    "</text></svg><script>window.hacked = 1</script>",
]


class Live:
    """A notebook whose cell runs a flow until `let_go`."""

    def __init__(self, page, gate, cell):
        self.notebook, self.gate, self.number = page, gate, cell
        self.area = page.output(cell)
        self.root = self.area.locator(".nbflow-live")

    def box(self, name):
        return self.root.locator(f'.nf-box[data-node="{name}"]')

    def wait_for_state(self, name, state):
        self.root.locator(f'.nf-box[data-node="{name}"][data-state="{state}"]').wait_for()

    def let_go(self):
        self.gate.touch()
        self.notebook.wait_idle()
        self.area.locator("svg.nf-svg").wait_for()
        self.root.wait_for(state="detached")


@pytest.fixture
def live(notebook, lab, request):
    def start(run="flow.run()", *, theme="light", before=FLOW):
        # In a folder of its own: what changes beside the notebook may be what a task read.
        (lab.folder / "gates").mkdir(exist_ok=True)
        gate = lab.folder / "gates" / request.node.name
        page = notebook([each.replace("__GATE__", f"gates/{gate.name}") for each in (before, run)], theme=theme)
        assert "Error" not in page.run(0).inner_text()
        page.start(1)
        shown = Live(page, gate, 1)
        shown.root.locator("svg").wait_for()
        return shown

    return start


def test_states_are_seen_while_it_runs_and_after_it(live):
    shown = live()
    shown.wait_for_state("report", "running")
    shown.wait_for_state("weather", "failed")
    shown.wait_for_state("stations", "success")
    assert shown.box("weather").locator(".nf-count").text_content() == "✗1 5/6"
    assert "1 failed" in shown.root.locator(".nf-summary").inner_text()
    assert "▶ report" in shown.root.locator(".nf-summary").inner_text()
    legend = shown.root.locator(".nf-state-button").all_inner_texts()
    assert legend == ["▶ 1 running", "✓ 1 success", "✗ 1 failed"]
    shown.let_go()
    states = dict(shown.area.locator(".nf-box").evaluate_all("bs => bs.map(b => [b.dataset.node, b.dataset.state])"))
    assert states == {"count": "", "gate": "", "stations": "fresh", "report": "fresh", "weather": "failed"}
    assert shown.area.locator("svg.nf-svg").count() == 1, "the run that ends the cell is not drawn a second time"


def test_a_click_opens_the_pane_while_the_kernel_is_busy(live):
    shown = live()
    shown.wait_for_state("weather", "failed")
    shown.wait_for_state("report", "running")
    shown.box("weather").click()
    pane = shown.root.locator(".nf-pane")
    assert "weather[3]: ValueError: no answer from station 3" in pane.inner_text()
    assert "it has not run before" in pane.inner_text()
    assert "def weather(station, gate):" in pane.locator(".nf-source").inner_text()
    pane.locator("summary", has_text="Traceback").click()
    assert 'raise ValueError(f"no answer from {station}")' in pane.inner_text()
    assert pane.locator("li").evaluate_all("items => items.map(item => item.value)") == [0, 1, 2, 4, 5]
    shown.box("count").click()
    assert pane.inner_text().split() == ["count", "×", "Used", "by", "stations", "Value", "6", "Default", "6"]
    shown.box("stations").click()
    assert "['station 0', 'station 1'" in pane.inner_text()
    shown.notebook.page.keyboard.press("Escape")
    assert pane.is_hidden()
    assert shown.notebook.prompt(1) == "[*]:"
    shown.let_go()


def test_keys_walk_along_the_edges_and_enter_opens(live):
    shown = live()
    shown.wait_for_state("report", "running")
    focused = "() => document.activeElement.dataset.node"
    page = shown.notebook.page
    shown.box("count").focus()
    page.keyboard.press("ArrowDown")
    assert page.evaluate(focused) == "stations"
    page.keyboard.press("ArrowDown")
    assert page.evaluate(focused) == "weather"
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    assert shown.root.locator(".nf-pane h3").inner_text() == "stations"
    assert re.match("stations, success", shown.box("stations").get_attribute("aria-label"))
    shown.let_go()


def test_search_filter_and_hover_leave_in_the_light_what_is_asked_for(live):
    shown = live()
    shown.wait_for_state("report", "running")
    shown.wait_for_state("weather", "failed")
    lit = "bs => bs.filter(b => !b.classList.contains('nf-dim')).map(b => b.dataset.node).sort()"
    boxes = shown.root.locator(".nf-box")
    shown.root.locator(".nf-search").fill("WEA")
    assert boxes.evaluate_all(lit) == ["weather"]
    shown.root.locator(".nf-search").fill("RE")
    opened = []
    for _ in range(3):
        shown.root.locator(".nf-search").press("Enter")
        opened.append(shown.root.locator(".nf-pane h3").inner_text())
    assert opened == ["report"] * 3
    shown.root.locator(".nf-search").fill("t")
    for _ in range(3):
        shown.root.locator(".nf-search").press("Enter")
        opened.append(shown.root.locator(".nf-pane h3").inner_text())
    assert opened[3:] == ["weather", "count", "stations"], "one match after the other, from the one that is open"
    shown.root.locator(".nf-search").press("Escape")
    shown.root.locator(".nf-search").fill("")
    shown.root.locator(".nf-state-button[data-state=failed]").click()
    assert boxes.evaluate_all(lit) == ["weather"]
    shown.root.locator(".nf-state-button[data-state=failed]").click()
    shown.box("report").hover()
    assert boxes.evaluate_all(lit) == ["gate", "report"]
    shown.let_go()


def test_a_cluster_folds_and_the_graph_turns_while_the_kernel_is_busy(live):
    shown = live()
    shown.wait_for_state("report", "running")
    shown.root.get_by_role("button", name="Fold quality").click()
    assert shown.box("report").is_hidden()
    assert shown.root.locator(".nf-folded.nf-running .nf-count").text_content() == "0/1 ▸"
    assert shown.root.get_by_role("button", name="Unfold quality, running, 0 of 1 tasks done").count() == 1
    shown.root.locator(".nf-search").fill("wea")
    assert "nf-dim" in shown.root.locator(".nf-folded").get_attribute("class")
    shown.root.locator(".nf-search").fill("rep")
    assert "nf-found" in shown.root.locator(".nf-folded").get_attribute("class")
    shown.root.locator(".nf-search").press("Enter")
    assert shown.box("report").is_visible(), "what is found is unfolded"
    shown.root.locator(".nf-search").press("Escape")
    shown.root.locator(".nf-search").fill("")
    shown.root.get_by_role("button", name="Fold quality").click()
    shown.root.locator(".nf-folded").click()
    assert shown.box("report").is_visible()
    below = shown.box("weather").bounding_box()["y"] - shown.box("stations").bounding_box()["y"]
    shown.root.get_by_role("button", name="Switch between").click()
    aside = shown.box("weather").bounding_box()["x"] - shown.box("stations").bounding_box()["x"]
    assert below > 40
    assert aside > 40
    shown.let_go()


def test_the_wheel_zooms_only_with_a_modifier(live):
    shown = live()
    page, width = shown.notebook.page, lambda: shown.box("stations").bounding_box()["width"]
    shown.wait_for_state("report", "running")
    shown.box("stations").hover()
    before = width()
    page.mouse.wheel(0, 40)
    assert width() == pytest.approx(before, rel=0.05)
    page.keyboard.down("Control")
    shown.box("stations").hover()
    page.mouse.wheel(0, -200)
    page.keyboard.up("Control")
    page.wait_for_function(
        "([w]) => document.querySelector('.nf-box[data-node=stations]').getBoundingClientRect().width > 1.3 * w",
        arg=[before],
    )
    start = shown.box("stations").bounding_box()
    page.mouse.move(start["x"] + 5, start["y"] + 5)
    page.mouse.down()
    page.mouse.move(start["x"] + 65, start["y"] + 35, steps=4)
    page.mouse.up()
    moved = shown.box("stations").bounding_box()
    assert (moved["x"] - start["x"], moved["y"] - start["y"]) == pytest.approx((60, 30), abs=2)
    assert shown.root.locator(".nf-pane").is_hidden(), "a drag is no click"
    shown.let_go()


def test_an_interrupted_run_leaves_its_picture(live):
    shown = live()
    shown.wait_for_state("report", "running")
    shown.notebook.interrupt()
    shown.notebook.wait_idle()
    shown.area.locator("svg.nf-svg").wait_for()
    assert shown.area.locator('.nf-box[data-node="stations"]').get_attribute("data-state") == "fresh"
    assert shown.root.count() == 0


def test_saved_and_reopened_the_picture_is_there_and_opens_on_a_click(live):
    shown = live()
    shown.let_go()
    saved = shown.notebook.save().cells[1].outputs
    pictures = [set(each.data) for each in saved if each.output_type != "stream"]
    assert pictures == [{"text/html", "image/svg+xml", "text/plain"}]
    shown.notebook.reopen()
    area = shown.notebook.output(1)
    area.locator("svg.nf-svg").wait_for()
    assert "not found" not in area.inner_text()
    over, box = area.locator("summary", has_text="weather"), area.locator('.nf-box[data-node="weather"]')
    assert abs(over.bounding_box()["x"] - box.bounding_box()["x"]) < 3
    assert abs(over.bounding_box()["y"] - box.bounding_box()["y"]) < 3
    over.click()
    assert "ValueError: no answer from station 3" in area.inner_text()
    assert "def weather(station, gate):" in area.inner_text()


def test_in_a_notebook_that_is_not_trusted_the_tasks_are_a_list_that_opens(live, lab):
    shown = live()
    shown.let_go()
    shown.notebook.save()
    path = lab.folder / shown.notebook.name
    # Another text than the one that was signed.
    path.write_text(path.read_text().replace("no answer", "no reply"))
    shown.notebook.shut_down()
    shown.notebook.page.close()
    shown.notebook.open()
    area = shown.notebook.output(1)
    area.locator("details").first.wait_for()
    assert area.locator(".jp-RenderedHTML svg").count() == 0, "JupyterLab takes it away"
    assert area.inner_text().splitlines()[0].startswith("count = 6")
    area.locator("summary", has_text="weather").click()
    assert "ValueError: no reply from station 3" in area.inner_text()


def test_a_task_cell_ends_with_its_line_in_the_place_of_the_graph(live):
    shown = live("%%task slow\nwait_for('__GATE__')\n7", before=FLOW + "\n%load_ext nbflow")
    shown.wait_for_state("slow", "running")
    shown.gate.touch()
    shown.notebook.wait_idle()
    shown.root.wait_for(state="detached")
    assert [each.strip() for each in shown.area.inner_text().split("\n")][0] == "✓ slow · fresh"
    first = shown.notebook.save().cells[1].outputs
    shown.notebook.run(1)
    again = shown.notebook.save().cells[1].outputs
    for each in (*first, *again):
        each.pop("execution_count", None)
    assert first == again


def test_the_graph_follows_the_dark_theme(live):
    shown = live(theme="dark")
    shown.wait_for_state("report", "running")
    ink = shown.box("report").locator(".nf-label").evaluate("(label) => getComputedStyle(label).fill")
    paper = shown.root.evaluate("(root) => getComputedStyle(root).backgroundColor")
    assert min(map(int, re.findall(r"\d+", ink))) > 180
    assert max(map(int, re.findall(r"\d+", paper)[:3])) < 60
    moves = "(box) => getComputedStyle(box).animationName"
    body = shown.box("report").locator(".nf-body")
    assert body.evaluate(moves) == "nf-breathe"
    shown.notebook.page.emulate_media(reduced_motion="reduce")
    assert body.evaluate(moves) == "none"
    shown.let_go()


def test_hostile_names_are_text_and_nothing_else(live):
    names = f"""
HOSTILE = {HOSTILE!r}
@task
def slow(gate, text):
    wait_for(gate)
    return text
with Flow("<script>window.hacked = 1</script>", store="__GATE__.store") as flow:
    for name in HOSTILE:
        with Flow(name):
            slow("__GATE__", name, name=name)
"""
    shown = live(before=FLOW + names)
    script = shown.root.locator(".nf-box").first
    shown.root.locator(".nf-box.nf-running").first.wait_for()
    assert shown.root.locator(".nf-box").count() == len(HOSTILE)
    script.click()
    assert shown.root.locator(".nf-pane h3").inner_text() == HOSTILE[0]
    labels = shown.root.locator(".nf-label").all_text_contents()
    assert "emoji 🎉 中文" in labels
    assert max(map(len, labels)) <= 36
    shown.let_go()
    shown.area.locator("summary").first.click()
    assert HOSTILE[0] in shown.area.inner_text()
    assert shown.area.locator("script, img").count() == 0
    assert shown.notebook.page.evaluate("() => window.hacked") is None
