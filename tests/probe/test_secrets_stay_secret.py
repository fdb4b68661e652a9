"""Planted secrets: none is found in what nbflow writes down or shows."""

import contextlib
import io
import json
import linecache
import os
import warnings
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from nbflow import Flow, Parameter, secret
from nbflow.flow.workshop import store_at

SOURCE = """
import os
import nbflow
from nbflow import secret, task

api_key = "planted-literal"
config = {"password": "planted-dict", "host": "h"}
URL = "postgresql://me:planted-url@host/db"
held = secret("PLANTED_TOKEN")

class Client:
    def __init__(self, password):
        self.password = password

client = Client("planted-attribute")

def make(token):
    def inner():
        return len(token)
    return inner

inner = make("planted-closure")

def helper(v, secret_key="planted-default"):
    return len(secret_key)

@task
def use(x, password, conn, cfg):
    token = "planted-local"
    headers = {"Authorization": "Bearer planted-bearer"}
    known = len(api_key) + len(config["password"]) + len(URL) + len(held) + len(client.password) + inner() + helper(1)
    return known + len(os.environ["PLANTED_TOKEN"]) + len(token) + len(headers)

@task
def give():
    return {"key": secret("PLANTED_TOKEN"), "n": 1}

@task
def fail(password, url):
    raise ValueError("cannot log in to " + url + " with " + password)

@task(env=["PLANTED_TOKEN"])
def declared(n):
    return n

@task
def each(password):
    return len(password)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PLANTED_TOKEN", "planted-environment")
    # The project's folder, whatever lies above it.
    (tmp_path / "pyproject.toml").touch()
    return tmp_path


def flow_of(source, suffix=""):
    namespace = {"__name__": "__main__"}
    name = f"<planted {suffix}>"
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    exec(compile(source, name, "exec"), namespace)
    with Flow("planted", store="store") as flow:
        password = Parameter("db_password", default=f"planted-parameter{suffix}")
        config = {"token": f"planted-config{suffix}", "deep": [{"api_key": f"planted-deep{suffix}"}]}
        namespace["use"](
            "x", password=f"planted-argument{suffix}", conn=f"https://u:planted-conn{suffix}@h/x", cfg=config
        )
        namespace["fail"](password, f"mysql://root:planted-message{suffix}@h/db")
        namespace["declared"](1)
        namespace["give"]()
        namespace["each"].map([f"planted-item{suffix}", f"planted-other{suffix}"])
    return flow


def shown(*things):
    for thing in things:
        print(thing, repr(thing), str(thing))
        bundle = thing._repr_mimebundle_() if hasattr(thing, "_repr_mimebundle_") else {}
        print(*(bundle[0] if isinstance(bundle, tuple) else bundle).values())
        print(thing._repr_html_() if hasattr(thing, "_repr_html_") else "")


def test_nothing_that_is_shown_or_stored_holds_a_secret():
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out), warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        flow = flow_of(SOURCE)
        run = flow.run()
        shown(flow, flow.plan(), run, run.table, run.summary(), run.frame("each"), run.frame("fail"))
        changed = flow_of(SOURCE.replace("planted-", "planted-2-"), suffix="-2")
        shown(changed.plan(), changed.run(db_password="planted-given"))
        shown(*(changed.why(name) for name in ("use", "fail", "declared", "give", "each")))
        store_at("store").flush()
    text = out.getvalue() + "".join(str(each.message) for each in told)
    assert "use" in text
    assert "planted-" not in text
    for path in Path("store").rglob("*"):
        if path.is_file():
            assert b"planted-" not in path.read_bytes(), path


def test_a_stored_secret_is_the_secret_again_until_it_changes(monkeypatch):
    calls = []
    from nbflow import task

    @task(ignore=["calls"], cache=True)
    def give():
        calls.append(1)
        return [secret("PLANTED_TOKEN")]

    def run():
        with Flow("given", store="store") as flow:
            give()
        return flow.run(check=True)["give"]

    assert run() == run() == ["planted-environment"]
    assert len(calls) == 1
    monkeypatch.setenv("PLANTED_TOKEN", "planted-anew")
    assert run() == ["planted-anew"]
    assert len(calls) == 2


CELLS = [
    "%load_ext nbflow",
    "import os\nfrom nbflow import secret\ntoken = secret('PLANTED_TOKEN')",
    "config = {'password': os.environ['PLANTED_TOKEN'], 'host': 'h'}",
    "%%task size\nlen(config['password']) + len(token)",
    "%flow",
    "%flow plan",
    "%%task bad\nraise ValueError('no login with ' + token + ' at https://me:' + token + '@host')",
    "%flow why size",
    "%flow status",
    "%flow run",
]


def test_a_saved_notebook_holds_no_secret(folder):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    NotebookClient(notebook, timeout=120, allow_errors=True, kernel_name="python3").execute()
    saved = json.dumps(notebook)
    assert "no login with" in saved
    assert "planted-environment" not in saved
    stored = [path for path in (folder / ".nbflow").rglob("*") if path.is_file()]
    assert stored
    for path in stored:
        assert b"planted-environment" not in path.read_bytes(), path
    assert os.environ["PLANTED_TOKEN"] == "planted-environment"
