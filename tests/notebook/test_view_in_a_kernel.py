"""What a kernel sends of a run to front ends with widgets and without, and what is left for those who convert it."""

import queue
import uuid

import pytest
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from nbformat.v4 import new_code_cell, new_notebook

WIDGET = "application/vnd.jupyter.widget-view+json"
PICTURE = {"text/html", "image/svg+xml", "text/plain"}
FLOW = """
import time
from pathlib import Path
from nbflow import Flow, task
@task(cache=False)
def slow(seconds):
    time.sleep(seconds)
with Flow("night") as flow:
    slow(0.6, name="first") >> slow(0.4, name="second")
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("view")
    (folder / "pyproject.toml").touch()
    manager, client = start_new_kernel(cwd=str(folder))
    client.execute_interactive(FLOW, timeout=60)
    client.execute_interactive("import nbflow.notebook.live as view\nview.PLAIN_S = 0.1", timeout=60)
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def displays(client, source, name):
    """The displays of a cell whose message is called so, as (kind of message, data)."""
    message = client.session.msg("execute_request", {"code": source, "silent": False, "allow_stdin": False})
    message["msg_id"] = message["header"]["msg_id"] = name
    client.shell_channel.send(message)
    shown = []
    while True:
        try:
            heard = client.get_iopub_msg(timeout=60)
        except queue.Empty:
            pytest.fail("the cell does not end")
        if heard["parent_header"].get("msg_id") != name:
            continue
        if heard["msg_type"] == "status" and heard["content"]["execution_state"] == "idle":
            client.get_shell_msg(timeout=60)
            return shown
        if "data" in heard["content"] and "display" in heard["msg_type"]:
            shown.append((heard["msg_type"], heard["content"]["data"]))


def test_a_front_end_in_a_browser_gets_the_live_graph_and_then_the_picture(kernel):
    first, *others = displays(kernel, "run = flow.run()", uuid.uuid4().hex)
    # The first time in a kernel a still picture keeps the place until the widget's part has come.
    kinds = [set(data) for _, data in (first, *others)]
    assert first[0] == "display_data"
    assert {kind for kind, _ in others} == {"update_display_data"}
    assert kinds == [PICTURE, {WIDGET, "text/plain"}, PICTURE]
    again = displays(kernel, "run = flow.run()", uuid.uuid4().hex)
    assert [set(data) for _, data in again] == [{WIDGET, "text/plain"}, PICTURE]


def test_a_front_end_without_widgets_gets_pictures_that_follow_the_run(kernel):
    shown = displays(kernel, "run = flow.run()", f"{uuid.uuid4().hex}_12_3")
    assert [kind for kind, _ in shown] == ["display_data"] + ["update_display_data"] * (len(shown) - 1)
    assert all(set(data) == PICTURE for _, data in shown)
    texts = list(dict.fromkeys(data["text/plain"] for _, data in shown))
    assert texts[0] == "night\n  ▶ first running\n  ○ second pending  ← first"
    assert texts[-2:] == [
        "night\n  ● first fresh\n  ▶ second running  ← first",
        "night\n  ● first fresh\n  ● second fresh  ← first",
    ]


def test_a_converted_notebook_shows_the_picture_with_its_details(tmp_path):
    document = new_notebook(cells=[new_code_cell(FLOW), new_code_cell("flow.run()")])
    NotebookClient(document, timeout=60, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert [set(output["data"]) for output in document.cells[1].outputs] == [PICTURE]
    page, _ = HTMLExporter().from_notebook_node(document)
    assert page.count('class="nf-svg"') == 1
    assert "time.sleep(seconds)" in page.split('class="nf-more')[1]
