"""%flow in a real kernel: what the front end asks for by messages. All tests share one kernel."""

import re

import pytest
from jupyter_client.manager import start_new_kernel


class Kernel:
    """Runs cells; `answers` are given to what asks for input."""

    def __init__(self, client):
        self._client = client
        self.prompts = []

    def __call__(self, code, *answers):
        left, texts, bundles = list(answers), [], []

        def hear(message):
            content = message["content"]
            if message["msg_type"] == "stream":
                texts.append(content["text"])
            elif message["msg_type"] == "error":
                texts.append("\n".join(content["traceback"]))
            elif message["msg_type"] in {"execute_result", "display_data"}:
                bundles.append(content["data"])

        def asked(message):
            self.prompts.append(message["content"]["prompt"])
            self._client.input(left.pop(0))

        self._client.execute_interactive(code, timeout=60, output_hook=hear, stdin_hook=asked, allow_stdin=True)
        assert not left
        return re.sub(r"\x1b\[[0-9;]*m", "", "".join(texts)), bundles

    def complete(self, code):
        request = self._client.complete(code, len(code))
        while True:
            reply = self._client.get_shell_msg(timeout=30)
            if reply["parent_header"].get("msg_id") == request:
                break
        content = reply["content"]
        return [code[: content["cursor_start"]] + match for match in content["matches"]]

    def types(self, code):
        request = self._client.complete(code, len(code))
        reply = self._client.get_shell_msg(timeout=30)
        assert reply["parent_header"]["msg_id"] == request
        return {each["text"]: each["type"] for each in reply["content"]["metadata"]["_jupyter_types_experimental"]}

    def inspect(self, code):
        request = self._client.inspect(code, len(code))
        reply = self._client.get_shell_msg(timeout=30)
        assert reply["parent_header"]["msg_id"] == request
        return reply["content"]["data"]["text/plain"]


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kernel")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBFLOW_STORE", str(folder / "store"))
        manager, client = start_new_kernel(cwd=str(folder))
    made = Kernel(client)
    made("%load_ext nbflow\nn = 4")
    made("%%task xs\n[n, 0]")
    made("%%task halves for x in xs\nhalf = x / 2\nhalf + 1")
    made("%%task broken for x in xs\ninverse = 1 / x\ninverse + 1")
    yield made
    client.stop_channels()
    manager.shutdown_kernel(now=True)


@pytest.fixture(params=["jedi", "no jedi"])
def completing(kernel, request):
    kernel(f"get_ipython().Completer.use_jedi = {request.param == 'jedi'}")
    return kernel


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("%flow sta", ["%flow status"]),
        ("%flow run ", ["%flow run xs", "%flow run halves", "%flow run broken"]),
        ("%flow run --", ["%flow run --force"]),
        ("%flow why halves[", ["%flow why halves[0]", "%flow why halves[1]"]),
        ("%flow params ", ["%flow params n="]),
        ("%%task sum_of for x in hal", ["%%task sum_of for x in halves"]),
        ("%%task sum_of --retr", ["%%task sum_of --retries", "%%task sum_of --retry-delay"]),
    ],
)
def test_completions_by_messages(completing, code, wanted):
    completing("halves;")
    assert [match for match in completing.complete(code) if not match.endswith("-h")][: len(wanted)] == wanted


def test_completions_say_what_they_are(completing):
    assert completing.types("%flow run ")["xs"] == "task"
    assert completing.types("%%task s --cac")["--cache"] == "option"


def test_inspecting_a_magic_shows_its_help(kernel):
    assert "%flow why NAME[ELEMENT]" in kernel.inspect("%flow")
    assert "--retries N" in kernel.inspect("%%task")


def test_a_failed_element_is_debugged_by_answering_its_prompts(kernel):
    kernel.prompts.clear()
    text, _ = kernel("%flow debug broken[1]", "p x", "p 'inverse' in dir()", "q")
    assert "broken[1] with x=0 is called again" in text
    assert "ZeroDivisionError: division by zero" in text
    assert "1 / x" in text
    assert text.splitlines().count("0") == 1
    assert "False" in text
    assert kernel.prompts == ["ipdb> "] * 3


def test_an_element_that_did_not_fail_is_stepped_through(kernel):
    text, _ = kernel("%flow debug halves[0]", "n", "p half", "c")
    assert "half = x / 2" in text
    assert "2.0" in text.split()
    assert "halves[0] gave 3.0" in text


def test_the_kernel_goes_on_after_the_debugger(kernel):
    kernel("%flow debug broken[1]", "q")
    assert kernel("print(halves)")[0] == "[3.0, 1.0]\n"
    assert kernel("%flow status")[0].count("✓") >= 2


def test_run_debug_in_a_cell(kernel):
    kernel(
        "from nbflow import Flow, task\n@task\ndef bad(v):\n    return 1 / v\nwith Flow('bad') as bad_flow:\n    bad(0)\nbad_run = bad_flow.run()"
    )
    text, _ = kernel("bad_run.debug('bad')", "p v", "q")
    assert "ZeroDivisionError" in text
    assert "0" in text.splitlines()


def test_the_form_is_a_table_where_nobody_shows_widgets(kernel):
    _, bundles = kernel("%flow params")
    assert bundles[0]["text/plain"].splitlines()[1:] == ["  name  value  takes", "  n     4      int"]
    assert "<td>n</td><td>4</td><td>int</td>" in bundles[0]["text/html"]
    assert bundles[0].keys() == {"text/plain", "text/html"}


def test_the_button_runs_in_the_kernel(kernel):
    text, bundles = kernel(
        "form = get_ipython().run_line_magic('flow', 'params n=6') or get_ipython().run_line_magic('flow', 'params')\n"
        "form.widgets['n'].value = 8\n"
        "try:\n    form.run()\nexcept Exception as error:\n    print(type(error).__name__)\nprint(n)"
    )
    assert "n: 4 → 6" in text
    assert text.splitlines()[-2:] == ["RunFailed", "8"]
    kernel("%flow params n=4")


def test_a_module_is_written_with_the_cells_own_text(kernel):
    text, _ = kernel("%flow export kernel_flow.py --force\nprint(open('kernel_flow.py').read())")
    assert "kernel_flow.py: 3 tasks and the flow" in text
    assert 'n = 4\n\n\n@task(name="xs")' in text
    assert "    inverse = 1 / x\n" in text


def test_unloading_takes_completion_away(kernel):
    kernel("%unload_ext nbflow")
    try:
        assert "%flow status" not in kernel.complete("%flow sta")
    finally:
        kernel("%load_ext nbflow")
