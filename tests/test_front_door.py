"""What loading nbflow loads: only what somebody asks for."""

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
    print(*(name for name in sys.modules if name.partition('.')[0] == 'nbflow'))
"""


def loaded(code, before=""):
    """The modules of nbflow that a fresh process has loaded after some code."""
    script = textwrap.dedent(before) + f"\nimport sys\n{textwrap.dedent(code)}\n{textwrap.dedent(LOADED)}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_the_package_alone_loads_none_of_its_layers():
    assert loaded("import nbflow") == {"nbflow", "nbflow.loop", "nbflow.seams"}


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
        nbflow.taks  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'taks' from 'nbflow'"):
        from nbflow import taks  # noqa: F401


def test_loop_stays_what_a_task_asks_when_its_module_is_imported():
    assert loaded("import nbflow, nbflow.flow.front, nbflow.loop\nassert nbflow.loop.count == 1")


def test_a_node_outside_of_any_flow_runs_where_only_task_was_imported(tmp_path):
    loaded(f"""
        import os
        os.environ["NBFLOW_STORE"] = {str(tmp_path / "store")!r}
        from nbflow import task
        assert task(lambda: 4)(name="four").run()["four"] == 4
    """)
