"""What tasks print, log, warn and display, as it stands under the cells of a real kernel, and in the saved notebook."""

import re

import pytest
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

LOAD = """%load_ext nbflow
import logging, sys, threading, time, warnings
from IPython.display import HTML, clear_output, display
import matplotlib.pyplot as plt
from nbflow import Flow, task"""

CELLS = {
    "load": LOAD,
    "interleaved": """%%task interleaved
print("first")
print("second", file=sys.stderr)
print("third")
logging.getLogger("mine").warning("fourth")
display(HTML("<b>fifth</b>"))
warnings.warn("sixth")
print("seventh", end="")
1""",
    "mapped": """%%task mapped for x in range(14)
time.sleep(0.05 if x == 0 else 0.001)
if x % 14 != 5:
    print(f"element {x}")
    display(HTML(f"<i>{x}</i>"))
x""",
    "quiet": """%%task quiet for x in mapped
x + 1""",
    "figure": """%%task figure
plt.figure()
plt.plot([1, 2])
plt.show()
plt.figure()
plt.plot([2, 1])
print("drawn")
2""",
    "returned": """%%task returned
fig, ax = plt.subplots()
ax.plot([1, 3])
fig""",
    "flow": """def load(x):
    time.sleep(0.01 * (4 - x))
    print(f"loading {x}")
    thread = threading.Thread(target=lambda: print(f"thread of {x}"))
    thread.start()
    thread.join()
    if x == 2:
        raise ValueError("no")
    return x
with Flow("loading") as flow:
    loaded = task(load).map(["a/one.csv", "two", "three"]) if False else task(load).map({"one": 1, "two": 2, "three": 3})
    task(lambda xs: print("alone"))(1, name="alone")
run = flow.run()""",
    "log": "run.log('load')",
    "log of one": "run.log('load', 'two')",
    "log of a task": "%flow run\nfrom nbflow.notebook.magics import _SESSIONS\n"
    "next(iter(_SESSIONS.values())).flow.last_run.log('interleaved')",
    "cleared": """%%task cleared
print("gone")
clear_output()
print("stays")
3""",
    "progress": """%%task progress
for i in range(100):
    print(f"\\r{i} %", end="", file=sys.stderr)
4""",
    "many": """%%task many for x in range(200)
print("line", x)
x""",
    "uncoloured": """before, get_ipython().colors = get_ipython().colors, "NoColor"
with Flow("plain") as plain:
    task(lambda: print("said"), name="speaker", cache=False)()
plain.run()
get_ipython().colors = before""",
    "streams": "sys.stdout.__class__.__name__, threading.Thread.start.__module__, 'publish' in vars(get_ipython().display_pub)",
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The cells' outputs in two kernels, one after the other, with one store."""
    folder = tmp_path_factory.mktemp("output")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBFLOW_STORE", str(folder / "store"))
        return [_executed(folder) for _ in range(2)]


def _executed(folder):
    document = new_notebook(cells=[new_code_cell(source) for source in CELLS.values()])
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(document, timeout=60, allow_errors=True, resources=resources).execute()
    return dict(zip(CELLS, [_coalesced(cell.outputs) for cell in document.cells], strict=True))


def _coalesced(outputs):
    """Messages of one stream that follow each other as one output, as JupyterLab saves them."""
    whole = []
    for output in outputs:
        if output.output_type == "stream" and whole and whole[-1].get("name") == output.name:
            whole[-1].text += output.text
        else:
            whole.append(output)
    return whole


def shown(outputs):
    """Outputs as pairs of what they are and what they show; colours left out."""
    pairs = []
    for output in outputs:
        if output.output_type == "stream":
            pairs.append((output.name, re.sub(r"\x1b\[[0-9;]*m", "", output.text)))
        elif output.output_type == "error":
            pairs.append(("error", "\n".join(output.traceback)))
        else:
            mime = next(m for m in ("text/html", "image/png", "text/plain") if m in output["data"])
            pairs.append((mime, output["data"][mime]))
    return pairs


def test_all_kinds_stand_in_the_order_in_which_they_came(runs):
    line, *kinds = [(kind, text.split("\n")[0]) for kind, text in shown(runs[0]["interleaved"])]
    assert line == ("text/plain", "✓ interleaved · fresh")
    assert kinds[:5] == [
        ("stdout", "first"),
        ("stderr", "second"),
        ("stdout", "third"),
        ("stderr", "fourth"),
        ("text/html", "<b>fifth</b>"),
    ]
    assert kinds[5] == ("stderr", "cell, line 7: UserWarning: sixth")
    assert kinds[6:] == [("stdout", "seventh"), ("text/plain", "1")]


@pytest.mark.parametrize("cell", ["interleaved", "mapped", "quiet", "figure", "cleared", "many"])
def test_a_notebook_that_is_run_twice_saves_the_same_outputs(runs, cell):
    assert [dict(output, execution_count=None) for output in runs[1][cell]] == [
        dict(output, execution_count=None) for output in runs[0][cell]
    ]


def test_without_colours_the_name_of_a_task_is_plain_text_too(runs):
    assert runs[0]["uncoloured"][0].text == "speaker\nsaid\n"
    assert "\x1b[34m" in runs[0]["flow"][0].text


def test_elements_stand_under_a_line_with_their_name_in_their_order(runs):
    outputs = shown(runs[0]["mapped"])
    assert outputs[1:5] == [
        ("stdout", "mapped[0] · 0\nelement 0\n"),
        ("text/html", "<i>0</i>"),
        ("stdout", "mapped[1] · 1\nelement 1\n"),
        ("text/html", "<i>1</i>"),
    ]


def test_of_many_elements_the_first_are_shown_and_the_others_counted(runs):
    (text,) = [text for kind, text in shown(runs[0]["many"]) if kind == "stdout"]
    assert text.count("line ") == 10
    assert "many: 190 more elements put something out; %flow log many has all of it\n" in text


def test_figures_are_shown_by_pyplot_or_when_the_call_ends(runs):
    kinds = [kind for kind, _ in shown(runs[0]["figure"])]
    assert kinds == ["text/plain", "image/png", "stdout", "image/png", "text/plain"]


def test_a_figure_that_is_the_result_is_shown_once(runs):
    for run in runs:
        assert [kind for kind, _ in shown(run["returned"])] == ["text/plain", "image/png"]


def test_what_threads_of_a_task_print_is_the_tasks_and_failed_elements_keep_their_log(runs):
    (text,) = [text for kind, text in shown(runs[0]["flow"]) if kind == "stdout"]
    assert "load[0] · one\nloading 1\nthread of 1\n" in text
    assert "load[1] · two\nloading 2\nthread of 2\n" in text
    assert "alone\nalone\n" in text
    assert shown(runs[0]["log of one"]) == [("stdout", "loading 2\nthread of 2\n")]


def test_reused_nodes_have_their_log_in_a_later_process(runs):
    log = "".join(
        f"load[{i - 1}] · {name}\nloading {i}\nthread of {i}\n" for i, name in enumerate(["one", "two", "three"], 1)
    )
    for run in runs:
        assert shown(run["log"]) == [("stdout", log)]
        assert ("text/html", "<b>fifth</b>") in shown(run["log of a task"])


def test_clear_output_forgets_what_came_before(runs):
    assert "gone" not in str(shown(runs[0]["cleared"]))
    assert "stays" in str(shown(runs[1]["cleared"]))


def test_of_a_progress_bar_the_last_state_is_kept(runs):
    assert ("stderr", "99 %\n") in shown(runs[1]["progress"])


def test_streams_and_displays_are_put_back(runs):
    assert shown(runs[0]["streams"])[0][1] == "('OutStream', 'threading', False)"


IN_BACKGROUND = """go, going = threading.Event(), threading.Event()
def wait(x):
    print(f"task {x}")
    going.set()
    go.wait(10)
    display(HTML(f"<u>{x}</u>"))
with Flow("behind") as flow:
    task(wait, ignore=["go", "going"], cache=False).map([1, 2])
handle = flow.start()"""
MEANWHILE = """going.wait(10)
print("another cell")
display(HTML("<u>another cell</u>"))
go.set()
handle.wait();"""


def test_a_run_in_the_background_shows_its_output_where_it_was_started(tmp_path, monkeypatch):
    # nbclient drops what comes for a cell that has ended.
    monkeypatch.setenv("NBFLOW_STORE", str(tmp_path / "store"))
    said = {}

    def hear(message):
        content = message["content"]
        text = content.get("text") or content.get("data", {}).get("text/html", "")
        said.setdefault(message["parent_header"]["msg_id"], []).append(text)

    manager, client = start_new_kernel(cwd=str(tmp_path))
    try:
        started = [
            client.execute_interactive(cell, timeout=60, output_hook=hear)["parent_header"]["msg_id"]
            for cell in (LOAD, IN_BACKGROUND)
        ]
        # All messages, also those of the cell that has ended.
        other = client.execute(MEANWHILE)
        while True:
            message = client.get_iopub_msg(timeout=60)
            if message["msg_type"] in {"stream", "display_data"}:
                hear(message)
            elif message["msg_type"] == "status" and message["parent_header"]["msg_id"] == other:
                if message["content"]["execution_state"] == "idle":
                    break
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    begun, meanwhile = "".join(said[started[1]]), "".join(said[other])
    assert all(text in begun for text in ("wait[0] · 1", "task 1\n", "task 2\n", "<u>1</u>", "<u>2</u>"))
    assert "another cell\n" in meanwhile
    assert "<u>another cell</u>" in meanwhile
    assert "task" not in meanwhile
    assert "another" not in begun
