"""In a real kernel, by the messages that JupyterLab sends: cell ids, deleted cells, bodies that await, magics."""

import contextlib
import itertools
import os
import re
import types

import pytest
from jupyter_client.manager import start_new_kernel

from tests.notebook.test_session import task


class Kernel:
    """Runs cells as a front end does."""

    def __init__(self, client):
        self.client = client
        self.ids = itertools.count()

    def __call__(self, code, cell_id=None, deleted=()):
        cell_id = cell_id or f"cell {next(self.ids)}"
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": False,
        }
        metadata = {"cellId": cell_id, "deletedCells": list(deleted), "recordTiming": False}
        message = self.client.session.msg("execute_request", content, metadata=metadata)
        self.client.shell_channel.send(message)
        shown = types.SimpleNamespace(text="", value=None, error="", kinds=[])
        while True:
            answer = self.client.get_iopub_msg(timeout=60)
            if answer["parent_header"].get("msg_id") == message["header"]["msg_id"]:
                if answer["msg_type"] == "status" and answer["content"]["execution_state"] == "idle":
                    return shown
                self.note(answer["msg_type"], answer["content"], shown)

    def note(self, kind, content, shown):
        match kind:
            case "stream":
                shown.text += content["text"]
            case "error":
                shown.error += re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(content["traceback"]))
            case "execute_result" | "display_data":
                shown.value = content["data"].get("text/plain")
                shown.kinds += content["data"]


@pytest.fixture(scope="module")
def process(tmp_path_factory):
    folder = tmp_path_factory.mktemp("messages")
    manager, client = start_new_kernel(cwd=str(folder))
    with contextlib.closing(types.SimpleNamespace(close=client.stop_channels)):
        yield Kernel(client), folder
    manager.shutdown_kernel(now=True)


@pytest.fixture
def notebook(process):
    """The kernel, with nothing in it but an extension that was just loaded, and a store of its own."""
    kernel, folder = process
    place = folder / f"store{len(list(folder.iterdir()))}"
    place.mkdir(mode=0o700)
    kernel(
        "%reset -f\nimport os, sys\nif 'nbflow' in sys.modules: get_ipython().run_line_magic('unload_ext', 'nbflow')"
    )
    assert not kernel(f"import os\nos.environ['NBFLOW_STORE'] = {str(place)!r}\n%load_ext nbflow\nLOG = []").error
    return kernel


def test_the_kernel_is_the_one_that_is_asked_for(notebook):
    version = notebook("import ipykernel\nipykernel.__version__").value.strip("'")
    assert version.startswith(os.environ.get("NBFLOW_KERNEL", "7."))


def test_deleted_cells_take_their_tasks_along(notebook):
    notebook(task("a", "1"), "c1")
    notebook(task("b", "a + 1"), "c2")
    assert notebook("b").value == "2"
    gone = notebook("%flow status", deleted=["c1"])
    assert "a: " not in gone.text.split("results")[0]
    assert "reads `a`, which nothing defines" in notebook("b").error
    assert "NameError" in notebook("a").error


def test_a_cell_that_is_run_again_replaces_what_it_declared(notebook):
    notebook(task("first", "1"), "c1")
    notebook(task("second", "2"), "c1")
    assert "first" not in notebook("%flow status").text
    assert notebook("second").value == "2"
    assert "none any more" in notebook("second = 3", "c1").text


def test_a_comment_makes_a_task_and_its_traceback_lands_in_the_cell(notebook):
    assert notebook("# task\nxs = [1, 0]", "c1").value == "✓ xs · fresh"
    failed = notebook("# task\nimport math\n\nr = [\n    1 / x\n    for x in xs\n]", "c2")
    assert "task r failed on 1 of 2 elements" in failed.error
    assert "→    5     1 / x" in failed.error
    assert "nbflow/" not in failed.error


# A body, and its value where `n` is 5, and where it is 50.
AWAITS = {
    "import asyncio\nawait asyncio.sleep(0)\ny = 3": ("3", "3"),
    "import asyncio\ny = await asyncio.sleep(0, n)": ("5", "50"),
    "async def f(v):\n    return v + n\ny = await f(1)": ("6", "51"),
    "import asyncio\nasync def each():\n    for i in range(3):\n        yield i\ny = [i async for i in each()]": (
        "[0, 1, 2]",
    )
    * 2,
    "import contextlib\n@contextlib.asynccontextmanager\nasync def opened():\n    yield n\nasync with opened() as v:\n    y = v": (
        "5",
        "50",
    ),
}


@pytest.mark.parametrize("body", AWAITS)
def test_bodies_await(notebook, body):
    notebook("%%task n\n5", "c1")
    assert not notebook(f"%%task y\n{body}", "c2").error
    before = notebook("y").value
    notebook("%%task n\n50", "c1")
    assert (before, notebook("y").value) == AWAITS[body]


def test_each_element_may_await(notebook):
    assert "3 elements" in notebook("%%task ys for x in range(3)\nimport asyncio\nawait asyncio.sleep(0, x * 2)").value
    assert notebook("ys").value == "[0, 2, 4]"


def test_an_error_behind_an_await_lands_in_the_cell(notebook):
    failed = notebook("%%task y\nimport asyncio\nawait asyncio.sleep(0)\n\ny = 1 / 0")
    assert "→    5 y = 1 / 0" in failed.error
    assert len(failed.error.splitlines()) <= 10


def test_plain_cells_that_await_never_see_a_stale_value(notebook):
    notebook("K = 2\nimport asyncio")
    notebook("%%task y\nK * 10")
    assert notebook("await asyncio.sleep(0, y)").value == "20"
    notebook("K = 3")
    assert notebook("await asyncio.sleep(0, y)").value == "30"


MAGICS = {
    "lines = !echo hello\ny = lines[0]": "'hello'",
    "%time 1 + 1\ny = 2": "2",
    "%matplotlib inline\ny = 3": "3",
    "folder = !echo {n}\ny = folder[0]": "'5'",
    "%cd -q .\ny = %env HOME\ny = len([y])": "1",
}


@pytest.mark.parametrize("body", MAGICS)
def test_bodies_with_commands_and_magics(notebook, body):
    notebook("%%task n\n5")
    assert not notebook(f"%%task y\n{body}").error
    assert notebook("y").value == MAGICS[body]


def test_a_cell_that_stops_says_so_once_and_ends_the_run_of_cells(notebook):
    notebook("%flow lazy on")
    notebook(task("y", "4"))
    stopped = notebook("print('began')\ny")
    assert "began" not in stopped.text
    assert (stopped.text + stopped.error).count("`%flow run y`") == 1
    assert "This cell reads `y`" in stopped.error


def test_a_flow_in_a_cell_is_drawn(notebook):
    drawn = notebook("%%flow numbers\nfrom nbflow import task\n@task\ndef one():\n    return 1\none()")
    assert {"text/html", "image/svg+xml"} <= set(drawn.kinds)
