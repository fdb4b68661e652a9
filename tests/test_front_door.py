"""What loading nbflow loads: only what somebody asks for."""

import importlib
import subprocess
import sys
import textwrap

import pytest

import nbflow

SHELL = """
    import ipykernel.ipkernel, ipykernel.zmqshell
    from IPython.core.interactiveshell import InteractiveShell
    shell = InteractiveShell()
"""
LOADED = """
    print(*(name for name in sys.modules))
"""
# What is loaded by the call that needs it: pictures, frames, plans and reasons, forms, other processes and machines.
LATER = (
    *("draw", "cli", "results.frame", "results.shown", "results.grid", "results.comparison", "results.differences"),
    *(f"flow.{name}" for name in ("plans", "explain", "whys", "origin", "status", "accept", "past", "compare")),
    *(f"flow.{name}" for name in ("drawing", "picture", "progress", "glance", "fields", "form", "background")),
    *("flow.debugging", "executors.processes", "executors.pool", "executors.remote", "executors.parcel"),
    *("executors.dask", "executors.afar", "notebook.live", "notebook.terminal", "notebook.widget", "notebook.export"),
)
HEAVY = {
    "pandas",
    "numpy",
    "pyarrow",
    "ipywidgets",
    "anywidget",
    "graphviz",
    "pygraphviz",
    "distributed",
    "cloudpickle",
}
RUN = """
    import os, tempfile
    os.environ["NBFLOW_STORE"] = tempfile.mkdtemp()
    from nbflow import Flow, task
    with Flow("small") as flow:
        task(lambda x: x + 1, name="add")(1)
    assert flow.run()["add"] == 2
"""


def loaded(code, before=""):
    """The modules of nbflow that a fresh process has loaded after some code."""
    script = textwrap.dedent(before) + f"\nimport sys\n{textwrap.dedent(code)}\n{textwrap.dedent(LOADED)}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def too_early(modules):
    """Those of the modules that should be loaded later."""
    ours = [f"nbflow.{name}" for name in LATER]
    return [name for name in modules if name in HEAVY or any(f"{name}.".startswith(f"{each}.") for each in ours)]


def test_the_package_alone_loads_none_of_its_layers():
    modules = loaded("import nbflow")
    assert {name for name in modules if name.startswith("nbflow")} == {"nbflow", "nbflow.loop", "nbflow.seams"}


@pytest.mark.parametrize("code", ["from nbflow import Flow, task", RUN], ids=["import", "run"])
def test_a_script_loads_what_a_run_takes(code):
    modules = loaded(code)
    assert "nbflow.engine.run" in modules
    assert too_early(modules) == []
    assert not [name for name in modules if name.startswith("nbflow.notebook") or name.partition(".")[0] == "IPython"]


def test_the_extension_loads_what_cells_take():
    modules = loaded("shell.run_line_magic('load_ext', 'nbflow')", SHELL)
    assert "nbflow.notebook.session" in modules
    assert too_early(modules) == []


def test_what_is_loaded_later_is_there():
    for name in LATER:
        assert importlib.import_module(f"nbflow.{name}")


def test_every_name_is_there_when_it_is_asked_for():
    names = {}
    exec("from nbflow import *", names)
    assert names.keys() >= set(nbflow.__all__)
    assert all(names[name] is getattr(nbflow, name) for name in nbflow.__all__)
    assert set(nbflow.__all__) <= set(dir(nbflow))


@pytest.mark.parametrize("name", nbflow.__all__)
def test_each_name_can_be_the_first_that_is_asked_for(name):
    assert getattr(nbflow, name) is not None
    loaded(f"from nbflow import {name}")


def test_a_name_that_is_not_there_is_told_as_python_does():
    with pytest.raises(AttributeError, match=r"^module 'nbflow' has no attribute 'taks'$"):
        nbflow.taks  # noqa: B018 (asked for, and not used)
    with pytest.raises(ImportError, match="cannot import name 'taks' from 'nbflow'"):
        from nbflow import taks  # noqa: F401 (as above)


def test_loop_stays_what_a_task_asks_when_its_module_is_imported():
    assert loaded("import nbflow, nbflow.flow.front, nbflow.loop\nassert nbflow.loop.count == 1")


def test_a_node_outside_of_any_flow_runs_where_only_task_was_imported(tmp_path):
    loaded(f"""
        import os
        os.environ["NBFLOW_STORE"] = {str(tmp_path / "store")!r}
        from nbflow import task
        assert task(lambda: 4)(name="four").run()["four"] == 4
    """)
